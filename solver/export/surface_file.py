# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of a result, read from its `mesh.ply`, for the formats that other programs want."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solver.errors import SolverError
from solver.optics.colour import srgb_to_linear
from solver.ply import read_ply

MESH, TEXTURE = "mesh.ply", "texture.png"
Z_UP_TO_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64)


@dataclass(frozen=True)
class Surface:
    """Triangles with a colour at each vertex and, where there is one, a texture; vertices are split at its seams."""

    vertices: np.ndarray  # [V, 3] float64
    faces: np.ndarray  # [F, 3] int64, counter-clockwise seen from outside
    colours: np.ndarray  # [V, 3], sRGB, 0 to 1
    texture_coordinates: np.ndarray | None = None  # [V, 2], u right, v up from the image's lower left corner

    @property
    def linear_colours(self) -> np.ndarray:
        """[V, 3], linear light."""
        return srgb_to_linear(self.colours)

    def moved(self, rotation: np.ndarray, scale: float) -> "Surface":  # [3, 3]
        """The same in another frame: points go to `scale` times `rotation` times themselves."""
        return Surface(scale * self.vertices @ rotation.T, self.faces, self.colours, self.texture_coordinates)

    def joined(self) -> tuple[np.ndarray, np.ndarray]:
        """Points [P, 3] that are unlike each other, and which of them each vertex is, [V]: no seams are left."""
        points, point_of = np.unique(self.vertices, axis=0, return_inverse=True)
        return points, point_of.reshape(-1)

    def normals(self) -> np.ndarray:
        """Unit normals of the vertices, [V, 3]: the mean of the triangles round them by area, across seams too."""
        points, point_of = self.joined()
        corners = point_of[self.faces]
        a, b, c = points[corners].transpose(1, 0, 2)
        areas = np.cross(b - a, c - a)
        total = np.zeros_like(points)
        for corner in corners.T:
            np.add.at(total, corner, areas)
        lengths = np.linalg.norm(total, axis=1, keepdims=True)
        unit = np.where(lengths > 0, total / np.where(lengths > 0, lengths, 1), [0.0, 0, 1])
        return unit[point_of]


def read_surface(path: Path) -> Surface:
    """Read a result's `mesh.ply`.

    Raises:
        SolverError: it is absent or damaged.
    """
    from plyfile import PlyParseError

    try:
        ply = read_ply(path, {"face": {"vertex_indices": 3}})
        table, faces = ply["vertex"].data, np.array(ply["face"].data["vertex_indices"], np.int64)

        def columns(*names: str) -> np.ndarray:
            return np.stack([table[name] for name in names], axis=1).astype(np.float64)

        textured = {"s", "t"} <= set(table.dtype.names)
        surface = Surface(
            columns("x", "y", "z"),
            faces.reshape(-1, 3),
            columns("red", "green", "blue") / 255,
            columns("s", "t") if textured else None,
        )
        if len(faces) == 0 or faces.min() < 0 or faces.max() >= len(table):
            raise ValueError("its triangles have no such vertices")
        if not np.isfinite(surface.vertices).all():
            raise ValueError("some numbers are not finite")
    except FileNotFoundError:
        raise SolverError("the result's mesh is missing", where=path, remedy="reconstruct again") from None
    except (PlyParseError, ValueError, KeyError, OSError) as error:
        raise SolverError(f"the result's mesh is damaged ({error})", where=path, remedy="reconstruct again") from None
    return surface
