# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a run from outside: SIGINT (Ctrl-C) and SIGTERM (what Blender sends)."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from solver.errors import Cancelled


class Cancellation:
    """Turns a signal into `Cancelled`: at once, or where the work asks for it while it is `deferred`."""

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def install(self) -> None:
        """Listen to the signals; call it from the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self._deferred:
            raise Cancelled

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Hold the exception back until `check`, or the block's end, for work that must not stop half way."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        self.check()

    def check(self) -> None:
        """Raise `Cancelled` if a signal came."""
        if self.requested:
            raise Cancelled
