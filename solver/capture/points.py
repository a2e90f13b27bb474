# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse points from a PLY file, where a capture names one."""

from pathlib import Path

import numpy as np

from solver.capture.types import SparsePoints
from solver.errors import SolverError
from solver.ply import read_ply


def read_points(path: Path) -> SparsePoints:
    """The vertices of a PLY file, with their colours where it has them (grey elsewhere).

    Raises:
        SolverError: the file is absent or not a point cloud.
    """
    from plyfile import PlyParseError

    try:
        vertices = read_ply(path)["vertex"].data
        positions = np.stack([vertices[axis] for axis in "xyz"], axis=1).astype(np.float64)
        if {"red", "green", "blue"} <= set(vertices.dtype.names):
            colours = np.stack([vertices[channel] for channel in ("red", "green", "blue")], axis=1).astype(np.uint8)
        else:
            colours = np.full((len(positions), 3), 128, dtype=np.uint8)
    except FileNotFoundError:
        raise SolverError(
            "the point cloud is missing", where=path, remedy="put it back, or remove ply_file_path"
        ) from None
    except (OSError, PlyParseError, KeyError, ValueError, UnicodeDecodeError, MemoryError) as error:
        raise SolverError(
            f"the point cloud cannot be read ({error})",
            where=path,
            remedy="write it again, or remove ply_file_path",
        ) from None
    usable = np.isfinite(positions).all(axis=1)
    return SparsePoints(positions[usable], colours[usable])
