# SPDX-License-Identifier: GPL-3.0-or-later
"""The fast rasterizers against the reference in float64.

The mathematics has steps: alpha at 1/255, transmittance at 1e-4, opacity at the edge of visibility. A float32 that
falls on the other side of a step than float64 is right too, but differs by up to the step. With fixed seeds no pixel of
these scenes does; a change of a scene or of rounding may need another seed.
"""

from itertools import cycle

import pytest
import torch

from solver.kernels import threads
from solver.rasterization import Aperture, View, available_backends, rasterize

LENSES = {"pinhole": None, "closed": (0.0, 0.3), "narrow": (0.05, 0.4), "wide": (0.5, 0.3), "huge": (8.0, 0.2)}


def _crowd(make_scene):
    """Twice as many Gaussians as usual, half of them behind the camera or outside the image."""
    scene = make_scene(120, extras=2, seed=1)
    means = scene.tensors["means"].clone()
    means[:20, 2] -= 4  # behind the camera
    means[20:40, 0] += 4  # far outside, where the Jacobian is clamped
    means[40:60, 1] -= 2
    means[60:70, 2] -= 2.3  # close to the camera, and very large
    return scene.changed(means=means)


def _sub_pixel(make_scene):
    scene = make_scene(extras=2, seed=2)
    return scene.changed(scales=scene.tensors["scales"] * 1e-3)


def _screen_filling(make_scene):
    scene = make_scene(20, seed=3)
    return scene.changed(scales=scene.tensors["scales"] + 1.5, opacities=scene.tensors["opacities"] * 0.4)


def _needles(make_scene):
    scene = make_scene(seed=4)
    scales = scene.tensors["scales"].clone()
    scales[:, 0] = 0.8
    scales[:, 1:] = 0.01
    return scene.changed(scales=scales)


def _transparent(make_scene):
    scene = make_scene(200, seed=5)
    return scene.changed(opacities=scene.tensors["opacities"] * 0.02 + 1e-4)


def _opaque(make_scene):
    scene = make_scene(seed=6)
    return scene.changed(opacities=1 - scene.tensors["opacities"] * 1e-3, scales=scene.tensors["scales"] * 2)


def _invisible(make_scene):
    scene = make_scene(10, extras=1)
    return scene.changed(means=scene.tensors["means"] - torch.tensor([0, 0, 9]))


SCENES = {
    "random": lambda make_scene: make_scene(),
    "crowd": _crowd,
    "sub-pixel": _sub_pixel,
    "screen-filling": _screen_filling,
    "needles": _needles,
    "transparent": _transparent,
    "opaque": _opaque,
    "invisible": _invisible,
    "empty": lambda make_scene: make_scene(0, extras=3),
    "one pixel": lambda make_scene: make_scene(40, 1, 1, extras=5, seed=7),
    "whole tiles": lambda make_scene: make_scene(40, 32, 16, seed=8),
    "wide": lambda make_scene: make_scene(80, 131, 7, seed=9),
}


@pytest.mark.parametrize("antialiased", [False, True], ids=["", "antialiased"])
@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_cpu_matches_reference(make_scene, run, assert_alike, scene, lens, antialiased):
    scene = scene(make_scene)
    expected = run(scene, "reference", lens=lens, antialiased=antialiased)
    actual = run(scene, "cpu", lens=lens, antialiased=antialiased, dtype=torch.float32)
    assert actual.rendering.colour.dtype == torch.float32
    assert_alike(actual, expected, image=1e-5, gradient=1e-4)


