# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files so that a reader never sees half of one, and where files that can be made again go."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from solver.errors import SolverError

_TRIES, _BETWEEN_TRIES_S = 10, 0.05


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` when the block ends, drop it when it raises.

    The temporary name keeps the suffix, since many writers choose their format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        while_others_read(lambda: temporary.replace(path))
    finally:
        temporary.unlink(missing_ok=True)


def while_others_read(action: Callable[[], object]) -> None:
    """Rename or remove a file that another program may have open for a moment, which Windows forbids meanwhile.

    Raises:
        PermissionError: it is still forbidden after half a second.
    """
    for _ in range(_TRIES - 1):
        try:
            action()
            return
        except PermissionError:
            time.sleep(_BETWEEN_TRIES_S)
    action()


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically. Non-finite floats are refused: JSON has none."""
    with written_aside(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` names it in the error ("the camera file").

    Raises:
        SolverError: the file is absent, unreadable, or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SolverError(f"{what} is missing", where=path, remedy="check the path") from None
    except OSError as error:
        raise SolverError(f"{what} cannot be read ({error.strerror})", where=path, remedy="check the file") from None
    except json.JSONDecodeError as error:
        raise SolverError(
            f"{what} is not valid JSON (line {error.lineno}: {error.msg})", where=path, remedy="write it again"
        ) from None
    except (ValueError, RecursionError) as error:  # not UTF-8, numbers of thousands of digits, endless nesting
        raise SolverError(f"{what} is not valid JSON ({error})", where=path, remedy="write it again") from None


def require_writable_folder(path: Path) -> None:
    """Fail early where a result could not be written; leaves no trace of the try.

    Raises:
        SolverError: `path` is a file, or it (or its nearest existing parent) does not accept new files.
    """
    path = Path(path).absolute()
    try:
        if path.exists() and not path.is_dir():
            raise SolverError("the output path is a file", where=path, remedy="choose a folder")
        parent = path
        while not parent.exists():
            parent = parent.parent
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError:
        raise SolverError(
            "the output folder is not writable", where=path, remedy="choose another folder or change its permissions"
        ) from None


@contextmanager
def no_empty_folder_left(path: Path) -> Iterator[None]:
    """Where the block raises, remove `path` and the parents that it got inside the block, as far as they are empty."""
    path = Path(path).absolute()
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in made:
            with suppress(OSError):  # it holds something, or never came to be
                folder.rmdir()
        raise


def user_cache_folder() -> Path:
    """The platform's folder for what can be made again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
