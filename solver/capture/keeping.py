# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of derived files, kept for as long as what it was derived from stays the same."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from solver.errors import SolverError
from solver.files import write_json

KEY_FILE = "key.json"


def fingerprint(paths: Iterable[Path]) -> list[list[Any]]:
    """Path, size and modification time of each file; equal lists mean that the files did not change."""
    result: list[list[Any]] = []
    for path in paths:
        status = path.stat()
        result.append([str(path.absolute()), status.st_size, status.st_mtime_ns])
    return result


def is_kept(folder: Path, key: dict[str, Any]) -> bool:
    """Whether `folder` was made for `key` and is whole."""
    try:
        return json.loads((folder / KEY_FILE).read_text(encoding="utf-8")) == key
    except (OSError, ValueError):
        return False


def keep(folder: Path, key: dict[str, Any], make: Callable[[Path], None], what: str = "poses") -> None:
    """Have `make` fill a folder aside, and rename it to `folder` when it is done; nothing where `is_kept`.

    Only a folder that this function made is ever replaced. `what` names its content in the error.

    Raises:
        SolverError: `folder` exists and is something else.
    """
    if is_kept(folder, key):
        return
    if folder.exists() and not (folder / KEY_FILE).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise SolverError(
            f"the place for the {what} is taken by other files",
            where=folder,
            remedy="choose another output folder",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        aside = Path(temporary) / "new"
        aside.mkdir()
        make(aside)
        write_json(aside / KEY_FILE, key)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        aside.rename(folder)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content, making the target's folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
