# SPDX-License-Identifier: GPL-3.0-or-later
"""What is rendered beside the subject is counted, except where the subject's own blur may lie."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.capture.types import Camera, Capture, Photo
from solver.config import settings_for
from solver.events import Reporter
from solver.rasterization import Aperture, Rendering
from solver.training.outside_masks import alpha_outside_mask
from solver.training.photos import Beside, load_training_photos
from solver.training.reconstruction import view_of_photo
from solver.training.trainer import Trainer

DISTANCE = torch.tensor([[0.0, 0.0, 1.0, 2.0, 4.0, 6.0]])  # a subject of two pixels
BESIDE = Beside(DISTANCE, torch.tensor([[0, 1, 1, 1, 1, 1]]))
LENS = Aperture(torch.tensor(10.0), torch.tensor(1 / 100.0))
PRINCIPAL_DISTANCE = 200.0
DEPTH_OF_8_PX = 100 / 0.6  # 10 * 200 * (1/100 - 0.6/100) = 8


def rendering(depth: float, alpha: torch.Tensor, elsewhere: float | None = None) -> Rendering:
    """A subject at `depth`, with what is beside it `elsewhere`."""
    surface = torch.where(DISTANCE == 0, depth, depth if elsewhere is None else elsewhere)
    return Rendering(
        torch.zeros(*alpha.shape, 3), surface * alpha.detach(), alpha, None, torch.zeros(0, dtype=torch.bool)
    )


def counted(depth: float, aperture: Aperture | None, elsewhere: float | None = None) -> list[float]:
    """The gradient to the opacity of each pixel, in subjects."""
    alpha = torch.full(DISTANCE.shape, 0.5, requires_grad=True)
    alpha_outside_mask(rendering(depth, alpha, elsewhere), BESIDE, aperture, PRINCIPAL_DISTANCE).backward()
    assert alpha.grad is not None
    return (2 * alpha.grad[0]).tolist()


def test_a_pinhole_sees_nothing_beside_the_subject():
    assert counted(100.0, None) == [0, 0, 0, 1, 1, 1]


def test_in_focus_as_through_a_pinhole():
    assert counted(100.0, LENS) == [0, 0, 0, 1, 1, 1]


def test_blur_may_spill_as_far_as_it_reaches():
    assert counted(DEPTH_OF_8_PX, LENS) == [0, 0, 0, 0, 0, 1]  # 4 px, and 1 for the mask's edge


def test_a_blurred_floater_excuses_nothing():
    assert counted(100.0, LENS, elsewhere=DEPTH_OF_8_PX) == [0, 0, 0, 1, 1, 1]


def test_distances_come_from_the_masks(tmp_path: Path):
    masks = {
        "left": np.zeros((4, 6), np.uint8),
        "none": np.zeros((4, 6), np.uint8),
        "all": np.full((4, 6), 255, np.uint8),
    }
    masks["left"][:, :2] = 255
    photos = []
    for name, mask in masks.items():
        Image.new("RGB", (6, 4)).save(tmp_path / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
        camera = Camera(6, 4, 10.0, 10.0, 3.0, 2.0)
        photos.append(Photo(name, tmp_path / f"{name}.png", camera, np.eye(4), mask_path=tmp_path / f"{name}_mask.png"))
    left, none, whole = load_training_photos(Capture(tmp_path, tuple(photos)), torch.device("cpu"))
    assert left.beside is not None
    assert left.beside.nearest[1].tolist() == [6, 7, 7, 7, 7, 7]
    assert left.beside.distance[1].tolist() == [0, 0, 1, 2, 3, 4]
    assert none.beside is None, "an empty mask says nothing"
    assert whole.beside is not None
    assert not whole.beside.distance.any()


def left_outside(tiny_capture, folder: Path, weight: float) -> float:
    """The opacity beside the masks after a short training, in subjects and over the photos."""
    masks = folder / "masks"
    masks.mkdir(parents=True)
    subject = np.zeros((54, 72), np.uint8)
    subject[20:34, 28:44] = 255
    for image in (tiny_capture.folder / "images").iterdir():
        Image.fromarray(subject).save(masks / image.name)
    trainer = Trainer(
        load_capture(tiny_capture.folder, masks=masks, poses_folder=folder / "poses", find_points=False),
        settings_for(
            "draft",
            iterations=50,
            initial_gaussians=200,
            max_gaussians=200,
            sh_degree=0,
            defocus="none",
            outside_mask_weight=weight,
        ),
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=folder / "checkpoint.pt",
        preview_path=folder / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    scene = trainer.run()
    with torch.no_grad():
        return sum(
            float(alpha_outside_mask(scene.render(view_of_photo(entry.photo, scene.device)), entry.beside, None, 1.0))
            for entry in trainer.photos
        )


def test_training_takes_away_what_is_beside_the_masks(tiny_capture, tmp_path):
    free, punished = (left_outside(tiny_capture, tmp_path / name, weight) for name, weight in (("a", 0), ("b", 10)))
    assert free > 10
    assert punished < 0.7 * free
