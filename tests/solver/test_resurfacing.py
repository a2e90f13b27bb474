# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians set anew on a wall whose depth, focus and colours are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.capture.types import Camera, Capture, Photo
from solver.config import settings_for
from solver.defocus.lens import Lens
from solver.events import Reporter
from solver.fusion.volume import Surface
from solver.gaussians.model import SH_C0, Gaussians
from solver.optics.colour import srgb_to_linear
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction
from solver.training.resurfacing import points_of, resurface
from solver.training.trainer import Trainer

CAMERA = Camera(40, 30, 200.0, 200.0, 20.0, 15.0)
WALL, ELSEWHERE, PUPIL = 100.0, 80.0, 10.0  # focused elsewhere, the wall has a circle of 5 px
SHARP, BLURRED = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)  # sRGB


@pytest.fixture
def scene() -> Reconstruction:
    """A wall of 60 x 50 Gaussians, and two photos of it: one in focus, one not."""
    x, y = np.meshgrid(np.linspace(-12, 12, 60), np.linspace(-10, 10, 50))
    means = np.stack([x, y, np.full_like(x, WALL)], -1).reshape(-1, 3)
    n = len(means)
    photos = tuple(Photo(name, Path(f"{name}.png"), CAMERA, np.eye(4)) for name in ("sharp", "blurred"))
    return Reconstruction(
        gaussians=Gaussians(
            means=torch.tensor(means, dtype=torch.float32),
            log_scales=torch.tensor([0.4, 0.4, 0.01]).log().repeat(n, 1),
            quaternions=torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
            opacity_logits=torch.linspace(1.0, 4.0, n),
            sh_constant=torch.full((n, 1, 3), 0.1 / SH_C0),
            sh_rest=torch.zeros(n, 3, 3),
        ),
        background=torch.zeros(3),
        lens=Lens(
            log_pupil_diameters=[torch.tensor(PUPIL).log()],
            inverse_focus_distances=[torch.tensor(1 / WALL), torch.tensor(1 / ELSEWHERE)],
            pupil_of_photo=[0, 0],
            f_numbers=[4.0],
            nominal_pupil_diameters_mm=[PUPIL],
            initial_pupil_diameters=[PUPIL],
        ),
        capture=Capture(Path("capture"), photos, unit_mm=1.0),
        settings=settings_for("draft"),
        backend="cpu",
        scene_centre=np.array([0.0, 0, WALL]),
        scene_size=10.0,
        active_sh_degree=0,
    )


@pytest.fixture
def photos(scene: Reconstruction) -> list[TrainingPhoto]:
    pairs = zip(scene.capture.photos, (SHARP, BLURRED), strict=True)
    return [TrainingPhoto(photo, torch.tensor(colour).repeat(30, 40, 1), None) for photo, colour in pairs]


def draw(scene, photos, *, budget=2000, share=0.5, indices=(0, 1), focus_known=True, seed=0):
    generator = np.random.default_rng(seed)
    return resurface(scene, photos, indices, budget, share, generator, focus_known=focus_known)


def colours_of(gaussians: Gaussians) -> np.ndarray:  # [N, 3], linear light
    return (gaussians.sh_constant[:, 0] * SH_C0 + 0.5).numpy()


def share_of(colours: np.ndarray, colour: tuple[float, float, float]) -> float:
    return float((abs(colours - srgb_to_linear(np.array(colour))) < 1e-5).all(1).mean())


def test_new_gaussians_lie_on_the_surface_in_the_colour_of_the_photo_in_focus(scene, photos):
    gaussians = draw(scene, photos, share=1.0)
    assert 1900 <= len(gaussians) <= 2000  # a few lie beyond the edge of both photos
    np.testing.assert_allclose(gaussians.means[:, 2], WALL, rtol=1e-4)
    assert share_of(colours_of(gaussians), SHARP) == 1
    assert gaussians.opacities.numpy() == pytest.approx(0.8)
    assert not gaussians.sh_rest.any()


def test_the_order_of_the_photos_does_not_matter_and_without_focus_blur_is_not_asked(scene, photos):
    swapped = draw(scene, photos[::-1], share=1.0)  # now the first photo, in focus by its lens, is the blue one
    assert share_of(colours_of(swapped), BLURRED) == 1
    scene.lens.inverse_focus_distances = scene.lens.inverse_focus_distances[::-1]
    assert share_of(colours_of(draw(scene, photos, share=1.0)), BLURRED) == 1
    assert share_of(colours_of(draw(scene, photos, share=1.0, focus_known=False)), SHARP) == 1  # the first of two


