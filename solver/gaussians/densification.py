# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth of the set of Gaussians after 3DGS-MCMC (Kheradmand et al. 2024, "3D Gaussian Splatting as Markov Chain
Monte Carlo"): dead Gaussians are moved onto live ones, new ones are cloned from live ones, and positions take a small
random walk. No threshold on gradients, a fixed budget, and the image hardly changes at the moment of a change.
"""

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

from solver.gaussians.model import Gaussians, rotation_matrices

_MAX_COPIES = 51  # of one Gaussian at once; more would need binomials beyond float precision


def densify(
    gaussians: Gaussians,
    optimizer: Optimizer,  # of exactly the tensors of `gaussians`, one parameter group each
    *,
    budget: int,
    growth: float,
    dead_opacity: float,
    dead: Tensor,  # [N] bool, to be moved whatever their opacity
    generator: torch.Generator,  # on the processor, so that every device draws the same
) -> Gaussians:
    """Move dead Gaussians onto live ones and grow the set by `growth`, up to `budget`; returns the new parameters.

    Gaussians with a number that is not finite are dead. The optimizer is changed to hold the new tensors; moments of
    Gaussians that moved or were copied are cleared.
    """
    with torch.no_grad():
        opacities = gaussians.opacities
        dead = dead | (opacities < dead_opacity) | ~finite(gaussians)
        n = len(gaussians)
        alive = (~dead).nonzero().squeeze(1)
        moved = dead.nonzero().squeeze(1)
        added = max(0, min(budget, math.ceil((1 + growth) * n)) - n)
        if len(alive) == 0 or len(moved) + added == 0:
            return gaussians
        chances = opacities[alive].cpu()
        drawn = torch.multinomial(chances, len(moved) + added, replacement=True, generator=generator)
        sources = alive[drawn.to(alive.device)]
        rows = torch.arange(n, device=alive.device)
        rows[moved] = sources[: len(moved)]
        rows = torch.cat([rows, sources[len(moved) :]])

        copies = torch.bincount(sources, minlength=n) + 1  # with the original
        touched = copies[rows] > 1  # a source, a copy, or what was moved onto one
        changed = rows[touched]
        opacity, log_scale_change = shared_between_copies(opacities[changed], copies[changed])
        values = gaussians.map(lambda tensor: tensor.detach()[rows])
        values.opacity_logits[touched] = opacity.clamp(dead_opacity, 1 - 1e-6).logit()
        values.log_scales[touched] += log_scale_change[:, None]
    return _replace_parameters(optimizer, gaussians, values, rows, touched)


def shared_between_copies(opacities: Tensor, copies: Tensor) -> tuple[Tensor, Tensor]:  # [N], [N] -> [N], [N]
    """Opacity, and change of log scale, with which `copies` Gaussians at one place look like the one before.

    3DGS-MCMC, eq. 9: the opacity keeps the transmittance of the stack, the scale the integral along a line.
    """
    copies = copies.clamp(1, _MAX_COPIES)
    opacity = 1 - (1 - opacities.double()) ** (1 / copies)
    terms = _alternating_terms().to(opacity)  # [copies, k]
    powers = opacity[:, None] ** torch.arange(1, _MAX_COPIES + 1, dtype=torch.float64, device=opacity.device)
    denominator = (terms[copies - 1] * powers).sum(1)
    return opacity.to(opacities), (opacities / denominator).clamp(1e-3, 1.0).log().to(opacities)


def finite(gaussians: Gaussians) -> Tensor:  # [N] bool
    """Which of them have finite numbers only."""
    return torch.stack([t.isfinite()[..., None].flatten(1).all(1) for t in gaussians.tensors().values()]).all(0)


def _alternating_terms() -> Tensor:
    """Row c - 1, column k: binom(c, k + 1) (-1)^k / sqrt(k + 1), the double sum of eq. 9 with its inner part done."""
    rows = range(1, _MAX_COPIES + 1)
    return torch.tensor(
        [[math.comb(c, k + 1) * (-1) ** k / math.sqrt(k + 1) for k in range(_MAX_COPIES)] for c in rows],
        dtype=torch.float64,
    )


def perturb(gaussians: Gaussians, step: float, generator: torch.Generator) -> None:
    """The random walk: noise shaped by each Gaussian, `step` times its covariance, for faint ones only (eq. 8).

    The generator is one of the processor, so that every device draws the same.
    """
    with torch.no_grad():
        faint = torch.sigmoid(-100 * (gaussians.opacities - 0.005))
        chosen = (faint > 1e-3).nonzero().squeeze(1)
        if len(chosen) == 0:
            return
        white = torch.randn(len(chosen), 3, generator=generator)
        amounts = faint[chosen] * step
        if gaussians.means.device.type == "cpu":
            from solver.gaussians import random_walk

            random_walk.step(gaussians, chosen, white, amounts)
            return
        gaussians.means[chosen] += amounts[:, None] * shaped_noise(gaussians, chosen, white.to(chosen.device))


def shaped_noise(gaussians: Gaussians, chosen: Tensor, white: Tensor) -> Tensor:  # [K], [K, 3] -> [K, 3]
    """White noise times the covariance of the Gaussians `chosen`."""
    rotation = rotation_matrices(gaussians.quaternions[chosen])
    local = gaussians.scales[chosen] ** 2 * (rotation.transpose(1, 2) @ white[:, :, None]).squeeze(2)
    return (rotation @ local[:, :, None]).squeeze(2)


def _replace_parameters(
    optimizer: Optimizer, old: Gaussians, values: Gaussians, rows: Tensor, touched: Tensor
) -> Gaussians:
    groups = {id(group["params"][0]): group for group in optimizer.param_groups}
    new = values.map(lambda tensor: tensor.requires_grad_())
    for name, tensor in new.tensors().items():
        previous = getattr(old, name)
        groups[id(previous)]["params"][0] = tensor
        state = optimizer.state.pop(previous, None)
        if state is not None:
            for key in ("exp_avg", "exp_avg_sq"):
                moments = state[key][rows]
                moments[touched] = 0
                state[key] = moments
            optimizer.state[tensor] = state
    return new
