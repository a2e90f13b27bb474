# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.mask_making import make_masks, with_made_masks
from solver.errors import SolverError
from solver.events import Reporter
from tests.solver.capture.conftest import texture

SIZE = (300, 200)


def subject(index):
    """An ellipse that turns and wanders a little, [H, W] bool."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    angle = 0.5 * index
    dx, dy = x - 150 - 10 * np.cos(angle), y - 100
    u, v = dx * np.cos(angle) + dy * np.sin(angle), -dx * np.sin(angle) + dy * np.cos(angle)
    return (u / 70) ** 2 + (v / 38) ** 2 < 1


def drawn(index, background):
    pixels = background.copy()
    inside = subject(index)
    pixels[inside] = 0.6 * np.roll(weave(3), 17 * index, axis=1)[: SIZE[1], : SIZE[0]][inside] * [1.0, 0.75, 0.4]
    return pixels.clip(0, 255).astype(np.uint8)


def plain_background(index):
    """Light grey that falls off to a side, with the subject's soft shadow."""
    x, y = np.meshgrid(np.linspace(-1, 1, SIZE[0]), np.linspace(-1, 1, SIZE[1]))
    shadow = 35 * np.exp(-((x - 0.1) ** 2 / 0.25 + (y - 0.45) ** 2 / 0.05))
    grey = 215 - 25 * x - 10 * y**2 - shadow + np.random.default_rng(index).normal(0, 2, x.shape)
    return np.repeat(grey[..., None], 3, axis=2)


@cache
def weave(seed):
    return texture(seed)


def busy_background(seed):
    return weave(seed)[: SIZE[1], : SIZE[0]]


def write(folder, images):
    folder.mkdir(exist_ok=True)
    photos = {}
    for i, image in enumerate(images):
        photos[f"photo {i}"] = folder / f"photo {i}.png"
        Image.fromarray(image).save(photos[f"photo {i}"])
    return photos


def overlap(path, index):
    made = np.asarray(Image.open(path)) > 0
    return (made & subject(index)).sum() / (made | subject(index)).sum()


def make(tmp_path, images):
    (tmp_path / "masks").mkdir()
    progress = []
    made = make_masks(write(tmp_path / "photos", images), tmp_path / "masks", lambda *step: progress.append(step))
    assert progress[-1] == (2 * len(images), 2 * len(images))
    return made


def test_a_plain_background_with_a_gradient_and_a_shadow(tmp_path):
    made = make(tmp_path, [drawn(i, plain_background(i)) for i in range(4)])
    assert (made.background, made.confident) == ("plain", True)
    assert len(made.masks) == 4
    assert min(overlap(mask, i) for i, mask in enumerate(made.masks.values())) > 0.93


def test_a_background_that_stands_still_behind_a_turntable(tmp_path):
    background = busy_background(5)
    made = make(tmp_path, [drawn(i, background * (0.95 + 0.01 * i)) for i in range(8)])
    assert (made.background, made.confident) == ("standing", True)
    assert np.median([overlap(mask, i) for i, mask in enumerate(made.masks.values())]) > 0.8


def test_a_busy_background_inspires_no_confidence(tmp_path):
    made = make(tmp_path, [drawn(i, busy_background(40 + i)) for i in range(4)])
    assert (made.background, made.confident) == ("other", False)


def test_nothing_but_background_gives_no_mask(tmp_path):
    made = make(tmp_path, [plain_background(i).astype(np.uint8) for i in range(4)])
    assert made.masks == {}
    assert not made.confident


def test_the_same_photos_give_the_same_masks(tmp_path):
    images = [drawn(i, plain_background(i)) for i in range(2)]
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        make(tmp_path / run, images)
    for name in ("photo 0.png", "photo 1.png"):
        assert (tmp_path / "a/masks" / name).read_bytes() == (tmp_path / "b/masks" / name).read_bytes()