def test_a_thick_cloud_becomes_the_surface_in_its_middle(scene, photos):
    thick = torch.linspace(-4, 4, len(scene.gaussians.means))[torch.randperm(3000, generator=torch.Generator())]
    scene.gaussians.means[:, 2] += thick
    gaussians = draw(scene, photos, share=1.0)
    spread = (gaussians.means[:, 2] - gaussians.means[:, 2].median()).abs().median()
    assert spread < 0.25 * thick.abs().median()


def test_what_masks_leave_out_is_not_surface(scene, photos):
    mask = torch.zeros(30, 40)
    mask[:, :20] = 1
    gaussians = draw(scene, [replace(photo, mask=mask) for photo in photos], share=1.0)
    half_a_voxel = 0.1
    assert len(gaussians) > 100 and (gaussians.means[:, 0] < half_a_voxel).all()


def test_points_are_spread_evenly_over_the_area_of_a_surface():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 2, 5]])
    surface = Surface(corners, np.array([[0, 1, 2], [3, 4, 5]]), [], 0.1)  # areas 0.5 and 3
    points = points_of(surface, 7000, np.random.default_rng(0))
    small, large = points[points[:, 2] == 0], points[points[:, 2] == 5]
    assert len(small) + len(large) == 7000 and len(small) == pytest.approx(1000, abs=100)
    assert (small[:, :2] >= 0).all() and (small[:, :2].sum(1) <= 1 + 1e-12).all()
    np.testing.assert_allclose(large.mean(0), [1, 2 / 3, 5], atol=0.05)


def test_no_surface_nothing_new(scene, photos):
    scene.gaussians.opacity_logits.fill_(-9.0)
    assert draw(scene, photos) is None


def test_the_strongest_of_the_gaussians_away_from_the_surface_stay(scene, photos):
    g = scene.gaussians
    g.means[:200, 2] = WALL - 20  # beside what the photos see
    g.opacity_logits[:200] = torch.linspace(5.0, 6.0, 200)
    gaussians = draw(scene, photos, budget=1100, share=1000 / 1100)
    away = gaussians.means[:, 2] < WALL - 10
    assert 100 <= int(away.sum()) < 200  # and all others are new
    kept = gaussians.opacity_logits[away]
    assert kept.min() >= g.opacity_logits[:200].sort().values[-len(kept)] - 1e-6
    assert gaussians.opacities[~away].numpy() == pytest.approx(0.8)


def test_gaussians_that_are_not_finite_do_not_stay(scene, photos):
    g = scene.gaussians
    g.means[:200, 2] = WALL - 20  # away from the surface, so that they would stay
    g.means[5, 1] = g.log_scales[6, 0] = g.opacity_logits[7] = g.sh_rest[8, 0, 0] = torch.nan
    gaussians = draw(scene, photos, budget=1500, share=1000 / 1500)
    assert (gaussians.means[:, 2] < WALL - 10).sum() > 100
    assert all(tensor.isfinite().all() for tensor in gaussians.tensors().values())


def test_of_many_photos_not_every_second_is_taken(scene, photos):
    """Otherwise brackets of two would lend the colours of one of their steps alone, here the blurred one."""
    count = 119
    named = [replace(photos[1 - i % 2].photo, name=f"{i:03d}") for i in range(count)]
    many = [replace(photos[1 - i % 2], photo=photo) for i, photo in enumerate(named)]
    scene.capture = scene.capture.with_photos(tuple(named))
    scene.lens.inverse_focus_distances = [torch.tensor(1 / (WALL if i % 2 else ELSEWHERE)) for i in range(count)]
    scene.lens.pupil_of_photo = [0] * count
    taken = draw(scene, many, share=1.0, indices=range(count))
    assert share_of(colours_of(taken), SHARP) == 1


def test_a_draw_repeats(scene, photos):
    first, second, other = (draw(scene, photos, seed=seed).means.numpy() for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_run_sets_its_gaussians_anew_and_keeps_what_it_knows_of_the_lens(tiny_capture, tmp_path):
    settings = settings_for(
        "draft", iterations=200, resurface_at=0.5, max_gaussians=1500, initial_gaussians=1000, growth=0.0, sh_degree=0
    )
    trainer = Trainer(
        load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False),
        settings,
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    while trainer.step < 100:
        trainer.train_one_step()
        trainer.step += 1
    gaussians, lens, *_ = trainer.optimizers
    assert len(trainer.scene.gaussians) == 1000 and len(gaussians.state) == 6
    trainer.train_one_step()
    after, still, *_ = trainer.optimizers
    assert 0.5 * 0.5 * 1500 < len(trainer.scene.gaussians) <= 1500
    assert (trainer.scene.gaussians.sh_rest == 0).all()
    assert len(after.state) == 0 and after is not gaussians
    assert still is lens and len(lens.state) > 0
