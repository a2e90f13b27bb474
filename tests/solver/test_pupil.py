# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of the pupil that stand for all of it."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from solver.defocus.pupil import pupil_samples, sample_dilation, spiral
from solver.rasterization import Aperture, RasterizationSettings, View, rasterize


@pytest.mark.parametrize("turn", [0.0, 1.3])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 16])
def test_a_spiral_and_its_dilation_have_the_variance_of_a_disc(count, turn):
    points = spiral(count, turn)
    assert points.shape == (count, 2)
    assert points.mean(0).abs().max() < 1e-12
    assert float(points.norm(dim=1).max()) < 0.5
    variance = (points**2).sum(1).mean() / 2 + 1 / count / 16  # a disc of diameter 1 / sqrt(count) has the latter
    assert float(variance) == pytest.approx(1 / 16)


def edge_error(points: np.ndarray, dilation: float) -> float:
    """By how much blobs at `points` [M, 2] blur an edge otherwise than a disc does: L1 in radii, mean over directions.

    Lengths are in pupil diameters. A dilation that spans d has a standard deviation of d / 4.
    """
    x = np.linspace(-2.5, 2.5, 1001)
    inside = np.clip(x, -1, 1)
    disc = 0.5 + (inside * np.sqrt(1 - inside**2) + np.arcsin(inside)) / np.pi
    errors = []
    for angle in np.linspace(0, np.pi, 24, endpoint=False):
        along = 2 * points @ [np.cos(angle), np.sin(angle)]
        errors.append(np.abs(disc - norm.cdf((x[:, None] - along) / (dilation / 2)).mean(1)).mean())
    return 5 * float(np.mean(errors))


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_no_other_ring_blurs_edges_more_like_a_disc(count):
    points, dilation = pupil_samples(count, 0.2).numpy(), sample_dilation(count)
    assert np.allclose(points.mean(0), 0)
    least = edge_error(points, dilation)
    for factor in (0.94, 1.06):
        assert edge_error(factor * points, dilation) > least
        assert edge_error(points, factor * dilation) > least


@pytest.mark.parametrize(("count", "told"), [(6, 0.013), (1, 0.055), (32, 0.013)])
def test_edges_are_as_near_to_those_of_a_disc_as_it_says(count, told):
    assert edge_error(pupil_samples(count, 0.2).numpy(), sample_dilation(count)) == pytest.approx(told, abs=6e-4)


def test_a_spiral_of_six_is_as_far_off_as_it_says():
    assert edge_error(spiral(6, 0.2).numpy(), 6**-0.5) == pytest.approx(0.050, abs=6e-4)


def test_a_turn_turns():
    angle = 0.7
    rotation = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]).double()
    torch.testing.assert_close(pupil_samples(6, angle), pupil_samples(6, 0.0) @ rotation)


def render(aperture: Aperture, depth: float, scale: float = 0.02) -> torch.Tensor:
    """Alpha [H, W] of one faint Gaussian on the axis."""
    size, focal = 81, 60.0
    K = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    return rasterize(
        torch.tensor([[0.0, 0.0, depth]]),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), scale),
        torch.tensor([0.9]),
        torch.zeros(1, 1, 3),
        View(torch.eye(4), K, size, size),
        sh_degree=0,
        aperture=aperture,
        settings=RasterizationSettings(),
    ).alpha


def test_a_point_is_blurred_as_much_as_by_dilation():
    """The second moment of the image, which dilation has right, is that of the sampled pupil too."""
    depth, pupil, focus = torch.tensor(2.0), torch.tensor(0.9), torch.tensor(0.3)
    centre = torch.arange(81) + 0.5 - 40.5
    moments = []
    for samples in (None, pupil_samples(12, 0.4)):
        aperture = Aperture(pupil, focus, samples=samples, residual=1.0 if samples is None else sample_dilation(12))
        alpha = render(aperture, float(depth), scale=0.1)
        moments.append(float((alpha * centre**2).sum() / alpha.sum()))
    assert moments[1] == pytest.approx(moments[0], rel=0.05)
    sharp = render(Aperture(torch.tensor(0.0), focus), float(depth), scale=0.1)
    assert float((sharp * centre**2).sum() / sharp.sum()) < 0.8 * moments[0]


def test_what_is_in_focus_stays_sharp_and_in_place():
    samples = pupil_samples(6, 0.2)
    aperture = Aperture(torch.tensor(0.9), torch.tensor(0.5), samples=samples, residual=sample_dilation(6))
    sharp = render(Aperture(torch.tensor(0.0), torch.tensor(0.5)), 2.0)
    assert (render(aperture, 2.0) - sharp).abs().max() < 5e-3  # the Gaussian has depth, and parallax
