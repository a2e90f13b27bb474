# SPDX-License-Identifier: GPL-3.0-or-later
"""Exposure from settings and from like content, and whether the focus moves."""

import numpy as np
import pytest

from solver.capture.exif import Exif
from solver.inspection.exposure import compare_exposures
from solver.inspection.focus_variety import ALIKE, focus_likeness
from solver.inspection.likeness import likenesses, overview
from solver.inspection.sharpness_map import sharpness_map

from .leaves import developed, focused_at

NO_EXIF = Exif()


def compared(pictures, exifs=None):
    overviews = [overview(picture) for picture in pictures]
    return compare_exposures(exifs or [NO_EXIF] * len(pictures), overviews, likenesses(overviews))


@pytest.mark.parametrize("stops", [0.0, 0.5, 1.3])
def test_brightness_of_like_content_is_compared(scene, stops):
    light = scene.blurred(focused_at(0.5))
    offsets = [0.0, -stops, -stops / 2, 0.0]
    pictures = [developed(np.roll(light, 15 * i, axis=1), stops=offset) for i, offset in enumerate(offsets)]
    found = compared(pictures)
    assert found.brightness_spread_stops == pytest.approx(stops, abs=0.1)
    middle = np.median(offsets)
    assert found.brightness_stops == pytest.approx([offset - middle for offset in offsets], abs=0.1)


def test_other_content_is_not_compared(scenes):
    pictures = [developed(scene.blurred(focused_at(0.5)), stops=-i) for i, scene in enumerate(scenes)]
    assert compared(pictures).brightness_spread_stops is None


def test_settings_are_compared_in_stops(scene):
    exifs = [
        Exif(exposure_s=0.01, f_number=8.0, iso=100),
        Exif(exposure_s=0.02, f_number=8.0, iso=100),
        Exif(exposure_s=0.04, f_number=16.0, iso=100),
        Exif(exposure_s=0.01, f_number=8.0, iso=400),
        NO_EXIF,
    ]
    found = compared([developed(scene.blurred(focused_at(0.5)))] * 5, exifs)
    assert found.settings_spread_stops == pytest.approx(2)
    assert found.settings_stops[:4] == pytest.approx([-0.5, 0.5, -0.5, 1.5])
    assert found.settings_stops[4] is None


def test_one_photo_has_no_spread(scene):
    found = compared([developed(scene.blurred(focused_at(0.5)))], [Exif(exposure_s=0.01, f_number=8.0, iso=100)])
    assert found.settings_spread_stops is None
    assert found.brightness_spread_stops is None


def maps(scenes, foci):
    return [
        sharpness_map(developed(scenes[i % 2].blurred(focused_at(focus)), 1.0, i)).coc_px
        for i, focus in enumerate(foci)
    ]


def test_a_focus_that_moves_makes_maps_unlike(scenes):
    assert focus_likeness(maps(scenes, [0.1, 0.35, 0.6, 0.85, 0.2, 0.7])) < ALIKE


def test_a_focus_that_stays_makes_maps_alike(scenes):
    assert focus_likeness(maps(scenes, [0.5, 0.52, 0.48, 0.5, 0.51, 0.47])) > ALIKE


def test_too_few_maps_tell_nothing(scenes):
    assert focus_likeness([]) is None
    assert focus_likeness(maps(scenes, [0.5, 0.5])) is None
    assert focus_likeness([np.full((30, 40), np.nan)] * 6) is None
