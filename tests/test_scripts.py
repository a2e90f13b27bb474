# SPDX-License-Identifier: GPL-3.0-or-later
"""The check before `make setup`."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "check_machine.py"


@pytest.fixture
def check_machine():
    specification = importlib.util.spec_from_file_location("check_machine", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_another_python_is_told_which_ones_will_do(check_machine, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert check_machine.main() == 1
    assert "Python 3.9 cannot run Blender's wheels; install Python 3.11" in capsys.readouterr().err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for Linux libraries")
def test_missing_libraries_are_named_by_their_packages(check_machine, monkeypatch, capsys):
    monkeypatch.setattr(check_machine, "LIBRARIES", {"libc.so.6": "libc6", "libnone.so.1": "libnone1"})
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    assert check_machine.main() == 1
    assert capsys.readouterr().err.endswith("sudo apt-get install libnone1\n")


def test_python_without_venv_is_told_its_package(check_machine, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    assert check_machine.main() == 1
    assert capsys.readouterr().err.endswith("sudo apt-get install python3.11-venv\n")


def test_readme_names_the_same_packages(check_machine):
    readme = (SCRIPT.parents[1] / "README.md").read_text(encoding="utf-8")
    assert " ".join(check_machine.LIBRARIES.values()) in readme
