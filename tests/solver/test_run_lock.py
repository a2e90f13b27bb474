# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs never write to one folder."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from solver import run_lock
from solver.errors import SolverError
from solver.run_lock import LOCK_FILE, only_run_in

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from solver.run_lock import only_run_in
with only_run_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def test_a_second_run_is_refused_while_the_first_is_alive(tmp_path):
    with holder(tmp_path) as child:
        with pytest.raises(SolverError, match="another run writes to this folder"), only_run_in(tmp_path):
            pass
        assert (tmp_path / LOCK_FILE).read_text() == str(child.pid)
        child.communicate("")
    with only_run_in(tmp_path):
        pass
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_run_that_was_killed_stands_in_nobodys_way(tmp_path):
    with holder(tmp_path) as child:
        child.kill()
        child.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with only_run_in(tmp_path):
        pass


def test_the_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(ValueError), only_run_in(tmp_path):
        raise ValueError
    with only_run_in(tmp_path):
        pass


def test_a_look_from_outside_does_not_refuse_a_run(tmp_path, monkeypatch):
    """Asking whether a run is alive means holding its lock for an instant."""
    monkeypatch.setattr(run_lock, "_PATIENCE_S", 20.0)
    look = os.open(tmp_path / LOCK_FILE, os.O_RDWR | os.O_CREAT)
    assert run_lock._try_lock(look)
    ends = threading.Timer(0.1, os.close, [look])
    ends.start()
    with only_run_in(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == str(os.getpid())
    ends.join()
