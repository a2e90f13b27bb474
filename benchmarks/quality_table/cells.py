# SPDX-License-Identifier: GPL-3.0-or-later
"""Cells: pieces of work that are done once. Each is a JSON file with a key made of everything that decides it."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from synthetic import fingerprint


@dataclass(frozen=True)
class Cell:
    """What is known of a piece of work that was done."""

    key: str
    seconds: float  # wall time, of all its attempts
    peak_memory_mib: float | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    earlier_s: float = 0.0  # of the seconds, those of attempts that were stopped


class Store:
    """The cells in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str, key: str | None) -> Cell | None:
        """The cell, if it was done under this key; None asks for any."""
        content = _read_json(self._folder / f"{name}.json")
        try:
            cell = Cell(**content)
        except TypeError:  # damaged, or of another version
            return None
        return cell if key in (None, cell.key) else None

    def write(self, name: str, cell: Cell) -> None:
        """Keep the cell; the time of earlier attempts at it is in there now."""
        write_aside(self._folder / f"{name}.json", json.dumps(asdict(cell), indent=1) + "\n")
        self._attempts(name).unlink(missing_ok=True)

    def spent(self, name: str, key: str) -> float:
        """Seconds that unfinished attempts under this key took."""
        content = _read_json(self._attempts(name))
        return float(content["seconds"]) if content.get("key") == key else 0.0

    def write_attempt(self, name: str, key: str, seconds: float) -> None:
        """Remember the time of an attempt that was stopped and will be gone on with."""
        total = self.spent(name, key) + seconds
        write_aside(self._attempts(name), json.dumps({"key": key, "seconds": total}) + "\n")

    def _attempts(self, name: str) -> Path:
        return self._folder / f"{name}.stopped.json"


def write_aside(path: Path, content: str | bytes) -> None:
    """Write a file so that nobody sees half of it; one that has this content already is left alone."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def key_of(*parts: Any) -> str:
    """A hash of anything that JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def code_hash(root: Path, names: Iterable[str]) -> str:
    """A hash of Python sources as they run: comments, docstrings and layout do not count.

    Args:
        root: what `names` are relative to.
        names: files, and folders that are taken whole.
    """
    places = [root / name for name in names]
    found = (sorted(place.rglob("*.py")) if place.is_dir() else [place] for place in places)
    return fingerprint.code_hash(root, chain.from_iterable(found))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
