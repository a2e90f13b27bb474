# SPDX-License-Identifier: GPL-3.0-or-later
"""The mode that blurs the sharp rendering by kernels of pixels."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, gaussian_filter

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import ReconstructionSettings, settings_for
from solver.defocus import blurnet as module
from solver.defocus.blurnet import BlurNet, blur, depth_of_pixels, kernel_variance, measured_clarity
from solver.defocus.gather import LARGEST_RADIUS, SHARP_VARIANCE, gather
from solver.errors import SolverError
from solver.evaluation.evaluate import evaluate
from solver.events import Reporter
from solver.export.images import read_exr
from solver.export.kernels import pixel_kernel
from solver.export.load import load_reconstruction
from solver.rasterization import Aperture, Rendering, View, rasterize
from solver.reconstruct import Job, reconstruct
from solver.training.checkpoint import load_checkpoint, save_checkpoint
from solver.training.pixel_weights import UNCLEAR_WEIGHT
from solver.training.reconstruction import view_of_photo
from solver.training.trainer import Trainer

FOCAL_PX = 200.0


def lens(pupil: float, focus: float, dtype=torch.float64) -> Aperture:
    return Aperture(torch.tensor(pupil, dtype=dtype), torch.tensor(1 / focus, dtype=dtype))


def trained_looking(photos: int = 3) -> BlurNet:
    """One whose correction differs from pixel to pixel and photo to photo."""
    blurnet, random = BlurNet(photos).double(), torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in blurnet.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    return blurnet


# BlurNet


def test_at_first_the_variance_is_the_lens_own():
    """Disc 10 * 200 * |1/z - 1/100|, a quarter of it sigma; what is always added is 0.13 px of sigma."""
    depth = torch.tensor([[100.0, 50.0, 80.0, 400.0]], dtype=torch.float64)
    variance, log_factor = kernel_variance(BlurNet(3).double(), 1, depth, lens(10.0, 100.0), FOCAL_PX, 100.0, 30.0)
    expected = (10 * FOCAL_PX * (1 / depth - 0.01) / 4) ** 2
    torch.testing.assert_close(variance, expected + 0.13**2, atol=2e-3, rtol=0)
    assert (log_factor == 0).all()
    near = kernel_variance(BlurNet(3).double(), 1, depth * 0 + 105, lens(10.0, 100.0), FOCAL_PX, 100.0, 30.0)[0]
    alpha = 10 * FOCAL_PX / 100**2  # the paper's law is the first order
    torch.testing.assert_close((near - 0.13**2).sqrt()[0, 0].item(), alpha * 5 / 4, rtol=0.1, atol=0)


def test_the_correction_is_bounded():
    blurnet = trained_looking()
    with torch.no_grad():
        blurnet.last *= 1000
        depth = torch.linspace(20, 400, 40, dtype=torch.float64).reshape(5, 8)
        coc = torch.linspace(-60, 60, 40, dtype=torch.float64).reshape(5, 8)
        log_factor, added = blurnet(0, (depth - 100) / 30, coc)
    assert log_factor.abs().max() <= math.log(4) + 1e-12
    assert log_factor.max() > 1 and log_factor.min() < -1  # it does reach for the bounds
    assert added.min() >= 0 and added.max() <= 1


def test_photos_differ_by_their_embedding_only():
    blurnet = trained_looking()
    depth, coc = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert not torch.allclose(blurnet(0, depth, coc)[0], blurnet(2, depth, coc)[0])
    with torch.no_grad():
        blurnet.embeddings[2] = blurnet.embeddings[0]
    assert torch.equal(blurnet(0, depth, coc)[0], blurnet(2, depth, coc)[0])


def test_gradients_of_the_photograph_are_those_of_finite_differences():
    """To image, depth, pupil, focus, principal distance and every layer of the network, through the blur."""
    blurnet, random = trained_looking(), torch.Generator().manual_seed(2)
    names = [name for name, _ in blurnet.named_parameters()]
    image = torch.rand(4, 5, 3, generator=random, dtype=torch.float64)
    depth = 70 + 20 * torch.rand(4, 5, generator=random, dtype=torch.float64)
    aperture = lens(9.0, 100.0)

    def photograph(image, depth, pupil, inverse_focus, focal, *parameters):
        changed = dict(zip(names, parameters, strict=True))

        def corrected(*inputs):
            return torch.func.functional_call(blurnet, changed, inputs)

        opened = Aperture(pupil, inverse_focus)
        return gather(image, kernel_variance(corrected, 1, depth, opened, focal, 80.0, 20.0)[0])

    focal = torch.tensor(FOCAL_PX, dtype=torch.float64)
    inputs = (image, depth, aperture.pupil_diameter, aperture.inverse_focus_distance, focal, *blurnet.parameters())
    inputs = tuple(each.detach().clone().requires_grad_() for each in inputs)
    assert torch.autograd.gradcheck(photograph, inputs, eps=1e-7, rtol=1e-3, atol=1e-6, fast_mode=True)


# depth, mask


def test_depth_of_pixels_is_expected_depth_on_the_surface_and_the_centres_beside_it():
    alpha = torch.tensor([[1.0, 0.9, 0.0]])
    rendering = Rendering(torch.zeros(1, 3, 3), 50 * alpha, alpha, None, torch.ones(0, dtype=torch.bool))
    depth = depth_of_pixels(rendering, 90.0)
    torch.testing.assert_close(depth[0, 0], torch.tensor(50.0))
    torch.testing.assert_close(depth[0, 1], torch.tensor(50.0), rtol=0.01, atol=0)
    torch.testing.assert_close(depth[0, 2], torch.tensor(90.0))


def test_mask_keeps_a_pixel_that_looks_and_should_be_sharp():
    """Each half of the formula alone does not."""
    image = torch.rand(8, 12, 3, generator=torch.Generator().manual_seed(0))
    small, large = torch.full((8, 12), 0.15), torch.full((8, 12), 9.0)
    clear, unclear = torch.ones(8, 12), torch.zeros(8, 12)
    expected = torch.exp(torch.tensor(-0.15 / 0.5))
    torch.testing.assert_close(blur(image, small, clear), torch.lerp(gather(image, small), image, expected))
    torch.testing.assert_close(blur(image, small, unclear), gather(image, small))
    torch.testing.assert_close(blur(image, large, clear), gather(image, large))
    torch.testing.assert_close(blur(image, small, None), gather(image, small))


def test_clarity_is_highest_where_a_photo_is_sharp():
    texture = np.random.default_rng(0).random((40, 60, 3)).astype(np.float32)
    soft = gaussian_filter(texture, (3, 3, 0))
    half = np.concatenate([texture[:, :30], soft[:, 30:]], 1)
    sharp, blurred = measured_clarity([half, soft])
    assert min(sharp.min(), blurred.min()) >= 0 and max(sharp.max(), blurred.max()) <= 1
    assert sharp[:, :24].min() > 0.8
    assert sharp[:, 38:].max() < 0.1 and blurred.max() < 0.1
    assert (measured_clarity([np.zeros((9, 9, 3), np.float32)])[0] == 0).all()


# a plane


def test_blur_of_a_plane_is_a_convolution_with_the_analytic_gaussian():
    """Texture of splats at one depth, rendered sharp by the rasterizer, blurred by depth and lens alone."""
    random, side = torch.Generator().manual_seed(3), 31
    y, x = torch.meshgrid(torch.linspace(-15, 15, side), torch.linspace(-15, 15, side), indexing="ij")
    count = side * side
    sharp = rasterize(
        torch.stack([x.flatten(), y.flatten(), torch.full((count,), 100.0)], -1),
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        torch.tensor([0.7, 0.7, 0.01]).repeat(count, 1),
        torch.full((count,), 0.99),
        2 * torch.rand(count, 1, 3, generator=random) - 1,
        View(torch.eye(4), torch.tensor([[FOCAL_PX, 0, 24.0], [0, FOCAL_PX, 20.0], [0, 0, 1]]), 48, 40),
        sh_degree=0,
    )
    depth = depth_of_pixels(sharp, 100.0)
    aperture = lens(10.0, 60.0, torch.float32)
    variance, _ = kernel_variance(BlurNet(1), 0, depth, aperture, FOCAL_PX, 100.0, 15.0)
    sigma = 10 * FOCAL_PX * (1 / 60 - 1 / 100) / 4  # 3.3 px
    radius = math.ceil(3 * sigma)
    line = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    window = np.outer(line, line) / line.sum() ** 2
    blurred = blur(sharp.colour, variance.detach(), None).numpy()
    inside = (slice(radius, 40 - radius), slice(radius, 48 - radius))
    for c in range(3):
        expected = correlate(sharp.colour[..., c].double().numpy(), window)[inside]
        np.testing.assert_allclose(blurred[..., c][inside], expected, atol=2e-3)
        assert sharp.colour[..., c].numpy()[inside].std() > 1.5 * expected.std()  # it was no even colour


def test_the_documentation_has_its_numbers():
    text = " ".join((Path(__file__).parents[2] / "docs" / "how_it_works.md").read_text(encoding="utf-8").split())
    usual, inputs = ReconstructionSettings(), BlurNet(1).first.shape[1]
    added = module._LARGEST_ADDED_VARIANCE / (1 + math.exp(-module._ADDED_START))
    for told in (
        f"two hidden layers of {module._HIDDEN} units",
        f"Its {inputs} inputs",
        f"`asinh(c / {module._COC_UNIT_PX:g} px)`",
        f"{('No', 'One', 'Two', 'Three', 'Four')[module._EMBEDDING]} numbers a photo",
        f"from 1/{module._LARGEST_FACTOR:g} to {module._LARGEST_FACTOR:g}",
        f"added variance of 0 to {module._LARGEST_ADDED_VARIANCE:g} px^2",
        f"the added variance at {added:.3f} px^2",
        f"at most {LARGEST_RADIUS} px to each side: a disc of more than {4 * LARGEST_RADIUS / 3:g} px is cut short",
        f"Under {SHARP_VARIANCE} px^2 a pixel stays",
        f"`m = q * exp(-v / (2 * {module._SHARP_SIGMA_PX}^2))`",
        f"the {module._CLEAR_PERCENTILE:g}th percentile",
        f"weighted by `q + {UNCLEAR_WEIGHT}`",
        f"`blurnet_blur_from` ({usual.blurnet_blur_from} of the run)",
        f"`blurnet_joint_from` ({usual.blurnet_joint_from})",
        f"That share is {usual.blurnet_gaussians_share:g} by default",
    ):
        assert told in text


# the whole street

QUICK = {"iterations": 700, "max_gaussians": 3000, "initial_gaussians": 2000, "sh_degree": 0, "surface": False}


def run(capture: Path, output: Path, **overrides) -> Path:
    settings = settings_for("draft", **{"defocus": "blurnet", **QUICK, **overrides})
    return reconstruct(Job(capture, output, settings, device="cpu", command=["test"]), Reporter())


@pytest.fixture(scope="module")
def result(tiny_capture, tmp_path_factory) -> Path:
    return run(tiny_capture.folder, tmp_path_factory.mktemp("results") / "blurnet")


def test_it_beats_plain_splatting(tiny_capture, result, tmp_path):
    plain = run(tiny_capture.folder, tmp_path / "plain", defocus="none")
    sharper, floor = (evaluate(folder, tiny_capture.folder) for folder in (result, plain))
    assert sharper["psnr_deblurred_recoverable"] > floor["psnr_deblurred_recoverable"] + 0.7
    assert sharper["psnr_novel"] > floor["psnr_novel"] + 0.3
    assert sharper["focus_distance_error_median"] < 0.8 * floor["focus_distance_error_median"]


def test_result_says_how_it_was_made_and_has_the_corrected_kernels(result):
    content = json.loads((result / "result.json").read_text())
    assert content["settings"]["defocus"] == "blurnet"
    scene = load_reconstruction(result)
    differs = 0.0
    for index, photo in enumerate(content["photos"]):
        depth, coc = read_exr(result / photo["depth"], "Z"), read_exr(result / photo["coc"], "V")
        surface = depth > 0
        assert (coc[~surface] == 0).all()
        physical = photo["pupil_diameter"] * 160 * np.abs(1 / np.where(surface, depth, 1) - 1 / photo["focus_distance"])
        assert (coc[surface] <= np.hypot(2 * physical, 4)[surface] + 1e-3).all()
        assert (coc[surface] >= 0.5 * physical[surface] - 1e-3).all()
        differs = max(differs, float(abs(coc - physical)[surface].max()))
        view = view_of_photo(scene.capture.photos[index], scene.device)
        with torch.no_grad():
            tensor = torch.tensor(np.where(surface, depth, 1), dtype=torch.float32)
            variance, _ = scene.kernel_variance(index, view, tensor, scene.lens.aperture(index))
        np.testing.assert_allclose((coc**2 / 16)[surface], variance.numpy()[surface], rtol=1e-3, atol=1e-5)
        row, column = np.argwhere(surface & (coc > 4))[0]
        steps = np.arange(-1, 2)
        drawn = pixel_kernel(result, photo["name"], int(column), int(row))
        middle = drawn[len(drawn) // 2, len(drawn) // 2 + steps] / drawn.max()
        np.testing.assert_allclose(middle, np.exp(-(steps**2) / (2 * variance[row, column].item())), rtol=1e-3)
    assert differs > 0.05  # BlurNet learned something


def test_training_meets_the_photos(result):
    content = json.loads((result / "result.json").read_text())
    assert content["metrics"]["psnr_train"] > 24


def test_resume_ends_where_an_unbroken_run_ends(tiny_capture, tmp_path):
    """Stopped within the stage in which the kernels learn alone."""
    short = {**QUICK, "iterations": 120, "initial_gaussians": 500, "max_gaussians": 800, "defocus": "blurnet"}
    settings = settings_for("draft", **short)
    capture = load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False)

    def trainer() -> Trainer:
        return Trainer(
            capture,
            settings,
            backend="cpu",
            device=torch.device("cpu"),
            checkpoint_path=tmp_path / "checkpoint.pt",
            preview_path=tmp_path / "preview.png",
            reporter=Reporter(),
            cancellation=Cancellation(),
        )

    unbroken = trainer()
    for step in range(40):
        if step == 26:
            unbroken.save()
        unbroken.train_one_step()
        unbroken.step += 1
    resumed = trainer()
    resumed.resume()
    assert resumed.step == 26
    while resumed.step < 40:
        resumed.train_one_step()
        resumed.step += 1
    state = unbroken.scene.blurnet.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in resumed.scene.blurnet.state_dict().items())
    assert (state["last"] != 0).any()
    assert torch.equal(resumed.scene.gaussians.means, unbroken.scene.gaussians.means)


def test_stages(tiny_capture, tmp_path):
    """Pinhole; then kernels learn and Gaussians hardly move; then all move."""
    short = {**QUICK, "iterations": 100, "initial_gaussians": 500, "max_gaussians": 800, "growth": 0, "noise": 0}
    settings = settings_for("draft", **short, defocus="blurnet", blurnet_gaussians_share=0.0)
    capture = load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False)
    trainer = Trainer(
        capture,
        settings,
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )

    def moves(steps: int) -> tuple[bool, ...]:
        """Whether geometry, network and pupil do in the next steps."""
        scene = trainer.scene
        pupil = scene.lens.log_pupil_diameters[0].detach()
        before = [t.detach().clone() for t in (scene.gaussians.means, scene.blurnet.last_bias, pupil)]
        for _ in range(steps):
            trainer.train_one_step()
            trainer.step += 1
        after = (scene.gaussians.means, scene.blurnet.last_bias, pupil)
        return tuple(not torch.equal(old, new) for old, new in zip(before, after, strict=True))

    assert moves(15) == (True, False, False)
    assert moves(10) == (False, True, True)
    assert moves(5) == (True, True, True)


def test_damaged_network_is_named(result, tmp_path):
    content = load_checkpoint(result / "checkpoint.pt")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("result.json", "transforms.json"):
        (broken / name).write_bytes((result / name).read_bytes())
    content["blurnet"] = {**content["blurnet"], "last": torch.zeros(3, 32)}
    save_checkpoint(broken / "checkpoint.pt", content)
    with pytest.raises(SolverError, match="BlurNet has other layers"):
        load_reconstruction(broken)


def test_photos_held_out_get_the_common_correction(tiny_capture, tmp_path):
    folder = run(tiny_capture.folder, tmp_path / "held_out", iterations=60, hold_out=5, max_gaussians=2000)
    embeddings = load_reconstruction(folder).blurnet.embeddings
    assert (embeddings[[0, 5]] == 0).all()
    assert (embeddings[[1, 2, 3, 4, 6, 7, 8, 9]] != 0).all()
    assert json.loads((folder / "result.json").read_text())["metrics"]["psnr_held_out"] > 10


def test_training_on_sharp_photos_has_no_kernels(tiny_capture, tmp_path):
    settings = settings_for("draft", **{**QUICK, "iterations": 2, "defocus": "blurnet", "train_on": "sharp"})
    folder = reconstruct(Job(tiny_capture.folder, tmp_path / "sharp", settings, device="cpu"), Reporter())
    assert load_reconstruction(folder).blurnet is None
