# SPDX-License-Identifier: GPL-3.0-or-later
"""How the generator tells the outside what it is doing: lines for a person, JSON lines for a program.

The events are those of docs/formats.md.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from .errors import GeneratorError


@dataclass
class _Pace:
    """How long the steps of a stage take, those apart that were kept from an earlier run."""

    steps: int = 0
    seconds: float = 0.0  # that they took
    latest: tuple[int, float] | None = None  # what was done at the last report, and when that was

    def report(self, done: int, *, kept: bool) -> None:
        now = time.monotonic()
        if self.latest is not None and not kept:
            self.steps += done - self.latest[0]
            self.seconds += now - self.latest[1]
        self.latest = done, now

    def seconds_left(self, steps: int) -> float | None:
        return round(self.seconds / self.steps * steps, 1) if self.steps else None


class Reporter:
    """Receives what a run has to say. This base class keeps silent."""

    def __init__(self) -> None:
        self._pace = _Pace()

    def stage(self, name: str, title: str) -> None:
        """Begin a stage. `name` is for programs, `title` for people."""
        self._pace = _Pace()
        self._emit("stage", name=name, title=title)

    def progress(self, done: int, total: int, *, kept: bool = False) -> None:
        """Report `done` of `total` steps of the present stage.

        Args:
            done: steps that are behind.
            total: steps of the stage.
            kept: nothing had to be done for what is new since the last report: it was left from an earlier run, and
                says nothing of how long the others take.
        """
        self._pace.report(done, kept=kept)
        self._emit("progress", done=done, total=total, seconds_left=self._pace.seconds_left(total - done))

    def warning(self, message: str) -> None:
        """Report something that the user should know but that does not stop the run."""
        self._emit("warning", message=message)

    def error(self, error: GeneratorError) -> None:
        """Report why the run ends without a capture."""
        self._emit("error", what=error.what, where=error.where, remedy=error.remedy, message=error.sentence)

    def cancelled(self) -> None:
        """Report that the run ends because it was asked to."""
        self._emit("cancelled")

    def done(self, capture: Path) -> None:
        """Report the finished capture."""
        self._emit("done", capture=str(capture))

    def _emit(self, event: str, **content: Any) -> None:
        pass


class JsonReporter(Reporter):
    """One JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def _emit(self, event: str, **content: Any) -> None:
        self._stream.write(json.dumps({"event": event, **content}) + "\n")
        self._stream.flush()


class TextReporter(Reporter):
    """One plain line an event; Blender's Python has no progress bar."""

    def __init__(self, output: TextIO, errors: TextIO) -> None:
        super().__init__()
        self._output, self._errors = output, errors

    def _emit(self, event: str, **content: Any) -> None:
        stream = self._errors if event in ("error", "warning") else self._output
        stream.write(_line(event, content) + "\n")
        stream.flush()


def _line(event: str, content: dict[str, Any]) -> str:
    if event == "stage":
        return content["title"]
    if event == "progress":
        left = content["seconds_left"]
        ending = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02d} left"
        return f"  {content['done']}/{content['total']}{ending}"
    if event == "cancelled":
        return "Cancelled. Run the same command with --resume to go on."
    if event == "done":
        return f"Capture: {content['capture']}"
    return f"{event.capitalize()}: {content['message']}"
