# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of the pupil that stand for all of it."""

import math

import pytest
import torch

from solver.defocus.pupil import pupil_samples
from solver.rasterization import Aperture, RasterizationSettings, View, rasterize


@pytest.mark.parametrize("turn", [0.0, 1.3])
@pytest.mark.parametrize("count", [1, 2, 3, 6, 16])
def test_points_and_their_dilation_have_the_variance_of_a_disc(count, turn):
    points = pupil_samples(count, turn)
    assert points.shape == (count, 2)
    assert points.mean(0).abs().max() < 1e-12
    assert float(points.norm(dim=1).max()) < 0.5
    variance = (points**2).sum(1).mean() / 2 + 1 / count / 16  # a disc of diameter 1 / sqrt(count) has the latter
    assert float(variance) == pytest.approx(1 / 16)


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
        aperture = Aperture(pupil, focus, samples=samples, residual=1.0 if samples is None else 12**-0.5)
        alpha = render(aperture, float(depth), scale=0.1)
        moments.append(float((alpha * centre**2).sum() / alpha.sum()))
    assert moments[1] == pytest.approx(moments[0], rel=0.05)
    sharp = render(Aperture(torch.tensor(0.0), focus), float(depth), scale=0.1)
    assert float((sharp * centre**2).sum() / sharp.sum()) < 0.8 * moments[0]


def test_what_is_in_focus_stays_sharp_and_in_place():
    samples = pupil_samples(6, 0.2)
    aperture = Aperture(torch.tensor(0.9), torch.tensor(0.5), samples=samples, residual=6**-0.5)
    sharp = render(Aperture(torch.tensor(0.0), torch.tensor(0.5)), 2.0)
    assert (render(aperture, 2.0) - sharp).abs().max() < 5e-3  # the Gaussian has depth, and parallax
