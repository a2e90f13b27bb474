# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth of the Gaussians: what changes, what must not."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from solver.capture.types import Camera, Photo
from solver.gaussians import random_walk
from solver.gaussians.densification import densify, perturb, shaped_noise, shared_between_copies
from solver.gaussians.model import Gaussians, rotation_matrices
from solver.training.outside_masks import outside_masks
from solver.training.photos import TrainingPhoto


def random_gaussians(n: int = 40) -> Gaussians:
    g = torch.Generator().manual_seed(1)
    return Gaussians(
        means=torch.randn(n, 3, generator=g),
        log_scales=torch.randn(n, 3, generator=g) * 0.3 - 2,
        quaternions=torch.randn(n, 4, generator=g),
        opacity_logits=torch.randn(n, generator=g),
        sh_constant=torch.randn(n, 1, 3, generator=g),
        sh_rest=torch.randn(n, 3, 3, generator=g),
    ).map(lambda tensor: tensor.requires_grad_())


def trained(gaussians: Gaussians) -> torch.optim.Adam:
    optimizer = torch.optim.Adam([{"params": [t]} for t in gaussians.tensors().values()], lr=1e-3)
    sum((t**2).sum() for t in gaussians.tensors().values()).backward()
    optimizer.step()
    optimizer.zero_grad()
    return optimizer


def grow(gaussians: Gaussians, optimizer: torch.optim.Adam, **changes) -> Gaussians:
    arguments = {
        "budget": 1000,
        "growth": 0.25,
        "dead_opacity": 0.005,
        "dead": torch.zeros(len(gaussians), dtype=torch.bool),
        "generator": torch.Generator().manual_seed(2),
        **changes,
    }
    return densify(gaussians, optimizer, **arguments)


def line_integral(opacity: float, scale: float, copies: int) -> float:
    """Of 1 - transmittance through `copies` equal Gaussians at one place, along a line, by quadrature."""
    x = torch.linspace(-8, 8, 20001, dtype=torch.float64)
    alpha = opacity * torch.exp(-0.5 * (x / scale) ** 2)
    return float(torch.trapezoid(1 - (1 - alpha) ** copies, x))


@pytest.mark.parametrize(("opacity", "copies"), [(0.1, 2), (0.6, 2), (0.9, 4), (0.99, 9)])
def test_copies_look_like_the_one_before(opacity, copies):
    new_opacity, log_change = shared_between_copies(torch.tensor([opacity]), torch.tensor([copies]))
    assert float(1 - (1 - new_opacity) ** copies) == pytest.approx(opacity, abs=1e-5)
    before = line_integral(opacity, 1.0, 1)
    after = line_integral(float(new_opacity), math.exp(float(log_change)), copies)
    assert after == pytest.approx(before, rel=1e-3)


def test_growth_stays_in_the_budget_and_keeps_the_optimizer():
    gaussians = random_gaussians()
    optimizer = trained(gaussians)
    grown = grow(gaussians, optimizer, budget=45)
    assert len(grown) == 45
    for group, tensor in zip(optimizer.param_groups, grown.tensors().values(), strict=True):
        assert group["params"][0] is tensor
        assert optimizer.state[tensor]["exp_avg"].shape == tensor.shape
    assert len(optimizer.state) == 6
    sum((t**2).sum() for t in grown.tensors().values()).backward()
    optimizer.step()


def test_dead_gaussians_move_onto_living_ones():
    gaussians = random_gaussians()
    with torch.no_grad():
        gaussians.opacity_logits[:5] = -20
    optimizer = trained(gaussians)
    marked = torch.zeros(40, dtype=torch.bool)
    marked[7] = True
    before = gaussians.means.detach().clone()
    grown = grow(gaussians, optimizer, growth=0.0, dead=marked)
    moved = [*range(5), 7]
    living = [i for i in range(40) if i not in moved]
    for i in moved:
        assert (before[living] == grown.means[i].detach()).all(1).any()
        assert (optimizer.state[grown.means]["exp_avg"][i] == 0).all()
    untouched = [i for i in living if (grown.opacity_logits[i] == gaussians.opacity_logits[i]).item()]
    assert len(untouched) >= 28
    assert torch.equal(grown.means[untouched], before[untouched])
    assert (optimizer.state[grown.means]["exp_avg"][untouched] != 0).all()


