# SPDX-License-Identifier: GPL-3.0-or-later
"""The imperfections of a capture: their means, their strengths, their independence of each other."""

import numpy as np
import pytest

from synthetic.exif import iso_speed
from synthetic.imperfections import Imperfections, noisy_pose, random_exposure, random_white_balance
from synthetic.photo import develop
from synthetic.views import look_at

POSE = look_at(np.array([60.0, -40.0, 50.0]), np.array([1.0, 2.0, 3.0]))


def test_by_default_there_are_none() -> None:
    none = Imperfections()
    assert not none.develops
    assert not none.moves_poses
    rng = np.random.default_rng(0)
    assert random_exposure(0.0, rng) == 1.0
    assert random_white_balance(0.0, rng) == (1.0, 1.0, 1.0)
    np.testing.assert_array_equal(noisy_pose(POSE, 0.0, 0.0, rng), POSE)


@pytest.mark.parametrize(
    ("imperfections", "develops", "moves"),
    [
        (Imperfections(exposure_stops=0.1), True, False),
        (Imperfections(white_balance=0.1), True, False),
        (Imperfections(full_well_electrons=1000), True, False),
        (Imperfections(read_noise_electrons=3), False, False),
        (Imperfections(pose_translation_mm=0.1), False, True),
        (Imperfections(pose_rotation_degrees=0.1), False, True),
    ],
)
def test_each_is_noticed(imperfections: Imperfections, develops: bool, moves: bool) -> None:
    assert (imperfections.develops, imperfections.moves_poses) == (develops, moves)


def test_exposure_is_normal_in_stops() -> None:
    rng = np.random.default_rng(1)
    stops = np.log2([random_exposure(0.3, rng) for _ in range(4000)])
    assert stops.mean() == pytest.approx(0, abs=0.015)
    assert stops.std() == pytest.approx(0.3, rel=0.04)
    assert (abs(stops) < 0.3).mean() == pytest.approx(0.683, abs=0.03)


def test_white_balance_leaves_green_and_moves_red_and_blue_apart() -> None:
    rng = np.random.default_rng(2)
    gains = np.array([random_white_balance(0.05, rng) for _ in range(4000)])
    assert np.all(gains[:, 1] == 1)
    for channel in (0, 2):
        assert gains[:, channel].mean() == pytest.approx(1, abs=0.005)
        assert gains[:, channel].std() == pytest.approx(0.05, rel=0.05)
    assert abs(np.corrcoef(gains[:, 0], gains[:, 2])[0, 1]) < 0.05
    assert min(random_white_balance(2.0, rng)) > 0  # a gain is one, however strong the noise


def test_pose_noise_is_isotropic_and_without_bias() -> None:
    rng = np.random.default_rng(3)
    translation, rotation = 0.4, 2.0
    poses = np.array([noisy_pose(POSE, translation, rotation, rng) for _ in range(4000)])
    offsets = poses[:, :3, 3] - POSE[:3, 3]
    turns = POSE[:3, :3].T @ poses[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), turns.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    vectors = np.array(
        [turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0], turns[:, 1, 0] - turns[:, 0, 1]]
    )
    for values, strength in [(offsets, translation), (np.degrees(vectors.T / 2), rotation)]:
        assert abs(values.mean(axis=0)).max() < 4 * strength / np.sqrt(4000)
        np.testing.assert_allclose(np.cov(values.T), strength**2 * np.eye(3), atol=0.09 * strength**2)
    mean = np.linalg.svd(turns.mean(axis=0))
    np.testing.assert_allclose(mean.U @ mean.Vh, np.eye(3), atol=np.radians(4 * rotation / np.sqrt(4000)))


def test_a_turn_has_its_angle_and_does_not_move_the_camera() -> None:
    seed = 4
    turn = np.random.default_rng(seed).standard_normal((2, 3))[1]
    for strength in (1e-9, 1.0, 40.0):
        pose = noisy_pose(POSE, 0.0, strength, np.random.default_rng(seed))
        np.testing.assert_array_equal(pose[:3, 3], POSE[:3, 3])
        relative = POSE[:3, :3].T @ pose[:3, :3]
        axis = turn / np.linalg.norm(turn)
        np.testing.assert_allclose(relative @ axis, axis, atol=1e-12)
        sine = np.linalg.norm(relative - relative.T) / np.sqrt(8)
        angle = np.arctan2(sine, (np.trace(relative) - 1) / 2)
        assert angle == pytest.approx(np.radians(strength) * np.linalg.norm(turn), rel=1e-6)


def test_an_imperfection_does_not_move_the_numbers_of_the_next() -> None:
    after = []
    for strength in (0.0, 1.0):
        rng = np.random.default_rng(5)
        random_exposure(strength, rng)
        random_white_balance(strength, rng)
        noisy_pose(POSE, strength, 0.0, rng)
        after.append(rng.random())
    assert after[0] == after[1]


def test_the_strongest_that_the_command_line_takes_can_be_computed_with() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        numbers = [random_exposure(10.0, rng), *random_white_balance(10.0, rng)]
        assert np.isfinite(numbers).all()
        assert np.isfinite(noisy_pose(POSE, 1000.0, 1000.0, rng)).all()
        for electrons in (1.0, 1e9):
            light = np.full((2, 2, 3), 1e9)
            develop(light, full_well_electrons=electrons, read_noise_electrons=1000.0, rng=rng)
            assert np.isfinite(iso_speed(electrons))
