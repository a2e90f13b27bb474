# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs as child processes: events, ends of every kind, cancel, being found again, and the child's surroundings.

The children here are small Python programs that print events; the real solver is in test_button.py.
"""

import errno
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from blender_addon import hearing, locks, run_records, runs, solver_process
from blender_addon.errands import Errand
from blender_addon.errors import MacroError
from blender_addon.reconstruction import Job
from blender_addon.run_records import Origin
from blender_addon.runs import StartedRun
from blender_addon.solver_process import Request

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a child could hear")


@pytest.fixture
def child(tmp_path):
    """Starts a program given as text; ends it after the test whatever happened."""
    started = []

    def start(program):
        process = runs.start_child(
            [sys.executable, "-c", program],
            tmp_path,
            output=tmp_path / "result",
            capture=tmp_path,
            origin=Origin("a.blend", "Scene"),
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process._child.poll() is None:
            process._child.kill()
            process._child.wait()


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
    monkeypatch.setattr(runs, "GRACE_S", 0.3)
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
    full = Request(
        tmp_path, tmp_path, masks=tmp_path / "m", preset="draft", max_size=300, iterations=50, device="cpu", seed=3,
        make_masks="auto", focal_length_mm=100.0, f_number=2.8, sensor_width_mm=23.5, marker_mm=5.0,
        close_holes=True, resume=True,
    ).arguments()  # fmt: skip
    for pair in ("--max-size 300", "--iterations 50", "--seed 3", "--device cpu", f"--masks {tmp_path / 'm'}"):
        assert pair in " ".join(full)
    for pair in ("--make-masks auto", "--focal-length-mm 100.0", "--f-number 2.8", "--marker-mm 5.0"):
        assert pair in " ".join(full)
    assert "--sensor-width-mm 23.5" in " ".join(full)
    assert "close_holes=true" in full
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
    told = "the solver's Python" if make else "the solver is not installed"
    with pytest.raises(MacroError, match=told) as caught:
        runs.start(Request(tmp_path, tmp_path / "out"), str(path or ""), tmp_path)
    assert "preferences" in caught.value.sentence
    assert not (tmp_path / "out").exists()
    fine, message = solver_process.doctor(str(path or ""), tmp_path)
    assert not fine and told in message


@POSIX
def test_program_of_the_wrong_kind(tmp_path):
    program = tmp_path / "python"
    program.write_bytes(b"\x7fELF garbage")
    program.chmod(0o755)
    with pytest.raises(MacroError, match="cannot be started"):
        runs.start(Request(tmp_path, tmp_path / "out"), str(program), tmp_path)
    assert "cannot be started" in solver_process.doctor(str(program), tmp_path)[1]


@POSIX
def test_doctor_that_hangs_is_given_up(tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    fine, message = solver_process.doctor(str(program), tmp_path, timeout_s=0.5)
    assert not fine and "no answer" in message


@pytest.mark.parametrize("place", ["holiday photos", "never made", "result"])
def test_the_log_moves_only_into_a_folder_that_the_solver_made(child, tmp_path, place):
    (tmp_path / "holiday photos").mkdir()
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "result.json").write_text("{}")
    run = child("print('said')")
    run.output = tmp_path / place
    run.wait(lambda _: None)
    log_path = run.settle()
    assert "said" in log_path.read_text()
    assert log_path.parent == (tmp_path / "result" if place == "result" else tmp_path)
    assert not run.folder.exists()


def test_the_log_of_an_errand_leaves_that_of_the_last_run(child, tmp_path):
    run = child("print('reconstructed')")
    run.wait(lambda _: None)
    log = run.settle()
    errand = Errand(run=child("print('looked')"))
    while errand.phase == "running":
        errand.hear()
    assert "reconstructed" in log.read_text()
    assert "looked" in (tmp_path / "last-errand.log").read_text()


def test_a_run_that_cannot_be_noted_does_not_run(child, tmp_path, monkeypatch):
    monkeypatch.setattr(run_records, "RECORD", "no such folder/job.json")
    with pytest.raises(MacroError, match="cannot be noted"):
        child("import time; time.sleep(0.5); open('alive', 'w')")
    assert list((tmp_path / "jobs").iterdir()) == []
    time.sleep(1.0)
    assert not (tmp_path / "alive").exists()


def test_a_settled_run_is_not_found_again_even_where_its_log_cannot_move(child, tmp_path):
    in_the_way = tmp_path / "result" / "solver.log" / "solver.log"
    in_the_way.mkdir(parents=True)
    (tmp_path / "result" / "result.json").write_text("{}")
    run = child("print('said')")
    run.wait(lambda _: None)
    assert "said" in run.settle().read_text()
    assert runs.adopt(tmp_path) == []


def test_what_cannot_be_killed_does_not_keep_blender_open(child, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "GRACE_AT_EXIT_S", 0.2)
    (tmp_path / "result").mkdir()
    first = child("pass")
    first._child.wait()
    first.leave()
    (found,) = runs.adopt(tmp_path)
    held = locks.take(tmp_path / "result" / "run.lock")  # by one who does not say who it is
    found.end(0.1)
    assert found.outcome is None
    held.release()


def test_lines_that_are_half_written_or_endless_do_no_harm(child, monkeypatch):
    monkeypatch.setattr(hearing, "CHUNK", 7)
    monkeypatch.setattr(hearing, "LONGEST_EVENT", 1000)
    process = child(
        "import sys, time\nout = sys.stdout\n"
        'out.write(\'{"event": "metric", "name"\'); out.flush(); time.sleep(0.3); out.write(\': "loss"}\\n\')\n'
        "out.write('x' * 5000 + '\\n')\n" + say("done", result="/x")
    )
    heard = []
    assert process.wait(heard.append).kind == "done"
    assert [event["event"] for event in heard] == ["metric", "done"]


def test_a_run_is_told_what_to_do(child, tmp_path):
    (tmp_path / "result").mkdir()
    run = child("import time; time.sleep(60)")
    run.steer("pause")
    assert (tmp_path / "result" / "steering.txt").read_text() == "pause"
    run.output = tmp_path / "gone"
    with pytest.raises(MacroError, match="cannot be told"):
        run.steer("finish")


@pytest.mark.parametrize("refusals", [3, 10**6])
def test_a_run_is_told_although_its_file_is_being_read(child, tmp_path, monkeypatch, refusals):
    """On Windows nothing can be renamed onto a file that another program has open."""
    (tmp_path / "result").mkdir()
    run = child("import time; time.sleep(60)")
    run.steer("pause")
    real, calls = os.replace, []

    def replace(*arguments):
        calls.append(arguments)
        if len(calls) <= refusals:
            raise PermissionError(errno.EACCES, "Access is denied")
        real(*arguments)

    monkeypatch.setattr(os, "replace", replace)
    if refusals == 3:
        run.steer("finish")
    else:
        with pytest.raises(MacroError, match=r"cannot be told \(Access is denied\)"):
            run.steer("finish")
    assert 3 < len(calls) < 100
    (left,) = (tmp_path / "result").iterdir()
    assert (left.name, left.read_text()) == ("steering.txt", "finish" if refusals == 3 else "pause")


HOLDING = (  # as the solver does it
    "import sys, time\nsys.path.insert(0, ROOT)\nfrom pathlib import Path\nfrom solver.run_lock import only_run_in\n"
    "Path('result').mkdir()\nwith only_run_in(Path('result')):\n"
    '    print(\'{"event": "stage", "name": "train"}\', flush=True)\n'
    "    while not Path('go').exists(): time.sleep(0.05)\n"
    '    print(\'{"event": "done", "result": "result"}\', flush=True)\n'
).replace("ROOT", repr(str(Path(__file__).resolve().parents[2])))


def hear_stage(run: StartedRun):
    while not any(event["event"] == "stage" for event in run.events()):
        assert run.running


def test_a_run_is_found_again_and_heard_from_its_beginning(child, tmp_path):
    first = child(HOLDING)
    hear_stage(first)
    assert runs.adopt(tmp_path) == []  # this Blender minds it
    first.leave()
    (found,) = runs.adopt(tmp_path)
    assert (found.record.process, found.output) == (first._child.pid, tmp_path / "result")
    assert (found.record.origin.blend_file, found.record.origin.scene) == ("a.blend", "Scene")
    assert runs.adopt(tmp_path) == []
    assert [event["event"] for event in found.events()] == ["stage"]
    assert found.running
    (tmp_path / "go").touch()
    first._child.wait()
    assert [event["event"] for event in found.events()] == ["done"]
    assert found.outcome.kind == "done"


@POSIX
def test_a_run_that_is_found_again_can_be_cancelled(child, tmp_path):
    first = child(HOLDING)
    hear_stage(first)
    first.leave()
    (found,) = runs.adopt(tmp_path)
    found.cancel()
    assert first._child.wait(10) != 0
    assert list(found.events()) and found.outcome.kind == "cancelled"


def test_a_run_that_ended_long_ago_did_not_last_until_now(child, tmp_path):
    first = child(say("done", result="/somewhere"))
    first._child.wait()
    first.leave()
    note = first.folder / "job.json"
    record = json.loads(note.read_text())
    note.write_text(json.dumps({**record, "started": record["started"] - 5000}))
    said = record["started"] - 4000
    os.utime(first.folder / "events.jsonl", (said, said))
    (run,) = runs.adopt(tmp_path)
    assert list(run.events())
    found = Job(output=run.output, run=run)
    found.conclude(run.outcome)
    assert found.took_s == pytest.approx(1000, abs=1)


def test_a_run_that_died_unwatched_is_told(child, tmp_path):
    first = child(HOLDING)
    hear_stage(first)
    first.leave()
    first._child.kill()
    first._child.wait()
    (found,) = runs.adopt(tmp_path)
    list(found.events())
    assert found.outcome.kind == "error"
    assert "stopped unexpectedly" in found.outcome.message


NUMBER = '{"output": "/o", "capture": "/c", "process": 1e400, "started": 1, "origin": {"blend_file": "", "scene": ""}}'


@pytest.mark.parametrize("note", ["", "{", "[]", '{"output": 1}', NUMBER, "[" * 100_000, None])
def test_broken_notes_of_runs_are_put_away(tmp_path, note):
    folder = tmp_path / "jobs" / "1-2"
    folder.mkdir(parents=True)
    if note is not None:
        (folder / "job.json").write_text(note)
    assert runs.adopt(tmp_path) == []
    assert not folder.exists()


def test_a_lock_goes_with_its_holder(tmp_path):
    path = tmp_path / "lock"
    held = locks.take(path)
    assert held is not None
    assert locks.is_held(path)
    assert locks.take(path) is None
    held.release()
    assert not locks.is_held(path)
    assert not path.exists()


def test_a_lock_has_one_holder_although_each_removes_the_file(tmp_path):
    """Another one may have opened the file just before, and would lock what is no longer there."""
    holders, most, taken = 0, 0, 0
    counting = threading.Lock()

    def hold_often():
        nonlocal holders, most, taken
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            held = locks.take(tmp_path / "lock")
            if held is None:
                continue
            with counting:
                holders, taken = holders + 1, taken + 1
                most = max(most, holders)
            time.sleep(0)
            with counting:
                holders -= 1
            held.release()

    threads = [threading.Thread(target=hold_often) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken > 1
    assert most == 1


@POSIX
def test_a_lock_is_released_although_its_file_cannot_be_removed(tmp_path):
    path = tmp_path / "lock"
    held = locks.take(path)
    path.unlink()
    path.mkdir()
    held.release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held._handle)


def test_each_job_has_a_folder_of_its_own_however_coarse_the_clock(tmp_path, monkeypatch):
    """That of Windows stands still for sixteen thousandths of a second."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() // 16_000_000 * 16_000_000)
    folders = [runs.new_folder(tmp_path)[0] for _ in range(4)]
    assert sorted(set(folders)) == folders
