# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver from command line to result folder, on a capture whose truth is known."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.cli import main
from solver.config import Defocus, ReconstructionSettings, settings_for
from solver.errors import SolverError
from solver.evaluation.evaluate import evaluate
from solver.events import Reporter
from solver.export.images import read_exr
from solver.optics.sharpness import local_sharpness
from solver.reconstruct import Job, reconstruct
from solver.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
QUICK = {"iterations": 300, "max_gaussians": 3000, "initial_gaussians": 2000, "sh_degree": 0}


def run(capture: Path, output: Path, **overrides) -> Path:
    settings = settings_for("draft", **{**QUICK, **overrides})
    return reconstruct(Job(capture, output, settings, device="cpu", command=["test"]), Reporter())


LONG = 1000  # iterations; detail comes late


@pytest.fixture(scope="session")
def trained(tiny_capture, tmp_path_factory) -> Callable[[Defocus], Path]:
    """Results of long runs by their way of defocus, each made once, when it is first asked for."""
    folder = tmp_path_factory.mktemp("results")
    return cache(lambda defocus: run(tiny_capture.folder, folder / defocus, iterations=LONG, defocus=defocus))


@pytest.fixture(scope="session")
def deblurred(trained) -> Path:
    return trained(ReconstructionSettings().defocus)


@pytest.fixture(scope="session")
def plain(trained) -> Path:
    return trained("none")


@pytest.fixture(scope="session")
def measured(tiny_capture) -> Callable[[Path], dict[str, Any]]:
    """What evaluation says of a folder, found out once."""
    return cache(lambda folder: evaluate(folder, tiny_capture.folder))


def test_deblurring_beats_plain_splatting(measured, deblurred, plain):
    sharper, floor = measured(deblurred), measured(plain)
    assert sharper["psnr_deblurred"] > floor["psnr_deblurred"] + 1.0
    assert sharper["psnr_deblurred_recoverable"] > floor["psnr_deblurred_recoverable"] + 1.0
    assert sharper["psnr_novel"] > floor["psnr_novel"] + 0.5
    assert sharper["depth_error_median"] < floor["depth_error_median"]


@pytest.mark.parametrize(("defocus", "margin"), [("dilation", 0.4), ("pupil", 0.8)])
def test_renderings_are_sharper_than_the_photos(tiny_capture, trained, measured, defocus, margin):
    """By `margin` dB nearer to the truth where detail is recoverable, and with a third of the detail that blur took."""
    folder = trained(defocus)
    ours, photos = measured(folder), measured(tiny_capture.folder / "images")
    assert ours["psnr_deblurred_recoverable"] > photos["psnr_deblurred_recoverable"] + margin

    def detail(images: Path) -> float:
        found = [np.asarray(Image.open(path), np.float32) / 255 for path in sorted(images.glob("view_*.png"))]
        assert len(found) == 10
        return float(np.mean([local_sharpness(image).mean() for image in found]))

    truth, blurred = detail(tiny_capture.folder / "ground_truth" / "sharp"), detail(tiny_capture.folder / "images")
    assert blurred + (truth - blurred) / 3 < detail(folder / "sharp") < truth


def test_lens_is_recovered(measured, deblurred, plain):
    """Plain splatting leaves the lens where it starts, so its errors are those of the start."""
    ours, start = measured(deblurred), measured(plain)
    assert ours["focus_distance_error_median"] < 0.8 * start["focus_distance_error_median"]
    assert abs(ours["pupil_diameter_error"]) < 0.25


def test_result_folder_is_whole(tiny_capture, deblurred):
    result = json.loads((deblurred / "result.json").read_text())
    assert result["format_version"] == 1
    assert result["unit_mm"] == 1.0
    assert result["settings"]["seed"] == 0
    assert len(result["photos"]) == 10
    for photo in result["photos"]:
        sharp = Image.open(deblurred / photo["sharp"])
        depth = read_exr(deblurred / photo["depth"], "Z")
        coc = read_exr(deblurred / photo["coc"], "V")
        assert sharp.size == depth.shape[::-1] == coc.shape[::-1] == (72, 54)
        surface = depth > 0
        expected = photo["pupil_diameter"] * 160 * np.abs(1 / depth[surface] - 1 / photo["focus_distance"])
        np.testing.assert_allclose(coc[surface], expected, rtol=1e-4, atol=1e-4)
        assert photo["psnr"] > 20
    assert result["splats"]["count"] == 3000
    assert result["mesh"]["faces"] > 100
    assert {"read", "prepare", "train", "surface", "coverage", "export"} <= result["timings_s"].keys()


def test_a_run_without_a_surface_has_the_rest(tiny_capture, tmp_path):
    reporter, settings = Reporter(), settings_for("draft", **{**QUICK, "iterations": 5, "surface": False})
    result = reconstruct(Job(tiny_capture.folder, tmp_path / "result", settings, device="cpu"), reporter)
    content = json.loads((result / "result.json").read_text())
    assert content["mesh"] is None
    assert not (result / "mesh.ply").exists()
    assert (result / content["photos"][0]["sharp"]).exists()
    assert not any("surface" in warning for warning in reporter.warnings)  # none was looked for


def test_a_run_repeats_itself(tiny_capture, tmp_path):
    first, second = (run(tiny_capture.folder, tmp_path / name, iterations=60) for name in "ab")
    assert (first / "splats.ply").read_bytes() == (second / "splats.ply").read_bytes()


