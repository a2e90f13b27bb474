# SPDX-License-Identifier: GPL-3.0-or-later
"""The warning before the long run, where the photos' focus lets little be recovered."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solver.cancellation import Cancellation
from solver.capture.types import Camera, Capture, Photo, SparsePoints
from solver.config import settings_for
from solver.defocus.focus_plan import equal_focus_warning, focus_plan_warning
from solver.defocus.lens import depth_samples, initial_lens
from solver.events import Reporter
from solver.export.images import write_png
from solver.reconstruct import _warn_of_focus
from solver.surface.coverage import Coverage, CoverageSummary, PointCoverage
from solver.training.trainer import Trainer

CAMERA = Camera(60, 40, 400.0, 400.0, 30.0, 20.0)
EQUAL = "All photos focus at about the same distance"


def photos(*focus: float | None, f_number: float | None = 5.0) -> tuple[Photo, ...]:
    """With a pupil of 20 in one unit, in front of 100; a circle of 1.5 px is 1.9 % of the inverse depth away."""
    return tuple(
        Photo(
            f"photo_{i}", Path(f"{i}.png"), CAMERA, np.eye(4), f_number=f_number, focal_length_mm=100, focus_distance=d
        )
        for i, d in enumerate(focus)
    )


def points(low: float, high: float, count: int = 200) -> SparsePoints:
    """Inside all frames, evenly spread over depth."""
    z = np.linspace(low, high, count)
    positions = np.stack([0.02 * z, 0.01 * z, z], axis=1)
    return SparsePoints(positions, np.zeros((count, 3), np.uint8))


def told(given: tuple[Photo, ...], sparse: SparsePoints | None, unit_mm: float | None = 1.0, used=None) -> str | None:
    capture = Capture(Path("capture"), given, sparse, unit_mm)
    samples = [depth_samples(photo, sparse, np.array([0, 0, 100.0]), np.ones((40, 60))) for photo in given]
    return focus_plan_warning(capture, initial_lens(capture, samples), samples, used or range(len(given)))


def test_a_plan_that_steps_through_the_subject_is_fine():
    assert told(photos(*np.arange(90.0, 112, 2)), points(90, 110)) is None


def test_equal_focus_in_a_deep_subject():
    sentence = told(photos(100, 100, 100.2), points(90, 110))
    assert sentence.startswith(f"{EQUAL}, and 80 % of the subject's sparse points are in focus in no photo")
    assert "known before training" in sentence
    assert "uncertain pupil" in sentence
    assert sentence.endswith("take more photos with focus stepped through the depth of the subject")


def test_equal_focus_in_a_flat_subject_leaves_the_pupil_unknown():
    sentence = told(photos(100, 100, 100), points(99, 101))
    assert sentence.startswith(f"{EQUAL}, from which the pupil diameter cannot be learned well")
    assert "%" not in sentence


@pytest.mark.parametrize(
    ("low", "high", "advice"),
    [(105, 125, "focus farther back"), (80, 93, "focus nearer to the camera"), (80, 125, "focus on those parts")],
)
def test_different_focus_that_misses_the_subject(low, high, advice):
    sentence = told(photos(96, 100, 104), points(low, high))
    assert "% of the subject's sparse points are in focus in no photo" in sentence
    assert EQUAL not in sentence
    assert advice in sentence


def test_half_of_the_subject_is_the_limit():
    plan = photos(98, 100, 102)  # in focus from 96.2 to 104
    assert told(plan, points(96.2, 111)) is None
    assert told(plan, points(96.2, 113)) is not None


def test_a_pupil_that_is_only_guessed_tells_no_share():
    for given, unit in ((photos(70, 90, 110), None), (photos(70, 90, 110, f_number=None), 1.0)):
        assert told(given, points(115, 135), unit) is None
    assert "%" not in told(photos(100, 100, 100), points(90, 110), None)


def test_without_points_the_stated_distances_decide():
    assert told(photos(100, 100, 100), None).startswith(EQUAL)
    assert told(photos(90, 100, 110), None) is None
    assert told(photos(None, None, None), None) is None  # nothing is known: all start at the scene's centre


def test_one_photo_or_a_few_points_are_no_plan():
    assert told(photos(100), points(90, 110)) is None
    sentence = told(photos(100, 100), points(90, 110, count=10))
    assert sentence.startswith(EQUAL)
    assert "%" not in sentence


def test_a_few_known_distances_are_no_plan():
    assert told(photos(100, 100, None, None, None), None) is None
    assert told(photos(100, 100, 100, None, None), None).startswith(EQUAL)


def test_photos_kept_out_of_training_do_not_count():
    plan = photos(100, 90, 100, 100)
    assert told(plan, points(99, 101)) is None
    assert told(plan, points(99, 101), used=[0, 2, 3]).startswith(EQUAL)


def test_equal_focus_that_only_training_found():
    """No file states the distances, so nothing is said at the start; what was learned is equal."""
    capture = Capture(Path("capture"), photos(None, None, None), None, 1.0)
    samples = [depth_samples(photo, None, np.array([0, 0, 100.0]), np.ones((40, 60))) for photo in capture.photos]
    lens = initial_lens(capture, samples)
    assert focus_plan_warning(capture, lens, samples, range(3)) is None
    assert equal_focus_warning(capture, lens, range(3)).startswith(EQUAL)
    assert equal_focus_warning(capture, lens, [0]) is None
    lens.inverse_focus_distances[2] = torch.tensor(1 / 90)
    assert equal_focus_warning(capture, lens, range(3)) is None
    assert equal_focus_warning(capture, lens, range(2)).startswith(EQUAL)


@pytest.mark.parametrize("before", [[], [f"{EQUAL}, and 80 % ..."]])
def test_equal_focus_is_told_once(before):
    capture = Capture(Path("capture"), photos(100, 100), None, 1.0)
    samples = [depth_samples(photo, None, np.array([0, 0, 100.0]), np.ones((40, 60))) for photo in capture.photos]
    scene = SimpleNamespace(capture=capture, lens=initial_lens(capture, samples))
    reporter = Reporter()
    reporter.warnings.extend(before)
    summary = CoverageSummary(0.5, 0.0, 3.0, [0.1, 0.1], 0.9, "photo_1")
    nothing = PointCoverage(np.zeros(0), np.zeros(0), np.zeros(0))
    _warn_of_focus(scene, Coverage(nothing, None, [], summary), [True, True], reporter)
    equal, blurred = reporter.warnings
    assert equal.startswith(EQUAL)
    assert blurred.startswith("50 % of the subject was never in focus")


@pytest.mark.parametrize(("defocus", "expected"), [("dilation", 1), ("none", 0)])
def test_the_trainer_says_it_before_it_starts(tmp_path, defocus, expected):
    """Only where blur is modelled."""
    given = []
    for i, photo in enumerate(photos(100, 100, 100)):
        path = tmp_path / f"{i}.png"
        write_png(path, np.full((40, 60, 3), 0.2))
        given.append(Photo(photo.name, path, CAMERA, photo.world_to_camera, focus_distance=100.0))
    reporter = Reporter()
    trainer = Trainer(
        Capture(tmp_path, tuple(given), points(95, 105)),
        settings_for("draft", defocus=defocus, initial_gaussians=100, max_gaussians=200),
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=reporter,
        cancellation=Cancellation(),
    )
    assert trainer.step == 0
    assert len([warning for warning in reporter.warnings if warning.startswith(EQUAL)]) == expected
