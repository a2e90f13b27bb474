# SPDX-License-Identifier: GPL-3.0-or-later
"""Chamfer distance and F-score: against slow exact distances, and on shapes whose numbers are known."""

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from solver.capture.types import Camera, Photo
from solver.errors import SolverError
from solver.evaluation.alignment import Similarity
from solver.evaluation.mesh_scores import (
    THRESHOLD_SHARE,
    Triangles,
    distance_to_triangles,
    read_triangles,
    sample,
    score_mesh,
    seen_by,
)
from solver.evaluation.truth import TrueView
from solver.export.images import write_exr, write_png

CAMERA = Camera(width=96, height=80, fx=130.0, fy=130.0, cx=48.0, cy=40.0)
RADIUS, DISTANCE = 12.0, 60.0


def triangles(mesh: trimesh.Trimesh) -> Triangles:
    return Triangles(np.array(mesh.vertices), np.array(mesh.faces))


def ball(radius=RADIUS, centre=(0.0, 0, 0)) -> Triangles:
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    mesh.apply_translation(centre)
    return triangles(mesh)


def photo_from(eye) -> Photo:
    eye = np.asarray(eye, float)
    forward = -eye / np.linalg.norm(eye)
    right = np.cross(forward, [0, 0, 1] if abs(forward[2]) < 0.9 else [0, 1, 0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    name = "_".join(f"{x:.0f}" for x in eye)
    return Photo(name, Path(f"{name}.png"), CAMERA, pose)


def true_view(folder: Path, photo: Photo, floor: float | None = None) -> TrueView:
    """The ball from a place, and a floor below it where there is one."""
    x, y = np.meshgrid(np.arange(CAMERA.width) + 0.5, np.arange(CAMERA.height) + 0.5)
    local = np.stack([(x - CAMERA.cx) / CAMERA.fx, (y - CAMERA.cy) / CAMERA.fy, np.ones_like(x)], axis=-1)
    directions, eye = local @ photo.world_to_camera[:3, :3], photo.centre
    a, b = (directions**2).sum(-1), directions @ eye
    root = b**2 - a * (eye @ eye - RADIUS**2)
    subject = root > 0
    depth = np.where(subject, (-b - np.sqrt(root.clip(min=0))) / a, 0)
    if floor is not None:
        below = directions[..., 2] < 0
        ground = np.where(below, (floor - eye[2]) / np.where(below, directions[..., 2], -1), np.inf)
        hit = below & (~subject | (ground < depth))
        depth, subject = np.where(hit, ground, depth), subject & ~hit
    write_exr(folder / "depth" / f"{photo.name}.exr", "Z", depth.astype(np.float32))
    write_png(folder / "mask" / f"{photo.name}.png", subject[..., None].repeat(3, -1).astype(np.float32))
    return TrueView(photo, folder, masked=False)


def from_above(folder: Path, floor: float | None = None) -> list[TrueView]:
    angles = np.linspace(0, 2 * math.pi, 8, endpoint=False)
    eyes = [DISTANCE * np.array([0.7 * math.cos(a), 0.7 * math.sin(a), 0.714]) for a in angles]
    return [true_view(folder, photo_from(eye), floor) for eye in eyes]


def slow_distance(point: np.ndarray, corners: np.ndarray) -> float:
    """By a search over the triangle's barycentric coordinates."""

    def squared(weights: np.ndarray) -> float:
        u, v = weights[0], weights[1] * (1 - weights[0])
        return float(
            ((1 - u - v) * corners[0] + u * corners[1] + v * corners[2] - point)
            @ ((1 - u - v) * corners[0] + u * corners[1] + v * corners[2] - point)
        )

    starts = ([0.3, 0.3], [0.9, 0.1], [0.05, 0.9], [0.05, 0.05])
    return math.sqrt(min(minimize(squared, start, bounds=[(0, 1), (0, 1)], tol=1e-14).fun for start in starts))


def test_distance_to_a_triangle_is_the_least_over_its_points():
    rng = np.random.default_rng(0)
    corners, points = rng.normal(size=(24, 3, 3)), 1.5 * rng.normal(size=(24, 3))
    exact = [slow_distance(*pair) for pair in zip(points, corners, strict=True)]
    np.testing.assert_allclose(distance_to_triangles(points, corners), exact, atol=2e-4)


def test_triangles_without_area_are_edges_and_points():
    point = np.array([[0.0, 3.0, 4.0]])
    line = np.array([[[-1.0, 0, 0], [1, 0, 0], [0, 0, 0]]])
    assert distance_to_triangles(point, line) == pytest.approx(5)
    assert distance_to_triangles(point, np.zeros((1, 3, 3))) == pytest.approx(5)


def test_samples_lie_on_their_triangles_and_follow_the_area():
    corners = np.array([[[0.0, 0, 0], [3, 0, 0], [0, 2, 0]], [[0, 0, 5], [1, 0, 5], [0, 2, 5]]])
    points, chosen = sample(corners, 8000, np.random.default_rng(1))
    np.testing.assert_allclose(distance_to_triangles(points, corners[chosen]), 0, atol=1e-12)
    assert (chosen == 0).mean() == pytest.approx(0.75, abs=0.02)
    np.testing.assert_allclose(points[chosen == 0].mean(0), [1, 2 / 3, 0], atol=0.05)


def test_scores_are_those_of_slow_exact_distances(tmp_path):
    """Every sample against every triangle, with the same samples."""
    photos = from_above(tmp_path)
    truth = triangles(trimesh.creation.icosphere(subdivisions=2, radius=RADIUS))
    made = triangles(trimesh.creation.icosphere(subdivisions=2, radius=RADIUS * 1.005))
    made.vertices[::3] *= 1.01
    found = score_mesh(made, truth, photos, seed=3, samples=4000)
    generator = np.random.default_rng(3)
    of_truth, _ = sample(truth.corners, 4000, generator)
    of_made, _ = sample(made.corners, 4000, generator)

    def exact(points: np.ndarray, mesh: Triangles) -> np.ndarray:
        return np.array(
            [distance_to_triangles(np.repeat(point[None], len(mesh.faces), 0), mesh.corners).min() for point in points]
        )

    off, missed = exact(of_made, truth), exact(of_truth[seen_by(of_truth, photos) >= 3], made)
    near = THRESHOLD_SHARE * np.ptp(truth.vertices, axis=0).max()
    precision, recall = (off <= near).mean(), (missed <= near).mean()
    assert 0.1 < precision < 0.95 and 0.1 < recall < 0.95
    assert found.accuracy == pytest.approx(off.mean(), rel=1e-2)
    assert found.completeness == pytest.approx(missed.mean(), rel=1e-2)
    assert found.chamfer == pytest.approx((off.mean() + missed.mean()) / 2, rel=1e-2)
    assert found.precision == pytest.approx(precision, abs=1e-2)
    assert found.recall == pytest.approx(recall, abs=1e-2)
    assert found.f_score == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-2)


def test_the_truth_itself_is_perfect(tmp_path):
    found = score_mesh(ball(), ball(), from_above(tmp_path), samples=20_000)
    assert found.f_score == 1
    assert found.chamfer == pytest.approx(0, abs=1e-3 * RADIUS)


def test_a_ball_too_large_is_off_by_the_difference(tmp_path):
    found = score_mesh(ball(RADIUS + 0.4), ball(), from_above(tmp_path), samples=20_000)
    assert found.chamfer == pytest.approx(0.4, rel=0.03)
    assert found.f_score == 0  # half a per cent of its size is 0.12


def test_what_no_photo_sees_need_not_be_found(tmp_path):
    """The upper part alone, of a ball photographed from above; half of it gone costs recall, not precision."""
    photos = from_above(tmp_path)
    upper = ball()
    upper = Triangles(upper.vertices, upper.faces[upper.corners[..., 2].min(1) > -0.6 * RADIUS])
    assert score_mesh(upper, ball(), photos, samples=20_000).f_score > 0.995
    half = Triangles(upper.vertices, upper.faces[upper.corners[..., 0].mean(1) > 0])
    found = score_mesh(half, ball(), photos, samples=20_000)
    assert found.precision == 1
    assert found.recall == pytest.approx(0.5, abs=0.03)
    assert found.completeness > 20 * found.accuracy


def test_the_ground_is_no_part_of_the_subject_but_floating_pieces_are(tmp_path):
    floor = -RADIUS
    photos = from_above(tmp_path, floor)
    plane = trimesh.creation.box((200, 200, 0.01))
    plane.apply_translation([0, 0, floor])
    for _ in range(6):
        plane = plane.subdivide()
    plane.update_faces(np.linalg.norm(plane.triangles_center[:, :2], axis=1) > 7)  # nearer, no photo sees it
    body = trimesh.Trimesh(ball().vertices, ball().faces)
    ground = score_mesh(triangles(trimesh.util.concatenate([body, plane])), ball(), photos, samples=60_000)
    assert ground.precision > 0.97
    floating = trimesh.creation.icosphere(radius=3)
    floating.apply_translation([0, 0, RADIUS])
    floated = score_mesh(triangles(trimesh.util.concatenate([body, floating])), ball(), photos, samples=60_000)
    assert floated.precision < 0.97


def test_seen_are_points_in_front_of_the_depth_map(tmp_path):
    photos = from_above(tmp_path)
    points = np.array([[0, 0, RADIUS], [0, 0, -RADIUS], [0, 0, 0], [0, 0, 1000.0]])
    assert seen_by(points, photos).tolist() == [8, 0, 0, 0]


def test_a_similarity_has_an_inverse():
    world = Similarity(3.7, Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix(), np.array([10.0, -4, 25]))
    points = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(world.inverse().apply(world.apply(points)), points, atol=1e-12)


def test_nothing_in_the_neighbourhood_is_no_score(tmp_path):
    assert score_mesh(ball(centre=(500, 0, 0)), ball(), from_above(tmp_path), samples=1000) is None
    assert score_mesh(ball(), ball(), [], samples=1000) is None


@pytest.mark.parametrize(
    "content", [b"", b"ply\nformat ascii 1.0\n", b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\n"]
)
def test_damaged_meshes_are_told(tmp_path, content):
    path = tmp_path / "mesh.ply"
    path.write_bytes(content)
    with pytest.raises(SolverError):
        read_triangles(path)
    with pytest.raises(SolverError):
        read_triangles(tmp_path / "none.ply")


def test_a_written_mesh_is_read(tmp_path):
    mesh = ball()
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(tmp_path / "mesh.ply")
    read = read_triangles(tmp_path / "mesh.ply")
    np.testing.assert_allclose(read.vertices, mesh.vertices, atol=1e-5)
    np.testing.assert_array_equal(read.faces, mesh.faces)
