# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is steered through a file in its output folder."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from solver.cli import main
from solver.config import settings_for
from solver.errors import Cancelled, SolverError
from solver.events import Reporter
from solver.reconstruct import Job, reconstruct
from solver.steering import STEERING_FILE, Steering, steer

ROOT = Path(__file__).resolve().parents[2]
STEPS = 60


class Steersman(Reporter):
    """Leaves a wish when so many steps of the training are done, and notes what is said."""

    def __init__(self, output: Path, wishes: dict[int, str]) -> None:
        super().__init__()
        self.output, self.wishes, self.heard = output, wishes, []

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        if total == STEPS and done in self.wishes:
            steer(self.output, self.wishes.pop(done))

    def _emit(self, event, **content) -> None:
        self.heard.append(event)


@pytest.fixture
def job(tiny_capture, tmp_path, monkeypatch) -> Job:
    monkeypatch.setattr("solver.steering._LOOK_INTERVAL_S", 0.001)  # else so short a run would be over before
    settings = settings_for(
        "draft", iterations=STEPS, max_gaussians=900, initial_gaussians=500, sh_degree=1, surface=False
    )
    return Job(tiny_capture.folder, tmp_path / "result", settings, device="cpu")


def test_without_a_file_a_run_runs(tmp_path):
    assert Steering(tmp_path).wish() == "run"
    assert Steering().wish() == "run"


@pytest.mark.parametrize("content", [b"", b"stop", b"\xff\xfe", b"pause" * 10_000])
def test_what_is_no_wish_changes_nothing(tmp_path, content):
    (tmp_path / STEERING_FILE).write_bytes(content)
    assert Steering(tmp_path).wish() == "run"


@pytest.fixture
def refusing(monkeypatch):
    """Lets the first calls of a function of `os` fail, as on Windows while another program has the file open."""

    def refuse(name, times):
        real, calls = getattr(os, name), []

        def function(*arguments, **named):
            calls.append(arguments)
            if len(calls) <= times:
                raise PermissionError(errno.EACCES, "Access is denied", str(arguments[0]))
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, function)
        return calls

    return refuse


def test_a_wish_arrives_although_the_file_is_being_read(tmp_path, refusing):
    steer(tmp_path, "pause")
    calls = refusing("replace", 3)
    steer(tmp_path, "finish")
    assert len(calls) == 4
    assert Steering(tmp_path).wish() == "finish"
    assert [path.name for path in tmp_path.iterdir()] == [STEERING_FILE]


def test_a_wish_that_cannot_be_left_is_one_sentence(tmp_path, refusing, capsys):
    calls = refusing("replace", 10**6)
    assert main(["steer", str(tmp_path), "finish"]) == 1
    told = capsys.readouterr().err
    assert STEERING_FILE in told and "Traceback" not in told
    assert 1 < len(calls) < 100  # again, and not for ever
    assert list(tmp_path.iterdir()) == []


