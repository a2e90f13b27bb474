# SPDX-License-Identifier: GPL-3.0-or-later
"""Blur along one direction is told from blur in all, and from texture that runs in one direction."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform, convolve

from solver.inspection.advice import advise
from solver.inspection.report import as_json, flags
from solver.inspection.shake import DirectionalBlur, directional_blur, shaken

from .leaves import HEIGHT, WIDTH, dead_leaves, developed, disc_blurred, seen
from .test_advice import findings


def moved(light: np.ndarray, length: float, angle_degrees: float) -> np.ndarray:
    """`light` as a camera sees it that moves evenly by `length` px of the photo, anticlockwise from the right."""
    half = int(np.ceil(length)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    angle = np.radians(angle_degrees)
    for along in np.linspace(-length, length, 101):  # the scene has two pixels for one of the photo
        x, y = half + along * np.cos(angle), half - along * np.sin(angle)
        column, row = int(x), int(y)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            kernel[row + i, column + j] += abs(1 - i - (y - row)) * abs(1 - j - (x - column))
    return convolve(light, kernel / kernel.sum(), mode="wrap")


@pytest.fixture(scope="module")
def leaves() -> np.ndarray:
    return dead_leaves(5)


def photo_of(light: np.ndarray, noise: float = 1.0) -> DirectionalBlur:
    found = directional_blur(developed(seen(light), noise))
    assert found is not None
    return found


@pytest.mark.parametrize("angle", [0, 30, 90, 135])
def test_the_direction_of_shake_is_found(leaves, angle):
    found = photo_of(moved(disc_blurred(leaves, 2.0), 5.0, angle))
    assert found.stops > 0.4
    assert abs((found.angle_degrees - angle + 90) % 180 - 90) < 15


@pytest.mark.parametrize("diameter", [0.0, 2.0, 4.0, 8.0, 16.0])
def test_defocus_is_no_shake(leaves, diameter):
    assert photo_of(disc_blurred(leaves, diameter)).stops < 0.15


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_texture_of_one_direction_is_no_shake(noise):
    """Leaves twice as long as wide, and bars with sharp edges."""
    grass = affine_transform(dead_leaves(6), [1.0, 0.5], order=1)
    assert photo_of(grass, noise).stops < 0.35
    columns = np.indices((2 * HEIGHT, 2 * WIDTH))[1]
    assert photo_of(np.where(columns % 52 < 26, 0.1, 0.6), noise).stops < 0.15


def test_a_few_lines_do_not_pass_for_shake(leaves):
    light = leaves.copy()
    light[100:200, 100:260] = np.where(np.arange(100)[:, None] % 12 < 6, 0.02, 0.8)
    assert photo_of(light).stops < 0.2


def test_what_has_no_texture_says_nothing():
    assert directional_blur(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)) is None
    assert directional_blur(np.full((8, 8, 3), 90, np.uint8)) is None


def test_a_photo_is_held_against_the_others():
    """What all have in common is the subject's; a folder of photos that differ anyway is asked for more."""
    slanted = [DirectionalBlur(0.5, 90.0 + i % 3) for i in range(8)]
    assert shaken(slanted) == []
    assert shaken([*slanted, None, DirectionalBlur(0.5, 0.0)]) == [9]
    uneven = [DirectionalBlur(0.3, 45.0 * i) for i in range(8)]
    assert shaken([*uneven, DirectionalBlur(0.9, 0.0)]) == []
    assert shaken([DirectionalBlur(0.8, 10.0)]) == [0]
    assert shaken([DirectionalBlur(0.1, 10.0), None]) == []
    assert shaken([]) == []


def test_it_is_told():
    blur = DirectionalBlur(1.0, 20.0)
    found = findings(shaken=(3,), changed={3: {"directional_blur": blur}, 4: {"directional_blur": None}})
    (advice,) = [each for each in advise(found) if each.kind == "shaken"]
    assert advice.photos == ("photo_03.jpg",)
    assert "photo_03.jpg looks shaken" in advice.message and "20 degrees" in advice.message
    assert "2.0 times less" in advice.message
    assert flags(found)[3] == ("shaken",)
    content = as_json(found, ())["photos"]
    assert content[3]["directional_blur_stops"] == 1.0 and content[3]["directional_blur_angle_degrees"] == 20
    assert content[4]["directional_blur_stops"] is None
    assert not [each for each in advise(findings()) if each.kind == "shaken"]
