# SPDX-License-Identifier: GPL-3.0-or-later
"""Brackets, stacks and repeats against neighbouring viewpoints."""

import numpy as np
import pytest
from PIL import Image

from solver.inspection.brackets import find_views, refocused
from solver.inspection.likeness import align, likeness, likenesses, overview
from solver.inspection.photos import inspect_photo

from .leaves import HEIGHT, WIDTH, breathed, developed, focused_at, save

FOCI = (0.1, 0.4, 0.7, 0.95)


def shot(scene, focus, noise=1.0, seed=0, scale=1.0):
    return developed(breathed(scene.blurred(focused_at(focus)), scale), noise, seed)


def inspected(folder, pictures):
    return [inspect_photo(save(folder / f"{i:02d}.jpg", picture)) for i, picture in enumerate(pictures)]


def views_of(photos):
    return find_views(photos, likenesses([overview(photo.matched) for photo in photos]))


def from_another_place(scene, focus, parallax_px, seed=0):
    """The left half is near and moves farther than the right one."""
    light = scene.blurred(focused_at(focus))
    near, far = np.roll(light, parallax_px, axis=1), np.roll(light, parallax_px // 3, axis=1)
    return developed(np.where(np.arange(WIDTH) < WIDTH // 2, near, far), 1.0, seed)


def test_a_bracket_is_found_in_spite_of_breathing(scene, tmp_path):
    photos = inspected(tmp_path, [shot(scene, f, seed=i, scale=1 + 0.012 * i) for i, f in enumerate(FOCI)])
    found = views_of(photos)
    assert found.brackets == ((0, 1, 2, 3),)
    assert not found.repeats and not found.copies and not found.stacks


def test_brackets_of_two_scenes_are_two(scenes, tmp_path):
    photos = inspected(tmp_path, [shot(scene, focus) for scene in scenes for focus in FOCI[:3]])
    assert views_of(photos).brackets == ((0, 1, 2), (3, 4, 5))


@pytest.mark.parametrize("parallax_px", [20, 40])
def test_another_viewpoint_is_no_bracket(scene, tmp_path, parallax_px):
    photos = inspected(tmp_path, [shot(scene, 0.2), from_another_place(scene, 0.7, parallax_px)])
    assert views_of(photos).brackets == ()


def test_one_focus_again_is_a_repeat_and_the_same_pixels_are_a_copy(scene, tmp_path):
    first = shot(scene, 0.3, seed=1)
    photos = inspected(tmp_path, [first, shot(scene, 0.3, seed=2), first])
    found = views_of(photos)
    assert found.copies == ((0, 2),)
    assert found.repeats == ((0, 1),)
    assert found.brackets == ()


def test_a_repeat_inside_a_bracket_is_both(scene, tmp_path):
    pictures = [shot(scene, focus, seed=i) for i, focus in enumerate((0.1, 0.1, 0.5, 0.9))]
    found = views_of(inspected(tmp_path, pictures))
    assert found.brackets == ((0, 1, 2, 3),)
    assert found.repeats == ((0, 1),)


def test_a_stack_is_told_from_the_photos_it_is_made_of(scene, tmp_path):
    all_in_focus = developed(scene.blurred(np.zeros((HEIGHT, WIDTH))), 1.0)
    pictures = [shot(scene, FOCI[0]), all_in_focus, *(shot(scene, focus) for focus in FOCI[1:])]
    found = views_of(inspected(tmp_path, pictures))
    assert found.stacks == {1: (0, 2, 3, 4)}
    assert found.brackets == ((0, 2, 3, 4),)


def test_another_exposure_is_not_another_focus(scene, tmp_path):
    light = scene.blurred(focused_at(0.4))
    darker, other = developed(light, 1.0, 1, stops=-1.0), developed(scene.blurred(focused_at(0.9)), 1.0, 2)
    photos = inspected(tmp_path, [developed(light, 1.0), darker, other])
    assert not refocused(photos[0], photos[1])
    assert refocused(photos[0], photos[2])


@pytest.mark.parametrize("scale", [0.96, 1.0, 1.03])
def test_scale_and_shift_are_found(scene, scale):
    light = scene.blurred(focused_at(0.5))
    moved = np.roll(breathed(light, scale), (3, -6), axis=(0, 1))
    found = align(developed(moved), developed(light))
    assert found.same_pose
    assert found.scale == pytest.approx(scale, abs=0.003)
    assert np.array(found.shift) * WIDTH == pytest.approx([3, -6], abs=0.6)


def test_photos_of_other_shapes_are_not_alike(scene):
    photo = shot(scene, 0.5)
    upright = overview(np.ascontiguousarray(photo.transpose(1, 0, 2)))
    assert likeness(overview(photo), upright).correlation == 0
    assert likeness(overview(photo), overview(photo)).correlation == pytest.approx(1)


@pytest.mark.parametrize("whole_first", [True, False])
def test_a_photo_that_was_cropped_by_a_little_is_no_photo_of_the_pose(scene, tmp_path, whole_first):
    """Their overviews are of one shape, and alike; their larger versions are not of one shape."""
    picture = shot(scene, 0.5)
    large = np.asarray(Image.fromarray(picture).resize((1600, 1075)))
    pictures = [large, large[3:-3]]
    photos = inspected(tmp_path, pictures if whole_first else pictures[::-1])
    found = views_of(photos)
    assert found.brackets == found.repeats == ()
    first, second = (overview(photo.matched) for photo in photos)
    assert likeness(first, second).correlation > 0.9


@pytest.mark.parametrize("value", [0, 128, 255])
def test_empty_photos_are_of_no_pose(tmp_path, value):
    photos = inspected(
        tmp_path, [np.full((60, 80, 3), value, np.uint8), np.full((60, 80, 3), max(value - 1, 1), np.uint8)]
    )
    found = views_of(photos)
    assert not found.brackets and not found.repeats
