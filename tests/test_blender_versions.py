# SPDX-License-Identifier: GPL-3.0-or-later
"""The other Blenders that `make test` gives the add-on tests to: which, with what in them, and why one is left out."""

import ast
import importlib.util
import os
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
OF_BLENDER = {"bpy", "bpy_extras", "mathutils", "addon_utils"}
OF_THE_CHECKOUT = {"blender_addon", "solver", "tests"}
OF_PYTEST = {"packaging"}  # which needs it


@pytest.fixture(scope="module")
def versions():
    specification = importlib.util.spec_from_file_location("blender_versions", ROOT / "scripts" / "blender_versions.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        ((), []),
        (("3.12",), []),
        (("3.11",), ["4.2.23", "5.0.1"]),
        (("3.13", "3.12"), ["5.1.2", "5.2.3"]),
        (("3.13", "3.11"), ["4.2.23", "5.2.3"]),
    ],
)
def test_the_oldest_and_the_newest_that_the_pythons_allow(versions, present, chosen):
    assert versions.oldest_and_newest(present) == chosen


def test_blenders_are_in_order_and_hold_the_ones_of_make_setup(versions):
    numbers = [tuple(map(int, version.split("."))) for version in versions.BLENDERS]
    assert numbers == sorted(numbers)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for wheel in map(Requirement, project["optional-dependencies"]["blender"]):
        python = versions.BLENDERS[str(wheel.specifier).removeprefix("==")]
        assert wheel.marker.evaluate({"python_version": python}), wheel


def test_environments_have_what_the_addon_tests_import(versions):
    imported = set()
    for path in (ROOT / "tests" / "addon").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split(".")[0])
    others = imported - sys.stdlib_module_names - OF_BLENDER - OF_THE_CHECKOUT - OF_PYTEST
    assert {name.replace("PIL", "pillow") for name in others} == set(versions.PACKAGES)
    pinned = {Requirement(line).name for line in versions.requirements("5.2.3")}
    assert pinned == {"bpy", *versions.PACKAGES}


def test_without_a_network_one_reason_is_told_and_nothing_is_taken_for_ready(versions, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    stamp = tmp_path / "blender" / "pins.txt"
    with pytest.raises(versions.LeftOutError, match=r"^No matching distribution found for bpy==5\.2\.3$"):
        versions.environment("5.2.3", sys.executable, tmp_path / "blender")
    assert not stamp.exists()
    stamp.write_text("\n".join(versions.requirements("5.2.3")))
    assert versions.environment("5.2.3", sys.executable, tmp_path / "blender").exists()
    with pytest.raises(versions.LeftOutError, match=r"bpy==5\.1\.2"):  # the pins have changed
        versions.environment("5.1.2", sys.executable, tmp_path / "blender")
    assert not stamp.exists()


def test_a_python_that_does_not_run_is_a_reason(versions, tmp_path):
    with pytest.raises(versions.LeftOutError, match="no such python"):
        versions.environment("5.2.3", str(tmp_path / "no such python"), tmp_path / "blender")


def test_the_last_line_tells_failures_and_reasons(versions):
    told = versions.summary({"4.2.23": True, "5.2.3": False}, {"5.0.1": "lies between"})
    assert told == "Add-on tests on other Blenders: 4.2.23 passed, 5.2.3 FAILED; left out: 5.0.1 (lies between)."
    assert versions.summary({}, {}) == "Add-on tests on other Blenders: none; left out: none."
