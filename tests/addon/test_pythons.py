# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a Python for the solver's environment, and what the machine computes with: programs are asked for real."""

import json
import os
import sys

import pytest

from blender_addon import pythons
from blender_addon.errors import MacroError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="uses shell scripts as interpreters")


def test_this_python_will_do():
    assert pythons.probe(sys.executable).version == sys.version_info[:3]
    assert pythons.find().fault == ""
    assert pythons.find(sys.executable).version == sys.version_info[:3]


@POSIX
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": [3, 14, 2]}, r"it is 3\.14, and the solver's packages need Python 3\.11 to 3\.13"),
        ({"version": [3, 10, 1]}, r"it is 3\.10"),
        ({"ensurepip": False}, r"python3\.12-venv"),
        ({"implementation": "PyPy"}, "64-bit CPython"),
        ({"bits": 32}, "64-bit CPython"),
    ],
)
def test_wrong_python_is_refused_with_a_reason(tmp_path, changes, reason):
    told = {"version": [3, 12, 4], "implementation": "CPython", "bits": 64, "machine": "x86_64", "venv": True}
    told |= {"ensurepip": True, "path": "/x"} | changes
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    program.chmod(0o755)
    with pytest.raises(MacroError, match=reason) as caught:
        pythons.find(str(program))
    assert str(program) in caught.value.sentence and "install Python 3.11 to 3.13" in caught.value.sentence


@POSIX
def test_another_python_is_found_where_blenders_own_will_not_do(tmp_path, monkeypatch):
    too_new = tmp_path / "blender" / "python3.14"
    too_new.parent.mkdir()
    answer = {"version": [3, 14, 0], "implementation": "CPython", "bits": 64, "machine": "x86_64"}
    answer |= {"venv": True, "ensurepip": True, "path": str(too_new)}
    too_new.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    too_new.chmod(0o755)
    (tmp_path / "bin").mkdir()
    # A link would lose its virtual environment's packages, which does not matter for a probe.
    (tmp_path / "bin" / "python3.13").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = pythons.find(own=str(too_new))
    assert found.version == sys.version_info[:3]
    monkeypatch.setattr(pythons, "candidates", lambda own: [own])
    with pytest.raises(MacroError, match=r"no fitting Python was found .*it is 3\.14") as caught:
        pythons.find(own=str(too_new))
    assert "python.org" in caught.value.sentence


@pytest.mark.parametrize("path", ["missing", "folder", "text"])
def test_what_is_no_python_is_told(tmp_path, path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("not a program")
    with pytest.raises(MacroError, match="it does not run"):
        pythons.find(str(tmp_path / path))


@POSIX
@pytest.mark.parametrize(
    ("answer", "toolkit", "device", "reason"),
    [
        ("NVIDIA GeForce RTX 4070, 591.20", True, "cuda", "RTX 4070"),
        ("NVIDIA GeForce RTX 4070, 591.20", False, "cpu", "CUDA toolkit"),
        ("NVIDIA GeForce GTX 1080, 535.54.03", True, "cpu", "535.54.03 is too old"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the driver", True, "cpu", "does not answer"),
        (None, True, "cpu", "no NVIDIA card"),
    ],
)
def test_device_by_what_the_machine_has(tmp_path, monkeypatch, answer, toolkit, device, reason):
    if sys.platform == "darwin":
        pytest.skip("Macs have no NVIDIA cards")
    for name, text in (("nvidia-smi", answer), ("nvcc", "x" if toolkit else None)):
        if text is not None:
            (tmp_path / name).write_text(f'#!/bin/sh\necho "{text}"\n')
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_HOME", raising=False)
    monkeypatch.delenv("CUDA_PATH", raising=False)
    machine = pythons.look_at_machine()
    assert machine.device == device and reason in machine.reason
