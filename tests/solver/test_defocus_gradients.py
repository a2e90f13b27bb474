# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradients of a defocused photo, whichever way it is blurred, against finite differences in float64."""

import pytest
import torch
from torch import Tensor

from solver.defocus.blurnet import BlurNet, blur, depth_of_pixels, kernel_variance
from solver.defocus.pupil import pupil_samples, sample_dilation
from solver.rasterization import Aperture, View, rasterize

WIDTH, HEIGHT, FOCAL_PX = 8, 7, 12.0
SAMPLES = pupil_samples(3, 0.4)
UNKNOWNS = ("depth", "pupil", "focus", "pose")


def scene() -> dict[str, Tensor]:
    """Five Gaussians at depths of 1.6 to 2.6, larger than a pixel, so that few alphas are near the threshold."""
    random = torch.Generator().manual_seed(3)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random, dtype=torch.float64)

    depths = torch.linspace(1.6, 2.6, 5, dtype=torch.float64)
    return {
        "means": torch.cat([(uniform(5, 2) - 0.5) * depths[:, None] * 0.4, depths[:, None]], 1),
        "quaternions": uniform(5, 4) - 0.5,
        "scales": 0.15 + 0.2 * uniform(5, 3),
        "opacities": 0.5 + 0.4 * uniform(5),
        "sh_coefficients": uniform(5, 1, 3) - 0.5,
    }


def moved(twist: Tensor) -> Tensor:  # [6] -> [4, 4]
    """world_to_camera after a small rigid motion: the exponential of a translation and a rotation."""
    x, y, z, a, b, c = twist
    zero = torch.zeros_like(x)
    rows = [[zero, -c, b, x], [c, zero, -a, y], [-b, a, zero, z], [zero] * 4]
    return torch.linalg.matrix_exp(torch.stack([torch.stack(row) for row in rows]))


def learned() -> BlurNet:
    """One whose correction follows depth, position and photo."""
    blurnet, random = BlurNet(2).double(), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in blurnet.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    return blurnet.requires_grad_(False)


def photograph(way: str, stretch: Tensor, pupil: Tensor, focus: Tensor, twist: Tensor) -> Tensor:  # -> [H, W, 3]
    """The photo as a function of what defocus tells.

    Args:
        way: of blurring.
        stretch: [N], by which each Gaussian is farther along its ray.
        pupil: [], diameter.
        focus: [], inverse distance.
        twist: [6], motion of the camera.
    """
    gaussians = scene()
    gaussians["means"] = gaussians["means"] * stretch[:, None]
    K = torch.tensor([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    aperture = Aperture(pupil, focus)
    if way == "pupil":
        aperture = Aperture(pupil, focus, SAMPLES, sample_dilation(len(SAMPLES)))
    rendering = rasterize(
        *gaussians.values(),
        View(moved(twist), K, WIDTH, HEIGHT),
        sh_degree=0,
        aperture=None if way == "blurnet" else aperture,
        background=torch.full((3,), 0.2, dtype=torch.float64),
        backend="reference",
    )
    if way != "blurnet":
        return rendering.colour
    depth = depth_of_pixels(rendering, 2.0)
    return blur(rendering.colour, kernel_variance(learned(), 1, depth, aperture, FOCAL_PX, 2.0, 0.5)[0], None)


@pytest.mark.parametrize("unknown", UNKNOWNS)
@pytest.mark.parametrize("way", ["dilation", "pupil", "blurnet"])
def test_gradients_are_those_of_finite_differences(way, unknown):
    """Entry by entry, and none of them zero in every pixel."""
    values = {
        "depth": torch.ones(5, dtype=torch.float64),
        "pupil": torch.tensor(0.9, dtype=torch.float64),
        "focus": torch.tensor(1 / 3.2, dtype=torch.float64),
        "pose": torch.zeros(6, dtype=torch.float64),
    }

    def function(value: Tensor) -> Tensor:
        return photograph(way, *(values | {unknown: value}).values())

    value = values[unknown].clone().requires_grad_()
    assert torch.autograd.gradcheck(function, value, eps=1e-6, atol=1e-6, rtol=1e-4)
    jacobian = torch.autograd.functional.jacobian(function, value.detach()).reshape(HEIGHT * WIDTH * 3, -1)
    assert (jacobian.abs().amax(0) > 1e-3).all()
