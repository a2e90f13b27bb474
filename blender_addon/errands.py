# SPDX-License-Identifier: GPL-3.0-or-later
"""Short work of child processes besides reconstructions: what the panel shows of it. Nothing here needs Blender."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .runs import Run
from .solver_process import Outcome

LOG = "last-errand.log"  # the log of a reconstruction stays beside it


@dataclass
class Errand:
    """One child that prints events (docs/formats.md), from its start to its end."""

    run: Run | None = None
    phase: Literal["running", "done", "error", "cancelled"] = "running"
    title: str = "Starting"
    fraction: float = 0.0  # of the present stage
    seconds_left: float | None = None  # of the present stage
    message: str = ""  # why there is nothing
    warnings: list[str] = field(default_factory=list)
    output: Path = Path()  # the folder that it writes to
    log_path: Path | None = None  # once it is over

    def hear(self) -> None:
        """Take in what the child has said since the last call."""
        if self.run is None:
            return
        for event in self.run.events():
            if event["event"] == "stage":
                self.title, self.fraction, self.seconds_left = str(event.get("title")), 0.0, None
            elif event["event"] == "progress" and event.get("total"):
                self.fraction = min(1.0, float(event["done"]) / float(event["total"]))
                left = event.get("seconds_left")
                self.seconds_left = float(left) if isinstance(left, int | float) else None
            elif event["event"] == "warning":
                self.warnings.append(str(event.get("message")))
        if self.run.outcome is not None:
            outcome, run = self.run.outcome, self.run
            self.run = None
            self.output, self.log_path = run.output, run.settle(LOG)
            self.phase, self.message = outcome.kind, outcome.message
            if outcome.kind == "done":
                self.take_in(outcome)

    def take_in(self, outcome: Outcome) -> None:
        """Read what a child has made that ended well."""

    def end(self) -> None:
        """End the child, if it is still at work."""
        if self.run is not None:
            self.run.end()
            self.hear()
