# SPDX-License-Identifier: GPL-3.0-or-later
"""Exposure and white balance that learn: gradients, what photos have in common, and whether they find the truth."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import settings_for
from solver.events import Reporter
from solver.export.images import write_png
from solver.optics.colour import srgb_to_linear
from solver.training.exposures import Exposures, learns_exposure
from solver.training.held_out import psnr_of_photo
from solver.training.losses import photo_loss
from solver.training.trainer import Trainer

GAINS = 2.0 ** np.array([0.3, -0.4, 0.1, 0.0, -0.2, 0.4, -0.5, 0.2, 0.15, -0.05])  # of the ten photos
TINT = np.array([1.06, 1.0, 0.93])  # of every third of them


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_those_of_finite_differences(masked):
    """Of the loss and of the penalty, by each of the three factors; the fast loss has the same."""
    random = torch.Generator().manual_seed(4)
    colour, photo = torch.rand(2, 14, 13, 3, generator=random, dtype=torch.float64) * 0.6 + 0.2
    mask = (torch.rand(14, 13, generator=random, dtype=torch.float64) > 0.3).double() if masked else None

    def loss(log_gain: torch.Tensor) -> torch.Tensor:
        exposures = Exposures([log_gain], [0])
        kind = torch.float32 if log_gain.dtype == torch.float32 else torch.float64
        inside = None if mask is None else mask.to(kind)
        shown = exposures.exposed(colour.to(kind), 0)
        return photo_loss(shown, photo.to(kind), inside, None, 0.2) + 0.3 * exposures.penalty(0)

    start = torch.tensor([0.2, -0.1, 0.05], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, [start], eps=1e-6, atol=1e-7, rtol=1e-5)
    (slow,) = torch.autograd.grad(loss(start), start)
    fast_start = start.detach().float().requires_grad_()
    (fast,) = torch.autograd.grad(loss(fast_start), fast_start)
    torch.testing.assert_close(fast.double(), slow, rtol=1e-4, atol=1e-6)
    assert slow.abs().min() > 1e-3


def test_settling_keeps_differences_and_lets_held_out_photos_alone():
    exposures = Exposures([torch.tensor([0.3, 0.1, x]) for x in (0.0, 0.4, 0.8)], [0, 2])
    exposures.settle()
    torch.testing.assert_close(exposures.log_gains[0], torch.tensor([0.0, 0.0, -0.4]))
    torch.testing.assert_close(exposures.log_gains[1], torch.tensor([0.3, 0.1, 0.4]))
    torch.testing.assert_close(exposures.log_gains[2], torch.tensor([0.0, 0.0, 0.4]))


def test_a_tint_is_less_likely_than_an_exposure():
    same, tint = (Exposures([torch.tensor(each)]) for each in ([0.1, 0.1, 0.1], [0.1, 0.0, -0.1]))
    assert 5 * float(same.penalty(0)) < float(tint.penalty(0))


def test_photos_that_tell_they_were_exposed_alike_are_held_together():
    gain = torch.tensor([0.1, 0.05, -0.1])
    held, free = (Exposures([gain], alike=alike) for alike in (True, False))
    assert float(held.penalty(0)) > 10 * float(free.penalty(0))


STOPS = {"alike": (3.0, 3.05, 3.0), "automatic": (3.0, 3.33, 2.67), "one tells nothing": (3.0, None, 3.0)}


@pytest.mark.parametrize("told", STOPS)
def test_photos_are_exposed_alike_where_all_tell_so(tiny_capture, told):
    capture = load_capture(tiny_capture.folder, poses_folder=tiny_capture.folder / "poses", max_size=400)
    photos = tuple(
        dataclasses.replace(photo, exposure_stops=stops)
        for photo, stops in zip(capture.photos, STOPS[told], strict=False)
    )
    assert capture.with_photos(photos).exposed_alike == (told == "alike")


def test_auto_learns_from_photos_only():
    assert learns_exposure(settings_for("draft"))
    assert not learns_exposure(settings_for("draft", train_on="sharp"))
    assert learns_exposure(settings_for("draft", train_on="sharp", learn_exposure="on"))
    assert not learns_exposure(settings_for("draft", learn_exposure="off"))


def factors() -> np.ndarray:  # [10, 3]
    return GAINS[:, None] * np.where(np.arange(10)[:, None] % 3 == 0, TINT, 1.0)


@pytest.fixture(scope="module")
def uneven(tiny_capture, tmp_path_factory) -> Path:
    """The tiny capture, each photo with an exposure of its own."""
    folder = tmp_path_factory.mktemp("uneven") / "capture"
    shutil.copytree(tiny_capture.folder, folder)
    for image, factor in zip(sorted((folder / "images").iterdir()), factors(), strict=True):
        write_png(image, (0.7 * factor * srgb_to_linear(np.asarray(Image.open(image)) / 255)).astype(np.float32))
    return folder


def trained(folder: Path, output: Path, choice: str, **more) -> Trainer:
    settings = settings_for(
        "draft",
        iterations=250,
        initial_gaussians=1500,
        max_gaussians=2500,
        hold_out=5,
        learn_exposure=choice,
        defocus="dilation",
        **more,
    )
    trainer = Trainer(
        load_capture(folder, poses_folder=output / "poses", max_size=400),
        settings,
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=output / "checkpoint.pt",
        preview_path=output / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    trainer.run()
    trainer.fit_held_out()
    return trainer


def mean_psnr(trainer: Trainer, held_out: bool) -> float:
    indices = set(range(10)) - set(trainer.training_indices) if held_out else trainer.training_indices
    return float(
        np.mean([psnr_of_photo(trainer.scene, index, trainer.photos[index], defocused=True) for index in indices])
    )


def test_exposures_are_found(uneven, tmp_path):
    """Also those of photos held out; and the photos are explained better than without."""
    with_exposure, without = (trained(uneven, tmp_path / choice, choice) for choice in ("on", "off"))
    found = np.array([with_exposure.scene.exposures.gains(index) for index in range(10)])
    true = factors()
    true /= np.exp(np.log(true[with_exposure.training_indices]).mean(0))
    np.testing.assert_allclose(np.log2(found), np.log2(true), atol=0.1)
    assert without.scene.exposures is None
    for held_out in (False, True):
        assert mean_psnr(with_exposure, held_out) > mean_psnr(without, held_out) + 2


def test_equal_photos_are_left_equal(tiny_capture, tmp_path):
    trainer = trained(tiny_capture.folder, tmp_path, "auto")
    found = np.array([trainer.scene.exposures.gains(index) for index in range(10)])
    np.testing.assert_allclose(np.log2(found), 0, atol=0.08)
