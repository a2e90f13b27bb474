# SPDX-License-Identifier: GPL-3.0-or-later
"""The logic of benchmarks/photographing.py: what is lent, what counts, and what the page says."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import photographing
from benchmarks.photographing_table.mixing import mix
from benchmarks.photographing_table.page import Findings, as_json, as_markdown, focus_name
from benchmarks.photographing_table.plan import SECTIONS, trials_of
from benchmarks.photographing_table.poses import pose_errors, shift_px
from benchmarks.photographing_table.shares import STEPPED, shares, steps_of
from benchmarks.photographing_table.shoots import MIXED, SAMPLES, Shoot, lend_truth
from benchmarks.photographing_table.trial import Trial
from benchmarks.quality_table.cells import Cell, Store, write_aside
from solver.capture.types import Camera, Photo
from solver.evaluation.truth import TrueView
from solver.export.images import read_exr, write_exr
from synthetic.arguments import own_arguments, parse

# captures


@pytest.mark.parametrize("trial", trials_of(SECTIONS), ids=lambda trial: trial.name)
def test_the_generator_understands_each_shoot(trial, tmp_path):
    for shoot in trial.shoot.parts or (trial.shoot,):
        understood(shoot, tmp_path)


def understood(shoot, tmp_path):
    settings = parse(own_arguments([*map(str, shoot.arguments(tmp_path / "capture"))]))
    assert settings.scene == shoot.scene
    for name, value in shoot.options().items():
        assert getattr(settings, name) == value
    assert settings.resume and settings.samples == SAMPLES


def test_names_are_unique():
    names = [trial.name for trial in trials_of(SECTIONS)]
    assert len(set(names)) == len(names) > 10
    assert len({trial.shoot for trial in trials_of(SECTIONS)}) == len(
        {trial.shoot.name for trial in trials_of(SECTIONS)}
    )


@pytest.fixture
def truth(tmp_path):
    """A capture as quality.py leaves it, of one photo and one held-out view, with other words for pixels."""
    folder = tmp_path / "truth"
    for kind, suffix in (("sharp", "png"), ("depth", "exr"), ("mask", "png"), ("coc", "exr"), ("smallest_coc", "exr")):
        write_aside(folder / "ground_truth" / kind / f"view_000.{suffix}", f"photo {kind}")
        write_aside(folder / "ground_truth" / "novel" / kind / f"novel_000.{suffix}", f"held out {kind}")
    settings = {"scene": "coin", "focus": "random", "f_number": None, "views": 24, "bracket_size": 1, "samples": 24}
    write_aside(folder / "ground_truth" / "settings.json", json.dumps({**settings, "generator": "abc"}))
    write_aside(folder / "images" / "view_000.png", "blurred")
    return folder


def lent(shoot, truth, folder):
    lend_truth(shoot, truth, folder)
    return {path.relative_to(folder / "ground_truth").as_posix() for path in folder.rglob("*") if path.is_file()}


HELD_OUT = {"novel/sharp/novel_000.png", "novel/depth/novel_000.exr", "novel/mask/novel_000.png", "settings.json"}
PHOTOS = {"sharp/view_000.png", "depth/view_000.exr", "mask/view_000.png"}


def test_truth_is_lent_where_the_photos_are_taken_from_the_same_places(truth, tmp_path):
    """And nothing that aperture or focus would change: circles of confusion and photos are made anew."""
    assert lent(Shoot("coin", 2.8, focus="same"), truth, tmp_path / "new") == HELD_OUT | PHOTOS
    settings = json.loads((tmp_path / "new" / "ground_truth" / "settings.json").read_text())
    assert settings["f_number"] == 2.8
    assert settings["focus"] == "same"
    assert settings["samples"] == SAMPLES
    assert settings["generator"] == "abc"


@pytest.mark.parametrize(
    "shoot", [Shoot("coin", views=12), Shoot("coin", focus="bracket", bracket_size=3), Shoot("coin", views=48)]
)
def test_from_other_places_only_held_out_views_are_lent(shoot, truth, tmp_path):
    assert lent(shoot, truth, tmp_path / "new") == HELD_OUT


def test_a_capture_that_was_begun_is_left_alone(truth, tmp_path):
    lend_truth(Shoot("coin", 8.0), truth, tmp_path / "new")
    sharp = tmp_path / "new" / "ground_truth" / "sharp" / "view_000.png"
    sharp.write_text("rendered")
    lend_truth(Shoot("coin", 8.0), truth, tmp_path / "new")
    assert sharp.read_text() == "rendered"


def capture_of(folder, poses, focus_distances):
    """A capture of a plane at z = 0 that fills the frame, seen from straight above at the positions `poses`, mm."""
    frames = []
    for index, (pose, distance) in enumerate(zip(poses, focus_distances, strict=True)):
        matrix = np.eye(4)
        matrix[:3, 3] = pose
        name = f"view_{index:03d}"
        frames.append({"file_path": f"sharp/{name}.png", "transform_matrix": matrix.tolist()})
        frames[-1]["focus_distance"] = distance
        for place in (f"images/{name}.png", *(f"ground_truth/{kind}/{name}.png" for kind in ("sharp", "mask"))):
            write_aside(folder / place, f"{folder.name} {name}")
        for kind, channel in (("depth", "Z"), ("coc", "V")):
            (folder / "ground_truth" / kind).mkdir(parents=True, exist_ok=True)
            write_exr(folder / "ground_truth" / kind / f"{name}.exr", channel, np.full((6, 8), pose[2]))
    write_aside(folder / "ground_truth" / "settings.json", "{}")
    lens = {"focal_length_mm": 100.0, "f_number": 5.0, "sensor_width_mm": 20.0}
    write_aside(folder / "ground_truth" / "transforms.json", json.dumps({**lens, "frames": frames}))
    novel = {"file_path": "sharp/novel_000.png", "transform_matrix": frames[0]["transform_matrix"]}
    write_aside(folder / "ground_truth" / "novel" / "transforms.json", json.dumps({**lens, "frames": [novel]}))
    (folder / "ground_truth" / "novel" / "depth").mkdir()
    write_exr(folder / "ground_truth" / "novel" / "depth" / "novel_000.exr", "Z", np.full((6, 8), poses[0][2]))
    told = [
        {"file_path": f"images/{Path(f['file_path']).name}", "transform_matrix": f["transform_matrix"]} for f in frames
    ]
    write_aside(folder / "transforms.json", json.dumps({**lens, "frames": told}))
    return folder


def test_a_mixture_has_all_photos_and_what_either_part_holds_in_focus(tmp_path):
    """The sharpest photo is one of the second part; with the first alone the plane would be out of focus."""
    singles = capture_of(tmp_path / "singles", [(0, 0, 100), (0, 0, 100)], [90.0, 120.0])
    bracket = capture_of(tmp_path / "bracket", [(0, 0, 100), (0, 0, 100)], [100.0, 130.0])
    mix([singles, bracket], tmp_path / "mixed")
    names = ["a_view_000", "a_view_001", "b_view_000", "b_view_001"]
    content = json.loads((tmp_path / "mixed" / "transforms.json").read_text())
    assert [frame["file_path"] for frame in content["frames"]] == [f"images/{name}.png" for name in names]
    assert (tmp_path / "mixed" / "images" / "b_view_001.png").read_text() == "bracket view_001"
    truth = json.loads((tmp_path / "mixed" / "ground_truth" / "transforms.json").read_text())
    assert [frame["focus_distance"] for frame in truth["frames"]] == [90.0, 120.0, 100.0, 130.0]
    for view in ("smallest_coc/a_view_000", "smallest_coc/b_view_001", "novel/smallest_coc/novel_000"):
        coc = read_exr(tmp_path / "mixed" / "ground_truth" / f"{view}.exr", "V", "")
        np.testing.assert_allclose(coc[1:-1, 1:-1], 0, atol=1e-5)


# poses


def circle(count, height=0.5):
    """Cameras [4, 4] on a circle of radius 2 round the origin, which they look at."""
    cameras = {}
    for index in range(count):
        angle = 2 * math.pi * index / count
        centre = np.array([2 * math.cos(angle), 2 * math.sin(angle), height])
        forward = -centre / np.linalg.norm(centre)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = [right, np.cross(forward, right), forward]
        pose[:3, 3] = -pose[:3, :3] @ centre
        cameras[f"view_{index:03d}"] = pose
    return cameras


def rotation(axis, degrees):
    x, y, z = np.array(axis) / np.linalg.norm(axis)
    angle = math.radians(degrees)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def test_another_world_is_no_error():
    """Turned, moved and three times as large: the same cameras."""
    true, world = circle(8), rotation([1, 2, 3], 70)
    found = {}
    for name, pose in true.items():
        moved = pose.copy()
        moved[:3, :3] = pose[:3, :3] @ world.T
        moved[:3, 3] = 3 * pose[:3, 3] - moved[:3, :3] @ [5.0, -1.0, 2.0]
        found[name] = moved
    errors = pose_errors(found, true)
    assert errors["rotation_largest_degrees"] < 1e-4
    assert errors["position_rms"] < 1e-9


def test_errors_of_rotation_and_position_are_told_apart():
    true = circle(40)
    turned = dict(true)
    pose = true["view_000"].copy()
    pose[:3, :3] = rotation([0, 0, 1], 10) @ pose[:3, :3]
    centre = np.linalg.inv(true["view_000"])[:3, 3]
    pose[:3, 3] = -pose[:3, :3] @ centre
    turned["view_000"] = pose
    errors = pose_errors(turned, true)
    assert errors["rotation_largest_degrees"] == pytest.approx(10 * (1 - 1 / 40), rel=0.02)
    assert errors["rotation_median_degrees"] < 0.3
    shifted = {name: pose.copy() for name, pose in true.items()}
    for index, pose in enumerate(shifted.values()):  # to and fro along the optical axis, 2 % of the distance
        pose[2, 3] += (-1) ** index * 0.02 * math.hypot(2, 0.5)
    errors = pose_errors(shifted, true)
    assert errors["position_rms"] == pytest.approx(0.02, rel=0.05)
    assert errors["rotation_largest_degrees"] < 1e-4


def test_a_longer_lens_shifts_points_away_from_the_middle(tmp_path):
    """By 1 % of their distance from it, where it is 1 % longer; with true cameras by nothing."""
    true = circle(4)
    views = []
    for name, pose in true.items():
        (tmp_path / "depth").mkdir(exist_ok=True)
        write_exr(tmp_path / "depth" / f"{name}.exr", "Z", np.full((60, 80), 2.0))
        photo = Photo(name, tmp_path / f"{name}.png", Camera(80, 60, 160.0, 160.0, 40.0, 30.0), pose)
        views.append(TrueView(photo, tmp_path, masked=False))
    assert shift_px(true, 2.0, views) == pytest.approx(0, abs=1e-9)
    columns, rows = np.meshgrid(np.arange(0.5, 80, 5) - 40, np.arange(0.5, 60, 5) - 30)
    expected = 0.01 * np.median(np.hypot(columns, rows))
    assert shift_px(true, 2.02, views) == pytest.approx(expected, rel=1e-6)
    assert shift_px(dict(list(true.items())[:2]), 2.0, views) is None


def test_two_cameras_tell_nothing():
    assert pose_errors(dict(list(circle(8).items())[:2]), circle(8))["position_rms"] is None


# shares


def test_shares_of_the_subject():
    """A circle of 3 px at f/1 in a photo 100 px wide is 6 px at 200 and f/1, and sharp from f/4 on."""
    coc = [np.array([[3.0, -1.0, 3.0, 3.0]])]
    subject = [np.array([[True, True, True, False]])]
    assert shares(coc, subject, 3.9, 200) == pytest.approx({"in_focus": 0, "never": 2 / 3, "unseen": 1 / 3})
    assert shares(coc, subject, 4.1, 200) == pytest.approx({"in_focus": 2 / 3, "never": 0, "unseen": 1 / 3})
    assert shares(coc, subject, 4.1, 800)["in_focus"] == 0


def test_stepped_focus_comes_round():
    assert [steps_of(STEPPED, index)[1] for index in range(5)] == [0, 1, 2, 0, 1]
    assert steps_of("random", 4) == ("random", 0, 1)


# the page and the command


def numbers(**changed):
    content = {
        "photos": 24,
        "photos_with_pose": 24,
        "psnr_novel": 20.0,
        "psnr_novel_recoverable": 21.25,
        "psnr_deblurred": 22.0,
        "psnr_deblurred_recoverable": 23.0,
        "psnr_own_cameras_recoverable": 23.5,
        "recoverable_share": 0.75,
        "depth_error_median_recoverable": 1.5,
        "rotation_median_degrees": 0.0,
        "rotation_largest_degrees": 0.0,
        "position_rms": 0.0,
        "focal_length_error": 0.0,
    }
    return {**content, **changed}


def rows(page, *words):
    return [line for line in page.splitlines() if line.startswith("|") and all(word in line for word in words)]


def test_the_page_tells_what_is_there_and_dashes_for_the_rest():
    strong = Shoot("beetle", 5.6)
    found = {
        Trial(strong): numbers(),
        Trial(strong, "found"): numbers(photos_with_pose=18, rotation_median_degrees=0.42, position_rms=0.011),
        Trial(Shoot("beetle", 16.0), "found"): {"failure": "too few photos", "photos_with_pose": 0},
    }
    share = {"photos": 24, "focus": "same", "f_number": 5.6, "width_px": 200}
    findings = Findings(
        found, {"coin": [{**share, "in_focus": 0.5, "never": 0.3, "unseen": 0.2}]}, "python x", 1000, 5000, {}
    )
    page = as_markdown(findings)
    assert rows(page, "beetle", "f/5.6", "| known |") == [
        "| beetle | f/5.6 | known | 24 of 24 | - | - | - | - | 23.50 | 23.00 | 21.25 |"
    ]
    assert rows(page, "18 of 24", "0.42, 0.00°", "1.1%")
    assert rows(page, "f/16", "too few")
    assert rows(page, "beetle", "24 singles, random", "f/5.6", "75%")
    assert rows(page, "| all on the middle | 24 | - | 50% | - | - |")
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith("|"))
    assert as_json(findings)["trials"]["beetle-24-random-f5.6-found"]["photos_with_pose"] == 18


def test_focus_is_named():
    assert focus_name(Shoot("coin", focus="bracket", bracket_size=3)) == "8 brackets of 3"
    assert focus_name(Shoot("coin", views=12, focus="same")) == "12 singles, all on the middle"
    assert focus_name(Shoot("coin", focus=MIXED)) == "12 singles and 4 brackets of 3"


def test_what_is_done_is_told_and_not_done_again(tmp_path, monkeypatch, capsys):
    """All cells of a section are there: nothing is rendered, and the captures' folder is not even there."""
    arguments = photographing.Arguments(work=tmp_path / "work", page=tmp_path / "page.md")
    work = photographing.Work(arguments, photographing.Children())
    for trial in trials_of(["views"]):
        cell = Cell(work.trial_key(trial), 1.0, None, numbers(psnr_novel=10 + trial.shoot.views / 8))
        Store(tmp_path / "work" / "cells").write(trial.name, cell)
    words = ["--work", str(arguments.work), "--page", str(arguments.page), "--sections", "views"]
    monkeypatch.setattr(sys, "argv", ["photographing.py", *words, "--captures", str(tmp_path / "none")])
    assert photographing.main() == 0
    page = arguments.page.read_text()
    assert [row.split("|")[7].strip() for row in rows(page, "singles, random", "f/9")[-4:]] == [
        "11.00",
        "11.50",
        "13.00",
        "16.00",
    ]
    assert page in capsys.readouterr().out
    content = json.loads(arguments.page.with_suffix(".json").read_text())
    assert len(content["trials"]) == 4
    assert not (tmp_path / "work" / "logs").exists()  # no child was needed


def test_other_budgets_are_other_cells(tmp_path):
    usual = photographing.Arguments(work=tmp_path)
    trial = trials_of(["views"])[0]
    keys = {
        photographing.Work(arguments, photographing.Children()).trial_key(trial)
        for arguments in (usual, replace(usual, iterations=77), replace(usual, gaussians=77))
    }
    assert len(keys) == 3
    assert photographing.told_command(replace(usual, iterations=77)).endswith("photographing.py --iterations 77")
