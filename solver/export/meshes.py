# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh as GLB, for any 3D program, and as PLY in the reconstruction's own coordinates."""

from pathlib import Path

import numpy as np

from solver.files import written_aside
from solver.optics.colour import linear_to_srgb
from solver.surface.fusion import Mesh

_Z_UP_TO_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64)


def write_glb(path: Path, mesh: Mesh, unit_mm: float | None) -> None:
    """Write glTF 2.0: Y up, metres (one scene unit is a metre where its length is unknown), linear vertex colours."""
    metres = 1.0 if unit_mm is None else unit_mm / 1000
    _write(path, metres * mesh.vertices @ _Z_UP_TO_Y_UP.T, mesh, mesh.colours)


def write_ply(path: Path, mesh: Mesh) -> None:
    """Write a binary PLY: world coordinates in the scene unit, sRGB vertex colours."""
    _write(path, mesh.vertices, mesh, linear_to_srgb(mesh.colours))


def _write(path: Path, vertices: np.ndarray, mesh: Mesh, colours: np.ndarray) -> None:
    import trimesh

    rgba = np.concatenate([colours, np.ones((len(colours), 1))], axis=1)
    colours_8bit = (rgba * 255 + 0.5).astype(np.uint8)
    geometry = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=colours_8bit, process=False)
    with written_aside(path) as temporary:
        geometry.export(temporary)