@pytest.fixture
def capture(write_capture):
    """A capture with known poses, its photos redrawn on a plain background at their own size."""
    root = write_capture(count=3)
    for i in range(3):
        Image.fromarray(drawn(i, plain_background(i))).resize((320, 240)).save(root / "images" / f"photo_{i}.png")
    return root


def test_masks_for_photos_whose_poses_are_known(capture):
    poses = capture.parent / "result" / "poses"
    reporter = Reporter()
    loaded = load_capture(capture, poses_folder=poses, find_points=False, mask_making="auto", reporter=reporter)
    assert [photo.mask_path.name for photo in loaded.photos] == ["photo_0.png", "photo_1.png", "photo_2.png"]
    assert loaded.photos[0].mask_path.parent == capture.parent / "result" / "masks"
    assert Image.open(loaded.photos[0].mask_path).size == (320, 240)
    assert "Masks of 3 of 3 photos were made from a plain background" in reporter.warnings[0]
    again = Reporter()
    load_capture(capture, poses_folder=poses, find_points=False, mask_making="auto", reporter=again)
    for watched in (reporter, again):
        watched.finish_stage()
    assert "masks" in reporter.timings_s
    assert "masks" not in again.timings_s
    assert again.warnings == reporter.warnings


def test_other_files_in_the_place_for_the_masks_are_left_alone(capture, tmp_path):
    (tmp_path / "result" / "masks").mkdir(parents=True)
    (tmp_path / "result" / "masks" / "precious.txt").write_text("mine")
    loaded = load_capture(capture, poses_folder=tmp_path / "poses", find_points=False)
    with pytest.raises(SolverError, match="the place for the masks is taken by other files"):
        with_made_masks(loaded, tmp_path / "result" / "masks", "yes", Reporter())


def test_masks_that_are_there_stay(capture, tmp_path):
    Image.new("L", (320, 240), 255).save(tmp_path / "own.png")
    loaded = load_capture(capture, poses_folder=tmp_path / "poses", find_points=False)
    loaded = loaded.with_photos((replace(loaded.photos[0], mask_path=tmp_path / "own.png"), *loaded.photos[1:]))
    assert with_made_masks(loaded, tmp_path / "masks", "yes", Reporter()) is loaded


def test_no_masks_are_made_of_a_busy_background_unless_asked(write_capture, tmp_path):
    root = write_capture(count=3)
    reporter = Reporter()
    loaded = load_capture(
        root, poses_folder=tmp_path / "poses", find_points=False, mask_making="auto", reporter=reporter
    )
    assert [photo.mask_path for photo in loaded.photos] == [None] * 3
    assert reporter.warnings == ["No masks were made, since the background is not plain"]


def test_poses_of_plain_photos_go_by_the_masks_that_are_made(tmp_path, scene):
    """What is seen through an oval in the middle of a grey sheet that stays in place."""
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    oval = ((x - 160) / 120) ** 2 + ((y - 120) / 85) ** 2 < 1
    photos = write(
        tmp_path / "photos", [np.where(oval[..., None], image, 200).astype(np.uint8) for image in scene.images]
    )
    reporter = Reporter()
    capture = load_capture(tmp_path / "photos", poses_folder=tmp_path / "poses", mask_making="auto", reporter=reporter)
    assert len(capture.photos) == len(photos) == 8
    for photo in capture.photos:
        assert photo.mask_path.parent == tmp_path / "poses" / "masks"
        mask = np.asarray(Image.open(photo.mask_path)) > 0
        assert mask.shape == (photo.camera.height, photo.camera.width)  # undistorted, like the photo
        seen = np.asarray(Image.fromarray(oval).resize(mask.shape[::-1]))
        assert (mask & seen).sum() / (mask | seen).sum() > 0.85
    assert any("Masks of 8 of 8 photos" in message for message in reporter.warnings)
    pixels, _, inside = capture.photos[0].project(capture.points.positions[capture.points.seen_by["photo 0"]])
    column, row = pixels[inside].astype(int).T
    assert seen[row, column].mean() > 0.97
