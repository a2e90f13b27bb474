# SPDX-License-Identifier: GPL-3.0-or-later
"""How pixels count by focus."""

import torch

from solver.rasterization import Aperture, Rendering
from solver.training.pixel_weights import focus_weights

LENS = Aperture(pupil_diameter=torch.tensor(10.0), inverse_focus_distance=torch.tensor(0.01))


def rendering(depth: torch.Tensor, alpha: torch.Tensor) -> Rendering:
    return Rendering(torch.zeros(*depth.shape, 3), depth * alpha, alpha, None, torch.ones(0, dtype=torch.bool))


def test_weights_halve_at_the_given_circle_of_confusion():
    """Circle 10 * 300 * |1/z - 1/100|: 0 px at 100, 3 px where 1/z is 0.009."""
    depth = torch.tensor([[100.0, 1 / 0.009]])
    weights = focus_weights(rendering(depth, torch.ones(1, 2)), LENS, 300.0, 3.0)
    torch.testing.assert_close(weights[0, 1] / weights[0, 0], torch.tensor(0.5), rtol=1e-4, atol=0)
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))


def test_pixels_without_surface_count_like_the_average():
    depth = torch.tensor([[100.0, 50.0, 1.0, 1.0]])
    weights = focus_weights(rendering(depth, torch.tensor([[1.0, 1.0, 0.0, 0.0]])), LENS, 300.0, 3.0)
    torch.testing.assert_close(weights[0, 2:], torch.ones(2))
    torch.testing.assert_close(weights[0, :2].mean(), torch.tensor(1.0))
    assert weights[0, 0] > 1 > weights[0, 1]


def test_an_empty_image_counts_evenly():
    weights = focus_weights(rendering(torch.ones(3, 4), torch.zeros(3, 4)), LENS, 300.0, 3.0)
    assert torch.equal(weights, torch.ones(3, 4))
