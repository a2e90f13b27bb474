# SPDX-License-Identifier: GPL-3.0-or-later
"""One reconstruction, from its place in the queue to its end, as the panel shows it. Nothing here needs Blender."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .quantities import duration_text
from .queue_on_disk import Place
from .run_records import Origin
from .runs import Run
from .solver_process import Outcome, Request

Phase = Literal["waiting", "running", "paused", "finishing", "cancelling", "done", "error", "cancelled"]
AT_WORK = ("running", "paused", "finishing", "cancelling")


@dataclass
class Job:
    """One reconstruction as the panel shows it."""

    output: Path
    capture: Path | None = None  # of an error that came before a run, None
    request: Request | None = None  # what was asked for; of an error that came before a run, None
    python: str = ""
    scene: int | None = None  # session_uid of the scene that the result goes to; it survives renaming and undo
    origin: Origin = field(default_factory=Origin)  # the same scene by name, for when its file is opened again
    phase: Phase = "waiting"
    place: Place | None = None  # in the queue on the disk, while it waits
    held: bool = False  # whether it waits for the user too
    stage: str = ""
    title: str = "Starting"
    done: int = 0  # steps of the present stage
    total: int = 0
    seconds_left: float | None = None  # of the present stage
    psnr: float | None = None  # of what was trained last, dB
    preview: Path | None = None  # the latest picture
    previews: int = 0  # how many there were
    warnings: list[str] = field(default_factory=list)
    message: str = ""  # how it ended
    mend: str = ""  # what would help
    imported: bool = False
    took_s: float | None = None  # from its start to its end
    log_path: Path | None = None
    run: Run | None = None

    @property
    def at_work(self) -> bool:
        """Whether the solver is busy with it."""
        return self.phase in AT_WORK

    @property
    def is_over(self) -> bool:
        """Whether it neither works nor waits."""
        return self.phase in ("done", "error", "cancelled")

    @property
    def training(self) -> bool:
        """Whether it is at the part that can be paused or finished early."""
        return self.stage == "train" and self.done > 0

    @property
    def resumable(self) -> bool:
        """Whether it left a checkpoint to go on from."""
        over = self.phase in ("error", "cancelled") and self.request is not None
        return over and (self.output / "checkpoint.pt").is_file()

    @property
    def fraction(self) -> float:
        """How much of the present stage is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def status(self) -> str:
        """The line on the progress bar."""
        told = {"cancelling": "Saving what is there", "finishing": "Finishing with what is there", "paused": "Paused"}
        if self.phase in told and (self.phase != "finishing" or self.stage == "train"):
            return told[self.phase]
        if not self.total:
            return "…"
        percent = f"{100 * self.fraction:.0f} %"
        return percent if self.seconds_left is None else f"{percent}  ·  {duration_text(self.seconds_left)} left"

    def hear(self, event: dict[str, Any]) -> None:
        """Take in one of the solver's events."""
        match event["event"]:
            case "stage":
                self.stage = str(event.get("name"))
                self.title = str(event.get("title") or event.get("name"))
                self.done = self.total = 0
                self.seconds_left = None
                if self.phase == "paused":  # the wish came too late
                    self.phase = "running"
            case "paused" if self.phase == "running":  # by another Blender
                self.phase = "paused"
            case "going_on" if self.phase == "paused":
                self.phase = "running"
            case "progress":
                self.done, self.total = int(event.get("done") or 0), int(event.get("total") or 0)
                left = event.get("seconds_left")
                self.seconds_left = float(left) if isinstance(left, int | float) else None
            case "metric" if event.get("name") == "psnr" and isinstance(event.get("value"), int | float):
                self.psnr = float(event["value"])
            case "preview":
                self.preview, self.previews = Path(str(event.get("path"))), self.previews + 1
            case "warning":
                self.warnings.append(str(event.get("message")))

    def conclude(self, outcome: Outcome) -> None:
        """Take in how the solver ended."""
        self.phase, self.message, self.mend = outcome.kind, outcome.message, outcome.mend
        if self.run is not None:
            self.took_s = self.run.lasted_s
            self.log_path = self.run.settle()
            self.run = None

    def fail(self, sentence: str, mend: str = "") -> None:
        """End with an error that is not the solver's."""
        self.phase, self.message, self.mend = "error", sentence, mend
