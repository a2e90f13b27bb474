# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver's Python environment: making, checking, repairing and deleting it. Nothing here needs Blender.

One folder holds all of it (`Places`), and nothing is written elsewhere: not into Blender's Python, not into pip's
cache. `install` is a generator that tells its progress and never blocks for longer than a fraction of a second, so a
thread or a loop can drive it. What marks a finished environment, the stamp, is written last; a folder without it is a
half-finished one, which the next `install` goes on with: packages that are in place are not fetched again.

The packages are those of the lock files (docs/development.md, "Lock files"), every one pinned.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from . import locks as file_locks
from .errors import MacroError
from .pythons import Device, Interpreter
from .solver_process import child_environment, last_line, quiet_child

State = Literal["absent", "unfinished", "broken", "outdated", "ready"]

OWNER = "macro_reconstruction"
STAMP_VERSION = 1
POLL_S = 0.1
SIZE_POLL_S = 1.0  # measuring a folder of 20,000 files takes a few hundredths of a second
GRACE_S = 5.0  # for pip to end by itself after a cancel
PINS_A_CALL = 4
LONGEST_FOLDER_ON_WINDOWS = 110  # characters; PyTorch's longest path inside has 140, and Windows ends at 260
PYTORCH_CPU = "https://download.pytorch.org/whl/cpu"
PYTORCH_CUDA = "https://download.pytorch.org/whl/cu130"
# Settings of pip, from its configuration or surroundings, that would send packages elsewhere.
DIVERTING = (
    "USER",
    "TARGET",
    "CONSTRAINT",
    "PREFIX",
    "ROOT",
    "REQUIRE_VIRTUALENV",
    "DRY_RUN",
    "NO_DEPS",
    "LOG",
    "PYTHON",
    "QUIET",
)
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")


