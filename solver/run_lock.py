# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time for an output folder, and a way to see from outside whether one is alive.

The run holds a lock of the operating system on a file; it goes with the process, however that ends.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from solver.errors import SolverError

LOCK_FILE = "run.lock"  # in the output folder; holds the number of the process
_PATIENCE_S = 0.2  # a look from outside at whether a run is alive holds the lock for an instant
_LOCKED_BYTE = 1 << 20  # behind the text: Windows lets nobody read what is locked


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock during the block.

    Raises:
        SolverError: another process holds it.
    """
    path = folder / LOCK_FILE
    handle = _locked(path)
    if handle is None:
        remedy = "wait for it, or choose another"
        raise SolverError("another run writes to this folder", where=folder, remedy=remedy, mend="output")
    try:
        os.truncate(handle, 0)
        os.write(handle, str(os.getpid()).encode("ascii"))
        yield
    finally:
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(handle)
        with suppress(OSError):
            path.unlink()
        if sys.platform != "win32":
            os.close(handle)


def _locked(path: Path) -> int | None:
    """A descriptor of the locked file, or None where another process has it."""
    patience_ends = time.monotonic() + _PATIENCE_S
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(handle):
            os.close(handle)
            if time.monotonic() > patience_ends:
                return None
            time.sleep(_PATIENCE_S / 10)
            continue
        with suppress(OSError):
            if sys.platform == "win32" or os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)  # it was removed between opening and locking, by a run that ended


def _try_lock(handle: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        os.lseek(handle, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a network disk without locks: better to run than to refuse
        return True
    return True