def test_a_wish_is_forgotten_although_the_file_is_being_read(tmp_path, refusing):
    steer(tmp_path, "cancel")
    refusing("unlink", 3)
    Steering(tmp_path).forget()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_now_leaves_the_last_wish(tmp_path, monkeypatch):
    """A pause must not end because somebody looks at the file; what is wished then is heard at the next step."""
    monkeypatch.setattr("solver.steering._LOOK_INTERVAL_S", 0.2)
    steer(tmp_path, "pause")
    steering = Steering(tmp_path)
    assert steering.wish() == "pause"
    time.sleep(0.21)
    real, locked = Path.open, True

    def open_unless_locked(path, *arguments, **named):
        if locked and path.name == STEERING_FILE:
            raise PermissionError(errno.EACCES, "Access is denied", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", open_unless_locked)
    assert steering.wish() == "pause"
    steer(tmp_path, "finish")
    locked = False
    assert steering.wish() == "finish"  # without waiting for another fifth of a second


def test_finishing_early_writes_a_whole_result(job):
    reporter = Steersman(job.output, {20: "finish"})
    reconstruct(job, reporter)
    result = json.loads((job.output / "result.json").read_text())
    (told,) = [warning for warning in result["warnings"] if "finished early" in warning]
    steps = int(told.split("after ")[1].split(" of")[0])
    assert 20 <= steps < STEPS
    assert len(list((job.output / "sharp").iterdir())) == len(result["photos"])
    assert not (job.output / STEERING_FILE).exists()  # or the next run would finish early too
    reconstruct(Job(**{**vars(job), "resume": True}), Reporter())
    assert not any("finished early" in w for w in json.loads((job.output / "result.json").read_text())["warnings"])


def test_a_pause_lasts_until_told_otherwise(job):
    reporter = Steersman(job.output, {20: "pause"})
    paused, ended = threading.Event(), threading.Event()
    emit = reporter._emit

    def note(event, **content):
        emit(event, **content)
        if event == "paused":
            paused.set()

    reporter._emit = note

    def work() -> None:
        reconstruct(job, reporter)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert paused.wait(120)
    assert not ended.wait(1.0)
    assert (job.output / "checkpoint.pt").is_file()  # a machine that is switched off meanwhile loses nothing
    steer(job.output, "run")
    assert ended.wait(120)
    thread.join()
    told = [event for event in reporter.heard if event in ("paused", "going_on", "done")]
    assert told == ["paused", "going_on", "done"]


def test_cancelling_leaves_a_checkpoint_and_no_result(job):
    with pytest.raises(Cancelled):
        reconstruct(job, Steersman(job.output, {20: "cancel"}))
    assert (job.output / "checkpoint.pt").is_file()
    assert not (job.output / "result.json").exists()
    assert not (job.output / STEERING_FILE).exists()


@pytest.mark.parametrize("stage", ["surface", "coverage", "export"])
def test_cancelling_after_the_training_leaves_no_result_either(job, stage):
    class Late(Steersman):
        def stage(self, name: str, told: str) -> None:
            super().stage(name, told)
            if name == stage:
                steer(self.output, "cancel")
                time.sleep(0.01)  # until the file is looked at again

    with pytest.raises(Cancelled):
        reconstruct(job, Late(job.output, {}))
    assert (job.output / "checkpoint.pt").is_file()
    assert not (job.output / "result.json").exists()


def test_a_finished_result_that_is_gone_on_with_is_none_while_its_files_change(job, monkeypatch):
    reconstruct(job, Reporter())
    assert (job.output / "result.json").exists()

    def interrupted(*arguments, **named):
        raise Cancelled

    monkeypatch.setattr("solver.export.result.write_transforms", interrupted)
    with pytest.raises(Cancelled):
        reconstruct(Job(**{**vars(job), "resume": True}), Reporter())
    assert (job.output / "checkpoint.pt").is_file()
    assert not (job.output / "result.json").exists()


def test_a_mesh_that_the_resumed_result_lacks_is_removed(job):
    reconstruct(job, Reporter())
    for name in ("mesh.ply", "mesh.glb", "texture.png"):
        (job.output / name).write_bytes(b"of an earlier run")
    reconstruct(Job(**{**vars(job), "resume": True}), Reporter())
    assert json.loads((job.output / "result.json").read_text())["mesh"] is None
    assert not [name for name in ("mesh.ply", "mesh.glb", "texture.png") if (job.output / name).exists()]


def test_a_pause_does_not_change_the_result(job, tmp_path):
    untouched = Job(**{**vars(job), "output": tmp_path / "untouched"})
    reconstruct(untouched, Reporter())
    reporter = Steersman(job.output, {20: "pause"})
    going = threading.Timer(1.0, steer, (job.output, "run"))
    going.start()
    reconstruct(job, reporter)
    going.join()
    assert "paused" in reporter.heard
    assert (job.output / "splats.ply").read_bytes() == (untouched.output / "splats.ply").read_bytes()


def test_the_command_leaves_word(tmp_path):
    assert main(["steer", str(tmp_path), "finish"]) == 0
    assert Steering(tmp_path).wish() == "finish"


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SolverError, match="no run writes to this folder"):
        steer(tmp_path / "nowhere", "pause")
    answer = subprocess.run(
        [sys.executable, "-m", "solver", "steer", str(tmp_path / "nowhere"), "pause"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
