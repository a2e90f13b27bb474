# SPDX-License-Identifier: GPL-3.0-or-later
"""Lens, camera poses and transforms.json: numbers only, no Blender."""

import json

import numpy as np
import pytest

from synthetic import views
from synthetic.lens import Lens
from synthetic.transforms import View, transforms

MACRO = Lens(focal_length_mm=100.0, f_number=8.0, sensor_width_mm=25.0)


def test_pupil_and_principal_distance() -> None:
    assert MACRO.pupil_diameter_mm == 12.5
    assert MACRO.principal_distance_px(200) == 800.0
    assert MACRO.distance_mm(20.0) == 80.0


def test_circle_of_confusion_by_hand() -> None:
    coc = MACRO.circle_of_confusion_px(np.array([[80.0, 100.0, 50.0, 0.0]]), 80.0, 200)
    # 12.5 * 800 * |1/d - 1/80|; nothing hit is infinity
    np.testing.assert_allclose(coc, [[0.0, 25.0, 75.0, 125.0]], atol=1e-9)


def test_blur_scales_with_resolution() -> None:
    depth = np.array([70.0])
    assert MACRO.circle_of_confusion_px(depth, 80.0, 400) == 2 * MACRO.circle_of_confusion_px(depth, 80.0, 200)


def test_look_at_is_upright_and_sees_its_target_ahead() -> None:
    position, target = np.array([3.0, -4.0, 5.0]), np.array([1.0, 2.0, 0.5])
    pose = views.look_at(position, target)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    local = np.linalg.inv(pose) @ [*target, 1]
    np.testing.assert_allclose(local[:3], [0, 0, -np.linalg.norm(target - position)], atol=1e-12)
    assert pose[2, 0] == 0  # the horizon is level
    assert pose[2, 1] > 0  # and the right way up


TARGET = np.array([1.0, 2.0, 3.0])


def offsets(plan: str, count: int, seed: int = 0) -> np.ndarray:  # [count, 3]
    """From the target to the cameras, in the subject's frame."""
    stands = views.PLANS[plan](count, TARGET, 80.0, np.random.default_rng(seed), (20.0, 65.0))
    return np.array([stand.camera_to_world[:3, 3] for stand in stands]) - TARGET


def elevations(plan: str) -> np.ndarray:
    found = offsets(plan, 24)
    return np.degrees(np.arcsin(found[:, 2] / np.linalg.norm(found, axis=1)))


@pytest.mark.parametrize("plan", views.PLANS)
def test_cameras_look_at_the_target_from_the_distance(plan: str) -> None:
    for stand in views.PLANS[plan](24, TARGET, 80.0, np.random.default_rng(0), (20.0, 65.0)):
        local = np.linalg.inv(stand.camera_to_world) @ [*TARGET, 1]
        assert abs(-local[2] / 80 - 1) < 0.04
        assert np.abs(local[:2]).max() < 0.02 * 80
        np.testing.assert_allclose(
            stand.camera_to_world[:3, :3].T @ stand.camera_to_world[:3, :3], np.eye(3), atol=1e-12
        )


@pytest.mark.parametrize("plan", ["hemisphere", "orbit", "turntable"])
def test_plans_go_all_round(plan: str) -> None:
    found = offsets(plan, 24)
    azimuths = np.sort(np.degrees(np.arctan2(found[:, 1], found[:, 0])) % 360)
    assert np.diff([*azimuths, azimuths[0] + 360]).max() < 40


def test_elevations() -> None:
    assert 18 < elevations("hemisphere").min() < 25
    assert 60 < elevations("hemisphere").max() < 67
    assert np.abs(elevations("orbit") - 42.5).max() < 5
    np.testing.assert_allclose(elevations("turntable"), 42.5)


def test_forward_is_a_cone_from_the_front() -> None:
    found = offsets("forward", 24)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    middle = np.array([0, -np.cos(np.radians(42.5)), np.sin(np.radians(42.5))])
    angles = np.degrees(np.arccos(found @ middle))
    assert 12 < angles.max() < 17


def test_on_a_turntable_the_camera_stays_in_the_room() -> None:
    stands = views.turntable(7, TARGET, 80.0, np.random.default_rng(3), (30.0, 30.0))
    room = [views.turn(stand.turn_degrees, TARGET) @ stand.camera_to_world for stand in stands]
    for pose in room:
        np.testing.assert_allclose(pose, room[0], atol=1e-9)
    np.testing.assert_allclose(room[0][:2, 3] - TARGET[:2], [0, -80 * np.cos(np.radians(30))], atol=1e-9)
    np.testing.assert_allclose(views.turn(90, TARGET) @ [2.0, 2.0, 3.5, 1.0], [1.0, 3.0, 3.5, 1.0], atol=1e-12)


@pytest.mark.parametrize("plan", views.PLANS)
def test_plans_follow_their_seed(plan: str) -> None:
    np.testing.assert_array_equal(offsets(plan, 5, 4), offsets(plan, 5, 4))
    assert not np.allclose(offsets(plan, 5, 4), offsets(plan, 5, 5))


def test_transforms_tell_focus_only_where_asked() -> None:
    photos = [View("view_000", np.eye(4), 70.0), View("view_001", np.eye(4), 71.0)]
    capture = transforms(photos, MACRO, 200, 150, "images", true=False)
    truth = transforms(photos, MACRO, 200, 150, "sharp", true=True)
    assert json.loads(json.dumps(capture)) == capture
    assert "focus_distance" not in json.dumps(capture)
    assert [frame["focus_distance"] for frame in truth["frames"]] == [70.0, 71.0]
    assert [frame["file_path"] for frame in capture["frames"]] == ["images/view_000.png", "images/view_001.png"]
    assert (capture["fl_x"], capture["fl_y"], capture["cx"], capture["cy"]) == (800.0, 800.0, 100.0, 75.0)
    assert capture["focal_length_mm"] / capture["f_number"] == MACRO.pupil_diameter_mm


def test_transforms_tell_the_imperfections_of_a_photo_in_the_truth_only() -> None:
    photo = View("view_000", np.eye(4), 70.0, 15.0, 1.2, (0.9, 1.0, 1.1))
    (told,) = transforms([photo], MACRO, 200, 150, "images", true=False, masks="masks")["frames"]
    (true,) = transforms([photo], MACRO, 200, 150, "sharp", true=True)["frames"]
    assert set(told) == {"file_path", "transform_matrix", "mask_path"}
    assert told["mask_path"] == "masks/view_000.png"
    assert (true["turn_degrees"], true["exposure"], list(true["white_balance"])) == (15.0, 1.2, [0.9, 1.0, 1.1])
