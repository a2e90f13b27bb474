# SPDX-License-Identifier: GPL-3.0-or-later
"""What a child says on its standard output, a file: whole lines as events, as they come. Nothing here needs Blender."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .run_records import CHUNK
from .solver_process import HEARD, Outcome

LONGEST_EVENT = 1 << 20  # bytes
LOGGED = ("stage", "warning", "error", "cancelled", "done")


class Hearing:
    """Reads a child's events (docs/formats.md) while they are written. Never waits."""

    def __init__(self, events: Path, log: Path) -> None:
        """Begin at the beginning of the file `events`; what matters later goes to `log`."""
        self.told: Outcome | None = None  # what the child itself said about its end
        self._log = log
        self._events = events.open("rb")
        self._rest = b""  # of a line that is not whole yet
        self._skipping = False  # the rest of a line that was too long

    def events(self) -> Iterator[dict[str, Any]]:
        """Everything said since the last call."""
        for line in self._new_lines():
            event = self._understood(line)
            if event is not None:
                self._note(event)
                yield event

    def close(self) -> None:
        """Hear no more."""
        self._events.close()

    def _new_lines(self) -> Iterator[bytes]:
        while chunk := self._events.read(CHUNK):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            if len(self._rest) > LONGEST_EVENT:
                self._rest, self._skipping = b"", True
            for line in lines:
                if self._skipping:
                    self._skipping = False
                elif line.strip():
                    yield line

    def _understood(self, line: bytes) -> dict[str, Any] | None:
        """A line as an event; what is none, and what matters later, goes to the log."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        known = isinstance(event, dict) and isinstance(event.get("event"), str)
        if not known or event["event"] in LOGGED:
            with contextlib.suppress(OSError), self._log.open("ab") as log:
                log.write(HEARD.encode() + line[:2000].rstrip() + b"\n")
        return event if known else None

    def _note(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "done":
                self.told = Outcome("done", "The reconstruction is finished.", Path(str(event.get("result"))))
            case "error":
                message = str(event.get("message") or event.get("what"))
                self.told = Outcome("error", message, mend=str(event.get("mend") or ""))
            case "cancelled":
                self.told = Outcome("cancelled", "The reconstruction was cancelled.")
