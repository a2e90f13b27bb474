# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference's gradients against finite differences, and its parts against what they are made of."""

import pytest
import torch

from solver.rasterization import Aperture, RasterizationSettings, View, rasterize
from solver.rasterization.projection import project
from solver.rasterization.spherical_harmonics import basis


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("lens", [None, (0.3, 0.2)])
def test_gradients_match_finite_differences(make_scene, lens, antialiased):
    scene = make_scene(3, 6, 5, extras=1, seed=3)
    tensors = scene.changed(
        means=0.1 * scene.tensors["means"],
        scales=0.05 + 0.1 * scene.tensors["scales"],
        opacities=0.4 + 0.3 * scene.tensors["opacities"],
        sh_coefficients=scene.tensors["sh_coefficients"] / 2,
    ).tensors
    inputs = [*tensors.values(), torch.tensor([0.2, 0.5, 0.1], dtype=torch.float64)]
    if lens is not None:
        inputs += [torch.tensor(value, dtype=torch.float64) for value in lens]

    def function(means, quaternions, scales, opacities, sh, extras, world_to_camera, K, background, *aperture):
        rendering = rasterize(
            means,
            quaternions,
            scales,
            opacities,
            sh,
            View(world_to_camera, K, scene.width, scene.height),
            sh_degree=3,
            extras=extras,
            aperture=Aperture(*aperture) if aperture else None,
            background=background,
            settings=RasterizationSettings(antialiased=antialiased),
            backend="reference",
        )
        return rendering.colour, rendering.depth, rendering.alpha, rendering.extras

    assert torch.autograd.gradcheck(function, [value.requires_grad_() for value in inputs])


def test_blur_reaches_depth(make_scene):
    """The gradient from a blurred image to depth is not that of a sharp one: focus is a cue for depth."""
    scene = make_scene(1, 21, 21).changed(
        means=torch.tensor([[0, 0, 2.0]]), world_to_camera=torch.eye(4), opacities=torch.tensor([0.9])
    )
    tensors = scene.tensors
    means = tensors["means"].clone().requires_grad_()
    view = View(tensors["world_to_camera"], tensors["K"], scene.width, scene.height)
    arguments = (means, tensors["quaternions"], tensors["scales"], tensors["opacities"], view)
    lens = Aperture(torch.tensor(0.5, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
    blurred = project(*arguments, lens, RasterizationSettings())
    (by_depth,) = torch.autograd.grad(blurred.opacities.sum(), means)
    assert by_depth[0, 2].abs() > 0.01


def test_covariance_survives_needles():
    """The determinant of a needle of 10,000 : 1 in float32 agrees with float64."""
    view = View(torch.eye(4), torch.tensor([[500, 0, 50], [0, 500, 50], [0, 0, 1.0]]), 100, 100)
    arguments = (
        torch.tensor([[0.1, 0.2, 1.0]]),
        torch.tensor([[1, 0.2, 0.3, 0.4]]),
        torch.tensor([[1, 1e-4, 1e-4]]),
        torch.tensor([0.5]),
    )
    settings = RasterizationSettings(eps2d=0.0)
    single = project(*arguments, view, None, settings).conics
    view = View(view.world_to_camera.double(), view.K.double(), 100, 100)
    double = project(*(value.double() for value in arguments), view, None, settings).conics
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=0)


def test_harmonics_are_orthonormal():
    """Integrated over the sphere, products of two basis functions are 1 or 0."""
    count = 200_000
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - 2 * index / count
    turn = index * torch.pi * (1 + 5**0.5)
    radius = (1 - z * z).sqrt()
    values = basis(3, torch.stack([radius * turn.cos(), radius * turn.sin(), z], -1))
    products = values.T @ values * 4 * torch.pi / count
    torch.testing.assert_close(products, torch.eye(16, dtype=torch.float64), atol=1e-3, rtol=0)


def test_harmonics_have_the_signs_that_viewers_expect():
    """The linear functions are -y, z, -x; the quadratic zonal is 3 z^2 - 1."""
    along = basis(2, torch.eye(3, dtype=torch.float64))
    assert along[:, 1].tolist() == pytest.approx([0, -0.4886025, 0])
    assert along[:, 2].tolist() == pytest.approx([0, 0, 0.4886025])
    assert along[:, 3].tolist() == pytest.approx([-0.4886025, 0, 0])
    assert along[:, 6].tolist() == pytest.approx([-0.3153916, -0.3153916, 0.6307831])
