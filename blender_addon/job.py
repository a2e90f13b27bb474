# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstruction that is running, what the panel says about it, and the two ways to drive it.

`reconstruct` waits for the end and is for scripts and Blender's background mode, where neither timers nor modal
operators run. `begin` returns at once and lets a timer hear the solver while Blender stays usable. A timer rather
than a modal operator: it outlives undo and the loading of another file, and it grabs no key. A result is imported only
into the scene that asked for it, never into another file that was opened meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import bpy

from . import solver_process
from .errors import MacroError
from .import_result import import_result
from .solver_process import Outcome, Request, SolverProcess

TICK_S = 0.2
Phase = Literal["running", "cancelling", "done", "error", "cancelled"]


@dataclass
class Job:
    """One run as the panel shows it."""

    output: Path
    log_path: Path | None = None
    scene: int | None = None  # session_uid of the scene that the result goes to; it survives renaming and undo
    phase: Phase = "running"
    title: str = "Starting"
    done: int = 0  # steps of the present stage
    total: int = 0
    seconds_left: float | None = None  # of the present stage
    warnings: list[str] = field(default_factory=list)
    message: str = ""  # how it ended
    resumable: bool = False  # whether it left a checkpoint to go on from
    process: SolverProcess | None = None

    @property
    def running(self) -> bool:
        """Whether the solver is still at work."""
        return self.phase in ("running", "cancelling")

    @property
    def fraction(self) -> float:
        """How much of the present stage is done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def status(self) -> str:
        """The line on the progress bar."""
        if self.phase == "cancelling":
            return "Saving what is there"
        if not self.total:
            return "…"
        percent = f"{100 * self.fraction:.0f} %"
        return percent if self.seconds_left is None else f"{percent}  ·  {duration(self.seconds_left)} left"

    def hear(self, event: dict[str, Any]) -> None:
        """Take in one of the solver's events."""
        match event["event"]:
            case "stage":
                self.title = str(event.get("title") or event.get("name"))
                self.done = self.total = 0
                self.seconds_left = None
            case "progress":
                self.done, self.total = int(event.get("done") or 0), int(event.get("total") or 0)
                left = event.get("seconds_left")
                self.seconds_left = float(left) if isinstance(left, int | float) else None
            case "warning":
                self.warnings.append(str(event.get("message")))

    def conclude(self, outcome: Outcome) -> None:
        """Take in how the child ended."""
        self.phase, self.message, self.process = outcome.kind, outcome.message, None
        self.resumable = (self.output / "checkpoint.pt").is_file()
        if self.log_path is not None:
            self.log_path = solver_process.keep_log(self.log_path, self.output)


@dataclass
class SolverCheck:
    """The answer of the solver's Python, for the preferences; `fine` is None while it is awaited."""

    python: str
    fine: bool | None = None
    message: str = ""


current: Job | None = None  # the run that the panel shows, until it is dismissed
check: SolverCheck | None = None


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min, 1 h 20 min."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def storage() -> Path:
    """The only folder besides the chosen output that the extension writes in."""
    package = __package__.rpartition(".")[0]
    if package.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(package, create=True))
    return Path(bpy.app.tempdir)  # used from a script, not installed


