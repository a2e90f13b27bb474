# SPDX-License-Identifier: GPL-3.0-or-later
"""Splatting in plain PyTorch with autograd, as fast as it gets without a kernel: dense matrices of pixels x Gaussians
for each tile, of the Gaussians whose bounding box touches it.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.speed.scenes import BenchmarkScene
from solver.rasterization.projection import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, project
from solver.rasterization.reference import pack_features
from solver.rasterization.types import Aperture, RasterizationSettings

_TILE = 16  # px


@dataclass(frozen=True)
class Projected:
    """What compositing needs of the Gaussians that are visible, nearest first."""

    means2d: Tensor  # [N, 2] px
    conics: Tensor  # [N, 3]
    opacities: Tensor  # [N]
    features: Tensor  # [N, 5], colour, depth and 1
    half_extents: Tensor  # [N, 2] px
    width: int
    height: int

    def as_leaves(self) -> "Projected":
        """The same, with gradients wanted to go no further."""
        names = "means2d", "conics", "opacities", "features"
        return replace(self, **{name: getattr(self, name).detach().requires_grad_() for name in names})


def prepare(scene: BenchmarkScene, aperture: Aperture | None) -> Projected:
    """Project the Gaussians and sort them by depth."""
    view, settings = scene.view, RasterizationSettings()
    projection = project(scene.means, scene.quaternions, scene.scales, scene.opacities, view, aperture, settings)
    harmonics = torch.cat([scene.sh_constant, scene.sh_rest], 1)
    features = pack_features(scene.means, harmonics, None, projection.depths, view, 3)
    features = torch.cat([features, torch.ones_like(features[:, :1])], 1)
    order = torch.argsort(projection.depths)
    order = order[projection.visible[order]]
    return Projected(
        projection.means2d[order],
        projection.conics[order],
        projection.opacities[order],
        features[order],
        projection.half_extents[order].detach(),
        view.width,
        view.height,
    )


def composite(gaussians: Projected) -> Tensor:  # [H, W, 5]
    """Colour, depth and alpha."""
    low = gaussians.means2d.detach() - gaussians.half_extents
    high = gaussians.means2d.detach() + gaussians.half_extents
    rows = []
    for top in range(0, gaussians.height, _TILE):
        tiles = []
        for left in range(0, gaussians.width, _TILE):
            size = torch.tensor([min(_TILE, gaussians.width - left), min(_TILE, gaussians.height - top)])
            corner = torch.tensor([left, top])
            chosen = ((high > corner) & (low < corner + size)).all(1).nonzero()[:, 0]
            y, x = torch.meshgrid(torch.arange(int(size[1])), torch.arange(int(size[0])), indexing="ij")
            pixels = torch.stack([x, y], -1).reshape(-1, 2) + corner + 0.5  # [P, 2]
            dx, dy = (pixels[:, None] - gaussians.means2d[chosen]).unbind(-1)  # [P, K]
            xx, xy, yy = gaussians.conics[chosen].unbind(-1)
            exponent = -0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
            alphas = torch.clamp(gaussians.opacities[chosen] * torch.exp(exponent), max=MAX_ALPHA)
            alphas = torch.where(alphas >= MIN_ALPHA, alphas, 0)
            after = torch.cumprod(1 - alphas, 1)
            before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)[:, : after.shape[1]]
            weights = torch.where(after > MIN_TRANSMITTANCE, alphas * before, 0)
            tiles.append((weights @ gaussians.features[chosen]).reshape(int(size[1]), int(size[0]), -1))
        rows.append(torch.cat(tiles, 1))
    return torch.cat(rows, 0)


def render(scene: BenchmarkScene, aperture: Aperture | None) -> Tensor:  # [H, W, 5]
    """Colour, depth and alpha of a scene."""
    return composite(prepare(scene, aperture))
