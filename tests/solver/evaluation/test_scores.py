# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of images whose errors are known, pixel by pixel."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from solver.errors import SolverError
from solver.evaluation import evaluate as evaluation
from solver.evaluation.evaluate import evaluate
from solver.evaluation.perceptual import NETWORKS
from solver.evaluation.scores import COC_BINS, Scores, coc_bins
from solver.evaluation.table import lines
from solver.evaluation.truth import read_ground_truth
from solver.export.images import read_exr, write_exr


@dataclass(frozen=True)
class View:
    """A view that is in memory instead of on disk."""

    image_: np.ndarray
    smallest_coc_: np.ndarray
    subject_: np.ndarray
    depth_: np.ndarray

    def image(self):
        return self.image_

    def smallest_coc(self):
        return self.smallest_coc_

    def subject(self):
        return self.subject_

    def depth(self):
        return self.depth_


def view(**changes) -> View:
    """A grey square of 24 px, seen ever less in focus from the left to the right."""
    coc = np.broadcast_to(np.array([-1, 0, 0.75, 1, 1.5, 2, 5, 9]).repeat(3), (24, 24))
    values = {
        "image_": np.full((24, 24, 3), 0.5, np.float32),
        "smallest_coc_": coc,
        "subject_": np.ones((24, 24), bool),
        "depth_": np.full((24, 24), 10.0),
    }
    return View(**{**values, **changes})


def test_bins_of_the_smallest_circle_of_confusion():
    masks = coc_bins(view().smallest_coc_, view().subject_)
    columns = {name: np.nonzero(mask[0])[0].tolist() for name, mask in masks.items()}
    assert list(columns) == list(COC_BINS)
    assert columns == {
        "under 0.75": [3, 4, 5, 6, 7, 8],
        "0.75-1.5": [9, 10, 11, 12, 13, 14],
        "1.5-3": [15, 16, 17],
        "3-6": [18, 19, 20],
        "over 6": [21, 22, 23],
    }


def test_psnr_of_each_bin_is_that_of_its_pixels():
    truth = view()
    image = truth.image_ + 0.01 * np.arange(24, dtype=np.float32)[None, :, None]
    scores = Scores()
    scores.add(image, truth)
    error = (0.01 * np.arange(24)) ** 2
    expected = {"1.5-3": error[15:18], "over 6": error[21:], "under 0.75": error[3:9]}
    for name, errors in expected.items():
        assert scores.psnr_by_coc()[name] == pytest.approx(-10 * np.log10(errors.mean()), abs=1e-3)
    assert scores.psnr() == pytest.approx(-10 * np.log10(error.mean()), abs=1e-3)
    assert scores.psnr("_recoverable") == pytest.approx(-10 * np.log10(error[3:15].mean()), abs=1e-3)
    assert scores.share("_recoverable") == pytest.approx(0.5)
    assert scores.depth_error() is None


def test_images_count_by_their_pixels():
    scores = Scores()
    half = np.zeros((24, 24), bool)
    half[:12] = True
    scores.add(view().image_ + 0.1, view())
    scores.add(view().image_ + 0.4, view(subject_=half))
    assert scores.psnr() == pytest.approx(-10 * np.log10((2 * 0.1**2 + 0.4**2) / 3), abs=1e-3)


def test_what_is_not_the_subject_leaves_no_trace():
    """Neither by itself nor through the windows of SSIM and of further maps."""
    left = np.zeros((24, 24), bool)
    left[:, :12] = True
    image = view().image_.copy()
    image[:, 12:] = np.random.default_rng(0).uniform(size=(24, 12, 3))
    seen = []

    def error_map(a, b):
        seen.append(a)
        return np.abs(a - b).mean(-1)

    scores = Scores()
    scores.add(image, view(subject_=left), perceptual={"map": error_map})
    assert scores.psnr() == pytest.approx(100)
    assert scores.ssim() == pytest.approx(1, abs=1e-6)
    assert scores.perceptual("map") == 0
    np.testing.assert_array_equal(seen[0], view().image_)
    assert scores.psnr_by_coc()["over 6"] is None
    assert scores.perceptual("another") is None


def test_depth_error_is_the_median_where_both_have_a_surface():
    depth = np.full((24, 24), 10.0)
    depth[:, 3:15] += 0.5  # recoverable
    depth[:, 15:] -= 2.0
    depth[0] = 0
    scores = Scores()
    scores.add(view().image_, view(), depth)
    assert scores.depth_error("_recoverable") == pytest.approx(0.5)
    true = view().depth_.copy()
    true[:, :15] = 0
    scores = Scores()
    scores.add(view().image_, view(depth_=true), depth)
    assert scores.depth_error() == pytest.approx(2.0)
    assert scores.depth_error("_recoverable") is None


# images of any kind


def test_the_sharp_images_themselves_have_no_errors(tiny_capture):
    numbers = evaluate(tiny_capture.folder / "ground_truth" / "sharp", tiny_capture.folder)
    assert numbers["psnr_deblurred"] == numbers["psnr_deblurred_by_coc"]["1.5-3"] == 100
    assert (numbers["photos"], numbers["novel_views"]) == (10, 0)
    for key in ("psnr_novel", "depth_error_median", "pupil_diameter_error", "alignment_scale"):
        assert numbers[key] is None
    shares = numbers["share_deblurred_by_coc"]
    assert shares["under 0.75"] + shares["0.75-1.5"] == pytest.approx(numbers["recoverable_share"])
    json.dumps(numbers, allow_nan=False)