def reconstruct(
    request: Request,
    python: str,
    *,
    context: bpy.types.Context | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> bpy.types.Collection:
    """Reconstruct, wait for the end, and import the result into the scene.

    Args:
        request: what to reconstruct.
        python: the interpreter of the solver's environment.
        context: where to import; `bpy.context` when left out.
        on_event: called with each of the solver's events (docs/formats.md).

    Raises:
        MacroError: the solver cannot be started, is running already, or ended without a result; the sentence says why.
    """
    global current
    _require_idle()
    job = current = Job(output=request.output)
    try:
        job.process = solver_process.start(request, python, storage())
        job.log_path = job.process.log_path

        def hear(event: dict[str, Any]) -> None:
            job.hear(event)
            if on_event is not None:
                on_event(event)

        job.conclude(job.process.wait(hear))
        if job.phase != "done":
            raise MacroError(job.message.rstrip("."))
        return import_result(context or bpy.context, request.output)
    except MacroError as error:
        if job.phase != "cancelled":
            job.phase, job.message = "error", error.sentence
        raise
    finally:
        if job.running:  # an exception that is not ours, such as an interrupt
            job.phase, job.message, job.process = "cancelled", "The reconstruction was cancelled.", None


def begin(request: Request, python: str, scene: bpy.types.Scene) -> None:
    """Start a reconstruction that a timer drives; its result is imported into `scene` in the end.

    Raises:
        MacroError: the solver cannot be started, or is running already.
    """
    global current
    _require_idle()
    current = Job(output=request.output, scene=scene.session_uid)
    try:
        current.process = solver_process.start(request, python, storage())
    except MacroError as error:
        current.phase, current.message = "error", error.sentence
        raise
    current.log_path = current.process.log_path
    _start_timer()


def cancel() -> None:
    """Ask the running solver to stop; it saves its state first."""
    if current is not None and current.process is not None:
        current.process.cancel()
        current.phase = "cancelling"


def dismiss() -> None:
    """Forget the last run's message."""
    global current
    if current is not None and not current.running:
        current = None


def fail(message: str) -> None:
    """Show an error in the panel that came before the run."""
    global current
    current = Job(output=Path(), phase="error", message=message)


def begin_check(python: str) -> None:
    """Ask the solver's Python for its state in the background; the answer appears in `check`."""
    global check
    asked = check = SolverCheck(python)
    folder = storage()

    def ask() -> None:
        fine, message = solver_process.doctor(python, folder)
        asked.message = message
        asked.fine = fine

    threading.Thread(target=ask, name="macro-solver-check", daemon=True).start()
    _start_timer()


def end_all() -> None:
    """End the solver and the timer: for unregistering and for Blender's own end."""
    global current, check
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if current is not None and current.process is not None:
        current.process.end()
        current.conclude(current.process.outcome or Outcome("cancelled", "The reconstruction was cancelled."))
    current = check = None


def _require_idle() -> None:
    if current is not None and current.running:
        raise MacroError("a reconstruction is already running", remedy="wait for it, or cancel it in the Macro panel")


def _start_timer() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK_S, persistent=True)


def _tick() -> float | None:
    """Hear the solver; import when it is done. Returns the seconds to the next call, or None at the end."""
    job = current
    if job is not None and job.process is not None:
        for event in job.process.events():
            job.hear(event)
        if job.process.outcome is not None and not bpy.app.is_job_running("RENDER"):  # a render reads the scene
            job.conclude(job.process.outcome)
            if job.phase == "done":
                _import_finished(job)
    redraw()
    waiting = (current is not None and current.running) or (check is not None and check.fine is None)
    return TICK_S if waiting else None


def _import_finished(job: Job) -> None:
    """Import into the scene that the run was started from, if it is still there."""
    scene = next((scene for scene in bpy.data.scenes if scene.session_uid == job.scene), None)
    if scene is None:
        job.warnings.append(
            f"The scene that the result was meant for is no longer open. The result is in {job.output}; "
            "Import Result brings it into this scene."
        )
        return
    windows = bpy.context.window_manager.windows
    window = next((window for window in windows if window.scene == scene), next(iter(windows), None))
    try:
        with bpy.context.temp_override(window=window):
            import_result(bpy.context, job.output, scene=scene)
            if bpy.ops.ed.undo_push.poll():
                bpy.ops.ed.undo_push(message="Import Macro Reconstruction")
    except MacroError as error:
        job.phase, job.message = "error", error.sentence


def redraw() -> None:
    """Have the sidebars and the preferences drawn again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                area.tag_redraw()
