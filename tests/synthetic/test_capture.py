# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole captures, rendered by the real command in a child process."""

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from synthetic import exr
from synthetic.lens import Lens

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="the bpy package is not installed")

SCRIPT = Path(__file__).resolve().parents[2] / "synthetic" / "make_dataset.py"
TINY = ["--views", "2", "--held-out", "1", "--resolution", "64", "48", "--samples", "16", "--seed", "7"]
LENS = Lens(100.0, 9.0, 23.5)

FILES = {
    "transforms.json",
    "images/view_000.png",
    "images/view_001.png",
    "ground_truth/settings.json",
    "ground_truth/transforms.json",
    "ground_truth/mesh.ply",
    "ground_truth/novel/transforms.json",
    "ground_truth/novel/sharp/novel_000.png",
    "ground_truth/novel/depth/novel_000.exr",
    "ground_truth/novel/mask/novel_000.png",
    "ground_truth/novel/smallest_coc/novel_000.exr",
    "ground_truth/novel/recoverable/novel_000.png",
    *(
        f"ground_truth/{kind}/view_00{index}.{suffix}"
        for kind, suffix in [
            *[("sharp", "png"), ("depth", "exr"), ("coc", "exr")],
            *[("mask", "png"), ("smallest_coc", "exr"), ("recoverable", "png")],
        ]
        for index in (0, 1)
    ),
}


def make_dataset(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished capture; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("captures") / "tiny"
    run = make_dataset("--output", folder, *TINY, "--events", "json")
    assert run.returncode == 0, run.stderr
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert [event["name"] for event in events if event["event"] == "stage"] == ["build", "render", "compare"]
    assert events[-1] == {"event": "done", "capture": str(folder)}
    assert events[-2] == {"event": "progress", "done": 3, "total": 3, "seconds_left": 0.0}
    return folder


def test_layout_is_that_of_the_formats_page(capture: Path) -> None:
    assert set(contents(capture)) == FILES


def test_cameras_and_focus(capture: Path) -> None:
    photos, truth, novel = (
        json.loads((capture / path / "transforms.json").read_text())
        for path in (".", "ground_truth", "ground_truth/novel")
    )
    assert len(photos["frames"]) == len(truth["frames"]) == 2
    assert len(novel["frames"]) == 1
    for folder, content in [(".", photos), ("ground_truth", truth), ("ground_truth/novel", novel)]:
        assert (content["w"], content["h"], content["unit_mm"]) == (64, 48, 1.0)
        assert content["fl_x"] == pytest.approx(LENS.principal_distance_px(64))
        assert (content["f_number"], content["focal_length_mm"], content["sensor_width_mm"]) == (9.0, 100.0, 23.5)
        assert all((capture / folder / frame["file_path"]).is_file() for frame in content["frames"])
    assert "focus_distance" not in (capture / "transforms.json").read_text()
    for photo, frame in zip(photos["frames"], truth["frames"], strict=True):
        assert photo["transform_matrix"] == frame["transform_matrix"]
        assert Path(photo["file_path"]).name == Path(frame["file_path"]).name


def test_focus_lies_among_the_surfaces_and_blur_follows_from_it(capture: Path) -> None:
    truth = json.loads((capture / "ground_truth" / "transforms.json").read_text())
    for frame in truth["frames"]:
        name = Path(frame["file_path"]).stem
        depth = exr.read_channel(capture / "ground_truth" / "depth" / f"{name}.exr", "Z")
        coc = exr.read_channel(capture / "ground_truth" / "coc" / f"{name}.exr", "V")
        assert depth.shape == coc.shape == (48, 64)
        assert depth.min() > 0
        assert depth.min() < frame["focus_distance"] < depth.max()
        expected = 100 / 9 * (64 * 100 / 23.5) * abs(1 / depth.astype(float) - 1 / frame["focus_distance"])
        np.testing.assert_allclose(coc, expected, atol=1e-4)


def test_photos_lose_detail_where_the_circle_of_confusion_is_large(capture: Path) -> None:
    image = pytest.importorskip("PIL.Image")

    def pixels(path: str) -> np.ndarray:
        return np.asarray(image.open(capture / path), dtype=float)

    blurred, in_focus = [], []
    for name in ("view_000", "view_001"):
        coc = exr.read_channel(capture / f"ground_truth/coc/{name}.exr", "V")
        difference = abs(pixels(f"images/{name}.png") - pixels(f"ground_truth/sharp/{name}.png")).mean(axis=-1)
        blurred.extend(difference[coc > 3])
        in_focus.extend(difference[coc < 1])
    assert np.mean(blurred) > 1.5 * np.mean(in_focus)


def test_the_mesh_is_the_beetle_in_millimetres(capture: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.load(capture / "ground_truth" / "mesh.ply", process=False)
    length, width, height = mesh.extents
    assert 12 < length < 20
    assert 8 < width < 18
    assert 3 < height < 9


def test_overwritten_interrupted_and_resumed_it_is_the_same_to_the_byte(capture: Path, tmp_path: Path) -> None:
    """One long walk, since every child builds the scene anew."""
    folder = shutil.copytree(capture, tmp_path / "copy")
    (folder / "images" / "view_099.png").write_bytes(b"of an earlier capture")
    arguments = ["--output", str(folder), *TINY]
    child = subprocess.Popen(
        [sys.executable, SCRIPT, *arguments, "--overwrite", "--events", "json"], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if json.loads(line)["event"] == "progress":
            child.send_signal(signal.SIGTERM)
            break
    rest = child.stdout.read()
    assert child.wait() == 130
    assert json.loads(rest.splitlines()[-1]) == {"event": "cancelled"}
    assert set(contents(folder)) < FILES  # neither old frames nor halves of new ones
    assert not (folder / "transforms.json").exists()

    finished = ["images/view_001.png", "ground_truth/sharp/view_000.png", "ground_truth/depth/view_001.exr"]
    finished.append("ground_truth/mask/view_001.png")  # depth and mask are of one cast
    for path in finished:
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(capture / path, folder / path)
    times = [(folder / path).stat().st_mtime_ns for path in finished]
    run = make_dataset(*arguments, "--resume")
    assert run.returncode == 0, run.stderr
    assert [(folder / path).stat().st_mtime_ns for path in finished] == times
    assert contents(folder) == contents(capture)


def test_without_held_out_views_there_is_no_novel_folder(tmp_path: Path) -> None:
    smallest = ["--views", "1", "--held-out", "0", "--resolution", "16", "12", "--samples", "1"]
    run = make_dataset("--output", tmp_path / "capture", *smallest)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "capture" / "transforms.json").is_file()
    assert not (tmp_path / "capture" / "ground_truth" / "novel").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*TINY], "--overwrite"),
        ([*TINY, "--resume", "--f-number", "5.6"], "f-number"),
    ],
    ids=["not empty", "other settings"],
)
def test_another_capture_is_not_touched(capture: Path, arguments: list[str], words: str) -> None:
    before = contents(capture)
    run = make_dataset("--output", capture, *arguments)
    assert run.returncode == 1
    assert words in run.stderr
    assert run.stderr.count("\n") == 1
    assert contents(capture) == before


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    run = make_dataset("--output", tmp_path, *TINY, "--overwrite")
    assert run.returncode == 1
    assert "other files" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody may write to")
def test_an_unwritable_output_is_one_sentence() -> None:
    run = make_dataset("--output", "/proc/self/capture", *TINY)
    assert run.returncode == 1
    assert run.stderr == (
        "Error: /proc/self/capture: the output folder is not writable; "
        "choose another folder or change its permissions.\n"
    )
