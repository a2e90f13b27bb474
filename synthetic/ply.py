# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary PLY files of a triangle mesh."""

from pathlib import Path

import numpy as np

from .files import written_aside


def write_mesh(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Write `vertices` [V, 3] and `triangles` [F, 3], indices into them, atomically."""
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.zeros(len(triangles), [("count", "u1"), ("indices", "<i4", (3,))])
    faces["count"] = 3
    faces["indices"] = triangles
    with written_aside(path) as temporary:
        temporary.write_bytes(header.encode() + vertices.astype("<f4").tobytes() + faces.tobytes())
