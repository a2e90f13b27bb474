# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality table from one end to the other: real renders, real trainings, tiny ones."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
METHODS = ("blurred", "stack", "dilation")

pytest.importorskip("bpy", reason="rendering needs Blender's module")


@dataclass(frozen=True)
class Run:
    """How a run of the benchmark ended, and where it left things."""

    code: int
    told: str
    work: Path

    @property
    def page(self) -> str:
        return (self.work / "page.md").read_text()

    @property
    def numbers(self) -> dict:
        return json.loads((self.work / "quality_tiny.json").read_text())

    def times(self) -> dict[str, int]:
        """When each file was written, but for pages and logs."""
        return {
            path.relative_to(self.work).as_posix(): path.stat().st_mtime_ns
            for path in (self.work / "tiny").rglob("*")
            if path.is_file() and path.suffix != ".log"
        }


def command(work: Path, *further: str) -> list[str]:
    program = [sys.executable, str(ROOT / "benchmarks" / "quality.py"), "--preset", "tiny", "--scenes", "beetle"]
    return [*program, "--methods", *METHODS, "--work", str(work), "--page", str(work / "page.md"), *further]


def environment(work: Path) -> dict[str, str]:
    return {**os.environ, "MACRO_RECONSTRUCTION_LPIPS": str(work / "no weights")}  # quick


def benchmark(work: Path, *further: str) -> Run:
    done = subprocess.run(
        command(work, *further), env=environment(work), capture_output=True, text=True, timeout=900, check=False
    )
    return Run(done.returncode, done.stdout + done.stderr, work)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    return benchmark(tmp_path_factory.mktemp("quality"))


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """The same work again, to be changed; the rest is kept as it is whatever happens to the sources meanwhile."""
    return shutil.copytree(finished.work, tmp_path / "work", copy_function=shutil.copy2)


def test_the_table_is_filled(finished):
    assert finished.code == 0, finished.told
    results = finished.numbers["results"]
    assert results["dilation"]["beetle"]["values"]["psnr_novel"] > 10
    assert results["blurred"]["beetle"]["values"]["psnr_deblurred"] > 15
    assert results["stack"]["beetle"]["values"]["psnr_novel"] > 8
    assert results["stack"]["beetle"]["values"]["psnr_fused"] > 15
    assert "psnr_deblurred" not in results["stack"]["beetle"]["values"]
    assert results["dilation"]["beetle"]["values"]["seconds"] > 1
    assert results["dilation"]["beetle"]["values"]["peak_memory_mib"] > 100
    for title in ("blurred photos", "focus stack", "ours: dilation"):
        assert f"| {title} | " in finished.page
        assert title in finished.told
    with Image.open(finished.work / "images" / "page.jpg") as picture:
        assert picture.width == 4 * 204 - 4  # three methods and the truth
    for kept in (finished.page, json.dumps(finished.numbers)):  # nothing of this machine's folders
        assert str(ROOT) not in kept
        assert str(finished.work) not in kept


def test_a_second_run_does_nothing(finished):
    before = finished.times()
    again = benchmark(finished.work, "--keep-captures")
    assert again.code == 0, again.told
    assert finished.times() == before
    assert "left for the table" not in again.told


def test_only_what_changed_is_done_again(copied):
    """The measurement was made by another version, as its key says; then the training too."""
    cells = copied / "tiny" / "cells"
    before = Run(0, "", copied).times()
    spoil(cells / "beetle-dilation-0-measure.json")
    again = benchmark(copied, "--keep-captures")
    assert again.code == 0, again.told
    changed = {name for name, when in again.times().items() if before.get(name) != when}
    assert changed == {
        "tiny/cells/beetle-dilation-0-measure.json",
        "tiny/runs/beetle/beetle-dilation-0-measured.json",
    }


def spoil(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "key": "another"}))


def test_a_cell_that_fails_is_told_and_the_rest_goes_on(copied):
    cells, photo = copied / "tiny" / "cells", next((copied / "tiny" / "captures" / "beetle" / "images").glob("*.png"))
    before = Run(0, "", copied).times()
    photo.write_bytes(photo.read_bytes()[:200])
    for step in ("dilation-0-train", "blurred-0-measure"):
        spoil(cells / f"beetle-{step}.json")
    again = benchmark(copied, "--keep-captures")
    assert again.code == 1
    assert "beetle-dilation-0-train failed: " in again.told  # the photo is left out, and the checkpoint has it
    assert "the checkpoint belongs to other " in again.told
    assert "Traceback" not in again.told
    assert "| ours: dilation | - | - |" in again.page
    assert again.numbers["failures"] == ["beetle-blurred-0-measure", "beetle-dilation-0-train"]
    assert again.numbers["results"]["stack"]["beetle"]["values"]["psnr_novel"] > 8
    assert again.times()["tiny/cells/beetle-stack-0-train.json"] == before["tiny/cells/beetle-stack-0-train.json"]


def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path):
    with subprocess.Popen(
        command(tmp_path), env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        captures = tmp_path / "tiny" / "captures"
        deadline = time.monotonic() + 300
        while not list(captures.rglob("depth/*.exr")) and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        told, _ = child.communicate(timeout=120)
    assert child.returncode == 130, told
    assert "The same command goes on from here." in told
    assert "Traceback" not in told
    assert not (captures / "beetle" / "transforms.json").exists(), told
    assert {path.name for path in (tmp_path / "tiny" / "cells").iterdir()} == {"beetle-photos-render.stopped.json"}


@pytest.mark.parametrize(
    "wrong", [("--methods", "magic"), ("--scenes", "unicorn"), ("--workers", "0"), ("--preset", "huge")]
)
def test_wrong_usage(wrong, tmp_path):
    done = benchmark(tmp_path, *wrong)
    assert done.code == 2
    assert "Traceback" not in done.told
    assert not (tmp_path / "tiny").exists()
