# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the add-on tests on the oldest and the newest Blender that the Pythons here can load: a part of `make test`.

Each Blender is the bpy wheel in an environment of its own, build/blender-VERSION, with what the tests import. It stays
until the pins change. What cannot be made here is left out, and the last line says so. Only tests that use Blender run,
and of these none that starts the solver: it is the same under each Blender and takes minutes. `--solver` runs them too,
with this script's interpreter for the solver.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from blender_addon import pythons  # noqa: E402 - a script of the checkout, not a package

BLENDERS = {  # oldest first: the version of the wheel, and the Python that it is made for
    "4.2.23": "3.11",
    "4.5.15": "3.11",
    "5.0.1": "3.11",
    "5.1.2": "3.13",
    "5.2.3": "3.13",
}
PACKAGES = ("numpy", "pillow", "plyfile", "pytest")  # what tests/addon imports beside bpy


class LeftOutError(Exception):
    """This Blender cannot be had here; the text says why."""


def oldest_and_newest(present: Collection[str]) -> list[str]:
    """Of the Blenders that a Python of the versions `present`, such as "3.11", can load."""
    possible = [version for version, python in BLENDERS.items() if python in present]
    return list(dict.fromkeys([*possible[:1], *possible[-1:]]))


def interpreters() -> dict[str, str]:
    """The Pythons of this machine that Blender's wheels are made for: version, such as "3.11", and path."""
    found: dict[str, str] = {}
    for path in pythons.candidates():
        if set(BLENDERS.values()) <= found.keys():
            break
        python = pythons.probe(path)
        if not python.fault:
            found.setdefault("{}.{}".format(*python.version), python.path)
    return found


def requirements(blender: str) -> list[str]:
    """What pip installs for the tests, with pyproject.toml's pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return [f"bpy=={blender}", *(line for line in pinned if line.partition("==")[0] in PACKAGES)]


def environment(blender: str, python: str, folder: Path) -> Path:
    """Make the environment in `folder` with the interpreter `python`, unless it is there; give its interpreter.

    Raises:
        LeftOutError: it cannot be made, or Blender does not start in it.
    """
    wanted, stamp, own = "\n".join(requirements(blender)), folder / "pins.txt", folder / "bin" / "python"
    if own.exists() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return own
    print(f"Blender {blender}: making {folder}", flush=True)
    _do(python, "-m", "venv", "--clear", folder)
    pip = ("-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--retries", "2", "--only-binary", ":all:")
    _do(own, *pip, *requirements(blender))
    _do(own, "-c", "import bpy")
    stamp.write_text(wanted, encoding="utf-8")
    return own


def _do(*command: str | Path) -> None:
    try:
        answer = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise LeftOutError(f"{command[0]}: {error.strerror}") from None
    if answer.returncode:
        told = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
        errors = [line for line in told if line.startswith("ERROR: ")] or told
        raise LeftOutError(errors[-1].removeprefix("ERROR: ") if errors else f"{command[0]} failed")


def tests_pass(python: Path, solver: bool) -> bool:
    """Whether the tests that use Blender pass with that of this interpreter; with `solver`, those that start it too."""
    # bpy 4.2 crashes now and then while Python takes it apart, when the tests are long over: leave without that.
    program = "import os, sys, pytest; code = int(pytest.main()); sys.stdout.flush(); os._exit(code)"
    command = [str(python), "-c", program, "-p", "no:cacheprovider", "--durations=5", "tests/addon"]
    command += ["-m", "blender" if solver else "blender and not solver"]
    surroundings = {**os.environ, "SOLVER_PYTHON": sys.executable}
    return subprocess.run(command, cwd=ROOT, env=surroundings, check=False).returncode == 0


def installed() -> str:
    """The Blender beside this script's interpreter, with which `make test` runs everything; "" without one."""
    try:
        return metadata.version("bpy")
    except metadata.PackageNotFoundError:
        return ""


def summary(passed: Mapping[str, bool], left_out: Mapping[str, str]) -> str:
    """One line: on which Blenders the tests ran, and why on no others."""
    ran = [f"{version} {'passed' if fine else 'FAILED'}" for version, fine in passed.items()]
    left = [f"{version} ({reason})" for version, reason in left_out.items()]
    return f"Add-on tests on other Blenders: {', '.join(ran) or 'none'}; left out: {', '.join(left) or 'none'}."


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("versions", nargs="*", help="these Blenders instead of the oldest and the newest")
    parser.add_argument("--solver", action="store_true", help="tests that start the solver, too")
    arguments = parser.parse_args()
    chosen = arguments.versions
    if not set(chosen) <= BLENDERS.keys():
        parser.error(f"choose among {', '.join(BLENDERS)}")
    found = interpreters()
    wanted = chosen or oldest_and_newest(found)
    passed: dict[str, bool] = {}
    left_out: dict[str, str] = {}
    for version, python in BLENDERS.items():
        if chosen and version not in chosen:
            continue
        if not chosen and version == installed():
            left_out[version] = "had every test before"
        elif python not in found:
            left_out[version] = f"no usable Python {python} here"
        elif version not in wanted:
            left_out[version] = "lies between"
        else:
            try:
                own = environment(version, found[python], ROOT / "build" / f"blender-{version}")
                passed[version] = tests_pass(own, arguments.solver)
            except LeftOutError as reason:
                left_out[version] = str(reason)
    print(summary(passed, left_out))
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
