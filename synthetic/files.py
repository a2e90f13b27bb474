# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing files so that a reader never sees half of one."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import GeneratorError


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it onto `path` when the block ends, drop it when it raises.

    The temporary name keeps the suffix, since Blender chooses nothing by it but adds it where it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    with written_aside(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that the generator wrote.

    Raises:
        GeneratorError: it is unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise GeneratorError(
            f"the file cannot be read ({error})", where=path, remedy="render the capture again with --overwrite"
        ) from None


def require_writable_folder(path: Path) -> None:
    """Fail before minutes of rendering where the capture could not be written; leaves no trace of the try.

    Raises:
        GeneratorError: `path` or one of its parents is a file, or it does not accept new files.
    """
    nearest = path.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise GeneratorError("the output path is a file", where=nearest, remedy="choose a folder")
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError:
        raise GeneratorError(
            "the output folder is not writable",
            where=path,
            remedy="choose another folder or change its permissions",
        ) from None
