# SPDX-License-Identifier: GPL-3.0-or-later
"""Estimated blur against discs of known size."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from solver.inspection.sharpness_map import LARGEST_COC_PX, sharpness_map

from .leaves import HEIGHT, WIDTH, developed, focused_at

SHARE_TOLERANCE = 0.13  # of 1


def uniform(coc):
    return np.full((HEIGHT, WIDTH), float(coc))


def as_jpeg(photo, quality):
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.parametrize("coc", [2.0, 3.0, 4.0, 5.0, 6.0, 8.0])
def test_the_circle_of_confusion_is_found(scenes, coc):
    for scene in scenes:
        found = np.nanmedian(sharpness_map(developed(scene.blurred(uniform(coc)))).coc_px)
        assert found == pytest.approx(coc, rel=0.2, abs=0.6)


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("steepness", [4.0, 8.0, 16.0, 24.0])
def test_the_share_in_focus_is_found(scenes, steepness, noise):
    for scene in scenes:
        coc = focused_at(0.3, steepness)
        found = sharpness_map(developed(scene.blurred(coc), noise)).share_in_focus()
        assert found == pytest.approx((coc <= 1.5).mean(), abs=SHARE_TOLERANCE)


def test_what_is_in_focus_is_found_where_it_is(scene):
    coc = focused_at(0.3)
    found = sharpness_map(developed(scene.blurred(coc))).coc_px
    known = np.isfinite(found)
    assert known.mean() > 0.9
    assert np.median(found[known & (coc < 0.75)]) < 1.5
    assert np.mean(found[known & (coc > 3)] > 1.5) > 0.95
    assert np.corrcoef(found[known], coc[known])[0, 1] > 0.8


@pytest.mark.parametrize(("noise", "quality"), [(3.0, None), (1.0, 80), (0.0, 60)])
def test_noise_and_jpeg_do_not_pass_for_detail(scene, noise, quality):
    def share(coc):
        photo = developed(scene.blurred(uniform(coc)), noise)
        return sharpness_map(photo if quality is None else as_jpeg(photo, quality)).share_in_focus()

    assert share(6) < 0.06
    assert share(0) > 0.8


def test_contrast_and_brightness_do_not_matter(scene):
    photo = developed(scene.blurred(focused_at(0.5)))
    faint = (90 + photo * 0.3).round().astype(np.uint8)
    assert sharpness_map(faint).share_in_focus() == pytest.approx(sharpness_map(photo).share_in_focus(), abs=0.05)


@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_areas_without_texture_are_unknown(noise):
    shading = np.tile(np.linspace(0.1, 0.5, WIDTH), (HEIGHT, 1))
    for light in (uniform(0.3), shading):
        found = sharpness_map(developed(light, noise))
        assert found.known_share() < 0.02


def test_a_texture_without_contrast_is_unknown_and_not_blurred(scene):
    photo = developed(scene.blurred(uniform(0)), 0.0)
    faint = (128 + (photo.astype(float) - 128) * 0.02 + np.random.default_rng(0).normal(0, 3, photo.shape)).round()
    assert sharpness_map(faint.astype(np.uint8)).known_share() < 0.05


def test_highlights_out_of_focus_are_not_in_focus():
    rows, columns = np.indices((HEIGHT, WIDTH))
    light = np.where(((rows % 100) - 50) ** 2 + ((columns % 100) - 50) ** 2 < 30**2, 1.5, 0.1)
    found = sharpness_map(developed(light))
    assert found.known_share() < 0.1


def test_masks_restrict_the_share(scene):
    coc = focused_at(0.0)
    found = sharpness_map(developed(scene.blurred(coc)))
    left = np.zeros(coc.shape, bool)
    left[:, : WIDTH // 20] = True
    assert found.share_in_focus(left) > 0.7
    assert found.share_in_focus(~left) < 0.2
    assert found.share_in_focus(np.zeros(coc.shape, bool)) is None
    assert found.known_share(np.zeros(coc.shape, bool)) == 0


def test_the_sharpest_parts_tell_how_blurred_a_photo_is_all_over(scene):
    sharpest = sharpness_map(developed(scene.blurred(uniform(6)))).sharpest_px()
    assert 3.0 < sharpest < 6.5


@pytest.mark.parametrize("shape", [(8, 8), (8, 300), (9, 17)])
def test_small_photos_pass(shape):
    photo = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    found = sharpness_map(photo)
    assert found.coc_px.shape == shape
    assert np.nanmax(found.coc_px, initial=0) <= LARGEST_COC_PX


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_photos_are_unknown(value):
    found = sharpness_map(np.full((40, 60, 3), value, np.uint8))
    assert found.known_share() == 0
    assert found.share_in_focus() is None
    assert found.sharpest_px() is None


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(8, 40), st.integers(8, 40), st.just(3)),
        elements=st.sampled_from([0, 1, 60, 128, 250, 255]),
    )
)
def test_any_picture_gives_sane_numbers(picture):
    found = sharpness_map(picture)
    share = found.share_in_focus()
    assert share is None or 0 <= share <= 1
    assert 0 <= found.known_share() <= 1
    known = found.coc_px[np.isfinite(found.coc_px)]
    assert ((known >= 0) & (known <= LARGEST_COC_PX)).all()
    assert 0 <= found.noise < 0.1