@pytest.mark.parametrize("extras", range(5))  # with colour and depth 4 to 8 channels; fewer there never are
@pytest.mark.parametrize("scene", ["random", "screen-filling", "opaque"])
def test_cpu_matches_reference_with_any_number_of_channels(make_scene, run, assert_alike, scene, extras):
    scene = SCENES[scene](make_scene)
    count = len(scene.tensors["means"])
    random = torch.Generator().manual_seed(21)
    scene = scene.changed(extras=torch.randn(count, extras, generator=random))
    expected = run(scene, "reference", lens=LENSES["narrow"])
    actual = run(scene, "cpu", lens=LENSES["narrow"], dtype=torch.float32)
    assert actual.rendering.extras.shape == (scene.height, scene.width, extras)
    assert_alike(actual, expected, image=1e-5, gradient=1e-4)


@pytest.mark.parametrize("samples", [False, True], ids=["", "samples"])
@pytest.mark.parametrize("wanted", [("colour",), ("depth",), ("alpha",), ("extras",), ("colour", "alpha")])
def test_outputs_that_do_not_count_have_no_part_in_gradients(make_scene, wanted, samples):
    """As they have none in the reference, also where PyTorch gives them no gradient at all."""
    scene = make_scene(40, extras=2, seed=15)
    names = ["means", "quaternions", "scales", "opacities", "sh_coefficients", "extras", "world_to_camera", "K"]
    gradients = {}
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        leaves = {name: scene.tensors[name].to(dtype).clone().requires_grad_() for name in names}
        leaves["background"] = torch.tensor([0.3, 0.1, 0.7], dtype=dtype, requires_grad=True)
        lens = torch.tensor([0.1, 0.4], dtype=dtype)
        rendering = rasterize(
            *(leaves[name] for name in names[:5]),
            View(leaves["world_to_camera"], leaves["K"], scene.width, scene.height),
            sh_degree=3,
            extras=leaves["extras"],
            aperture=Aperture(lens[0], lens[1], samples=SAMPLES if samples else None),
            background=leaves["background"],
            backend=backend,
        )
        random = torch.Generator().manual_seed(2)
        sum(
            (getattr(rendering, name) * torch.randn(getattr(rendering, name).shape, generator=random)).sum()
            for name in wanted
        ).backward()
        gradients[backend] = {
            name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()
        }
    for name, expected in gradients["reference"].items():
        difference = (gradients["cpu"][name].double() - expected).abs().max()
        assert difference <= 1e-4 * max(expected.abs().max(), 1e-3), name


def test_an_output_that_is_changed_in_place_does_no_harm(make_scene):
    """Nor does another rendering before the gradient: each keeps what its gradient is computed from."""
    tensors = {name: tensor.float() for name, tensor in make_scene().tensors.items()}
    gaussians = [tensors[name] for name in ("quaternions", "scales", "opacities", "sh_coefficients")]
    view = View(tensors["world_to_camera"], tensors["K"], 37, 29)
    gradients = []
    for disturbed in (False, True):
        means = tensors["means"].clone().requires_grad_()
        rendering = rasterize(means, *gaussians, view, sh_degree=3)
        if disturbed:
            rendering.depth.mul_(2)
            rasterize(means.detach() + 0.1, *gaussians, view, sh_degree=3)
        rendering.colour.sum().backward()
        gradients.append(means.grad)
    assert torch.equal(*gradients)


def test_gradients_can_be_had_twice(make_scene):
    tensors = {name: tensor.float() for name, tensor in make_scene().tensors.items()}
    means = tensors["means"].requires_grad_()
    gaussians = (tensors[name] for name in ("quaternions", "scales", "opacities", "sh_coefficients"))
    colour = rasterize(means, *gaussians, View(tensors["world_to_camera"], tensors["K"], 37, 29), sh_degree=3).colour
    first, again = (torch.autograd.grad(colour.sum(), means, retain_graph=True)[0] for _ in range(2))
    assert first.any()
    assert torch.equal(first, again)


SAMPLES = torch.tensor([[0.3, 0.1], [-0.2, 0.35], [0.05, -0.45]])


