# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes for rasterizers, and running one with gradients to everything."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from solver.rasterization import Aperture, RasterizationSettings, Rendering, View, rasterize


@dataclass(frozen=True)
class Scene:
    """Inputs of a rasterizer in float64, exactly representable in float32."""

    tensors: dict[str, Tensor]  # means, quaternions, scales, opacities, sh_coefficients, extras, world_to_camera, K
    width: int
    height: int

    def changed(self, **tensors: Tensor) -> "Scene":
        return Scene(
            self.tensors | {name: _representable(value) for name, value in tensors.items()}, self.width, self.height
        )


@dataclass(frozen=True)
class Outcome:
    """An image, and the gradients of a random linear function of all its channels."""

    rendering: Rendering
    gradients: dict[str, Tensor]


def _representable(tensor: Tensor) -> Tensor:
    return tensor.float().double()


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """PyTorch's own threads only get in the way of tensors this small."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.fixture
def make_scene() -> Callable[..., Scene]:
    def make(count: int = 60, width: int = 37, height: int = 29, *, extras: int = 0, seed: int = 0) -> Scene:
        """Gaussians of all sizes within and about the view of a slightly turned camera at a distance of 2.5."""
        random = torch.Generator().manual_seed(seed)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=random, dtype=torch.float64)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        turn = 0.2
        world_to_camera = torch.eye(4, dtype=torch.float64)
        world_to_camera[0, 0] = world_to_camera[2, 2] = math.cos(turn)
        world_to_camera[0, 2], world_to_camera[2, 0] = math.sin(turn), -math.sin(turn)
        world_to_camera[:3, 3] = torch.tensor([0.05, -0.03, 2.5])
        tensors = {
            "means": (uniform(count, 3) - 0.5) * torch.tensor([2.2, 2.0, 2.0]),
            "quaternions": normal(count, 4),
            "scales": torch.exp(3 * uniform(count, 3) - 4),
            "opacities": 0.98 * uniform(count) + 0.01,
            "sh_coefficients": 0.3 * normal(count, 16, 3),
            "extras": normal(count, extras),
            "world_to_camera": world_to_camera,
            "K": torch.tensor([[40, 0, width / 2 + 1.3], [0, 44, height / 2 - 0.7], [0, 0, 1]], dtype=torch.float64),
        }
        return Scene({name: _representable(tensor) for name, tensor in tensors.items()}, width, height)

    return make


@pytest.fixture
def run() -> Callable[..., Outcome]:
    def run(
        scene: Scene,
        backend: str,
        *,
        lens: tuple[float, float] | None = None,  # pupil diameter, inverse focus distance
        samples: Tensor | None = None,  # [M, 2], of the pupil
        antialiased: bool = False,
        sh_degree: int = 3,
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
    ) -> Outcome:
        """Render over a background, and differentiate a random linear function of every channel."""
        leaves = dict(scene.tensors)
        leaves["background"] = _representable(torch.tensor([0.3, 0.1, 0.7], dtype=torch.float64))
        if lens is not None:
            leaves["pupil_diameter"], leaves["inverse_focus_distance"] = _representable(
                torch.tensor(lens, dtype=torch.float64)
            )
        leaves = {name: leaf.to(device, dtype).clone().requires_grad_() for name, leaf in leaves.items()}
        rendering = rasterize(
            *(leaves[name] for name in ("means", "quaternions", "scales", "opacities", "sh_coefficients")),
            View(leaves["world_to_camera"], leaves["K"], scene.width, scene.height),
            sh_degree=sh_degree,
            extras=leaves["extras"],
            aperture=None
            if lens is None
            else Aperture(
                leaves["pupil_diameter"],
                leaves["inverse_focus_distance"],
                samples=samples,
                residual=1.0 if samples is None else 0.4,
            ),
            background=leaves["background"],
            settings=RasterizationSettings(antialiased=antialiased),
            backend=backend,
        )
        random = torch.Generator().manual_seed(1)
        channels = [rendering.colour, rendering.depth, rendering.alpha, rendering.extras]
        loss = sum(
            (channel.cpu() * torch.randn(channel.shape, generator=random, dtype=torch.float64)).sum()
            for channel in channels
        )
        loss.backward()
        return Outcome(rendering, {name: leaf.grad.cpu().double() for name, leaf in leaves.items()})

    return run


@pytest.fixture
def assert_alike() -> Callable[..., None]:
    def check(actual: Outcome, expected: Outcome, *, image: float, gradient: float) -> None:
        """Compare images absolutely, and gradients relative to the largest entry of each."""
        for name in ("colour", "depth", "alpha", "extras"):
            difference = (
                getattr(actual.rendering, name).cpu().double() - getattr(expected.rendering, name).cpu().double()
            )
            assert difference.numel() == 0 or difference.abs().max() <= image, name
        assert torch.equal(actual.rendering.visible.cpu(), expected.rendering.visible.cpu())
        for name, right in expected.gradients.items():
            if right.numel():
                largest = right.abs().max()
                assert (actual.gradients[name] - right).abs().max() <= gradient * largest, (name, largest)

    return check
