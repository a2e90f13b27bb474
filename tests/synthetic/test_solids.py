# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks, lathed bodies and crystals: arrays only, no Blender."""

import numpy as np
import pytest

from synthetic.scenes.geometry import Geometry, box, lathe, polyhedron


def corners_of(solid: Geometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, c = (solid.vertices[solid.triangles[:, corner]] for corner in range(3))
    return a, b, c


def signed_volume(solid: Geometry) -> float:
    a, b, c = corners_of(solid)
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_box_has_its_size_and_faces_outwards() -> None:
    block = box([1.0, 2.0, 3.0])
    assert signed_volume(block) == pytest.approx(6.0)
    np.testing.assert_allclose(block.vertices.max(0) - block.vertices.min(0), [1.0, 2.0, 3.0])


def test_a_rounded_box_keeps_its_size_and_loses_its_edges() -> None:
    block = box([2.0, 3.0, 4.0], bevel=0.5, segments=24)
    np.testing.assert_allclose(block.vertices.max(0) - block.vertices.min(0), [2.0, 3.0, 4.0])
    inner = np.array([1.0, 2.0, 3.0])
    faces = 2 * (inner[0] * inner[1] + inner[1] * inner[2] + inner[2] * inner[0]) * 0.5
    edges, ball = inner.sum() * np.pi * 0.5**2, 4 / 3 * np.pi * 0.5**3
    assert signed_volume(block) == pytest.approx(inner.prod() + faces + edges + ball, rel=1e-3)


def test_a_lathed_rectangle_is_a_cylinder_that_faces_outwards() -> None:
    assert signed_volume(lathe([[0, 1], [2, 1], [2, 0], [0, 0]], 400)) == pytest.approx(4 * np.pi, rel=1e-3)


def test_a_polyhedron_is_what_its_planes_cut_out() -> None:
    normals = np.concatenate([np.eye(3), -np.eye(3), np.full((1, 3), 3**-0.5)])
    solid = polyhedron(normals, np.array([1.0] * 6 + [2 * 3**-0.5]))  # a cube without the corner beyond x + y + z = 2
    assert signed_volume(solid) == pytest.approx(8 - 1 / 6)
    a, b, c = corners_of(solid)
    outward = np.cross(b - a, c - a)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    face = solid.attributes["face"][solid.triangles[:, 0]].astype(int)
    np.testing.assert_allclose(outward, normals[face], atol=1e-9)


def test_a_plane_that_cuts_nothing_leaves_no_face() -> None:
    normals = np.concatenate([np.eye(3), -np.eye(3), np.full((1, 3), 3**-0.5)])
    solid = polyhedron(normals, np.array([1.0] * 6 + [9.0]))
    assert set(solid.attributes["face"]) == {0, 1, 2, 3, 4, 5}