@pytest.mark.parametrize("antialiased", [False, True], ids=["", "antialiased"])
@pytest.mark.parametrize("lens", [LENSES["closed"], LENSES["narrow"], LENSES["wide"]], ids=["closed", "narrow", "wide"])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_cpu_matches_reference_through_pupil_samples(make_scene, run, assert_alike, scene, lens, antialiased):
    scene = scene(make_scene)
    expected = run(scene, "reference", lens=lens, samples=SAMPLES, antialiased=antialiased)
    actual = run(scene, "cpu", lens=lens, samples=SAMPLES, antialiased=antialiased, dtype=torch.float32)
    assert_alike(actual, expected, image=1e-5, gradient=3e-4)  # the pupil's is what is left of large differences


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_one_sample_in_the_middle_is_dilation(make_scene, run, backend):
    scene = make_scene(seed=14)
    dilated = run(scene, backend, lens=(0.2, 0.3))
    sampled = run(scene, backend, lens=(0.5, 0.3), samples=torch.zeros(1, 2))  # each sample spans 0.4 of the pupil
    assert torch.allclose(sampled.rendering.colour, dilated.rendering.colour, atol=1e-6)
    assert torch.allclose(sampled.gradients["means"], dilated.gradients["means"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sh_degree", [0, 1, 2])
def test_cpu_leaves_inactive_harmonics_alone(make_scene, run, assert_alike, sh_degree):
    scene = make_scene(seed=10)
    expected = run(scene, "reference", sh_degree=sh_degree)
    actual = run(scene, "cpu", sh_degree=sh_degree, dtype=torch.float32)
    assert_alike(actual, expected, image=1e-5, gradient=1e-4)
    assert not actual.gradients["sh_coefficients"][:, (sh_degree + 1) ** 2 :].any()


@pytest.mark.parametrize("count", [509, 1100])
def test_cpu_matches_reference_with_many(make_scene, run, assert_alike, count):
    """More than are projected at once, and more than are summed at once; neither divides their number."""
    scene = make_scene(count, 23, 17, extras=1, seed=15)
    scene = scene.changed(opacities=scene.tensors["opacities"] * 0.1)
    expected = run(scene, "reference", lens=LENSES["narrow"])
    actual = run(scene, "cpu", lens=LENSES["narrow"], dtype=torch.float32)
    assert_alike(actual, expected, image=1e-5, gradient=1e-4)


@pytest.mark.parametrize("samples", [None, SAMPLES], ids=["one view", "pupil samples"])
def test_cpu_does_not_depend_on_threads(make_scene, run, samples):
    scene = make_scene(3000, 90, 70, extras=1, seed=11)
    outcomes = []
    try:
        for count in (1, 2, 5):
            threads.set_thread_count(count)
            outcomes.append(run(scene, "cpu", lens=LENSES["narrow"], samples=samples, dtype=torch.float32))
    finally:
        threads.set_thread_count(None)
    for other in outcomes[1:]:
        assert torch.equal(other.rendering.colour, outcomes[0].rendering.colour)
        assert all(torch.equal(other.gradients[name], value) for name, value in outcomes[0].gradients.items())


def test_cpu_does_not_depend_on_when_threads_change(make_scene, run, monkeypatch):
    """The processors that a process may use can change at any time."""
    scene = make_scene(1000, 90, 70, seed=16)
    expected = run(scene, "cpu")
    monkeypatch.setattr(threads, "thread_count", cycle([1, 3, 2, 4, 1]).__next__)
    outcome = run(scene, "cpu")
    assert torch.equal(outcome.rendering.colour, expected.rendering.colour)
    assert all(torch.equal(outcome.gradients[name], value) for name, value in expected.gradients.items())


def test_cpu_survives_what_is_not_finite(make_scene, run):
    scene = make_scene(extras=2, seed=12)
    sound = run(scene, "cpu")
    camera = ("world_to_camera", "K")
    extra = {name: tensor[:11].clone() for name, tensor in scene.tensors.items() if name not in camera}
    extra["means"][0, 0] = torch.nan
    extra["means"][1, 2] = torch.inf
    extra["scales"][2] = torch.inf
    extra["scales"][3] = torch.nan
    extra["opacities"][4] = torch.nan
    extra["sh_coefficients"][5, 0, 1] = torch.nan
    extra["sh_coefficients"][6, 9, 2] = torch.inf
    extra["extras"][7, 1] = torch.nan
    extra["opacities"][8] = torch.inf
    extra["quaternions"][9, 2] = torch.nan
    extra["quaternions"][10, 0] = torch.inf
    joined = scene.changed(**{name: torch.cat([scene.tensors[name], tensor]) for name, tensor in extra.items()})
    outcome = run(joined, "cpu")
    assert not outcome.rendering.visible[-11:].any()
    assert torch.equal(outcome.rendering.colour, sound.rendering.colour)
    assert torch.equal(outcome.rendering.extras, sound.rendering.extras)
    assert not outcome.gradients["means"][-11:].any()
    assert not outcome.gradients["sh_coefficients"][-11:].any()


@pytest.mark.parametrize("image", ["colour", "depth", "alpha"])
def test_gradients_that_are_not_numbers_are_not_hidden(make_scene, image):
    tensors = {name: tensor.float() for name, tensor in make_scene(seed=12).tensors.items()}
    tensors["means"].requires_grad_()
    gaussians = (tensors[name] for name in ("means", "quaternions", "scales", "opacities", "sh_coefficients"))
    rendering = rasterize(*gaussians, View(tensors["world_to_camera"], tensors["K"], 40, 30), sh_degree=0)
    getattr(rendering, image).backward(torch.full_like(getattr(rendering, image), torch.nan))
    gradient = tensors["means"].grad
    assert gradient is not None
    assert torch.isnan(gradient).any()
    assert not gradient[~rendering.visible].any()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_background_that_is_not_finite_is_seen(make_scene, value):
    tensors = {name: tensor.float() for name, tensor in make_scene(seed=12).tensors.items()}
    gaussians = (tensors[name] for name in ("means", "quaternions", "scales", "opacities", "sh_coefficients"))
    view = View(tensors["world_to_camera"], tensors["K"], 40, 30)
    background = torch.tensor([0.1, value, 0.1])
    assert not torch.isfinite(rasterize(*gaussians, view, sh_degree=0, background=background).colour).all()


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_transmittance_stops_before_it_is_spent(make_scene, run, backend):
    """Alpha is capped at 0.999, so a second opaque Gaussian would leave 1e-6: it is dropped, the third too."""
    scene = make_scene(3, 1, 1)
    scene = scene.changed(
        means=torch.tensor([[0, 0, 0], [0, 0, 1], [0, 0, 2.0]]) / 10,
        scales=torch.full((3, 3), 5.0),
        opacities=torch.ones(3),
        world_to_camera=torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2.5], [0, 0, 0, 1.0]]),
        K=torch.tensor([[40, 0, 0.5], [0, 40, 0.5], [0, 0, 1.0]]),
    )
    rendering = run(scene, backend).rendering
    assert rendering.alpha.item() == pytest.approx(0.999, abs=1e-6)
    assert rendering.depth.item() == pytest.approx(0.999 * 2.5, abs=1e-5)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_equal_depths_are_composited_by_index(make_scene, run, backend):
    scene = make_scene(2, 5, 5, extras=2)
    scene = scene.changed(
        means=torch.zeros(2, 3), scales=torch.full((2, 3), 5.0), opacities=torch.full((2,), 0.5), extras=torch.eye(2)
    )
    extras = run(scene, backend).rendering.extras[2, 2]
    assert extras.tolist() == pytest.approx([0.5, 0.25], abs=1e-3)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_dilation_keeps_energy(make_scene, run, backend):
    """A lone Gaussian's alphas sum to 2 pi sigma^2 (opacity - 1/255), the last for what falls below the threshold."""
    focal, depth, scale, opacity, size = 60.0, 2.0, 0.04, 0.8, 101
    scene = make_scene(1, size, size).changed(
        means=torch.tensor([[0, 0, depth]]),
        scales=torch.full((1, 3), scale),
        opacities=torch.tensor([opacity]),
        world_to_camera=torch.eye(4),
        K=torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]]),
    )
    variance = (focal * scale / depth) ** 2 + 0.3
    for pupil, inverse_focus in [(0.0, 0.1), (0.3, 0.1), (0.6, 0.1), (0.6, 0.8), (0.6, 1 / depth)]:
        coc = pupil * focal * abs(1 / depth - inverse_focus)
        dilated = variance + (coc / 4) ** 2
        alpha = run(scene, backend, lens=(pupil, inverse_focus)).rendering.alpha
        assert alpha.max().item() == pytest.approx(opacity * variance / dilated, rel=1e-4)
        energy = alpha.sum().item() + 2 * torch.pi * dilated / 255
        assert energy == pytest.approx(2 * torch.pi * variance * opacity, rel=0.01)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_blur_reaches_in_from_outside_the_image(make_scene, run, backend):
    """A Gaussian beside the image is invisible until its blur disc touches it."""
    scene = make_scene(1, 20, 20).changed(
        means=torch.tensor([[-0.7, 0, 2.0]]),
        scales=torch.full((1, 3), 0.02),
        opacities=torch.tensor([0.9]),
        world_to_camera=torch.eye(4),
        K=torch.tensor([[40, 0, 10], [0, 40, 10], [0, 0, 1.0]]),
    )
    assert not run(scene, backend).rendering.visible.any()
    blurred = run(scene, backend, lens=(0.6, 1.0))
    assert blurred.rendering.alpha.max() > 0.004
    assert blurred.gradients["pupil_diameter"] != 0