def test_photos_are_worse_where_they_are_blurred(tiny_capture):
    numbers = evaluate(tiny_capture.folder / "images", tiny_capture.folder)
    assert 15 < numbers["psnr_deblurred"] < 35
    assert numbers["ssim_deblurred"] < 0.95


def test_a_few_images_are_measured_as_what_they_are(tiny_capture, tmp_path):
    shutil.copy(tiny_capture.folder / "ground_truth" / "novel" / "sharp" / "novel_11.png", tmp_path)
    shutil.copy(tiny_capture.folder / "images" / "view_03.png", tmp_path)
    steps = []
    numbers = evaluate(tmp_path, tiny_capture.folder, lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    assert (numbers["photos"], numbers["novel_views"]) == (1, 1)
    assert numbers["psnr_novel"] == 100
    assert numbers["psnr_deblurred"] < 40
    Image.new("RGB", (36, 27)).save(tmp_path / "view_04.png")
    with pytest.raises(SolverError, match=r"view_04\.png: the image is not 72 x 54 pixels"):
        evaluate(tmp_path, tiny_capture.folder)


def test_the_slow_network_looks_at_every_fourth_photo_and_at_all_held_out_views(tiny_capture, tmp_path, monkeypatch):
    truth = tiny_capture.folder / "ground_truth"
    for path in (*(truth / "sharp").iterdir(), *(truth / "novel" / "sharp").iterdir()):
        shutil.copy(path, tmp_path)
    looks = Counter()

    def counting(name):
        def error_map(a, b):
            looks[name] += 1
            return np.full(a.shape[:2], 0.25)

        return error_map

    monkeypatch.setattr(evaluation, "_perceptual_maps", lambda: {name: counting(name) for name in NETWORKS})
    numbers = evaluate(tmp_path, tiny_capture.folder)
    assert looks == {"alexnet": 10 + 2, "vgg16": 3 + 2}
    for network in NETWORKS:
        for views in ("deblurred", "novel", "deblurred_recoverable", "novel_recoverable"):
            assert numbers[f"lpips_{network}_{views}"] == 0.25
    monkeypatch.setattr(evaluation, "LEAST_SIZE_PX", 55)  # the images have 54 rows
    assert evaluate(tmp_path, tiny_capture.folder)["lpips_alexnet_deblurred"] is None


def test_recoverable_pixels_are_those_of_the_file(tiny_capture, tmp_path):
    capture = shutil.copytree(tiny_capture.folder, tmp_path / "capture")
    folder = capture / "ground_truth" / "smallest_coc"
    coc = [read_exr(path, "V") for path in sorted(folder.iterdir())]
    share = np.mean([((values >= 0) & (values <= 1.5)).mean() for values in coc])
    assert 0.05 < share < 0.95
    images = capture / "ground_truth" / "sharp"
    assert evaluate(images, capture)["recoverable_share"] == pytest.approx(share)
    for path in folder.iterdir():
        write_exr(path, "V", np.full((54, 72), 1.51))
    numbers = evaluate(images, capture)
    assert (numbers["recoverable_share"], numbers["psnr_deblurred_recoverable"]) == (0, None)
    assert numbers["share_deblurred_by_coc"]["1.5-3"] == 1
    (folder / "view_02.exr").unlink()
    with pytest.raises(SolverError, match=r"view_02\.exr: the image is missing"):
        evaluate(images, capture)


def test_where_there_are_masks_only_the_subject_counts(tiny_capture, tmp_path):
    capture = shutil.copytree(tiny_capture.folder, tmp_path / "capture")
    (capture / "masks").mkdir()
    mask = np.zeros((54, 72), np.uint8)
    mask[:, :20] = 255
    for view in (*read_ground_truth(capture).photos, *read_ground_truth(capture).novel):
        path = view.folder / "mask" / f"{view.name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)
    images = shutil.copytree(capture / "ground_truth" / "sharp", tmp_path / "images")
    for path in images.iterdir():
        pixels = np.array(Image.open(path))
        pixels[:, 20:] = 0
        Image.fromarray(pixels).save(path)
    numbers = evaluate(images, capture)
    assert numbers["psnr_deblurred"] == numbers["psnr_deblurred_recoverable"] == 100
    assert numbers["ssim_deblurred"] == pytest.approx(1)
    (capture / "ground_truth" / "mask" / "view_00.png").unlink()
    with pytest.raises(SolverError, match=r"view_00\.png: the image is missing"):
        evaluate(images, capture)


def test_the_table_tells_every_number(tiny_capture):
    numbers = evaluate(tiny_capture.folder / "images", tiny_capture.folder)
    text = "\n".join(lines(numbers))
    for key in ("psnr_deblurred", "psnr_deblurred_recoverable"):
        assert f"{numbers[key]:.2f}" in text
    for name in COC_BINS:
        assert name in text
    assert f"{numbers['recoverable_share']:.1%}" in text
    assert "10 photos, 0 held out" in text
