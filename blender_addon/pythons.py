# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a Python that the solver's environment can be made with, and what the machine computes with.

Nothing here needs Blender, and nothing is changed: each candidate is asked, as a child process, what it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import MacroError
from .solver_process import child_environment, quiet_child

Device = Literal["cpu", "cuda"]

OLDEST, NEWEST = (3, 11), (3, 13)
WANTED = f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
PROBE_TIMEOUT_S = 20.0
OLDEST_CUDA_DRIVER = 580  # what NVIDIA asks for with CUDA 13, which the locked PyTorch is built for
PROBE = """
import importlib.util, json, os, platform, sys
def there(name):
    return importlib.util.find_spec(name) is not None
launcher = True
if sys.platform == "win32" and there("venv"):
    folder = os.path.join(os.path.dirname(importlib.util.find_spec("venv").origin), "scripts", "nt")
    launcher = any(os.path.exists(os.path.join(folder, name)) for name in ("venvlauncher.exe", "python.exe"))
print(json.dumps({
    "version": list(sys.version_info[:3]), "implementation": platform.python_implementation(),
    "machine": platform.machine(), "bits": sys.maxsize.bit_length() + 1,
    "venv": there("venv") and launcher, "ensurepip": there("ensurepip"), "path": sys.executable,
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine; `fault` says in a few words why it will not do, and is empty where it will."""

    path: str
    version: tuple[int, int, int] = (0, 0, 0)
    fault: str = ""

    @property
    def label(self) -> str:
        """Such as `Python 3.11.9`."""
        return "Python " + ".".join(map(str, self.version))


@dataclass(frozen=True)
class Machine:
    """What the solver could compute with; `reason` is one sentence for people."""

    device: Device
    reason: str


def probe(path: str) -> Interpreter:
    """Ask one interpreter what it is."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE],
            env=child_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            check=False,
            **quiet_child(),
        )
        told: dict[str, Any] = json.loads(answer.stdout)
        major, minor, micro = (int(part) for part in told["version"])
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return Interpreter(path, fault="it does not run")
    version = (major, minor, micro)
    return Interpreter(str(told.get("path") or path), version, _fault(told, version))


def _fault(told: dict[str, Any], version: tuple[int, int, int]) -> str:
    if not OLDEST <= version[:2] <= NEWEST:
        return f"it is {version[0]}.{version[1]}, and the solver's packages need {WANTED}"
    if told.get("implementation") != "CPython" or told.get("bits") != 64:
        return "it is not a 64-bit CPython"
    if not told.get("venv") or not told.get("ensurepip"):
        return f"it lacks the venv module (on Debian and Ubuntu: package python{version[0]}.{version[1]}-venv)"
    machine = str(told.get("machine")).lower()
    if sys.platform == "darwin" and machine != "arm64":
        return "PyTorch has no builds for Macs with Intel processors"
    if sys.platform != "darwin" and machine not in ("amd64", "x86_64"):
        return f"it is made for {machine}, and the solver's packages have builds for x86-64 alone"
    return ""


def candidates(own: str = sys.executable) -> Iterator[str]:
    """Paths worth a probe, best first: Blender's own Python, then those on PATH and in the usual places."""
    yield own
    names = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    for name in (*names, "python3", "python"):
        found = shutil.which(name)
        if found:
            yield found
    for folder in _usual_places():
        for name in (*names, "python.exe" if sys.platform == "win32" else "python3"):
            yield str(folder / name)
    yield from _of_the_py_launcher()


def _usual_places() -> Iterator[Path]:
    """Folders of interpreters that a program started from a desktop may not have on its PATH."""
    home = Path.home()
    versions = [f"3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    if sys.platform == "win32":
        programs = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "Programs" / "Python"
        yield from (programs / f"Python{version.replace('.', '')}" for version in versions)
        return
    if sys.platform == "darwin":
        yield from (Path("/Library/Frameworks/Python.framework/Versions") / version / "bin" for version in versions)
        yield Path("/opt/homebrew/bin")
    yield from (Path("/usr/local/bin"), Path("/usr/bin"), home / ".local" / "bin")
    for kept in (home / ".pyenv" / "versions", home / ".local" / "share" / "uv" / "python"):
        for version in versions:
            yield from (place / "bin" for place in sorted(kept.glob(f"*{version}*"), reverse=True))


def _of_the_py_launcher() -> Iterator[str]:
    """Interpreters that Windows's `py` knows; its list has one a line, the path last."""
    launcher = shutil.which("py") if sys.platform == "win32" else None
    if launcher is None:
        return
    try:
        answer = subprocess.run(
            [launcher, "-0p"], capture_output=True, encoding="utf-8", timeout=PROBE_TIMEOUT_S, **quiet_child()
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in answer.stdout.splitlines():
        path = line.strip().partition(" ")[2].strip(" *")
        if path.lower().endswith(".exe"):
            yield path


def find(chosen: str = "", own: str = sys.executable) -> Interpreter:
    """The interpreter to make the environment with: the one that the user chose, or the first that will do.

    Raises:
        MacroError: the chosen one, or every one that was found, will not do; the sentence says why.
    """
    remedy = f"install {WANTED} from python.org or your system's packages, or choose one under Options"
    if chosen:
        interpreter = probe(chosen)
        if interpreter.fault:
            raise MacroError(f"this Python will not do: {interpreter.fault}", where=chosen, remedy=remedy)
        return interpreter
    tried: dict[str, Interpreter] = {}
    for path in candidates(own):
        real = os.path.realpath(path)
        if real in tried or not Path(real).is_file():
            continue
        tried[real] = probe(path)
        if not tried[real].fault:
            return tried[real]
    told = next((tried[real] for real in tried if tried[real].version >= OLDEST), None)
    reason = f" ({told.path}: {told.fault})" if told is not None else ""
    raise MacroError(f"no fitting Python was found on this machine{reason}", remedy=remedy)


def look_at_machine() -> Machine:
    """Whether the solver should compute on an NVIDIA card here, and why not where it should not.

    gsplat compiles its CUDA kernels on the user's machine, so a card without the CUDA toolkit cannot be used yet.
    """
    if sys.platform == "darwin":
        return Machine("cpu", "Macs compute on the processor")
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Machine("cpu", "no NVIDIA card was found")
    try:
        answer = subprocess.run(
            [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            check=False,
            **quiet_child(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return Machine("cpu", "the NVIDIA driver does not answer")
    name, _, driver = answer.stdout.partition("\n")[0].partition(",")
    try:
        major = int(driver.strip().partition(".")[0])
    except ValueError:
        return Machine("cpu", "the NVIDIA driver does not answer")
    if major < OLDEST_CUDA_DRIVER:
        return Machine(
            "cpu", f"{name}: its driver {driver.strip()} is too old for CUDA 13, which needs {OLDEST_CUDA_DRIVER}"
        )
    if shutil.which("nvcc") is None and not os.environ.get("CUDA_HOME") and not os.environ.get("CUDA_PATH"):
        return Machine("cpu", f"{name}: the CUDA toolkit (nvcc), with which its kernels are compiled, was not found")
    return Machine("cuda", name)
