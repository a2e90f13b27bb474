# SPDX-License-Identifier: GPL-3.0-or-later
"""The spread of depth along rays, on stacks of Gaussians whose variance is known."""

import pytest
import torch

from solver.rasterization import Rendering, View, rasterize
from solver.training.depth_spread import depth_spread, squared_depths

VIEW = View(torch.eye(4, dtype=torch.float64), torch.tensor([[40.0, 0, 8], [0, 40, 6], [0, 0, 1]]).double(), 16, 12)
CENTRE, SIZE = 10.0, 2.0


def render(depths: list[float], opacity: float, *, means: torch.Tensor | None = None) -> Rendering:
    """Wide Gaussians one behind the other on the axis, by the reference in float64."""
    n = len(depths)
    if means is None:
        means = torch.tensor([[0.0, 0.0, depth] for depth in depths], dtype=torch.float64)
    return rasterize(
        means,
        torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).repeat(n, 1),
        torch.full((n, 3), 5.0, dtype=torch.float64),
        torch.full((n,), opacity, dtype=torch.float64),
        torch.zeros(n, 1, 3, dtype=torch.float64),
        VIEW,
        sh_degree=0,
        extras=squared_depths(means, VIEW, CENTRE, SIZE),
        backend="reference",
    )


def test_one_layer_has_none_wherever_it_lies():
    for depth in (6.0, 10.0, 13.0):
        spread = depth_spread(render([depth], 0.7), CENTRE, SIZE)
        assert spread.abs().max() < 1e-9


def test_two_layers_have_the_variance_of_their_weights():
    near, far, opacity = 9.0, 12.0, 0.6
    rendering = render([near, far], opacity)
    alpha = rendering.alpha[6, 8]
    front = 1 - torch.sqrt(1 - alpha)  # both are equally opaque there, to how much the second is farther
    share = front / alpha
    expected = alpha * share * (1 - share) * ((far - near) / SIZE) ** 2
    assert depth_spread(rendering, CENTRE, SIZE)[6, 8] == pytest.approx(float(expected), rel=0.02)


def test_layers_are_drawn_together():
    means = torch.tensor([[0.0, 0, 9], [0, 0, 12]], dtype=torch.float64, requires_grad=True)
    depth_spread(render([9, 12], 0.6, means=means), CENTRE, SIZE).sum().backward()
    assert means.grad is not None
    assert means.grad[0, 2] < 0 < means.grad[1, 2]  # a step against the gradient closes the gap


def test_gradient():
    means = torch.tensor([[0.1, 0.05, 9], [-0.1, 0, 10.5], [0, 0.1, 12]], dtype=torch.float64, requires_grad=True)

    def total(moved: torch.Tensor) -> torch.Tensor:
        return depth_spread(render([0, 0, 0], 0.5, means=moved), CENTRE, SIZE).sum()

    assert torch.autograd.gradcheck(total, means, atol=1e-6)
