# SPDX-License-Identifier: GPL-3.0-or-later
import math

import pytest

from solver.capture import load_capture
from solver.capture.exif import Exif, focal_length_px
from solver.capture.overrides import LensOverrides
from solver.errors import SolverError


def test_what_the_user_says_beats_photos_and_files(write_capture):
    folder = write_capture(f_number=4.0, focal_length_mm=50.0)
    plain = load_capture(folder, poses_folder=folder.parent / "poses", find_points=False)
    assert (plain.photos[0].f_number, plain.photos[0].focal_length_mm) == (4, 50)
    said = load_capture(
        folder, poses_folder=folder.parent / "poses", find_points=False, overrides=LensOverrides(f_number=8)
    )
    assert [(photo.f_number, photo.focal_length_mm) for photo in said.photos] == [(8, 50)] * 3
    assert said.photos[0].nominal_pupil_diameter_mm == 50 / 8


def test_a_sensor_nobody_lists():
    exif = Exif(model="Unheard of", focal_length_mm=60.0)
    assert focal_length_px(exif, 6000, 4000) is None
    assert focal_length_px(LensOverrides(sensor_width_mm=36.0).of_exif(exif), 4000, 6000) == pytest.approx(10_000)
    assert LensOverrides().of_exif(exif) == exif


@pytest.mark.parametrize("value", [0, -50, math.nan, math.inf, 1e9])
def test_numbers_that_no_lens_has(value):
    with pytest.raises(SolverError, match=r"--f-number is .*; give a number from 0.5 to 512"):
        LensOverrides(f_number=value)