def test_nothing_alive_changes_nothing():
    gaussians = random_gaussians()
    optimizer = trained(gaussians)
    assert grow(gaussians, optimizer, dead=torch.ones(40, dtype=torch.bool)) is gaussians
    assert grow(gaussians, optimizer, budget=40, growth=0.0) is gaussians


def test_noise_has_the_gaussians_covariance_and_spares_solid_ones():
    n = 20_000
    log_scales = torch.tensor([0.0, -0.5, -1.5])
    quaternion = torch.tensor([0.9, 0.1, -0.3, 0.2])
    gaussians = Gaussians(
        means=torch.zeros(n, 3),
        log_scales=log_scales.repeat(n, 1),
        quaternions=quaternion.repeat(n, 1),
        opacity_logits=torch.full((n,), -12.0),
        sh_constant=torch.zeros(n, 1, 3),
        sh_rest=torch.zeros(n, 0, 3),
    )
    gaussians.opacity_logits[: n // 2] = 2.0
    perturb(gaussians, 0.1, torch.Generator().manual_seed(0))
    assert (gaussians.means[: n // 2] == 0).all()
    rotation = rotation_matrices(quaternion[None])[0]
    covariance = rotation @ torch.diag((2 * log_scales).exp()) @ rotation.T
    weight = torch.sigmoid(torch.tensor(0.5)) * 0.1  # opacity is nearly 0, half a unit below the threshold
    measured = torch.cov(gaussians.means[n // 2 :].T)
    torch.testing.assert_close(measured, weight**2 * covariance @ covariance, rtol=0.05, atol=2e-5)


def test_gaussians_that_are_not_finite_are_replaced():
    """One lost Gaussian must not cost the run, nor be drawn from."""
    gaussians = random_gaussians()
    with torch.no_grad():
        gaussians.means[3, 1] = math.nan
        gaussians.opacity_logits[4] = math.nan
        gaussians.log_scales[5, 0] = math.inf
    grown = grow(gaussians, trained(gaussians))
    assert len(grown) == 50
    assert all(tensor.isfinite().all() for tensor in grown.tensors().values())


def photo_of(mask: torch.Tensor | None) -> TrainingPhoto:
    """A camera at the origin that looks along z."""
    camera = Camera(20, 10, 20.0, 20.0, 10.0, 5.0)
    return TrainingPhoto(Photo("p", Path("p.png"), camera, np.eye(4)), torch.zeros(10, 20, 3), mask)


def test_masks_say_what_is_not_the_subject():
    left = torch.zeros(10, 20)
    left[:, :10] = 1
    means = torch.tensor([[-1.0, 0, 4], [1, 0, 4], [1, 0, -4], [99, 0, 4]])  # left, right, behind, beside
    assert outside_masks(means, [photo_of(left)]).tolist() == [False, True, False, False]
    assert outside_masks(means, [photo_of(None)]).tolist() == [False] * 4
    others = [photo_of(None)] * 4
    assert outside_masks(means, [photo_of(left), *others]).tolist() == [False] * 4  # a fifth of the photos
    assert outside_masks(means, [photo_of(left), *others[:2]]).tolist() == [False, True, False, False]
    assert outside_masks(means, [photo_of(torch.zeros(10, 20))]).tolist() == [False] * 4


def test_the_fused_walk_is_the_written_out_one():
    gaussians = random_gaussians(300).detached()
    random = torch.Generator().manual_seed(5)
    chosen = torch.randperm(300, generator=random)[:170]
    white, amounts = torch.randn(170, 3, generator=random), torch.rand(170, generator=random)
    double = gaussians.map(lambda tensor: tensor.double())
    expected = double.means.clone()
    expected[chosen] += amounts[:, None] * shaped_noise(double, chosen, white.double())
    random_walk.step(gaussians, chosen, white, amounts)
    torch.testing.assert_close(gaussians.means.double(), expected, atol=1e-6, rtol=1e-5)
