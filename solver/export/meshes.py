# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh as GLB, for any 3D program, and as PLY in the reconstruction's own coordinates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from solver.files import written_aside
from solver.fusion.volume import Mesh
from solver.optics.colour import linear_to_srgb

_Z_UP_TO_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64)
_COLOUR = "_colour"  # trimesh's name for it, until it becomes glTF's


def write_glb(path: Path, mesh: Mesh, unit_mm: float | None) -> None:
    """Write glTF 2.0: Y up, metres (one scene unit is a metre where its length is unknown), linear vertex colours.

    Colours have 16 bits, since linear light would show steps in the dark with 8; the material is matt.
    """
    import trimesh

    metres = 1.0 if unit_mm is None else unit_mm / 1000
    geometry = trimesh.Trimesh(metres * mesh.vertices @ _Z_UP_TO_Y_UP.T, mesh.faces, process=False)
    geometry.vertex_attributes[_COLOUR] = _opaque(mesh.colours, np.uint16)
    with written_aside(path) as temporary:
        geometry.export(temporary, file_type="glb", include_normals=True, tree_postprocessor=_finish_gltf)


def _finish_gltf(tree: dict[str, Any]) -> None:
    """Give the one primitive its COLOR_0 and a material: glTF's default one is metal."""
    (primitive,) = tree["meshes"][0]["primitives"]
    accessor = primitive["attributes"].pop(_COLOUR)
    primitive["attributes"]["COLOR_0"] = accessor
    tree["accessors"][accessor]["normalized"] = True
    tree["materials"] = [{"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": True}]
    primitive["material"] = 0


def write_ply(
    path: Path,
    mesh: Mesh,
    attributes: Mapping[str, np.ndarray] | None = None,  # [V] each
) -> None:
    """Write a binary PLY: world coordinates in the scene unit, sRGB vertex colours, `attributes` as floats."""
    import trimesh

    colours = _opaque(linear_to_srgb(mesh.colours), np.uint8)
    geometry = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colours, process=False)
    for name, values in (attributes or {}).items():
        geometry.vertex_attributes[name] = values.astype(np.float32)
    with written_aside(path) as temporary:
        geometry.export(temporary, file_type="ply", encoding="binary")


def _opaque(colours: np.ndarray, kind: type[np.unsignedinteger]) -> np.ndarray:  # [V, 3], 0 to 1 -> [V, 4]
    """Colours as whole numbers, with full alpha."""
    rgba = np.concatenate([colours, np.ones((len(colours), 1))], axis=1)
    return (rgba.clip(0, 1) * np.iinfo(kind).max + 0.5).astype(kind)
