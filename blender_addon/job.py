# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstructions that run, wait or are over, what the panel says about them, and the two ways to drive them.

`reconstruct` waits for the end and is for scripts and Blender's background mode, where neither timers nor modal
operators run. `begin` returns at once and lets a timer hear the solver while Blender stays usable. A timer rather
than a modal operator: it outlives undo and the loading of another file, and it grabs no key. One run works at a time;
others wait in line. A result is imported only into the scene that asked for it, never into another file that was
opened meanwhile. What an earlier Blender left behind, running or waiting, is taken over by `adopt_all`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import bpy

from . import capture_check, making, queue_on_disk, rendering, runs, solver_process
from .capture_check import Inspection
from .delivery import deliver, follow_scene
from .errands import Errand
from .errors import MacroError
from .import_result import import_result
from .making import Making, MakingRequest
from .reconstruction import Job
from .rendering import Rendering, RenderRequest
from .run_records import Origin
from .solver_process import Outcome, Request

TICK_S = 0.2
ADOPTION_DELAY_S = 1.0  # after the start


@dataclass
class SolverCheck:
    """The answer of the solver's Python, for the preferences; `fine` is None while it is awaited."""

    python: str
    fine: bool | None = None
    message: str = ""


jobs: list[Job] = []  # as they came, until they are dismissed
inspection: Inspection | None = None  # the last look at a folder of photos
rendered: Rendering | None = None  # the last synthetic capture
made: Making | None = None  # the last thing that was made of a result
check: SolverCheck | None = None
_drawn: list[object] = []  # what the panel last showed of all that
leave_at_exit = False  # the preference, noted here since preferences are gone when Blender is


def working() -> Job | None:
    """The one that the solver is busy with."""
    return next((job for job in jobs if job.at_work), None)


def latest() -> Job | None:
    """The one that works, else the one that came last."""
    return working() or (jobs[-1] if jobs else None)


def waiting() -> list[Job]:
    """Those in line."""
    return [job for job in jobs if job.phase == "waiting"]


def log_of(output: str) -> Path | None:
    """The log of the run or errand that writes to a folder; that of the latest run where none is named."""
    errand = next((errand for errand in errands() if output and str(errand.output) == output), None)
    known = errand or named(output)
    return known.log_path if known is not None else None


def named(output: str) -> Job | None:
    """The one that writes to a folder; `latest` where none is named."""
    return next((job for job in reversed(jobs) if str(job.output) == output), None) if output else latest()


def errands() -> list[Errand]:
    """The last of each kind."""
    return [errand for errand in (inspection, rendered, made) if errand is not None]


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
    scene: bpy.types.Scene | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> bpy.types.Collection:
    """Reconstruct, wait for the end, and import the result into the scene.

    Args:
        request: what to reconstruct.
        python: the interpreter of the solver's environment.
        context: whose scene to import into; `bpy.context` when left out.
        scene: another scene to import into.
        on_event: called with each of the solver's events (docs/formats.md).

    Raises:
        MacroError: the solver cannot be started, is running already, or ended without a result; the sentence says why.
    """
    if working() is not None:
        raise MacroError("a reconstruction is already running", remedy="wait for it, or cancel it in the Macro panel")
    job = Job(output=request.output, capture=request.capture, request=request, python=python)
    jobs[:] = [other for other in jobs if not other.is_over] + [job]
    try:
        job.run = runs.start(request, python, storage())
        job.phase, job.log_path = "running", job.run.log_path

        def hear(event: dict[str, Any]) -> None:
            job.hear(event)
            if on_event is not None:
                on_event(event)

        job.conclude(job.run.wait(hear))
        if job.phase != "done":
            raise MacroError(job.message.rstrip("."))
        collection = import_result(context or bpy.context, request.output, scene=scene)
        job.imported = True
        return collection
    except MacroError as error:
        if job.phase != "cancelled":
            job.fail(error.sentence, job.mend)
        raise
    finally:
        if not job.is_over:  # an exception that is not ours, such as an interrupt
            job.conclude(Outcome("cancelled", "The reconstruction was cancelled."))


