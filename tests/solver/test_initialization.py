# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the Gaussians start."""

from pathlib import Path

import numpy as np
import pytest
import torch

from solver.capture.types import Camera, Capture, Photo, SparsePoints
from solver.errors import SolverError
from solver.gaussians.initialization import INITIAL_OPACITY, initialize, scene_centre, scene_size
from solver.gaussians.model import SH_C0
from solver.optics.colour import srgb_to_linear

CAMERA = Camera(200, 150, 400.0, 400.0, 100.0, 75.0)


def looking_at(eye, target, name="p") -> Photo:
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.1, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return Photo(name, Path(f"{name}.png"), CAMERA, pose)


def orbit(target=(0, 0, 0), radius=50.0, count=8) -> tuple[Photo, ...]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    eyes = np.stack([np.cos(angles), np.sin(angles), 0.4 + 0.3 * (np.arange(count) % 2)], axis=1) * radius
    return tuple(looking_at(eye + target, target, f"p{i}") for i, eye in enumerate(eyes))


def seen_share(photos, points: torch.Tensor) -> np.ndarray:
    return np.mean([photo.project(points.double().numpy())[2] for photo in photos], axis=0)


def test_centre_of_cameras_that_look_at_a_point():
    np.testing.assert_allclose(scene_centre(orbit((3, -2, 7))), [3, -2, 7], atol=1e-9)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
def test_centre_of_parallel_cameras_lies_ahead_in_any_unit(unit):
    photos = tuple(looking_at([x * unit, 0, 0], [x * unit, 9 * unit, 0]) for x in (-1.0, 0.0, 1.0))
    np.testing.assert_allclose(scene_centre(photos), [0, 2 * unit, 0], atol=1e-9 * unit)


def test_cameras_in_one_place_have_a_centre_ahead():
    centre = scene_centre((looking_at([1, 1, 1], [1, 2, 1]),) * 2)
    assert centre[1] > 1


def test_size_is_half_of_what_a_camera_sees():
    photos = orbit(radius=50)
    distance = np.linalg.norm(photos[0].centre)
    widths = [0.5 * np.linalg.norm(photo.centre) * 200 / 400 for photo in photos]
    assert scene_size(Capture(Path(), photos)) == pytest.approx(np.median(widths))
    assert scene_size(Capture(Path(), photos)) == pytest.approx(0.25 * distance, rel=0.2)


def test_without_points_gaussians_fill_what_the_cameras_share():
    capture = Capture(Path(), orbit((3, -2, 7)))
    gaussians = initialize(capture, 500, 2, np.random.default_rng(0))
    assert len(gaussians) == 500
    assert (seen_share(capture.photos, gaussians.means) >= 1 / 3).all()
    size = scene_size(capture)
    offsets = gaussians.means.double().numpy() - [3, -2, 7]
    assert np.abs(offsets).max() <= size
    assert np.abs(offsets).max(0).min() > 0.5 * size  # and not a clump
    assert gaussians.sh_degree == 2
    assert (gaussians.sh_rest == 0).all()
    np.testing.assert_allclose(gaussians.opacities, INITIAL_OPACITY, rtol=1e-6)
    assert (gaussians.scales >= 0.99e-4 * size).all()
    assert (gaussians.scales <= 0.101 * size).all()


def test_sparse_points_come_first_with_their_colours_and_gaps():
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), -1).reshape(-1, 3) * 0.7
    colours = rng.integers(0, 256, (len(grid), 3)).astype(np.uint8)
    capture = Capture(Path(), orbit((2, 2, 2)), SparsePoints(grid, colours))
    gaussians = initialize(capture, 300, 0, rng)
    assert len(gaussians) == 300
    np.testing.assert_allclose(gaussians.means[:216], grid, atol=1e-6)
    shown = gaussians.sh_constant[:216, 0] * SH_C0 + 0.5
    np.testing.assert_allclose(shown, srgb_to_linear(colours / 255), atol=1e-5)
    alone = initialize(capture, 0, 0, rng)
    assert len(alone) == 216  # never fewer than there are points
    np.testing.assert_allclose(alone.scales, 0.7, rtol=1e-5)
    margin = 0.25 * np.ptp(np.percentile(grid, [2, 98], axis=0), axis=0).max()
    assert gaussians.means[216:].min() > grid.min() - margin - 1e-6
    assert gaussians.means[216:].max() < grid.max() + margin + 1e-6


def test_points_in_one_place_have_a_width():
    points = SparsePoints(np.zeros((10, 3)), np.zeros((10, 3), np.uint8))
    gaussians = initialize(Capture(Path(), orbit(), points), 0, 0, np.random.default_rng(0))
    assert torch.isfinite(gaussians.log_scales).all()


def test_the_seed_decides():
    capture = Capture(Path(), orbit())
    first, again, other = (initialize(capture, 50, 1, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert torch.equal(first.means, again.means)
    assert torch.equal(first.quaternions, again.quaternions)
    assert not torch.equal(first.means, other.means)


def test_cameras_that_share_nothing_are_told():
    """Each looks away from all others."""
    photos = tuple(
        looking_at(np.array(eye) * 50.0, np.array(eye) * 99.0)
        for eye in ([1, 0, 0], [-1, 0.1, 0], [0, 1, 1], [0, -1, 1])
    )
    with pytest.raises(SolverError, match="look at no common space"):
        initialize(Capture(Path("somewhere"), photos), 100, 0, np.random.default_rng(0))


def test_more_points_than_the_budget_are_thinned_out():
    positions = np.random.default_rng(1).normal(size=(500, 3))
    points = SparsePoints(positions, np.zeros((500, 3), np.uint8))
    gaussians = initialize(Capture(Path(), orbit(), points), 50, 0, np.random.default_rng(0), most=200)
    assert len(gaussians) == 200
    assert len(np.unique(gaussians.means.numpy(), axis=0)) == 200
    assert np.isin(gaussians.means.numpy()[:, 0], positions[:, 0].astype(np.float32)).all()


def test_axes_that_meet_behind_the_cameras_have_a_centre_ahead():
    photos = tuple(looking_at([x, 0, 0], [3 * x, 9, 0]) for x in (-1.0, 0.0, 1.0))
    assert scene_centre(photos)[1] > 0
