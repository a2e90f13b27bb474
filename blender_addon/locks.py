# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks of the operating system on files: they go with the process that holds them, however that ends.

The solver holds one on `run.lock` in its output folder (docs/formats.md); Blender holds one for each run it minds.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_LOCKED_BYTE = 1 << 20  # behind the text: Windows lets nobody read what is locked


class Lock:
    """A file that this process alone holds, until `release` or its own end."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    def release(self) -> None:
        """Let others have it, and remove the file."""
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(self._handle)
        with contextlib.suppress(OSError):  # another process may have it already
            self._path.unlink()
        if sys.platform != "win32":
            os.close(self._handle)


def take(path: Path) -> Lock | None:
    """The lock of a file, which is made where needed; None where another process has it.

    Raises:
        OSError: the file cannot be opened.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(handle):
            os.close(handle)
            return None
        with contextlib.suppress(OSError):
            if sys.platform == "win32" or os.fstat(handle).st_ino == path.stat().st_ino:
                return Lock(path, handle)
        os.close(handle)  # it was removed between opening and locking, by the one that held it


def is_held(path: Path) -> bool:
    """Whether some process holds the lock of a file."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(handle)
    finally:
        os.close(handle)


def holder(path: Path) -> int | None:
    """The number of the process that holds a solver's lock; None where it is not held or does not say."""
    try:
        with path.open("rb") as file:
            number = int(file.read(20))
    except (OSError, ValueError):
        return None
    return number if number > 1 and is_held(path) else None


def _try_lock(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
