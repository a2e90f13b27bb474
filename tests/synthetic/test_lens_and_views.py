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


def test_hemisphere_goes_all_round_within_its_elevations() -> None:
    target = np.array([1.0, 2.0, 3.0])
    poses = views.hemisphere(24, target, 80.0, np.random.default_rng(0), (20.0, 65.0))
    offsets = np.array([pose[:3, 3] for pose in poses]) - target
    distances = np.linalg.norm(offsets, axis=1)
    assert np.all(abs(distances / 80 - 1) < 0.04)
    elevations = np.degrees(np.arcsin(offsets[:, 2] / distances))
    assert elevations.min() > 18
    assert elevations.max() < 67
    assert np.ptp(elevations) > 35
    azimuths = np.sort(np.degrees(np.arctan2(offsets[:, 1], offsets[:, 0])) % 360)
    gaps = np.diff([*azimuths, azimuths[0] + 360])
    assert gaps.max() < 40


def test_hemisphere_follows_its_seed() -> None:
    def positions(seed: int) -> np.ndarray:
        return np.array(views.hemisphere(5, np.zeros(3), 80.0, np.random.default_rng(seed)))

    np.testing.assert_array_equal(positions(4), positions(4))
    assert not np.allclose(positions(4), positions(5))


def test_transforms_tell_focus_only_where_asked() -> None:
    photos = [View("view_000", np.eye(4), 70.0), View("view_001", np.eye(4), 71.0)]
    capture = transforms(photos, MACRO, 200, 150, "images", with_focus=False)
    truth = transforms(photos, MACRO, 200, 150, "sharp", with_focus=True)
    assert json.loads(json.dumps(capture)) == capture
    assert "focus_distance" not in json.dumps(capture)
    assert [frame["focus_distance"] for frame in truth["frames"]] == [70.0, 71.0]
    assert [frame["file_path"] for frame in capture["frames"]] == ["images/view_000.png", "images/view_001.png"]
    assert (capture["fl_x"], capture["fl_y"], capture["cx"], capture["cy"]) == (800.0, 800.0, 100.0, 75.0)
    assert capture["focal_length_mm"] / capture["f_number"] == MACRO.pupil_diameter_mm