def begin(request: Request, python: str, scene: bpy.types.Scene) -> Job:
    """Start a reconstruction that a timer drives, or let it wait until those before it are over.

    Its result is imported into `scene` in the end.

    Raises:
        MacroError: the solver cannot be started, the queue not be noted, or a run to the same output folder is under
            way.
    """
    if any(job.output == request.output and not job.is_over for job in jobs):
        raise MacroError(
            "a reconstruction to this folder is already running or waiting",
            where=request.output,
            remedy="choose another output folder, or wait for it",
        )
    if inspection is not None and inspection.is_of(str(request.capture)):
        inspection.is_read = True
    origin = Origin(bpy.data.filepath, scene.name)
    job = Job(
        output=request.output,
        capture=request.capture,
        request=request,
        python=python,
        scene=scene.session_uid,
        origin=origin,
    )
    if working() is not None:
        job.place = queue_on_disk.line_up(request, python, storage(), origin)
    jobs[:] = [other for other in jobs if not _makes_room(other, job)] + [job]
    if job.place is None:
        try:
            _start(job)
        except MacroError as error:
            job.fail(error.sentence, mend="solver")
            raise
    _start_timer()
    return job


def _makes_room(other: Job, job: Job) -> bool:
    """Whether what is over has been read by now: errors of other runs stay, each beside the button that mends it."""
    return other.is_over and (other.output in (job.output, Path()) or (other.imported and job.place is None))


def _start(job: Job) -> None:
    assert job.request is not None
    job.run = runs.start(job.request, job.python, storage(), job.origin)
    job.phase, job.log_path = "running", job.run.log_path
    _give_place_up(job)


def _give_place_up(job: Job) -> None:
    if job.place is not None:
        job.place.give_up()
        job.place = None


def start_waiting(python: str = "") -> None:
    """Let go on what waits for the user, with the solver's Python of today where one is given."""
    dismiss(str(Path()))  # it may have said why they wait
    for job in waiting():
        if job.held:
            job.held, job.python = False, python or job.python
    _start_timer()


def adopt_soon() -> None:
    """Have `adopt_all` called when Blender is up; the file that it was started with is read before that."""
    bpy.app.timers.register(adopt_all, first_interval=ADOPTION_DELAY_S, persistent=True)


def adopt_all() -> None:
    """Take over the runs and the queue that no living Blender minds: of one that was closed, or that crashed.

    The queue goes on by itself where runs do when Blender is closed; else it waits for `start_waiting`.
    """
    known = {job.run.folder for job in jobs if job.run is not None}
    for run in runs.adopt(storage()):
        if run.folder in known:
            continue
        job = Job(output=run.output, phase="running", run=run, log_path=run.log_path, title="Found again")
        job.capture, job.request, job.origin = Path(run.record.capture), run.record.request, run.record.origin
        jobs.append(job)
    places, faults = queue_on_disk.adopt(storage())
    jobs.extend(Job(output=Path(), phase="error", message=fault) for fault in faults)
    under_way = {job.output for job in jobs if not job.is_over}
    for place in places:
        request = place.request
        if request.output in under_way:  # it had just begun
            place.give_up()
            continue
        job = Job(output=request.output, capture=request.capture, request=request, python=place.python)
        job.place, job.origin, job.held = place, place.origin, not leave_at_exit
        jobs.append(job)
    if working() is not None or waiting():
        _start_timer()


def cancel(job: Job) -> None:
    """Ask the solver to stop, which saves its state first; one that waits is forgotten."""
    if job.phase == "waiting":
        _give_place_up(job)
        jobs.remove(job)
    elif job.run is not None:
        job.run.cancel()
        job.phase = "cancelling"


def steer(job: Job, wish: Literal["pause", "run", "finish"]) -> None:
    """Tell the solver to pause, to go on, or to finish with what is there.

    Raises:
        MacroError: it cannot be told.
    """
    if job.run is None:
        return
    job.run.steer(wish)
    job.phase = {"pause": "paused", "run": "running", "finish": "finishing"}[wish]  # type: ignore[assignment]


def dismiss(output: str = "") -> None:
    """Forget those that are over, or only the one that wrote to a folder."""
    jobs[:] = [job for job in jobs if not job.is_over or (output and str(job.output) != output)]


