# SPDX-License-Identifier: GPL-3.0-or-later
"""Children besides reconstructions end with their Blender, even one that is killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_addon import runs
from blender_addon.solver_process import ATTENDED

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120  # on a busy machine
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a killed process is told from /proc and by signals")
INSPECT = "capture_check.begin(Request(folder / 'photos', folder), {python!r}, folder, folder / 'temporary')"
RENDER = "rendering.begin(rendering.RenderRequest(folder / 'capture', preset='full'), '', folder)"


def is_at_work(process):
    """Whether a process is there and more than an entry in the table."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


def said(folder):
    """The events of the only child."""
    (events,) = (folder / "jobs").glob("*/events.jsonl")
    return [json.loads(line) for line in events.read_text().splitlines() if line.endswith("}")]


@POSIX
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_killed_blender_takes_its_inspection_with_it(bpy, solver_python, tmp_path):
    assert_ends_with_its_blender(INSPECT.format(python=solver_python), tmp_path)


@POSIX
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_killed_blender_takes_its_rendering_with_it(bpy, tmp_path):
    assert_ends_with_its_blender(RENDER, tmp_path)


def assert_ends_with_its_blender(begin, tmp_path):
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    for index in range(60):
        Image.fromarray(np.roll(pixels, index, axis=1)).save(tmp_path / "photos" / f"{index}.png", compress_level=0)
    program = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        "from blender_addon import capture_check, rendering\nfrom blender_addon.solver_process import Request\n"
        f"folder = Path({str(tmp_path)!r})\nprint({begin}.run._child.pid, flush=True)\ntime.sleep(600)\n"
    )
    blender = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        child = int(blender.stdout.readline())
        until(lambda: any(event["event"] == "progress" for event in said(tmp_path)))
        assert is_at_work(child)
    finally:
        blender.kill()
        blender.communicate()
    until(lambda: not is_at_work(child))
    told = [event["event"] for event in said(tmp_path)]
    assert "done" not in told
    assert told[-1] == "cancelled"  # it ended in an orderly way


@pytest.fixture
def attended(tmp_path):
    """Starts a program, given as text, under the watch."""
    started = []

    def start(program):
        (tmp_path / "program.py").write_text(program)
        command = [sys.executable, str(ATTENDED), str(tmp_path / "program.py"), "an argument"]
        started.append(runs.start_child(command, tmp_path, output=tmp_path, capture=tmp_path, cwd=tmp_path))
        return started[-1]

    yield start
    for run in started:
        run.end(0)


def first_event(run):
    until(lambda: any(True for _ in run.events()))


READY = 'print(\'{"event": "stage", "name": "x", "title": "X"}\', flush=True)\n'


def test_a_program_runs_as_python_itself_would(attended, tmp_path):
    (tmp_path / "neighbour.py").write_text("x = 7")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text("import sys, os\nassert sys.path[0] == os.getcwd(), sys.path")
    run = attended(
        "import sys, neighbour\nassert __name__ == '__main__' and sys.argv[1:] == ['an argument'], sys.argv\n"
        "assert sys.argv[0] == __file__, sys.argv\n"
        f"import subprocess\nsubprocess.run([sys.executable, {str(ATTENDED)!r}, 'package'], check=True)\n"
        'print(\'{"event": "done", "result": "x"}\')\n'
    )
    outcome = run.wait(lambda _: None)
    assert outcome.kind == "done", run.log_path.read_text()


def test_a_program_that_knows_nothing_of_signals_is_ended(attended):
    run = attended(READY + "import time\ntime.sleep(600)")
    first_event(run)
    run.cancel()
    until(lambda: list(run.events()) == [] and run.outcome is not None)
    assert run.outcome.kind == "cancelled"
    assert run._exit_code() == 130


def test_a_program_puts_away_what_is_half_written(attended, tmp_path):
    run = attended(
        "import signal, sys, time\ndef stop(*_):\n    open('put away', 'w').close()\n    sys.exit(3)\n"
        "signal.signal(signal.SIGTERM, stop)\n" + READY + "for _ in range(6000): time.sleep(0.1)"
    )
    first_event(run)
    run.cancel()
    until(lambda: list(run.events()) == [] and run.outcome is not None)
    assert (run._exit_code(), (tmp_path / "put away").exists()) == (3, True)