_GSPLAT = next(state for state in available_backends() if state.name == "gsplat")
needs_cuda = pytest.mark.skipif(not _GSPLAT.usable, reason=f"gsplat cannot run here: {_GSPLAT.reason}")


@needs_cuda
@pytest.mark.parametrize("antialiased", [False, True], ids=["", "antialiased"])
@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_gsplat_matches_reference(make_scene, run, assert_alike, scene, lens, antialiased):
    """Looser than the cpu's, since gsplat is compiled with fast mathematics."""
    scene = scene(make_scene)
    expected = run(scene, "reference", lens=lens, antialiased=antialiased)
    actual = run(scene, "gsplat", lens=lens, antialiased=antialiased, dtype=torch.float32, device="cuda")
    assert_alike(actual, expected, image=1e-4, gradient=1e-3)


@needs_cuda
def test_reference_matches_gsplats_own_rasterization(make_scene, run):
    from gsplat import rasterization

    scene = make_scene(seed=13)
    on_gpu = {name: tensor.float().cuda() for name, tensor in scene.tensors.items()}
    image, alpha, _ = rasterization(
        *(on_gpu[name] for name in ("means", "quaternions", "scales", "opacities", "sh_coefficients")),
        on_gpu["world_to_camera"][None],
        on_gpu["K"][None],
        scene.width,
        scene.height,
        sh_degree=3,
        render_mode="RGB+D",
        packed=False,
        backgrounds=torch.tensor([[0.3, 0.1, 0.7]], device="cuda"),
    )
    expected = run(scene, "reference").rendering
    torch.testing.assert_close(image[0, ..., :3].double().cpu(), expected.colour, atol=1e-4, rtol=0)
    torch.testing.assert_close(image[0, ..., 3].double().cpu(), expected.depth, atol=1e-4, rtol=0)
    torch.testing.assert_close(alpha[0, ..., 0].double().cpu(), expected.alpha, atol=1e-4, rtol=0)
