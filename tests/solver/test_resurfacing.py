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
from solver.gaussians.model import SH_C0, Gaussians
from solver.optics.colour import srgb_to_linear
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction
from solver.training.resurfacing import points_in_focus, resurface
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


def draw(scene, photos, *, count=400, indices=(0, 1), focus_known=True, seed=0):
    return points_in_focus(scene, photos, indices, count, np.random.default_rng(seed), focus_known)


def share_of(colours: np.ndarray, colour: tuple[float, float, float]) -> float:
    return float((abs(colours - srgb_to_linear(np.array(colour))) < 1e-6).all(1).mean())


def test_points_lie_on_the_surface_and_most_come_from_the_photo_in_focus(scene, photos):
    positions, colours = draw(scene, photos)
    assert 398 <= len(positions) <= 400
    np.testing.assert_allclose(positions[:, 2], WALL, rtol=1e-4)
    coc = PUPIL * CAMERA.fx * abs(1 / WALL - 1 / ELSEWHERE)
    expected = 1 / (1 + 1 / (1 + (coc / 1.5) ** 2))
    assert share_of(colours, SHARP) == pytest.approx(expected, abs=0.01)
    assert share_of(colours, SHARP) + share_of(colours, BLURRED) == 1


def test_without_focus_all_photos_count_alike(scene, photos):
    _, colours = draw(scene, photos, focus_known=False)
    assert share_of(colours, SHARP) == 0.5


def test_only_the_chosen_photos_and_what_masks_leave_are_drawn(scene, photos):
    mask = torch.zeros(30, 40)
    mask[:, :20] = 1
    masked = [photos[0], replace(photos[1], mask=mask)]
    positions, colours = draw(scene, masked, indices=(1,))
    assert share_of(colours, BLURRED) == 1
    assert len(positions) == 400 and (positions[:, 0] < 0).all()


def test_no_surface_no_points(scene, photos):
    scene.gaussians.opacity_logits.fill_(-9.0)
    assert len(draw(scene, photos)[0]) == 0
    assert resurface(scene, photos, (0, 1), 3000, 0.5, np.random.default_rng(0), focus_known=True) is None


def test_the_strongest_gaussians_stay(scene, photos):
    gaussians = resurface(scene, photos, (0, 1), 2000, 0.25, np.random.default_rng(0), focus_known=True)
    assert gaussians is not None
    new = len(gaussians) - int((gaussians.opacity_logits > 0.5).sum())  # new ones start at a half
    assert 490 <= new <= 500 and len(gaussians) == 2000
    kept = gaussians.opacity_logits[new:]
    assert kept.min() >= scene.gaussians.opacity_logits.sort().values[-len(kept)] - 1e-6
    assert gaussians.sh_rest.shape == (2000, 3, 3) and not gaussians.sh_rest[:new].any()


def test_a_draw_repeats(scene, photos):
    first, second, other = (draw(scene, photos, seed=seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_a_run_sets_half_of_its_budget_anew_and_keeps_what_it_knows_of_the_lens(tiny_capture, tmp_path):
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
    gaussians, lens = trainer.optimizers
    assert len(trainer.scene.gaussians) == 1000 and len(gaussians.state) == 6
    trainer.train_one_step()
    after, still = trainer.optimizers
    assert 1500 - len(trainer.training_indices) <= len(trainer.scene.gaussians) <= 1500
    assert len(after.state) == 0 and after is not gaussians
    assert still is lens and len(lens.state) > 0
