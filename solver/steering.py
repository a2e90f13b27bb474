# SPDX-License-Identifier: GPL-3.0-or-later
"""Steering a run from outside: a file in its output folder says what the run shall do.

A file, rather than a signal or a pipe, since it works alike on every system, and for a program that did not start the
run itself, such as a Blender that was opened again meanwhile.
"""

import contextlib
import math
import time
from pathlib import Path
from typing import Literal, get_args

from solver.errors import SolverError
from solver.files import while_others_read, written_aside

Wish = Literal["run", "pause", "finish", "cancel"]

STEERING_FILE = "steering.txt"  # in the output folder; holds one wish
_LONGEST_WISH = 16  # bytes
_LOOK_INTERVAL_S = 0.2


class Steering:
    """What the outside wishes of a run. Without a file it is to run."""

    def __init__(self, output: Path | None = None) -> None:
        """Listen to wishes for the run that writes to `output`; None listens to nothing."""
        self._path = None if output is None else output / STEERING_FILE
        self._last_look = -math.inf
        self._wish: Wish = "run"

    def wish(self) -> Wish:
        """The present wish, from a look at the file that is a fifth of a second old at most."""
        now = time.monotonic()
        if self._path is not None and now - self._last_look >= _LOOK_INTERVAL_S:
            with contextlib.suppress(OSError):  # it is being exchanged: the last wish holds until the next look
                self._wish = _read(self._path)
                self._last_look = now
        return self._wish

    def wait(self) -> None:
        """Let the time between two looks pass."""
        time.sleep(_LOOK_INTERVAL_S)

    def forget(self) -> None:
        """Remove the file: a wish was for one run only."""
        self._wish = "run"
        if self._path is not None:
            path = self._path
            while_others_read(lambda: path.unlink(missing_ok=True))


def steer(output: Path, wish: Wish) -> None:
    """Tell the run that writes to `output` what to do.

    Raises:
        SolverError: no run has begun there, or the file cannot be written.
    """
    if not output.is_dir():
        raise SolverError("no run writes to this folder", where=output, remedy="name the run's output folder")
    try:
        with written_aside(output / STEERING_FILE) as temporary:
            temporary.write_text(wish, encoding="ascii")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SolverError(
            f"the run cannot be told ({reason})", where=output / STEERING_FILE, remedy="try again"
        ) from None


def _read(path: Path) -> Wish:
    try:
        with path.open("rb") as file:
            word = file.read(_LONGEST_WISH).decode("ascii", errors="replace").strip()
    except FileNotFoundError:
        return "run"
    return word if word in get_args(Wish) else "run"  # type: ignore[return-value]