def fail(message: str, mend: str = "") -> None:
    """Show an error in the panel that came before the run, in the place of an earlier one."""
    dismiss(str(Path()))
    jobs.append(Job(output=Path(), phase="error", message=message, mend=mend))


def inspect(request: Request, python: str) -> Inspection:
    """Look at the photos of `request`; in background mode wait for the end.

    Raises:
        MacroError: the solver cannot be started.
    """
    global inspection
    inspection = capture_check.begin(request, python, storage(), Path(bpy.app.tempdir))
    _follow(inspection)
    return inspection


def render(request: RenderRequest) -> Rendering:
    """Render a capture in another Blender; in background mode wait for the end.

    Raises:
        MacroError: it cannot be started, or one is being rendered already.
    """
    global rendered
    if rendered is not None and rendered.phase == "running":
        raise MacroError("a capture is being rendered already", remedy="wait for it, or cancel it in the Macro panel")
    rendered = rendering.begin(request, bpy.app.binary_path, storage())
    _follow(rendered)
    return rendered


def make(request: MakingRequest, python: str) -> Making:
    """Make something of a result; in background mode wait for the end.

    Raises:
        MacroError: it cannot be started, or something is being made already.
    """
    global made
    if made is not None and made.phase == "running":
        raise MacroError("something is being made of a result already", remedy="wait for it, or cancel it")
    made = making.begin(request, python, storage())
    _follow(made)
    return made


def _follow(errand: Errand) -> None:
    while bpy.app.background and errand.phase == "running":
        errand.hear()
        time.sleep(0.05)
    _start_timer()


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


def end_all(*, leave_running: bool = False) -> None:
    """End the solver, or leave it at work, and end the timer: for unregistering and for Blender's own end.

    What waits stays on the disk.
    """
    global check, inspection, made, rendered
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for job in jobs:
        if job.place is not None:
            job.place.leave()
        if job.run is None:
            continue
        if leave_running and job.phase != "cancelling":
            job.run.leave()
        else:
            job.run.end()
            job.conclude(job.run.outcome or Outcome("cancelled", "The reconstruction was cancelled."))
    jobs.clear()
    for errand in errands():
        errand.end()
    check = inspection = made = rendered = None


def end_at_exit() -> None:
    """What the preferences say of runs when Blender is closed."""
    end_all(leave_running=leave_at_exit)


def _start_timer() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK_S, persistent=True)


def _tick() -> float | None:
    """Hear the solver, import what is done, start the next. Returns the seconds to the next call, None at the end."""
    for job in [job for job in jobs if not job.is_over]:
        follow_scene(job)
    for job in [job for job in jobs if job.run is not None]:
        _hear(job)
    following = next((job for job in waiting() if not job.held), None)
    if working() is None and following is not None:
        try:
            _start(following)
        except MacroError as error:  # those behind it could not be started either
            for job in waiting():
                job.held = True
            fail(error.sentence, mend="solver")
    for errand in errands():
        errand.hear()
    _redraw_what_changed()
    out = any(errand.phase == "running" for errand in errands())
    busy = out or working() is not None or waiting() or (check is not None and check.fine is None)
    return TICK_S if busy else None


def _hear(job: Job) -> None:
    run = job.run
    assert run is not None
    for event in run.events():
        job.hear(event)
    if run.outcome is not None and not bpy.app.is_job_running("RENDER"):  # a render reads the scene
        job.conclude(run.outcome)
        if job.phase == "done":
            deliver(job)


def _redraw_what_changed() -> None:
    global _drawn
    told: list[object] = [
        (job.phase, job.title, job.status, job.psnr, job.previews, len(job.warnings), job.imported) for job in jobs
    ]
    told += [(errand.phase, errand.title, errand.fraction, errand.seconds_left) for errand in errands()]
    told.append(check.fine if check is not None else None)
    if told != _drawn:
        _drawn = told
        redraw()


def redraw() -> None:
    """Have the sidebars and the preferences drawn again, and not the 3D views, which may be slow."""
    parts = {"VIEW_3D": ("UI",), "PREFERENCES": ("WINDOW",)}
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type in parts.get(area.type, ()):
                    region.tag_redraw()
