# SPDX-License-Identifier: GPL-3.0-or-later
"""Where machine code is kept, and that kernels run where none can be kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import solver

_PROBE = """
from solver.kernels.compilation import CACHED, kernel

@kernel("float32(float32)")
def double(x):
    return x + x

print(CACHED, double(2.0))
"""


def _probe_cache(folder: Path, **environment: str) -> str:
    """Compile a kernel in a fresh process."""
    return _run(folder, _PROBE, **environment)


def _run(folder: Path, program: str, **environment: str) -> str:
    """What a program prints in a fresh process."""
    script = folder / "probe.py"
    script.write_text(program)
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    inherited["PYTHONPATH"] = str(Path(solver.__file__).parents[1])
    finished = subprocess.run(
        [sys.executable, str(script)], env=inherited | environment, capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_machine_code_goes_to_the_users_cache(tmp_path):
    assert _probe_cache(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) == "True 4.0"
    assert list((tmp_path / "cache" / "macro-reconstruction").rglob("*.nbi"))


def test_a_cache_folder_that_is_set_wins(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": str(tmp_path / "chosen")}
    assert _probe_cache(tmp_path, **environment) == "True 4.0"
    (folder,) = (tmp_path / "chosen").iterdir()
    assert folder.name.startswith("numba-")  # of these kernels, as numba does not notice that a helper has changed
    assert list(folder.rglob("*.nbi"))
    assert not (tmp_path / "cache").exists()


def test_child_processes_use_the_same_folder(tmp_path):
    program = """
import os, subprocess, sys
from solver.kernels.compilation import CACHE_VARIABLE, numba
print(os.environ[CACHE_VARIABLE], numba.config.CACHE_DIR, sep="\\n", flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"], check=True)
"""
    named, folder, again, same = _run(tmp_path, program, NUMBA_CACHE_DIR=str(tmp_path / "chosen")).splitlines()
    assert named == again == str(tmp_path / "chosen")
    assert folder == same
    assert Path(folder).parent == tmp_path / "chosen"


def test_kernels_compile_where_no_cache_can_be_made(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    assert _probe_cache(tmp_path, NUMBA_CACHE_DIR=str(blocked / "folder")) == "False 4.0"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no permissions of this kind")
def test_kernels_compile_where_the_cache_is_read_only(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o500)
    if os.geteuid() == 0:  # who may write everywhere but here
        folder = Path("/proc/self/net")
        if not folder.is_dir():
            pytest.skip("as root every folder can be written to")
    assert _probe_cache(tmp_path, NUMBA_CACHE_DIR=str(folder)) == "False 4.0"
