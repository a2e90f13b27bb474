# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians like those that training starts with and ends with, on a bumpy surface that fills the frame."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from solver.rasterization import Aperture, Backend, Rendering, View, rasterize

Sizes = Literal["initial", "trained"]
SIZES: tuple[Sizes, ...] = ("initial", "trained")
_GAUSSIANS = ("means", "quaternions", "scales", "opacities", "sh_constant", "sh_rest")
_DISTANCE, _FIELD_WIDTH = 85.0, 20.0  # mm, of a macro photo of something small


@dataclass(frozen=True)
class BenchmarkScene:
    """Inputs of a rasterizer, float32, in millimetres."""

    means: Tensor  # [N, 3]
    quaternions: Tensor  # [N, 4]
    scales: Tensor  # [N, 3]
    opacities: Tensor  # [N]
    sh_constant: Tensor  # [N, 1, 3]
    sh_rest: Tensor  # [N, 15, 3]
    view: View
    aperture: Aperture  # f/9 at 100 mm, focused on the middle: circles of confusion up to 10 px at 400 px

    def with_gradients(self) -> "BenchmarkScene":
        """The same Gaussians as leaves that gradients are wanted for."""
        return replace(self, **{name: getattr(self, name).clone().requires_grad_() for name in _GAUSSIANS})

    def forget_gradients(self) -> None:
        """Let them go, as an optimizer does."""
        for name in _GAUSSIANS:
            getattr(self, name).grad = None

    def render(self, aperture: Aperture | None, backend: Backend = "cpu") -> Rendering:
        """Rasterize at degree 3, with harmonics that lie apart, as training has them."""
        return rasterize(
            self.means,
            self.quaternions,
            self.scales,
            self.opacities,
            (self.sh_constant, self.sh_rest),
            self.view,
            sh_degree=3,
            aperture=aperture,
            backend=backend,
        )


def make_scene(count: int, sizes: Sizes, width: int = 400, height: int = 300, seed: int = 0) -> BenchmarkScene:
    """A surface of `count` Gaussians seen by one camera.

    "initial" is one round size, as wide as the distance to the neighbours, and an opacity of 0.1. "trained" has the
    quantiles of a trained beetle: axes spread log-normally about 0.4, 1 and 2.5 times the pixel of an image with two
    pixels a Gaussian, half of the opacities near 0.01 and the rest spread up to 0.9.
    """
    random = torch.Generator().manual_seed(seed)
    field_height = _FIELD_WIDTH * height / width
    place = torch.rand(count, 2, generator=random) - 0.5
    x, y = place[:, 0] * _FIELD_WIDTH * 1.15, place[:, 1] * field_height * 1.15
    z = 2.5 * torch.sin(0.6 * x) * torch.cos(0.5 * y) + 0.05 * torch.randn(count, generator=random)
    spacing = math.sqrt(_FIELD_WIDTH * field_height / count)
    if sizes == "initial":
        scales = torch.full((count, 3), spacing)
        opacities = torch.full((count,), 0.1)
    else:
        medians = spacing * torch.tensor([0.28, 0.7, 1.75])
        scales = medians * torch.exp(0.6 * torch.randn(count, 3, generator=random))
        faint = torch.rand(count, generator=random) < 0.5
        solid = 0.05 + 0.85 * torch.rand(count, generator=random) ** 3
        opacities = torch.where(faint, torch.full((count,), 0.01), solid)
    world_to_camera = torch.eye(4)
    world_to_camera[2, 3] = _DISTANCE
    focal = width * _DISTANCE / _FIELD_WIDTH
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    quaternions = torch.randn(count, 4, generator=random)
    harmonics = 0.2 * torch.randn(count, 16, 3, generator=random)
    return BenchmarkScene(
        means=torch.stack([x, y, z], -1),
        quaternions=quaternions,
        scales=scales,
        opacities=opacities,
        sh_constant=harmonics[:, :1].contiguous(),
        sh_rest=harmonics[:, 1:].contiguous(),
        view=View(world_to_camera, K, width, height),
        aperture=Aperture(torch.tensor(100 / 9), torch.tensor(1 / _DISTANCE)),
    )
