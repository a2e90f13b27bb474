# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of the solver's Python environment: what lies where, what state it is in, and deleting it.

One folder holds all of it (`Places`), and nothing is written elsewhere: not into Blender's Python, not into pip's
cache. What marks a finished environment, the stamp, is written last; a folder without it is a half-finished one, which
the next installation (environment_install.py) goes on with. Nothing here needs Blender.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from .errors import MacroError
from .package_locks import Locks, normalized
from .pythons import Device
from .quantities import size_text

State = Literal["absent", "unfinished", "broken", "outdated", "ready"]

OWNER = "macro_reconstruction"
STAMP_VERSION = 1


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
    if not has_its_python(places):
        return "broken"
    device: Device = "cuda" if stamp.get("device") == "cuda" else "cpu"
    return "ready" if stamp.get("locks") == locks.fingerprint(device) else "outdated"


def has_its_python(places: Places) -> bool:
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


def site_packages(places: Places) -> Path | None:
    """Where the environment's packages lie; None where it is not made."""
    pattern = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
    return next(places.venv.glob(pattern), None)


def installed_packages(places: Places) -> dict[str, str]:
    """Name and version of what is completely installed: pip writes RECORD when all files are in place."""
    folder = site_packages(places)
    if folder is None:
        return {}
    found = {}
    for distribution in metadata.distributions(path=[str(folder)]):
        if distribution.read_text("RECORD") is not None:
            found[normalized(distribution.metadata["Name"] or "")] = distribution.version
    return found


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
        remove(doomed)
        root.rename(doomed)  # all or nothing: fails on Windows while something in it runs
        remove(doomed)
    except OSError as error:
        raise MacroError(
            f"the environment could not be deleted ({error.strerror})",
            where=error.filename or root,
            remedy="end the reconstruction that uses it, and try again",
        ) from None


def size_of(folder: Path) -> int:
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


def remove(folder: Path) -> None:
    """Delete a folder if it is there."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
