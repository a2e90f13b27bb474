# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasterizer that the others are held against: every Gaussian at every pixel, gradients by autograd.

Memory grows as N x H x W, so scenes must be small. There is no bounding box or tile: a Gaussian counts at a
pixel exactly where its alpha is at least 1/255. (gsplat's cap of its boxes at 3.33 sigma changes nothing,
since alpha reaches 1/255 at sqrt(2 ln 255) = 3.329 sigma even where opacity is 1.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from solver.rasterization import spherical_harmonics
from solver.rasterization.projection import (
    MAX_ALPHA,
    MIN_ALPHA,
    MIN_TRANSMITTANCE,
    Projection,
    camera_centre,
    project,
)

if TYPE_CHECKING:
    from torch import Tensor

    from solver.rasterization.types import Aperture, RasterizationSettings, View


def render(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor,  # [N, S, 3]
    extras: Tensor | None,  # [N, E]
    view: View,
    aperture: Aperture | None,
    sh_degree: int,
    settings: RasterizationSettings,
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W, 4 + E], [H, W], [N] bool
    """Composite colour, depth and extras; see `interface.rasterize` for the arguments."""
    projection = project(means, quaternions, scales, opacities, view, aperture, settings)
    features = pack_features(means, sh_coefficients, extras, projection.depths, view, sh_degree)

    order = torch.argsort(projection.depths, stable=True)
    order = order[projection.visible[order]]
    alphas = _alphas(projection, order, view)  # [M, H * W]
    after = torch.cumprod(1 - alphas, 0)
    alphas = alphas * (after > MIN_TRANSMITTANCE)  # the one that would cross is dropped, and all behind it
    before = torch.cat([torch.ones_like(alphas[:1]), torch.cumprod(1 - alphas, 0)[:-1]])[: len(alphas)]
    weights = alphas * before
    image = weights.T @ features[order]
    shape = (view.height, view.width)
    return image.reshape(*shape, -1), weights.sum(0).reshape(shape), projection.visible


def pack_features(
    means: Tensor,  # [N, 3]
    sh_coefficients: Tensor,  # [N, S, 3]
    extras: Tensor | None,  # [N, E]
    depths: Tensor,  # [N]
    view: View,
    sh_degree: int,
) -> Tensor:  # [N, 4 + E]
    """What is composited: colour as seen from the camera, depth, extras."""
    directions = means - camera_centre(view.world_to_camera)
    colours = torch.clamp(spherical_harmonics.evaluate(sh_degree, directions, sh_coefficients) + 0.5, min=0)
    parts = [colours, depths[:, None]] + ([] if extras is None else [extras])
    return torch.cat(parts, -1)


def _alphas(projection: Projection, order: Tensor, view: View) -> Tensor:  # [M] -> [M, H * W]
    """Alpha of the Gaussians `order` at all pixels, zero where it is below the threshold."""
    rows = torch.arange(view.height).to(projection.means2d) + 0.5
    columns = torch.arange(view.width).to(projection.means2d) + 0.5
    mean_x, mean_y = projection.means2d[order].unbind(-1)
    xx, xy, yy = projection.conics[order, :, None, None].unbind(1)
    dx = (columns[None] - mean_x[:, None])[:, None, :]  # [M, 1, W]
    dy = (rows[None] - mean_y[:, None])[:, :, None]  # [M, H, 1]
    exponent = -0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
    alphas = torch.clamp(projection.opacities[order, None, None] * torch.exp(exponent), max=MAX_ALPHA)
    return torch.where(alphas >= MIN_ALPHA, alphas, 0).flatten(1)
