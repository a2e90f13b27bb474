# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, finishing, repairing and updating the solver's Python environment. Nothing here needs Blender.

`install` is a generator that tells its progress and never blocks for longer than a fraction of a second, so a thread
or a loop can drive it. Packages that are in place are not fetched again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import locks as file_locks
from .environment import (
    OWNER,
    STAMP_VERSION,
    Places,
    has_its_python,
    installed_packages,
    remove,
    site_packages,
    size_of,
)
from .environment_commands import DownloadRate, Progress, Runner
from .errors import MacroError
from .files import write_aside
from .package_locks import Locks, normalized, pins
from .pythons import Device, Interpreter
from .quantities import duration_text, size_text

PINS_A_CALL = 4
LONGEST_FOLDER_ON_WINDOWS = 110  # characters; PyTorch's longest path inside has 140, and Windows ends at 260
PYTORCH_CPU = "https://download.pytorch.org/whl/cpu"
PYTORCH_CUDA = "https://download.pytorch.org/whl/cu130"


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
            yield from _steps(order, places, Runner(places, cancelled))
    except OSError as error:
        raise MacroError(
            f"the environment could not be written ({error.strerror or error})",
            where=error.filename or order.root,
            remedy="check the folder's permissions and the space on its disk, then repair",
        ) from None
    yield Progress("Installed", 1.0)


def _steps(order: Order, places: Places, runner: Runner) -> Iterator[Progress]:
    if not _reusable(order, places):
        remove(places.venv)
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
        remove(places.temporary)
        places.temporary.mkdir()
        free, needed = shutil.disk_usage(root).free, needed_bytes(order) - size_of(root)
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
    return has_its_python(places) and made == _made_with(order)


def _made_with(order: Order) -> dict[str, Any]:
    return {"python": order.interpreter.path, "version": list(order.interpreter.version), "device": order.device}


def _write_missing(order: Order, places: Places) -> list[Path]:
    """Requirement files of what the environment lacks: the locks without the pins that are in place.

    Returns:
        Files of a few pins each, in the order of installation: pip keeps what it downloaded only at the end of a call.
    """
    present = installed_packages(places)
    files = []
    for lock in order.locks.files(order.device):
        lines = [line for name, version, line in pins(lock.read_text(encoding="utf-8")) if present.get(name) != version]
        for first in range(0, len(lines), PINS_A_CALL):
            file = places.temporary / f"{lock.stem}-{first}.txt"
            file.write_text("".join(lines[first : first + PINS_A_CALL]), encoding="utf-8")
            files.append(file)
    return files


def _pins_of(order: Order) -> Iterator[tuple[str, str, str]]:
    """The pins of all of an order's lock files."""
    for lock in order.locks.files(order.device):
        yield from pins(lock.read_text(encoding="utf-8"))


def _drop_half_installed(places: Places) -> None:
    """Forget packages whose installation was cut off: pip would take their metadata for the package."""
    site = site_packages(places)
    for information in site.glob("*.dist-info") if site is not None else ():
        if not (information / "RECORD").is_file():
            remove(information)


def _download(order: Order, places: Places, runner: Runner, missing: list[Path]) -> Iterator[Progress]:
    """Fetch the wheels that are missing; those that an earlier try fetched are used again."""
    places.wheels.mkdir(exist_ok=True)
    fresh = not installed_packages(places).keys() & {name for name, _, _ in _pins_of(order)}
    expected = order.locks.sizes(order.device)[0] if fresh else 0  # of an update or a repair nobody knows
    rate = DownloadRate()

    def progress() -> Progress:
        done = size_of(places.wheels) + size_of(places.temporary)
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


def _install_wheels(order: Order, places: Places, runner: Runner, missing: list[Path]) -> Iterator[Progress]:
    """Unpack what was downloaded, or the user's own wheels, into the environment."""
    source = order.wheels or places.wheels
    wanted = {(name, version) for file in missing for name, version, _ in pins(file.read_text(encoding="utf-8"))}
    site = site_packages(places)
    before = size_of(site) if site is not None else 0
    total = _unpacked_size(source, wanted)

    def progress() -> Progress:
        done = max(0, size_of(site) - before) if site is not None else 0
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


def _uninstall_strays(order: Order, places: Places, runner: Runner) -> Iterator[Progress]:
    """Take out what an earlier lock had and this one has not."""
    wanted = {name for name, _, _ in _pins_of(order)}
    strays = sorted(installed_packages(places).keys() - wanted - {"pip", "setuptools"})
    if strays:
        yield from runner.run(
            "Taking out what is no longer needed",
            [*_pip(places), "uninstall", "--yes", *strays],
            "packages that are no longer needed could not be taken out",
        )


def _finish(order: Order, places: Places) -> None:
    """Clean up and write the stamp, aside first, so that there is never half of one."""
    remove(places.wheels)
    remove(places.temporary)
    stamp = {
        "stamp_version": STAMP_VERSION,
        "locks": order.locks.fingerprint(order.device),
        "device": order.device,
        "python": order.interpreter.label,
        "bytes": size_of(order.root),
    }
    write_aside(places.stamp, json.dumps(stamp, indent=2) + "\n")


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
