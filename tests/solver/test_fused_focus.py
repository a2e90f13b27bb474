# SPDX-License-Identifier: GPL-3.0-or-later
"""The processor's kernels of focus weights and of what lies beside the subject, against plain PyTorch in float64."""

from dataclasses import replace

import pytest
import torch

from solver.rasterization import Aperture, Rendering
from solver.training.outside_masks import alpha_outside_mask
from solver.training.photos import Beside
from solver.training.pixel_weights import focus_weights

HEIGHT, WIDTH = 13, 21
PRINCIPAL_DISTANCE = 300.0


def random_rendering() -> Rendering:
    """Depths from 2 to 4, and all alphas; a part without surface."""
    g = torch.Generator().manual_seed(5)
    alpha = torch.rand(HEIGHT, WIDTH, generator=g)
    alpha[:, :3] = 0
    depth = alpha * (2 + 2 * torch.rand(HEIGHT, WIDTH, generator=g))
    return Rendering(torch.zeros(HEIGHT, WIDTH, 3), depth, alpha, None, torch.zeros(0, dtype=torch.bool))


def lens(dtype: torch.dtype) -> Aperture:
    return Aperture(torch.tensor(0.1, dtype=dtype), torch.tensor(0.375, dtype=dtype))


def in_double(rendering: Rendering) -> Rendering:
    return replace(rendering, depth=rendering.depth.double(), alpha=rendering.alpha.double())


def test_focus_weights():
    rendering = random_rendering()
    weights = focus_weights(rendering, lens(torch.float32), PRINCIPAL_DISTANCE, 3.0)
    expected = focus_weights(in_double(rendering), lens(torch.float64), PRINCIPAL_DISTANCE, 3.0)
    assert not weights.requires_grad
    assert expected.std() > 0.1
    torch.testing.assert_close(weights.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("blurred", [False, True])
def test_alpha_outside_the_mask(blurred):
    rendering = random_rendering()
    g = torch.Generator().manual_seed(6)
    distance = (8 * torch.rand(HEIGHT, WIDTH, generator=g) - 2).clamp(min=0)
    subject = (distance == 0).flatten().nonzero().flatten()
    nearest = subject[torch.randint(len(subject), (HEIGHT, WIDTH), generator=g)]
    results = []
    for given, dtype in ((rendering, torch.float32), (in_double(rendering), torch.float64)):
        alpha = given.alpha.clone().requires_grad_()
        beside = Beside(distance.to(dtype), nearest)
        aperture = lens(dtype) if blurred else None
        outside = alpha_outside_mask(replace(given, alpha=alpha), beside, aperture, PRINCIPAL_DISTANCE)
        outside.backward()
        assert alpha.grad is not None
        results.append((outside.detach().double(), alpha.grad.double()))
    (outside, gradient), (expected, expected_gradient) = results
    assert expected > 0
    torch.testing.assert_close(outside, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=0)