@dataclass(frozen=True)
class Locks:
    """The folder of lock files: `packages.txt` for everyone, `torch-DEVICE.txt`, and `cuda.txt` for CUDA alone."""

    folder: Path

    def files(self, device: Device) -> tuple[Path, ...]:
        """The lock files for a device, in the order of their installation."""
        names = (f"torch-{device}.txt", *(("cuda.txt",) if device == "cuda" else ()), "packages.txt")
        return tuple(self.folder / name for name in names)

    def fingerprint(self, device: Device) -> str:
        """Changes with any of the pins; not with line ends, which an archive may change."""
        digest = hashlib.sha256()
        for path in self.files(device):
            digest.update(path.read_text(encoding="utf-8").encode() + b"\0")
        return digest.hexdigest()

    def sizes(self, device: Device) -> tuple[int, int]:
        """Bytes to download and bytes on the disk afterwards, about; zeros where they are not known."""
        try:
            known = json.loads((self.folder / "sizes.json").read_text(encoding="utf-8"))
            of_device = known[platform_name()][device]
            return int(of_device["download"]), int(of_device["installed"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0


@dataclass(frozen=True)
class Places:
    """The environment's folder and what is in it."""

    root: Path

    @property
    def marker(self) -> Path:
        """Written first: says that the folder is ours to delete."""
        return self.root / "environment.json"

    @property
    def stamp(self) -> Path:
        """Written last: says that everything is in place, and what."""
        return self.root / "installed.json"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.root / "venv"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        inside = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
        return self.venv.joinpath(*inside)

    @property
    def wheels(self) -> Path:
        """What was downloaded; deleted when all is installed, kept when something comes between."""
        return self.root / "wheels"

    @property
    def temporary(self) -> Path:
        """For pip's temporary files: the system's own folder for them may be too small."""
        return self.root / "temporary"

    @property
    def doctor(self) -> Path:
        """What the solver's own check found, as JSON (docs/formats.md)."""
        return self.root / "doctor.json"

    @property
    def log(self) -> Path:
        """What pip said."""
        return self.root / "install.log"


@dataclass(frozen=True)
class Order:
    """One installation."""

    root: Path
    interpreter: Interpreter  # to make the environment with
    locks: Locks
    device: Device
    check: tuple[str, ...]  # arguments of the new Python that succeed where all is well
    home: Path  # the folder that the check runs in
    wheels: Path | None = None  # a folder of wheels to install from, without the network
    index: str = ""  # of packages; empty is pip's own
    torch_index: str = ""  # of PyTorch's builds for the device; empty is PyTorch's own


@dataclass(frozen=True)
class Progress:
    """Where an installation stands; `fraction` is None where nobody knows."""

    title: str
    fraction: float | None = None
    detail: str = ""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The installation was cancelled; what is in place stays, and the next one goes on from there."""


def platform_name() -> str:
    """Such as `linux-x86_64`: the key of `sizes.json`."""
    if sys.platform == "win32":
        return "windows-x86_64"
    if sys.platform == "darwin":
        return "macos-arm64"
    return f"linux-{os.uname().machine}"


def stamp_of(root: Path) -> Mapping[str, Any]:
    """What a finished installation left behind; empty where none is finished."""
    try:
        stamp = json.loads(Places(root).stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and stamp.get("stamp_version") == STAMP_VERSION else {}


def summary(root: Path) -> str:
    """One line about a finished environment: its PyTorch and Python, what it computes with, its size."""
    stamp = stamp_of(root)
    try:
        facts = json.loads(Places(root).doctor.read_text(encoding="utf-8"))
        rasterizers, torch = facts["rasterizers"], facts["packages"]["torch"]
        card = rasterizers["gsplat"]
        on = card["reason"] if card["usable"] else f"processor, {rasterizers['cpu']['reason']}"
        parts = [f"PyTorch {torch}", str(stamp.get("python")), on, size_text(float(stamp["bytes"]))]
    except (OSError, ValueError, KeyError, TypeError):
        parts = [str(stamp.get("python", ""))]
    return "  ·  ".join(part for part in parts if part)


def examine(root: Path, locks: Locks) -> State:
    """What state an environment is in, from its files alone: fast enough to be asked while drawing."""
    places = Places(root)
    if not places.marker.is_file():
        return "absent"
    stamp = stamp_of(root)
    if not stamp:
        return "unfinished"
    if not _has_its_python(places):
        return "broken"
    device: Device = "cuda" if stamp.get("device") == "cuda" else "cpu"
    return "ready" if stamp.get("locks") == locks.fingerprint(device) else "outdated"


def _has_its_python(places: Places) -> bool:
    """Whether the environment's interpreter and the one that it was made with are still there.

    A virtual environment lives on the Python that made it; when that was Blender's, it goes with that Blender.
    """
    try:
        lines = (places.venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    settings = dict(line.replace(" ", "").split("=", 1) for line in lines if "=" in line)
    made_with = next((line.split("=", 1)[1].strip() for line in lines if line.startswith("home")), "")
    return bool(settings) and Path(made_with).is_dir() and places.python.is_file()


def install(order: Order, cancelled: threading.Event) -> Iterator[Progress]:
    """Make, finish, repair or update the environment; yields progress several times a second.

    Args:
        order: what to install, and where.
        cancelled: set it to end the installation at the next progress.

    Raises:
        MacroError: it cannot be done; the sentence says why, the log (`Places.log`) has the rest.
        Cancelled: as asked.
    """
    places = Places(order.root)
    yield Progress("Preparing")
    try:
        with _alone(order.root):
            _begin(order, places)
            yield from _steps(order, places, _Runner(places, cancelled))
    except OSError as error:
        raise MacroError(
            f"the environment could not be written ({error.strerror or error})",
            where=error.filename or order.root,
            remedy="check the folder's permissions and the space on its disk, then repair",
        ) from None
    yield Progress("Installed", 1.0)


def _steps(order: Order, places: Places, runner: _Runner) -> Iterator[Progress]:
    if not _reusable(order, places):
        _remove(places.venv)
        yield from runner.run(
            "Making the environment",
            [order.interpreter.path, "-I", "-m", "venv", str(places.venv)],
            "the environment could not be made",
        )
        (places.venv / OWNER).write_text(json.dumps(_made_with(order)), encoding="utf-8")
    _drop_half_installed(places)
    missing = _write_missing(order, places)
    if missing and order.wheels is None:
        yield from _download(order, places, runner, missing)
    if missing:
        yield from _install_wheels(order, places, runner, missing)
    yield from _uninstall_strays(order, places, runner)
    yield from runner.run(
        "Testing the solver",
        [str(places.python), "-B", *order.check],  # nothing is written beside the solver's sources
        "the environment is installed, but the solver does not run in it",
        cwd=order.home,
    )
    _finish(order, places)


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second Blender out of the same folder meanwhile.

    Raises:
        MacroError: another one is at it.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = file_locks.take(root.with_name(f".{root.name}.lock"))
    if lock is None:
        raise MacroError("another Blender is installing the solver there", where=root, remedy="wait for it")
    try:
        yield
    finally:
        lock.release()


def delete(root: Path) -> None:
    """Delete an environment and all that came with it.

    Raises:
        MacroError: the folder is not one of ours, or files in it are in use.
    """
    places = Places(root)
    if not places.marker.is_file():
        raise MacroError("this folder was not made by this extension, so it is not deleted", where=root)
    places.stamp.unlink(missing_ok=True)
    doomed = root.with_name(f"{root.name}.deleted")
    try:
        _remove(doomed)
        root.rename(doomed)  # all or nothing: fails on Windows while something in it runs
        _remove(doomed)
    except OSError as error:
        raise MacroError(
            f"the environment could not be deleted ({error.strerror})",
            where=error.filename or root,
            remedy="end the reconstruction that uses it, and try again",
        ) from None


def needed_bytes(order: Order) -> int:
    """Space that an installation takes while it runs: the packages, and the wheels that they come from."""
    download, installed = order.locks.sizes(order.device)
    return installed + (0 if order.wheels else download)


def _begin(order: Order, places: Places) -> None:
    """Take the folder and unfinish it.

    Raises:
        MacroError: it is somebody else's, its path is too long, or its disk too full.
    """
    root = order.root
    if sys.platform == "win32" and len(str(root)) > LONGEST_FOLDER_ON_WINDOWS:
        raise MacroError(
            f"the path of the folder is too long for PyTorch on Windows ({len(str(root))} characters)",
            where=root,
            remedy="choose a shorter one under Folder, such as C:\\macro",
        )
    if order.wheels is not None and not any(order.wheels.glob("*.whl")):
        raise MacroError("there are no wheels in this folder", where=order.wheels, remedy="choose the folder of wheels")
    try:
        if root.exists() and not places.marker.is_file() and (not root.is_dir() or any(root.iterdir())):
            raise MacroError("this place is taken by something else", where=root, remedy="choose another folder")
        root.mkdir(parents=True, exist_ok=True)
        places.stamp.unlink(missing_ok=True)
        places.marker.write_text(json.dumps({"owner": OWNER}) + "\n", encoding="utf-8")
        places.log.write_text("", encoding="utf-8")
        _remove(places.temporary)
        places.temporary.mkdir()
        free, needed = shutil.disk_usage(root).free, needed_bytes(order) - _size_of(root)
    except OSError as error:
        raise MacroError(
            f"the folder cannot be written ({error.strerror})", where=root, remedy="choose another folder"
        ) from None
    if free < needed:
        raise MacroError(
            f"the disk has {size_text(free)} free, and the installation needs {size_text(needed)}",
            where=root,
            remedy="make room, or choose a folder on another disk",
        )


def _reusable(order: Order, places: Places) -> bool:
    """Whether the virtual environment that is there is whole, and was made by the same Python for the same device."""
    try:
        made = json.loads((places.venv / OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return _has_its_python(places) and made == _made_with(order)


def _made_with(order: Order) -> dict[str, Any]:
    return {"python": order.interpreter.path, "version": list(order.interpreter.version), "device": order.device}


def _write_missing(order: Order, places: Places) -> list[Path]:
    """Requirement files of what the environment lacks: the locks without the pins that are in place.

    Returns:
        Files of a few pins each, in the order of installation: pip keeps what it downloaded only at the end of a call.
    """
    present = _installed(places)
    files = []
    for lock in order.locks.files(order.device):
        lines = [line for name, version, line in pins(lock.read_text(encoding="utf-8")) if present.get(name) != version]
        for first in range(0, len(lines), PINS_A_CALL):
            file = places.temporary / f"{lock.stem}-{first}.txt"
            file.write_text("".join(lines[first : first + PINS_A_CALL]), encoding="utf-8")
            files.append(file)
    return files


def pins(lock: str) -> Iterator[tuple[str, str, str]]:
    """The requirements of a lock file: normalized name, version, and the text with its continuation lines."""
    block = ""
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        block += line + "\n"
        if not line.endswith("\\"):
            match = _PIN.match(block)
            if match is None:
                raise MacroError(f"the extension's lock file has a line that is not a pin ({block.strip()[:80]})")
            yield normalized(match[1]), match[2], block
            block = ""


def _pins_of(order: Order) -> Iterator[tuple[str, str, str]]:
    """The pins of all of an order's lock files."""
    for lock in order.locks.files(order.device):
        yield from pins(lock.read_text(encoding="utf-8"))


def normalized(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _site_packages(places: Places) -> Path | None:
    pattern = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
    return next(places.venv.glob(pattern), None)


def _installed(places: Places) -> dict[str, str]:
    """Name and version of what is completely installed: pip writes RECORD when all files are in place."""
    folder = _site_packages(places)
    if folder is None:
        return {}
    found = {}
    for distribution in metadata.distributions(path=[str(folder)]):
        if distribution.read_text("RECORD") is not None:
            found[normalized(distribution.metadata["Name"] or "")] = distribution.version
    return found


def _drop_half_installed(places: Places) -> None:
    """Forget packages whose installation was cut off: pip would take their metadata for the package."""
    site = _site_packages(places)
    for information in site.glob("*.dist-info") if site is not None else ():
        if not (information / "RECORD").is_file():
            _remove(information)


def _download(order: Order, places: Places, runner: _Runner, missing: list[Path]) -> Iterator[Progress]:
    """Fetch the wheels that are missing; those that an earlier try fetched are used again."""
    places.wheels.mkdir(exist_ok=True)
    fresh = not _installed(places).keys() & {name for name, _, _ in _pins_of(order)}
    expected = order.locks.sizes(order.device)[0] if fresh else 0  # of an update or a repair nobody knows
    rate = _Rate()

    def progress() -> Progress:
        done = _size_of(places.wheels) + _size_of(places.temporary)
        total = max(expected, done)
        left = rate.seconds_left(done, total) if expected else None
        remaining = f", {duration_text(left)} left" if left is not None else ""
        of_total = f" of about {size_text(total)}" if expected else ""
        return Progress(
            "Downloading packages", done / total if expected else None, f"{size_text(done)}{of_total}{remaining}"
        )

    for file in missing:
        index = ["--index-url", order.index] if order.index else []
        extra = order.torch_index or torch_index(order.device)
        if file.name.startswith("torch-") and extra:
            index += ["--extra-index-url", extra]
        yield from runner.run(
            "Downloading packages",
            [*_pip(places), "download", *_pip_options(file), *index, "--dest", str(places.wheels)],
            "the packages could not be downloaded",
            progress=progress,
        )


def _install_wheels(order: Order, places: Places, runner: _Runner, missing: list[Path]) -> Iterator[Progress]:
    """Unpack what was downloaded, or the user's own wheels, into the environment."""
    source = order.wheels or places.wheels
    wanted = {(name, version) for file in missing for name, version, _ in pins(file.read_text(encoding="utf-8"))}
    site = _site_packages(places)
    before = _size_of(site) if site is not None else 0
    total = _unpacked_size(source, wanted)

    def progress() -> Progress:
        done = max(0, _size_of(site) - before) if site is not None else 0
        return Progress(
            "Installing packages", min(1.0, done / total) if total else None, f"{size_text(done)} of {size_text(total)}"
        )

    for file in missing:
        yield from runner.run(
            "Installing packages",
            [*_pip(places), "install", "--no-index", "--find-links", str(source), *_pip_options(file)],
            "the packages could not be installed",
            progress=progress,
            offline=order.wheels,
        )


def _unpacked_size(folder: Path, wanted: set[tuple[str, str]]) -> int:
    """Bytes that the wanted wheels of a folder unpack to; damaged ones are left to pip to tell of."""
    total = 0
    for wheel in folder.glob("*.whl"):
        name, _, rest = wheel.name.partition("-")
        if (normalized(name), rest.partition("-")[0]) in wanted:
            with contextlib.suppress(zipfile.BadZipFile, OSError), zipfile.ZipFile(wheel) as archive:
                total += sum(entry.file_size for entry in archive.infolist())
    return total


def _uninstall_strays(order: Order, places: Places, runner: _Runner) -> Iterator[Progress]:
    """Take out what an earlier lock had and this one has not."""
    wanted = {name for name, _, _ in _pins_of(order)}
    strays = sorted(_installed(places).keys() - wanted - {"pip", "setuptools"})
    if strays:
        yield from runner.run(
            "Taking out what is no longer needed",
            [*_pip(places), "uninstall", "--yes", *strays],
            "packages that are no longer needed could not be taken out",
        )


def _finish(order: Order, places: Places) -> None:
    """Clean up and write the stamp, aside first, so that there is never half of one."""
    _remove(places.wheels)
    _remove(places.temporary)
    stamp = {
        "stamp_version": STAMP_VERSION,
        "locks": order.locks.fingerprint(order.device),
        "device": order.device,
        "python": order.interpreter.label,
        "bytes": _size_of(order.root),
    }
    aside = places.stamp.with_suffix(".tmp")
    aside.write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
    aside.replace(places.stamp)


def torch_index(device: Device) -> str:
    """Where PyTorch's builds are that PyPI lacks: it has those with CUDA for Linux, and those without for others."""
    if device == "cpu":
        return PYTORCH_CPU if sys.platform.startswith("linux") else ""
    return PYTORCH_CUDA if sys.platform == "win32" else ""


def _pip(places: Places) -> list[str]:
    """The environment's own pip; never another's."""
    return [str(places.python), "-I", "-m", "pip", "--no-input", "--disable-pip-version-check"]


def _pip_options(requirements: Path) -> list[str]:
    """The locks name every package and nothing is compiled, so pip need not look for dependencies or sources."""
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off"]
    return [*options, "--requirement", str(requirements)]


class _Runner:
    """Runs the steps of an installation as children whose words go to the log."""

    def __init__(self, places: Places, cancelled: threading.Event) -> None:
        self._places = places
        self._cancelled = cancelled

    def run(
        self,
        title: str,
        command: list[str],
        fault: str,
        *,
        cwd: Path | None = None,
        progress: Any = None,
        offline: Path | None = None,
    ) -> Iterator[Progress]:
        """Run one command to its end.

        Args:
            title: of the stage, for people.
            command: the program and its arguments.
            fault: what is wrong if it fails, without a full stop.
            cwd: the folder it runs in.
            progress: gives the `Progress` to show meanwhile; asked about once a second.
            offline: the user's folder of wheels, if the command reads one.

        Raises:
            MacroError: it failed, with the reason as far as the log tells one.
            Cancelled: as asked; the command was ended.
        """
        shown = progress() if progress is not None else Progress(title)
        yield shown
        start, measured = self._places.log.stat().st_size, time.monotonic()
        with self._places.log.open("a", encoding="utf-8") as log:
            log.write("$ " + " ".join(command) + "\n")
            log.flush()
            child = subprocess.Popen(
                command,
                cwd=cwd or self._places.root,
                env=self._surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **quiet_child(),
            )
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(POLL_S)
                    if self._cancelled.is_set():
                        raise Cancelled
                    if child.returncode is not None:
                        break
                    if progress is not None and time.monotonic() - measured > SIZE_POLL_S:
                        shown, measured = progress(), time.monotonic()
                    yield shown
            finally:
                _end(child)
        if child.returncode != 0:
            raise _explained(self._places.log, start, fault, child.returncode, offline)

    def _surroundings(self) -> dict[str, str]:
        """A clean environment; pip's settings for proxies, certificates and mirrors are the user's and stay."""
        diverting = {f"PIP_{name}" for name in DIVERTING}
        kept = {k: v for k, v in child_environment(os.environ).items() if k.upper() not in diverting}
        kept.pop("PYTHONDONTWRITEBYTECODE")  # packages start faster when compiled once, here
        temporary = str(self._places.temporary)
        return kept | {"TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that still runs, and those that it started."""
    if child.poll() is not None:
        return
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
    child.wait()


def _explained(log: Path, start: int, fault: str, code: int, offline: Path | None) -> MacroError:
    """One sentence for a command that failed, from what it wrote into the log from byte `start` on."""
    with log.open("rb") as file:
        file.seek(start)
        said = file.read().decode("utf-8", errors="replace")
    if "No space left on device" in said or "Errno 28" in said:
        return MacroError(f"{fault}: the disk is full", where=log.parent, remedy="make room, then repair")
    if "DO NOT MATCH THE HASHES" in said:
        which = re.search(r"^ +(\S+==\S+)", said, re.MULTILINE)
        return MacroError(
            f"{fault}: {which[1] if which else 'a package'} is not the file that the extension's lock names",
            remedy="delete the environment and install again, from another place",
        )
    unreachable = re.search(
        r"NewConnectionError|NameResolution|Failed to resolve|ConnectTimeout|ReadTimeout|Connection refused|"
        r"ProxyError|Connection aborted|Network is unreachable",
        said,
    )
    if unreachable and offline is None:
        return MacroError(
            f"{fault}: the package index cannot be reached",
            remedy="check the connection and repair, or install from a folder of wheels",
        )
    if "CERTIFICATE_VERIFY_FAILED" in said or "SSLError" in said:
        return MacroError(
            f"{fault}: the index's certificate was not accepted",
            remedy="ask whoever runs your network which certificates pip should use",
        )
    absent = re.search(r"No matching distribution found for ([^\s(;]+)", said)
    if absent and offline is not None:
        return MacroError(
            f"the folder of wheels lacks {absent[1]} for this Python and system",
            where=offline,
            remedy="download it into the folder for this Python and system, then repair",
        )
    if absent:
        return MacroError(
            f"{fault}: the index has no {absent[1]} for this Python and system, or does not answer",
            remedy="check the connection and repair, or choose another Python",
        )
    error = re.findall(r"^(?:ERROR|Error): (.+)$", said, re.MULTILINE)
    reason = error[-1] if error else last_line(log)
    return MacroError(f"{fault} ({reason[:200].rstrip('.') or f'exit code {code}'})", remedy="see the log, then repair")


class _Rate:
    """Time left of a download, from the last half minute."""

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def seconds_left(self, done: int, total: int) -> float | None:
        """The estimate, or None while there is nothing to estimate from."""
        now = time.monotonic()
        self._points = [point for point in self._points if now - point[0] < 30] + [(now, done)]
        since, earlier = self._points[0]
        if now - since < 3 or done <= earlier:
            return None
        return (total - done) * (now - since) / (done - earlier)


def _size_of(folder: Path) -> int:
    """Bytes of a folder's files; those that vanish meanwhile do not count."""
    total, waiting = 0, [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _remove(folder: Path) -> None:
    """Delete a folder if it is there."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def size_text(size: float) -> str:
    """Bytes as people say them: 480 MB, 1.6 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def duration_text(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min."""
    return f"{max(1, round(seconds))} s" if seconds < 60 else f"{round(seconds / 60)} min"
