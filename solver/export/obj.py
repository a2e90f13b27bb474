# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as Wavefront OBJ: every 3D program reads it. Seams are closed, since corners have their own coordinates."""

from pathlib import Path

import numpy as np

from solver.export.surface_file import TEXTURE, Surface
from solver.files import written_aside

OBJ, MATERIALS = "mesh.obj", "mesh.mtl"
_MATERIAL = "surface"


def write_obj(path: Path, surface: Surface) -> None:
    """Write the mesh as it stands; without a texture its vertices carry colours, as MeshLab and Blender read them."""
    points, point_of = surface.joined()
    first = np.unique(point_of, return_index=True)[1]  # a vertex of each point
    normals, corners = surface.normals()[first], point_of[surface.faces] + 1
    lines = [f"mtllib {MATERIALS}", "o mesh"]
    if surface.texture_coordinates is None:
        rows = np.concatenate([points, surface.colours[first]], axis=1)
        lines += [f"v {_numbers(row[:3])} {_numbers(row[3:])}" for row in rows.tolist()]
    else:
        lines += [f"v {_numbers(row)}" for row in points.tolist()]
        lines += [f"vt {_numbers(row)}" for row in surface.texture_coordinates.tolist()]
    lines += [f"vn {_numbers(row, 4)}" for row in normals.tolist()]
    lines.append(f"usemtl {_MATERIAL}")
    if surface.texture_coordinates is None:
        lines += [f"f {a}//{a} {b}//{b} {c}//{c}" for a, b, c in corners.tolist()]
    else:
        pairs = np.stack([corners, surface.faces + 1], axis=2).reshape(-1, 6).tolist()
        lines += [f"f {a}/{s}/{a} {b}/{t}/{b} {c}/{u}/{c}" for a, s, b, t, c, u in pairs]
    _write(path, lines)


def write_materials(path: Path, textured: bool) -> None:
    """Write the material library: matt, with the texture where there is one."""
    lines = [f"newmtl {_MATERIAL}", "Kd 1 1 1", "Ks 0 0 0", "illum 1"]
    _write(path, [*lines, f"map_Kd {TEXTURE}"] if textured else lines)


def _numbers(values: list[float], digits: int = 7) -> str:
    return " ".join(f"{value:.{digits}g}" for value in values)


def _write(path: Path, lines: list[str]) -> None:
    with written_aside(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
