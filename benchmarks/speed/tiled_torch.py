# SPDX-License-Identifier: GPL-3.0-or-later
"""Splatting in plain PyTorch with autograd, as fast as it gets without a kernel: dense matrices of pixels x Gaussians
for each tile, of the Gaussians whose bounding box touches it.
"""

import torch
from torch import Tensor

from benchmarks.speed.scenes import BenchmarkScene
from solver.rasterization.projection import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, project
from solver.rasterization.reference import pack_features
from solver.rasterization.types import Aperture, RasterizationSettings

_TILE = 16  # px


def render(scene: BenchmarkScene, aperture: Aperture | None) -> Tensor:  # [H, W, 5]
    """Colour, depth and alpha."""
    view, settings = scene.view, RasterizationSettings()
    projection = project(scene.means, scene.quaternions, scene.scales, scene.opacities, view, aperture, settings)
    harmonics = torch.cat([scene.sh_constant, scene.sh_rest], 1)
    features = pack_features(scene.means, harmonics, None, projection.depths, view, 3)
    features = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    order = torch.argsort(projection.depths)
    order = order[projection.visible[order]]
    low = projection.means2d[order].detach() - projection.half_extents[order]
    high = projection.means2d[order].detach() + projection.half_extents[order]
    rows = []
    for top in range(0, view.height, _TILE):
        tiles = []
        for left in range(0, view.width, _TILE):
            size = torch.tensor([min(_TILE, view.width - left), min(_TILE, view.height - top)])
            corner = torch.tensor([left, top])
            chosen = order[((high > corner) & (low < corner + size)).all(1)]
            y, x = torch.meshgrid(torch.arange(int(size[1])), torch.arange(int(size[0])), indexing="ij")
            pixels = torch.stack([x, y], -1).reshape(-1, 2) + corner + 0.5  # [P, 2]
            dx, dy = (pixels[:, None] - projection.means2d[chosen]).unbind(-1)  # [P, K]
            xx, xy, yy = projection.conics[chosen].unbind(-1)
            exponent = -0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
            alphas = torch.clamp(projection.opacities[chosen] * torch.exp(exponent), max=MAX_ALPHA)
            alphas = torch.where(alphas >= MIN_ALPHA, alphas, 0)
            after = torch.cumprod(1 - alphas, 1)
            before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)[:, : after.shape[1]]
            weights = torch.where(after > MIN_TRANSMITTANCE, alphas * before, 0)
            tiles.append((weights @ features[chosen]).reshape(int(size[1]), int(size[0]), -1))
        rows.append(torch.cat(tiles, 1))
    return torch.cat(rows, 0)
