# SPDX-License-Identifier: GPL-3.0-or-later
"""How a run tells the outside what it is doing: JSON lines for a program, a progress bar for a person.

The lines are specified in docs/formats.md.
"""

import json
import math
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from solver.errors import SolverError

EventFormat = Literal["text", "json"]

_LEAST_INTERVAL_S = 0.1  # between two reports of progress
_LINE_INTERVAL_S = 20.0  # between two lines of progress in a log


@dataclass
class _Clock:
    """Time left in a stage, from the pace of its last part so that a slow start is forgotten."""

    started: float = field(default_factory=lambda: time.monotonic())
    window: list[tuple[float, int]] = field(default_factory=list)  # (time, done), the latest last

    def seconds_left(self, done: int, total: int) -> float | None:
        now = time.monotonic()
        if self.window and done < self.window[-1][1]:  # a stage may count more than once
            self.window.clear()
        self.window.append((now, done))
        horizon = max(10.0, 0.3 * (now - self.started))
        while len(self.window) > 2 and now - self.window[0][0] > horizon:
            self.window.pop(0)
        (then, done_then) = self.window[0]
        if done <= done_then or now <= then:
            return None
        return (total - done) * (now - then) / (done - done_then)


class Reporter:
    """Receives what a run has to say. This base class keeps silent; use it in tests and as a default."""

    def __init__(self) -> None:
        self.timings_s: dict[str, float] = {}  # spent so far, by stage
        self.warnings: list[str] = []
        self._stage: str | None = None
        self._clock = _Clock()
        self._last_emit = -math.inf

    def stage(self, name: str, title: str) -> None:
        """Begin a stage. `name` is for programs and the timing table, `title` for people."""
        self._close_stage()
        self._stage, self._clock, self._last_emit = name, _Clock(), -math.inf
        self._emit("stage", name=name, title=title)

    def progress(self, done: int, total: int) -> None:
        """Report `done` of `total` steps of the present stage.

        At most ten reports a second get out, and the one that ends the stage.
        """
        now = time.monotonic()
        if done < total and now - self._last_emit < _LEAST_INTERVAL_S:
            return
        self._last_emit = now
        left = self._clock.seconds_left(done, total)
        self._emit("progress", done=done, total=total, seconds_left=None if left is None else round(left, 1))

    def metric(self, name: str, value: float, step: int | None = None) -> None:
        """Report a number worth watching."""
        self._emit("metric", name=name, value=float(value), step=step)

    def preview(self, path: Path) -> None:
        """Report that a picture of the present state was written."""
        self._emit("preview", path=str(path))

    def warning(self, message: str) -> None:
        """Report something that the user should know but that does not stop the run."""
        self.warnings.append(message)
        self._emit("warning", message=message)

    def paused(self) -> None:
        """Report that the run waits until it is told to go on."""
        self._emit("paused")

    def going_on(self) -> None:
        """Report that a pause is over; it does not count for the time left."""
        self._clock.window.clear()
        self._emit("going_on")

    def error(self, error: SolverError) -> None:
        """Report why the run ends without a result."""
        self._emit(
            "error",
            what=error.what,
            where=error.where,
            remedy=error.remedy,
            message=error.sentence,
            mend=error.mend or None,
        )

    def cancelled(self) -> None:
        """Report that the run ends because it was asked to."""
        self._close_stage()
        self._emit("cancelled")

    def done(self, result: Path) -> None:
        """Report the finished result folder."""
        self._close_stage()
        self._emit("done", result=str(result))

    def finish_stage(self) -> None:
        """End the present stage, so that `timings_s` is complete."""
        self._close_stage()
        self.close()

    def close(self) -> None:
        """Stop drawing, so that other output can follow."""

    def _close_stage(self) -> None:
        if self._stage is not None:
            spent = time.monotonic() - self._clock.started
            self.timings_s[self._stage] = round(self.timings_s.get(self._stage, 0.0) + spent, 2)
            self._stage = None

    def _emit(self, event: str, **content: Any) -> None:
        pass


class JsonReporter(Reporter):
    """One JSON object a line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout

    def _emit(self, event: str, **content: Any) -> None:
        self._stream.write(json.dumps({"event": event, **content}) + "\n")
        self._stream.flush()


class LineReporter(Reporter):
    """Plain sentences, for a log or a pipe: a line for each stage, and one now and then while it lasts."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._last_line = 0.0

    def _emit(self, event: str, **content: Any) -> None:
        line = _sentence(event, content, resumable="train" in self.timings_s)
        now = time.monotonic()
        if event == "stage":
            line, self._last_line = content["title"], now
        elif event == "progress" and now - self._last_line >= _LINE_INTERVAL_S:
            left = content["seconds_left"]
            line = f"  {content['done']}/{content['total']}" + ("" if left is None else f", {_duration(left)} left")
            self._last_line = now
        if line:
            self._stream.write(line + "\n")
            self._stream.flush()


class TerminalReporter(Reporter):
    """A progress bar for each stage, and plain lines for everything else."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description:<34}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]:>13} {task.fields[left]:>12}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._task: Any = None

    def _emit(self, event: str, **content: Any) -> None:
        if event == "stage":
            self._finish_bar()
            self._bar.start()
            self._task = self._bar.add_task(content["title"], total=None, count="", left="")
        elif event == "progress" and self._task is not None:
            left = content["seconds_left"]
            self._bar.update(
                self._task,
                completed=content["done"],
                total=content["total"],
                count=f"{content['done']}/{content['total']}",
                left="" if left is None else f"{_duration(left)} left",
            )
        elif event in ("error", "cancelled"):
            self._bar.stop()
        elif event == "done":
            self.close()
        sentence = _sentence(event, content, resumable="train" in self.timings_s)
        if sentence:
            style = {"warning": "yellow", "error": "red"}.get(event)
            self._console.print(sentence, style=style, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Leave the last bar as it stands."""
        self._finish_bar()
        self._bar.stop()

    def _finish_bar(self) -> None:
        if self._task is not None:
            task = self._bar.tasks[self._task]
            self._bar.update(self._task, total=task.total or 1, completed=task.total or 1, left="")
            self._bar.stop_task(self._task)
            self._task = None


def _sentence(event: str, content: dict[str, Any], *, resumable: bool) -> str:
    """What a person is told of an event, beside the progress; empty for nothing."""
    if event == "warning":
        return f"Warning: {content['message']}"
    if event == "error":
        return f"Error: {content['message']}"
    if event == "cancelled":
        return "Cancelled." + (" Run the same command with --resume to go on." if resumable else "")
    if event == "paused":
        return "Paused."
    if event == "going_on":
        return "Going on."
    if event == "done":
        return f"Result: {content['result']}"
    return ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def reporter(event_format: EventFormat) -> Reporter:
    """The reporter for the command line's `--events` choice; text is drawn where somebody watches."""
    if event_format == "json":
        return JsonReporter()
    return TerminalReporter() if sys.stderr.isatty() else LineReporter()
