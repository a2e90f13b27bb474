# SPDX-License-Identifier: GPL-3.0-or-later
"""Millimetres from blur: softness is seen through, weak cues are said to be weak, and other sources take precedence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from solver.capture.types import Scale
from solver.config import settings_for
from solver.events import Reporter
from solver.optics.scale import LOG_FACTORS, Estimate, PupilErrors, combined, pupil_factor
from solver.reconstruct import Job, reconstruct
from solver.training.scale_from_blur import _spread, contradiction

UNIT_MM = 7.3


def photo(circles: tuple[float, float], softness: float, true_factor: float, pixels: int = 500) -> PupilErrors:
    """One whose error is the square of the difference in variance, for a scene with a softness (px^2)."""
    variances = np.square(circles)[:, None] / 16
    rendered = variances * np.exp(LOG_FACTORS) ** 2 + softness
    squared = pixels * (0.01 + (np.sqrt(rendered) - np.sqrt(variances * true_factor**2)) ** 2)
    counts = np.array([pixels, pixels])
    return PupilErrors(squared, counts, counts * np.square(circles))


def several(softness: float, true_factor: float, **others) -> list[PupilErrors]:
    return [photo((3.5 + 0.1 * i, 9.0 + 0.2 * i), softness, true_factor, **others) for i in range(6)]


def told(photos: list[PupilErrors]) -> Estimate:
    found = pupil_factor(photos)
    assert found is not None
    return found


@pytest.mark.parametrize("true_factor", [0.85, 1.0, 1.2])
def test_a_sharp_scene_tells_the_pupil(true_factor):
    found = told(several(0.0, true_factor))
    assert found.value == pytest.approx(true_factor, rel=0.02)
    assert found.relative_uncertainty < 0.07


def test_softness_is_seen_through():
    found, large = told(several(0.2, 1.0)), told([photo((0, 9.5), 0.2, 1.0, 2000)] * 3)
    assert abs(found.value - 1) < abs(large.value - 1)
    assert found.value == pytest.approx(1.0, abs=0.03)
    assert found.relative_uncertainty > told(several(0.0, 1.0)).relative_uncertainty


def test_small_circles_alone_are_a_weak_cue():
    weak = []
    for entry in several(0.1, 1.0):
        weak.append(PupilErrors(entry.squared, entry.pixels * [1, 0], entry.squared_circles * [1, 0]))
    assert told(weak).relative_uncertainty > 0.15


@pytest.mark.parametrize("case", ["few pixels", "no minimum", "one photo", "not finite"])
def test_no_estimate_from(case):
    photos = several(0.0, 1.0, pixels=10 if case == "few pixels" else 500)
    if case == "no minimum":
        photos = several(0.0, 2.0)
    if case == "one photo":
        photos = [photo((3.5, 9.0), 0.0, 1.0, 5000)]
    if case == "not finite":
        photos = [PupilErrors(each.squared * np.nan, each.pixels, each.squared_circles) for each in photos]
    assert pupil_factor(photos) is None


def test_estimates_are_combined_by_weight_and_doubted_where_they_disagree():
    def mean(*estimates: tuple[float, float]) -> tuple[float, float]:
        found = combined([Estimate(*each) for each in estimates])
        assert found is not None
        return found.value, found.relative_uncertainty

    assert combined([]) is None
    assert mean((2.0, 0.1)) == pytest.approx((2.0, 0.1))
    assert mean((2.0, 0.1), (2.0, 0.3)) == pytest.approx((2.0, 0.1))
    value, uncertainty = mean((2.0, 0.1), (3.0, 0.1))
    assert value == pytest.approx(6**0.5)
    assert uncertainty > 0.2
    assert mean((2.0, 0.1), (3.0, 0.4))[0] < 2.1


@pytest.mark.parametrize("bracket", [2, 3, 5, 6])
def test_photos_of_all_steps_of_a_bracket_are_looked_at(bracket):
    """Of many photos, sorted by pose and then by focus, as a camera's names are; a fixed step would miss some."""
    members = list(range(100, 100 + 60))
    chosen = _spread(members, 12)
    assert len(set(chosen)) == 12
    assert chosen == sorted(chosen) == _spread(members, 12)
    assert {index % bracket for index in chosen} == set(range(bracket))
    assert np.diff(chosen).max() < 10
    assert _spread(members[:12], 12) == members[:12]


def test_a_contradicted_unit_is_told():
    known = Scale(2.0, "markers", 0.01)
    assert contradiction(known, Scale(2.2, "blur", 0.06)) is None
    told = contradiction(known, Scale(2.8, "blur", 0.06))
    assert "40 % larger than the markers say" in told
    assert contradiction(replace(known, relative_uncertainty=0.2), Scale(2.8, "blur", 0.06)) is None
    assert "30 % smaller than the file of cameras says" in contradiction(Scale(2.0, "file"), Scale(1.4, "blur", 0.06))


def scaled_capture(source: Path, folder: Path, *, says_unit: bool) -> Path:
    """The capture in a unit of 7.3 mm."""
    content = json.loads((source / "transforms.json").read_text())
    del content["unit_mm"]
    if says_unit:
        content["unit_mm"] = UNIT_MM
    for frame in content["frames"]:
        frame["file_path"] = str(source / frame["file_path"])
        for row in frame["transform_matrix"][:3]:
            row[3] /= UNIT_MM
    folder.mkdir()
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("says_unit", [False, True])
def test_the_unit_of_a_result(tiny_capture, tmp_path, says_unit):
    """It comes from blur where nothing else is known, and what the file says wins; the cameras' file says the same."""
    capture = scaled_capture(tiny_capture.folder, tmp_path / "capture", says_unit=says_unit)
    options = {"max_gaussians": 3000, "initial_gaussians": 2000, "sh_degree": 0, "surface": False}
    settings, reporter = settings_for("draft", iterations=700, **options), Reporter()
    result = reconstruct(Job(capture, tmp_path / "result", settings, device="cpu"), reporter)
    content = json.loads((result / "result.json").read_text())
    scale, blur = content["scale"], content["scale"]["from_blur"]
    assert blur["source"] == "blur"
    assert abs(blur["unit_mm"] / UNIT_MM - 1) < min(2.5 * blur["relative_uncertainty"], 0.3)
    assert scale["source"] == ("file" if says_unit else "blur")
    assert content["unit_mm"] == scale["unit_mm"] == (UNIT_MM if says_unit else blur["unit_mm"])
    assert json.loads((result / "transforms.json").read_text())["unit_mm"] == content["unit_mm"]
    assert any("size comes from blur" in each for each in reporter.warnings) == (
        not says_unit and blur["relative_uncertainty"] > 0.1
    )


def test_without_a_lens_there_is_no_unit(tiny_capture, tmp_path):
    capture = scaled_capture(tiny_capture.folder, tmp_path / "capture", says_unit=False)
    settings = settings_for("draft", iterations=5, surface=False, defocus="none")
    result = reconstruct(Job(capture, tmp_path / "result", settings, device="cpu"), Reporter())
    content = json.loads((result / "result.json").read_text())
    assert content["scale"] is None
    assert content["unit_mm"] is None