def test_resume_ends_where_an_unbroken_run_ends(tiny_capture, tmp_path):
    """Ended by SIGTERM after its first checkpoint, then resumed: the same splats to the last bit."""
    unbroken = run(tiny_capture.folder, tmp_path / "unbroken", iterations=300, checkpoint_interval=40)
    arguments = [
        *("reconstruct", str(tiny_capture.folder), "--output", str(tmp_path / "broken"), "--preset", "draft"),
        *("--device", "cpu", "--events", "json", "--set", "checkpoint_interval=40", "iterations=300"),
        *(f"{name}={value}" for name, value in QUICK.items() if name != "iterations"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "solver", *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as child:
        deadline = time.monotonic() + 300
        while not (tmp_path / "broken" / "checkpoint.pt").exists():
            assert child.poll() is None, "the run ended before its first checkpoint"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        child.send_signal(signal.SIGTERM)
        output, _ = child.communicate(timeout=60)
        assert child.returncode == 130
    assert json.loads(output.splitlines()[-1])["event"] == "cancelled"
    assert not (tmp_path / "broken" / "result.json").exists()

    assert main([*arguments, "--resume"]) == 0
    resumed = json.loads((tmp_path / "broken" / "result.json").read_text())
    assert resumed["settings"]["iterations"] == 300
    assert (tmp_path / "broken" / "splats.ply").read_bytes() == (unbroken / "splats.ply").read_bytes()


def test_a_dark_background_can_become_light_again(tiny_capture, tmp_path):
    """The photos' is 0.3; the optimizer overshoots from black to below it, where nothing is seen of it."""
    settings = settings_for("draft", **{**QUICK, "initial_gaussians": 50, "max_gaussians": 100, "growth": 0})
    capture = load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False)
    trainer = Trainer(
        capture,
        settings,
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    with torch.no_grad():
        trainer.scene.background.fill_(-0.02)
    trainer.run()
    assert trainer.scene.background.min() > 0.02


def test_resume_with_other_settings_is_refused(tiny_capture, deblurred):
    settings = settings_for("draft", **{**QUICK, "iterations": LONG, "seed": 5})
    with pytest.raises(SolverError, match=r"other settings \(seed\)"):
        reconstruct(Job(tiny_capture.folder, deblurred, settings, device="cpu", resume=True), Reporter())
    assert (deblurred / "result.json").exists()


def test_damaged_checkpoint_is_told(tiny_capture, tmp_path):
    output = tmp_path / "damaged"
    output.mkdir()
    (output / "checkpoint.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(SolverError, match="checkpoint is damaged"):
        reconstruct(
            Job(tiny_capture.folder, output, settings_for("draft", **QUICK), device="cpu", resume=True), Reporter()
        )


def test_training_on_sharp_images_is_the_ceiling(tiny_capture, measured, deblurred, tmp_path):
    oracle = run(tiny_capture.folder, tmp_path / "oracle", iterations=LONG, train_on="sharp")
    ceiling, ours = measured(oracle), measured(deblurred)
    assert ceiling["psnr_deblurred"] > ours["psnr_deblurred"] + 1.0


def test_held_out_photos_are_measured_but_not_trained_on(tiny_capture, tmp_path):
    result = run(tiny_capture.folder, tmp_path / "held", hold_out=5, iterations=300)
    content = json.loads((result / "result.json").read_text())
    assert [photo["held_out"] for photo in content["photos"]] == [i % 5 == 0 for i in range(10)]
    assert content["metrics"]["psnr_held_out"] > 12
    assert content["metrics"]["psnr_held_out"] < content["metrics"]["psnr_train"]


def test_masked_out_pixels_neither_count_nor_grow_splats(tiny_capture, tmp_path):
    """All but the middle of every photo is masked out: what stands there is not built."""
    masks = tmp_path / "masks"
    masks.mkdir()
    pixels = np.zeros((54, 72), np.uint8)
    pixels[10:44, 16:56] = 255
    for image in (tiny_capture.folder / "images").iterdir():
        Image.fromarray(pixels).save(masks / image.name)
    settings = settings_for("draft", **QUICK)
    result = reconstruct(Job(tiny_capture.folder, tmp_path / "masked", settings, masks=masks, device="cpu"), Reporter())
    from plyfile import PlyData

    table = PlyData.read(str(result / "splats.ply"))["vertex"]
    opacity = 1 / (1 + np.exp(-table["opacity"]))
    outside = np.hypot(table["x"], table["y"]) > 18  # the plate's corners reach 31
    assert opacity[outside].sum() < 0.1 * opacity.sum()
    assert opacity.sum() > 50


def test_render_writes_what_the_result_has(tiny_capture, deblurred, tmp_path):
    code = main(
        ["render", str(deblurred), "--cameras", str(tiny_capture.folder / "transforms.json"), "--output", str(tmp_path)]
    )
    assert code == 0
    ours = np.asarray(Image.open(tmp_path / "images" / "view_03.png")).astype(int)
    theirs = np.asarray(Image.open(deblurred / "sharp" / "view_03.png")).astype(int)
    assert np.abs(ours - theirs).max() <= 1
    np.testing.assert_allclose(
        read_exr(tmp_path / "images" / "view_03.exr", "Z"),
        read_exr(deblurred / "depth" / "view_03.exr", "Z"),
        rtol=1e-4,
    )


def test_evaluate_writes_json(tiny_capture, deblurred, tmp_path, capsys):
    path = tmp_path / "numbers.json"
    assert main(["evaluate", str(deblurred), "--ground-truth", str(tiny_capture.folder), "--json", str(path)]) == 0
    numbers = json.loads(path.read_text())
    for key in ("psnr_deblurred", "psnr_novel", "ssim_deblurred", "ssim_novel"):
        assert numbers[key] is not None
        assert numbers[f"{key}_recoverable"] is not None
    told = capsys.readouterr().out
    assert "PSNR, dB" in told
    assert f"{numbers['psnr_deblurred']:.2f}" in told
