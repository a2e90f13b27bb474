# SPDX-License-Identifier: GPL-3.0-or-later
"""The circle of confusion, and where the lens's unknowns start."""

from pathlib import Path

import numpy as np
import pytest
import torch

from solver.capture.types import Camera, Capture, Photo, SparsePoints
from solver.defocus.lens import DepthSamples, depth_samples, initial_lens
from solver.optics.circle_of_confusion import SIGMAS_PER_DIAMETER, circle_of_confusion_px, depth_of_field

CAMERA = Camera(200, 150, 800.0, 800.0, 100.0, 75.0)


def photo(name: str = "a", **keys) -> Photo:
    pose = np.eye(4)
    return Photo(name, Path(f"{name}.png"), CAMERA, pose, **keys)


def capture(photos: tuple[Photo, ...], unit_mm: float | None = None) -> Capture:
    return Capture(Path("capture"), photos, unit_mm=unit_mm)


def test_circle_of_confusion_is_the_thin_lens_formula():
    """With the engraved focal length f and focus at d0: diameter on the sensor D f / (d0 - f) |d - d0| / d."""
    f, n, d0, d, pitch = 100.0, 2.8, 300.0, 250.0, 0.005
    principal_distance_px = f * d0 / (d0 - f) / pitch
    textbook = f / n * f / (d0 - f) * abs(d - d0) / d / pitch
    ours = circle_of_confusion_px(np.array(d), f / n, 1 / d0, principal_distance_px)
    assert ours == pytest.approx(textbook)


def test_circle_of_confusion_against_traced_rays():
    """Rays from a point through points of the pupil, continued to the focus plane and seen from the centre."""
    d, d0, pupil, fx = 90.0, 110.0, 20.0, 1000.0
    edge = np.array([pupil / 2, 0.0])
    point = np.array([3.0, 2.0])
    on_focus_plane = [lens + (point - lens) * d0 / d for lens in (edge, -edge)]
    diameter = np.linalg.norm(on_focus_plane[0] - on_focus_plane[1]) * fx / d0
    assert circle_of_confusion_px(np.array(d), pupil, 1 / d0, fx) == pytest.approx(diameter)


def test_uniform_disc_has_a_quarter_of_its_diameter_as_sigma():
    r = np.random.default_rng(0).uniform(size=(200_000, 2)) * 2 - 1
    inside = r[(r**2).sum(1) <= 1]
    assert inside[:, 0].std() / 2 == pytest.approx(SIGMAS_PER_DIAMETER, rel=0.01)


def test_depth_of_field_ends_where_the_circle_reaches_the_limit():
    near, far = depth_of_field(100.0, 10.0, 2000.0, limit_px=1.5)
    ends = circle_of_confusion_px(np.array([near, far]), 10.0, 0.01, 2000.0)
    np.testing.assert_allclose(ends, 1.5)
    assert depth_of_field(1e6, 1e-3, 100.0)[1] == float("inf")


def test_gradients_reach_depth_focus_and_pupil():
    inputs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (90.0, 10.0, 0.012)]
    assert torch.autograd.gradcheck(lambda z, d, f: circle_of_confusion_px(z, d, f, 1000.0), inputs)


def test_pupil_starts_from_exif_where_the_unit_is_known():
    photos = (photo("a", focal_length_mm=100, f_number=5), photo("b", focal_length_mm=100, f_number=10))
    samples = [DepthSamples(np.array([50.0]), np.ones(1))] * 2
    lens = initial_lens(capture(photos, unit_mm=2.0), samples)
    assert lens.initial_pupil_diameters == pytest.approx([10.0, 5.0])
    assert lens.pupil_diameter(1) == pytest.approx(5.0)
    assert lens.pupil_of_photo == [0, 1]


def test_ratio_of_pupils_holds_without_a_unit():
    photos = (photo("a", focal_length_mm=100, f_number=5), photo("b", focal_length_mm=100, f_number=10))
    depths = np.linspace(40, 60, 21)
    lens = initial_lens(capture(photos), [DepthSamples(depths, np.ones(21))] * 2)
    assert lens.initial_pupil_diameters[0] == pytest.approx(2 * lens.initial_pupil_diameters[1])
    coc = circle_of_confusion_px(depths, lens.pupil_diameter(0), lens.inverse_focus_distance(0), CAMERA.fx)
    assert 1 < np.median(coc) < 4


@pytest.mark.parametrize("unit_mm", [2.0, None])
def test_every_pupil_starts_a_factor_off(unit_mm):
    """To test the search; focus distances and what the photos say of the lens stay as they are."""
    photos = (photo("a", focal_length_mm=100, f_number=5), photo("b", focal_length_mm=100, f_number=10))
    samples = [DepthSamples(np.linspace(40, 60, 21), np.ones(21))] * 2
    usual = initial_lens(capture(photos, unit_mm), samples)
    off = initial_lens(capture(photos, unit_mm), samples, 1.6)
    for index in range(2):
        assert off.pupil_diameter(index) == pytest.approx(1.6 * usual.pupil_diameter(index))
        assert off.inverse_focus_distance(index) == usual.inverse_focus_distance(index)
    assert off.initial_pupil_diameters == pytest.approx([1.6 * d for d in usual.initial_pupil_diameters])
    assert off.nominal_pupil_diameters_mm == usual.nominal_pupil_diameters_mm


def test_focus_starts_where_the_photo_is_sharp():
    depths = np.linspace(40, 60, 41)
    sharpness = np.exp(-0.5 * ((depths - 46) / 1.5) ** 2)
    lens = initial_lens(capture((photo(),)), [DepthSamples(depths, sharpness)])
    assert 1 / lens.inverse_focus_distance(0) == pytest.approx(46, abs=0.5)


def test_a_stated_focus_distance_wins():
    lens = initial_lens(capture((photo(focus_distance=33.0),)), [DepthSamples(np.array([50.0]), np.ones(1))])
    assert 1 / lens.inverse_focus_distance(0) == pytest.approx(33)


def test_depth_samples_are_the_points_that_the_photo_sees():
    positions = np.array([[0, 0, z] for z in (40.0, 45, 50, 55, 60)] + [[1e4, 0, 50.0], [0, 0, -50.0], [0, 0, 99.0]])
    seen = {"a": np.array([0, 1, 2, 3, 4, 5, 6])}
    sharpness = np.zeros((150, 200))
    sharpness[75, 100] = 3.0
    points = SparsePoints(positions, np.zeros((8, 3), np.uint8), seen)
    samples = depth_samples(photo(), points, np.array([0, 0, 70.0]), sharpness)
    np.testing.assert_allclose(samples.depths, [40, 45, 50, 55, 60])
    np.testing.assert_allclose(samples.sharpness, 3.0)
    alone = depth_samples(photo(), None, np.array([0, 0, 70.0]), sharpness)
    np.testing.assert_allclose(alone.depths, [70.0])
