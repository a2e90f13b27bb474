# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs never write to one folder."""

import subprocess
import sys
from pathlib import Path

import pytest

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
