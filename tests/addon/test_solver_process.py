# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipe to the child: events, ends of every kind, cancel, and the child's surroundings.

The children here are small Python programs that print events; the real solver is in test_button.py.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from blender_addon import solver_process
from blender_addon.errors import MacroError
from blender_addon.solver_process import Request, SolverProcess

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a child could hear")


@pytest.fixture
def child(tmp_path):
    """Starts a program given as text; ends it after the test whatever happened."""
    started = []

    def start(program):
        process = SolverProcess(
            [sys.executable, "-c", program], cwd=tmp_path, log_path=tmp_path / "logs" / "log", cache=tmp_path / "cache"
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.end(1)


def say(event, **content):
    return f"print({json.dumps({'event': event, **content})!r}, flush=True)\n"


def test_events_arrive_in_order_and_the_result_is_known(child):
    process = child(
        say("stage", name="train", title="Training")
        + say("progress", done=1, total=2, seconds_left=None)
        + say("done", result="/somewhere")
    )
    heard = []
    outcome = process.wait(heard.append)
    assert [event["event"] for event in heard] == ["stage", "progress", "done"]
    assert (outcome.kind, outcome.result) == ("done", Path("/somewhere"))


def test_reported_error_is_the_message(child):
    sentence = "a/b.png: the image cannot be decoded; export it again."
    outcome = child(say("error", what="x", where="y", remedy="z", message=sentence) + "exit(1)").wait(lambda _: None)
    assert (outcome.kind, outcome.message) == ("error", sentence)


def test_traceback_is_one_sentence_and_the_rest_is_in_the_log(child):
    process = child("print('no event'); print('[1, 2]'); raise ValueError('this broke')")
    outcome = process.wait(lambda _: None)
    assert outcome.kind == "error"
    assert "exit code 1" in outcome.message and "ValueError: this broke" in outcome.message
    assert "\n" not in outcome.message
    log = process.log_path.read_text()
    assert "Traceback" in log and "no event" in log and "[1, 2]" in log


def test_missing_module_is_explained(child):
    outcome = child("import no_such_module_at_all").wait(lambda _: None)
    assert "lacks the module no_such_module_at_all" in outcome.message


def test_done_does_not_hide_a_bad_exit(child):
    outcome = child(say("done", result="/somewhere") + "exit(3)").wait(lambda _: None)
    assert outcome.kind == "error"
    assert "exit code 3" in outcome.message


def test_killed_child_is_an_error(child):
    outcome = child("import os, signal; os.kill(os.getpid(), 9)" if os.name == "posix" else "exit(9)").wait(
        lambda _: None
    )
    assert outcome.kind == "error"


@POSIX
def test_cancel_lets_the_child_finish_its_checkpoint(child, tmp_path):
    program = (
        "import signal, time\n"
        "def stop(*_):\n"
        "    open('checkpoint.pt', 'w').close()\n"
        f"    {say('cancelled')}"
        "    raise SystemExit(130)\n"
        "signal.signal(signal.SIGTERM, stop)\n" + say("stage", name="train", title="Training") + "time.sleep(60)\n"
    )
    process = child(program)

    def cancel(_event):
        process.cancel()

    assert process.wait(cancel).kind == "cancelled"
    assert (tmp_path / "checkpoint.pt").exists()


@POSIX
def test_a_child_that_does_not_hear_is_killed(child, monkeypatch):
    monkeypatch.setattr(solver_process, "GRACE_S", 0.3)
    process = child(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        + say("stage", name="x", title="X")
        + "time.sleep(60)"
    )
    assert process.wait(lambda _: process.cancel()).kind == "cancelled"


@POSIX
def test_a_process_left_behind_does_not_keep_the_run_open(child):
    process = child(
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        + say("done", result="/x")
    )
    assert process.wait(lambda _: None).kind == "done"


def test_an_interrupt_ends_the_child(child):
    process = child(say("stage", name="x", title="X") + "import time; time.sleep(60)")

    def interrupt(_event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.wait(interrupt)
    assert not process.running


def test_listening_never_waits(child):
    process = child("import time; time.sleep(60)")
    for _ in range(100):
        assert list(process.events()) == []
    assert process.running  # a call that waited for the pipe would have outlasted the child


def test_child_has_clean_surroundings(child, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("VIRTUAL_ENV", "/nowhere")
    heard = []
    child(
        "import json, os, sys\nprint(json.dumps({'event': 'metric', 'env': dict(os.environ), 'cwd': os.getcwd()}))\n"
    ).wait(heard.append)
    environment = heard[0]["env"]
    assert not {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "VIRTUAL_ENV"} & environment.keys()
    assert environment["PYTHONNOUSERSITE"] == environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["NUMBA_CACHE_DIR"] == str(tmp_path / "cache")
    assert heard[0]["cwd"] == str(tmp_path)


def test_request_is_spelled_as_the_solver_takes_it(tmp_path):
    assert Request(tmp_path / "in", tmp_path / "out").arguments() == [
        "reconstruct", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--preset", "standard",
        "--device", "auto", "--events", "json",
    ]  # fmt: skip
    full = Request(tmp_path, tmp_path, tmp_path / "m", "draft", 300, 50, "cpu", 3, True).arguments()
    for pair in ("--max-size 300", "--iterations 50", "--seed 3", "--device cpu", f"--masks {tmp_path / 'm'}"):
        assert pair in " ".join(full)
    assert full[-1] == "--resume"


@pytest.mark.parametrize("make", ["", "missing", "folder", "text"])
def test_unusable_python_is_one_sentence(tmp_path, make):
    path = tmp_path / make if make else None
    if make == "folder":
        path.mkdir()
    if make == "text":
        path.write_text("not a program")
        path.chmod(0o644)
    if make == "text" and os.access(path, os.X_OK):
        pytest.skip("everything is executable here")
    with pytest.raises(MacroError, match="the solver's Python") as caught:
        solver_process.start(Request(tmp_path, tmp_path / "out"), str(path or ""), tmp_path)
    assert "preferences" in caught.value.sentence
    assert not (tmp_path / "out").exists()
    fine, message = solver_process.doctor(str(path or ""), tmp_path)
    assert not fine and "the solver's Python" in message


@POSIX
def test_program_of_the_wrong_kind(tmp_path):
    program = tmp_path / "python"
    program.write_bytes(b"\x7fELF garbage")
    program.chmod(0o755)
    with pytest.raises(MacroError, match="cannot be started"):
        solver_process.start(Request(tmp_path, tmp_path / "out"), str(program), tmp_path)
    assert "cannot be started" in solver_process.doctor(str(program), tmp_path)[1]


@POSIX
def test_doctor_that_hangs_is_given_up(tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    fine, message = solver_process.doctor(str(program), tmp_path, timeout_s=0.5)
    assert not fine and "no answer" in message


def test_log_moves_only_into_a_folder_that_the_solver_made(tmp_path):
    log = tmp_path / "log"
    log.write_text("x")
    (tmp_path / "holiday photos").mkdir()
    assert solver_process.keep_log(log, tmp_path / "holiday photos") == log
    assert solver_process.keep_log(log, tmp_path / "never made") == log
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "result.json").write_text("{}")
    assert solver_process.keep_log(log, tmp_path / "result") == tmp_path / "result" / "solver.log"
    assert (tmp_path / "result" / "solver.log").read_text() == "x"
