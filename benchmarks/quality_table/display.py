# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees while the table is being filled: a line for each cell, and bars where somebody watches."""

import threading

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn


class Display:
    """Tells on standard error; safe to call from several threads."""

    def __init__(self, total: int) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._total, self._done = total, 0
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.RLock()
        self._whole = self._bars.add_task("whole table", total=total, note="")
        self._bars.start()

    def begin(self, name: str) -> None:
        """A cell has begun."""
        with self._lock:
            self._tasks[name] = self._bars.add_task(name, total=None, note="")

    def progress(self, name: str, done: int, total: int, seconds_left: float) -> None:
        """It is at `done` of `total` steps; `seconds_left` is for the whole table."""
        with self._lock:
            if name in self._tasks:
                self._bars.update(self._tasks[name], completed=done, total=total, note=f"{done}/{total}")
            self._bars.update(self._whole, note=f"{duration(seconds_left)} left")

    def end(self, name: str, seconds: float, seconds_left: float) -> None:
        """It is done."""
        self._line(name, f"{duration(seconds)}, about {duration(seconds_left)} left for the table")

    def failed(self, name: str, sentence: str, seconds_left: float) -> None:
        """It could not be done."""
        self._line(name, f"failed: {sentence}", style="red")

    def stopped(self, name: str) -> None:
        """It was asked to stop."""
        self._line(name, "stopped")

    def kept(self) -> None:
        """A cell needs not be done: it was before, or cannot be."""
        with self._lock:
            self._done += 1
            self._bars.update(self._whole, completed=self._done)

    def note(self, sentence: str) -> None:
        """Something that concerns no single cell."""
        self._console.print(sentence, markup=False)

    def close(self) -> None:
        """Leave the terminal to others."""
        self._bars.stop()

    def _line(self, name: str, text: str, style: str | None = None) -> None:
        with self._lock:
            if name in self._tasks:
                self._bars.remove_task(self._tasks.pop(name))
            self._done += 1
            self._bars.update(self._whole, completed=self._done)
            self._console.print(f"[{self._done}/{self._total}] {name}: {text}", style=style, markup=False)


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{rest:02d} min"
