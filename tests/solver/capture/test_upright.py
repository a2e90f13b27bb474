# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from solver.capture.types import Camera, Capture, Photo, SparsePoints
from solver.capture.upright import find_upright, mean_up, rotation_to_z, set_upright

CAMERA = Camera(320, 240, 900.0, 900.0, 160.0, 120.0)


def look_at(eye, target, roll=0.0):
    """World-to-camera, [4, 4]; rolled by `roll` radians about the optical axis."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("z", roll).as_matrix() @ np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return pose


def blob(rng, count=400):
    """Points on a subject 1 high and 0.6 wide, its middle at the origin."""
    directions = rng.standard_normal((count, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * [0.3, 0.3, 0.5]


def floor(rng, count=400):
    angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count)) * 0.9
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, -0.5)], axis=1)


def noisy(rng, poses, degrees=0.1, shift=0.003):
    result = []
    for pose in poses:
        change = np.eye(4)
        change[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * rng.standard_normal(3)).as_matrix()
        change[:3, 3] = shift * rng.standard_normal(3)
        result.append(change @ pose)
    return np.array(result)


def turntable(rng):
    """A camera that stands still, a little rolled and off the middle, at two heights; the subject turns."""
    poses = []
    for height, distance in ((0.6, 3.0), (1.6, 2.6)):
        still = look_at(np.array([0, -distance, height]), np.array([0.05, 0, 0.05]), roll=0.06)
        for angle in np.arange(0, 360, 30):
            turn = np.eye(4)
            turn[:3, :3] = Rotation.from_euler("z", angle, degrees=True).as_matrix()
            poses.append(still @ turn)
    return noisy(rng, poses), blob(rng)


def turned_over(rng):
    """A turntable whose subject was turned over and askew after the first round; nothing is told of the second."""
    poses, points = turntable(rng)
    askew = np.eye(4)
    askew[:3, :3] = Rotation.from_euler("xyz", [170, 25, 40], degrees=True).as_matrix()
    return np.concatenate([poses, poses[:7] @ askew, noisy(rng, poses[14:20]) @ askew]), points


def by_hand(rng):
    """Photos from about one side at all heights, of a subject on a table, with a wall far behind it."""
    poses = []
    for _ in range(30):
        azimuth, elevation = rng.uniform(-1.2, 1.2), rng.uniform(0.1, 1.3)
        direction = [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        eye = rng.uniform(2.2, 3.2) * np.array(direction)
        poses.append(look_at(eye, rng.normal(0, 0.08, 3), roll=rng.normal(0, 0.2)))
    wall = np.stack([rng.uniform(-4, 4, 300), np.full(300, 6.0), rng.uniform(-0.5, 5, 300)], axis=1)
    points = np.concatenate([blob(rng), floor(rng), wall])
    return noisy(rng, poses), points + 0.002 * rng.standard_normal(points.shape)


def held_level(rng):
    """Photos all round at all heights, level, of a subject in the air."""
    poses = []
    for _ in range(40):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 1.2)
        direction = [np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        poses.append(look_at(rng.uniform(2, 4) * np.array(direction), rng.normal(0, 0.05, 3)))
    return noisy(rng, poses), blob(rng)


SHOTS = {"turntable": turntable, "turned over": turned_over, "by hand": by_hand, "held level": held_level}
BY = {"turntable": ["axis"], "turned over": ["axis"], "by hand": ["plane"], "held level": ["horizon", "axis"]}


def disturbed(poses, points, rotation, shift, scale):
    """The same capture in a world turned, moved and scaled."""
    result = np.array(poses)
    result[:, :3, :3] = poses[:, :3, :3] @ rotation.T
    result[:, :3, 3] = scale * poses[:, :3, 3] - np.einsum("nij,j->ni", result[:, :3, :3], shift)
    return result, scale * points @ rotation.T + shift


@pytest.mark.parametrize("shots", SHOTS)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    turn=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    shift=st.tuples(*[st.floats(-20, 20)] * 3),
    scale=st.sampled_from([1e-3, 0.1, 1.0, 250.0]),
    seed=st.integers(0, 5),
)
def test_a_turned_world_comes_back_upright_and_centred(shots, turn, shift, scale, seed):
    poses, points = SHOTS[shots](np.random.default_rng(seed))
    rotation = Rotation.from_quat(turn).as_matrix()
    found = find_upright(*disturbed(poses, points, rotation, scale * np.array(shift), scale))
    assert found.by in BY[shots]
    up = found.rotation @ rotation @ [0, 0, 1]
    assert np.degrees(np.arccos(min(1, up[2]))) < 1
    # The subject's middle is the origin, to a tenth of its height.
    assert np.linalg.norm(found.centre - scale * np.array(shift)) < 0.1 * scale


def test_projections_and_scale_stay(tmp_path):
    poses, points = by_hand(np.random.default_rng(0))
    photos = tuple(Photo(f"{i}", tmp_path / f"{i}.png", CAMERA, pose) for i, pose in enumerate(poses))
    capture = Capture(tmp_path, photos, SparsePoints(points, np.zeros((len(points), 3), np.uint8)))
    rotation = Rotation.from_euler("xyz", [100, 40, -30], degrees=True).as_matrix()
    turned_poses, turned_points = disturbed(poses, points, rotation, np.array([3.0, 4, 5]), 2.0)
    turned = Capture(
        tmp_path,
        tuple(Photo(f"{i}", tmp_path / f"{i}.png", CAMERA, pose) for i, pose in enumerate(turned_poses)),
        SparsePoints(turned_points, np.zeros((len(points), 3), np.uint8)),
    )
    upright, _ = set_upright(turned)
    for before, after in zip(capture.photos, upright.photos, strict=True):
        pixels, _, inside = before.project(points)
        moved, _, still_inside = after.project(upright.points.positions)
        np.testing.assert_array_equal(inside, still_inside)
        np.testing.assert_allclose(moved[inside], pixels[inside], atol=1e-6)
        np.testing.assert_allclose(np.linalg.inv(after.world_to_camera[:3, :3]), after.world_to_camera[:3, :3].T)
    distances = [np.linalg.norm(c.photos[0].centre - c.photos[1].centre) for c in (capture, upright)]
    assert distances[1] == pytest.approx(2 * distances[0])


def test_a_wall_is_no_floor():
    """Cameras in a row before a wall: its normal is where they look, not up."""
    rng = np.random.default_rng(0)
    poses = [look_at(np.array([x, -3, 0.3]), np.array([x, 0, 0.3])) for x in np.linspace(-1, 1, 8)]
    wall = np.stack([rng.uniform(-1, 1, 500), np.zeros(500), rng.uniform(-0.5, 1, 500)], axis=1)
    found = find_upright(np.array(poses), wall)
    np.testing.assert_allclose(found.rotation @ [0, 0, 1], [0, 0, 1], atol=1e-9)
    assert found.by == "cameras"


def test_photos_straight_down():
    rng = np.random.default_rng(0)
    down = np.diag([1.0, -1.0, -1.0, 1.0])
    poses = []
    for x, y in rng.uniform(-0.5, 0.5, (12, 2)):
        shift = np.eye(4)
        shift[:3, 3] = [-x, -y, -2.0]
        poses.append(down @ shift)
    found = find_upright(np.array(poses), floor(rng))
    assert np.isfinite(found.rotation).all()
    assert np.isfinite(found.centre).all()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_few_or_equal_cameras(count):
    pose = look_at(np.array([0, -2.0, 1]), np.zeros(3))
    for points in (None, np.zeros((0, 3)), np.full((60, 3), 0.3), np.full((60, 3), np.nan)):
        found = find_upright(np.array([pose] * count), points)
        assert np.isfinite(found.rotation).all()
        assert np.isfinite(found.centre).all()
        np.testing.assert_allclose(found.rotation @ -pose[1, :3], [0, 0, 1], atol=1e-9)


def test_up_is_the_larger_group_where_the_subject_was_turned_over():
    tilt = Rotation.from_euler("xyz", [100, 40, -30], degrees=True).as_matrix()
    around = np.radians(np.arange(0, 360, 30))
    ring = np.stack([0.5 * np.cos(around), 0.5 * np.sin(around), np.full(12, np.sqrt(0.75))], axis=1)
    up, group = mean_up(np.concatenate([ring, -ring[:10]]) @ tilt.T)
    np.testing.assert_allclose(rotation_to_z(up) @ tilt @ [0, 0, 1], [0, 0, 1], atol=0.15)
    np.testing.assert_array_equal(group, np.arange(22) < 12)
    steep = ring * [1.8, 1.8, np.sqrt(0.19 / 0.75)]  # cameras that look down at 64 degrees
    up, group = mean_up(steep @ tilt.T)
    np.testing.assert_allclose(rotation_to_z(up) @ tilt @ [0, 0, 1], [0, 0, 1], atol=1e-9)
    assert group.all()
    np.testing.assert_allclose(rotation_to_z(np.array([0, 0, -1.0])) @ [0, 0, -1], [0, 0, 1], atol=1e-12)
