# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators for looking at photos and for reconstructions: start, steer, mend, and what is left of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import installation, job
from .errors import MacroError
from .mending import mended
from .preferences import solver_python
from .solver_process import Request


def _output_of_a_run() -> Any:
    """The property that says which run a button is about; not remembered from one press to the next."""
    return bpy.props.StringProperty(
        name="Output",
        description="Output folder of the reconstruction that is meant; empty for the one that works or came last",
        options={"HIDDEN", "SKIP_SAVE"},
    )


class MACRO_OT_inspect(bpy.types.Operator):
    """Look at the photos before the long run: lens, what is in focus, and what to shoot again"""

    bl_idname = "macro.inspect"
    bl_label = "Inspect Photos"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A folder is set, and no look is under way."""
        if not context.scene.macro_reconstruction.capture:
            cls.poll_message_set("Choose the capture folder first")
        elif job.inspection is not None and job.inspection.phase == "running":
            cls.poll_message_set("The photos are being looked at")
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start, and in background mode wait for the end."""
        try:
            request = context.scene.macro_reconstruction.request(needs_output=False)
            found = job.inspect(request, solver_python())
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        if found.phase == "error":
            self.report({"ERROR"}, found.message)
            return {"CANCELLED"}
        return {"FINISHED"}


class MACRO_OT_open_sheet(bpy.types.Operator):
    """Open the contact sheet: every photo, and beside it how sharp it is where"""

    bl_idname = "macro.open_sheet"
    bl_label = "Open Contact Sheet"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is one."""
        if job.inspection is not None and job.inspection.sheet.is_file():
            return True
        cls.poll_message_set("Inspect the photos first")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        assert job.inspection is not None
        bpy.ops.wm.path_open(filepath=str(job.inspection.sheet))
        return {"FINISHED"}


class MACRO_OT_reconstruct(bpy.types.Operator):
    """Reconstruct the captured scene from its photos, and import the result"""

    bl_idname = "macro.reconstruct"
    bl_label = "Reconstruct Macro Scene"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Both folders are set, and the solver is whole. While something is running, a further one waits in line."""
        settings = context.scene.macro_reconstruction
        if not settings.capture:
            cls.poll_message_set("Choose the capture folder first")
        elif not settings.output:
            cls.poll_message_set("Choose the output folder first")
        elif installation.current is not None and installation.current.running:
            cls.poll_message_set("The solver is being installed")
        elif bpy.app.background and job.working() is not None:
            cls.poll_message_set("A reconstruction is running")
        else:
            return True
        return False

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        """From the interface: start, and return at once. The panel follows the run."""
        return start_or_wait(self, context.scene)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """From a script or in background mode: wait for the end, and import."""
        try:
            request = _request(context.scene)
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        return _finished(self, request, context.scene)


class MACRO_OT_pause(bpy.types.Operator):
    """Let the solver rest, with its state saved, or go on; the computer may be switched off meanwhile"""

    bl_idname = "macro.pause"
    bl_label = "Pause"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """The solver trains."""
        run = job.working()
        if run is not None and run.training and run.phase in ("running", "paused"):
            return True
        cls.poll_message_set("The solver can pause while it optimizes scene and lens")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """The other of the two."""
        run = job.working()
        assert run is not None
        return _steered(self, run, "run" if run.phase == "paused" else "pause")


class MACRO_OT_finish(bpy.types.Operator):
    """Stop optimizing, and make mesh, splats and images of what is there"""

    bl_idname = "macro.finish"
    bl_label = "Finish Early"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """The solver trains."""
        run = job.working()
        if run is not None and run.training and run.phase in ("running", "paused"):
            return True
        cls.poll_message_set("There is something to finish with once the solver optimizes scene and lens")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Tell it."""
        run = job.working()
        assert run is not None
        return _steered(self, run, "finish")


class MACRO_OT_cancel(bpy.types.Operator):
    """Stop the reconstruction; its state is saved, so that it can go on from there later"""

    bl_idname = "macro.cancel"
    bl_label = "Cancel Reconstruction"

    output: _output_of_a_run()

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Something is running that was not cancelled yet, or waits."""
        run = job.working()
        if (run is not None and run.phase != "cancelling") or job.waiting():
            return True
        cls.poll_message_set("Nothing is running")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the solver to end."""
        for run in [run for run in job.jobs if not run.is_over]:
            if str(run.output) == self.output or (not self.output and run.at_work):
                job.cancel(run)
        job.redraw()
        return {"FINISHED"}


class MACRO_OT_start_waiting(bpy.types.Operator):
    """Begin with the reconstructions that have waited since Blender was closed, one after the other"""

    bl_idname = "macro.start_waiting"
    bl_label = "Start the Queue"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Some wait for this button, and the solver is whole."""
        if installation.current is not None and installation.current.running:
            cls.poll_message_set("The solver is being installed")
        elif not any(run.held for run in job.waiting()):
            cls.poll_message_set("Nothing waits for this button")
        else:
            return True
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Let them go on."""
        job.start_waiting(solver_python())
        job.redraw()
        return {"FINISHED"}


class MACRO_OT_escape(bpy.types.Operator):
    """Ask whether to stop the reconstruction: for the Escape key over the Macro tab"""

    bl_idname = "macro.escape"
    bl_label = "Stop the Reconstruction?"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The mouse is over the tab, and the solver works; else the key is somebody else's."""
        region = context.region
        over = region is not None and region.type == "UI" and region.active_panel_category == "Macro"
        run = job.working()
        return over and run is not None and run.phase != "cancelling"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """A key is pressed by accident more easily than a button."""
        return context.window_manager.invoke_confirm(
            self, event, title=self.bl_label, message="Its state is saved, and it can go on later", confirm_text="Stop"
        )

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """As the button does."""
        return bpy.ops.macro.cancel()


class MACRO_OT_mend(bpy.types.Operator):
    """Do what the message says would help, and try again"""

    bl_idname = "macro.mend"
    bl_label = "Mend and Try Again"

    how: bpy.props.EnumProperty(
        name="How",
        description="What to change before the next try",
        items=(
            ("resume", "Go On", "Go on from where the run stopped"),
            ("fresh", "Start Anew", "Begin from the beginning instead of from the checkpoint"),
            ("output", "Use Another Folder", "Write to a new folder beside the chosen one"),
            ("smaller", "Try Again Smaller", "Work on photos of half the size"),
        ),
    )
    output: _output_of_a_run()

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """The solver is whole."""
        if installation.current is not None and installation.current.running:
            cls.poll_message_set("The solver is being installed")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask for the same with the change, for the same scene, whose settings follow."""
        run = job.named(self.output)
        if run is None or run.request is None or not run.is_over:
            self.report({"ERROR"}, "There is nothing to try again.")
            return {"CANCELLED"}
        request = mended(run.request, self.how)
        scene = job.scene_of(run) or context.scene
        settings = scene.macro_reconstruction
        for name, path in (("capture", request.capture), ("output", request.output)):
            if Path(bpy.path.abspath(getattr(settings, name))) != path:
                setattr(settings, name, str(path))
        if self.how == "output":  # chosen by nobody, so that another capture gets another one
            settings.proposed_output = settings.output
        if self.how == "smaller":
            settings.max_size = request.max_size
        return _started(self, request, scene)


class MACRO_OT_dismiss(bpy.types.Operator):
    """Remove the message from the panel"""

    bl_idname = "macro.dismiss"
    bl_label = "Dismiss"

    output: _output_of_a_run()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Forget what is over."""
        job.dismiss(self.output)
        return {"FINISHED"}


class MACRO_OT_open_log(bpy.types.Operator):
    """Open the solver's log in the system's text viewer"""

    bl_idname = "macro.open_log"
    bl_label = "Open Log"

    output: _output_of_a_run()

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is a log."""
        if any(run.log_path is not None for run in job.jobs):
            return True
        cls.poll_message_set("The solver has not run, so there is no log")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        run = job.named(self.output)
        if run is None or run.log_path is None:
            self.report({"ERROR"}, "There is no log of this.")
            return {"CANCELLED"}
        if not run.log_path.is_file():
            self.report({"ERROR"}, f"{run.log_path}: the log is no longer there.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(run.log_path))
        return {"FINISHED"}


def start_or_wait(operator: bpy.types.Operator, scene: bpy.types.Scene) -> set[str]:
    """What the big button does, with the scene's settings: start or queue in a window, else wait for the end."""
    try:
        request = _request(scene)
    except MacroError as error:
        operator.report({"ERROR"}, error.sentence)
        return {"CANCELLED"}
    return _started(operator, request, scene)


def _started(operator: bpy.types.Operator, request: Request, scene: bpy.types.Scene) -> set[str]:
    if bpy.app.background:
        return _finished(operator, request, scene)
    try:
        job.begin(request, solver_python(), scene)
    except MacroError as error:
        operator.report({"ERROR"}, error.sentence)
        return {"CANCELLED"}
    return {"FINISHED"}


def _finished(operator: bpy.types.Operator, request: Request, scene: bpy.types.Scene) -> set[str]:
    def tell(event: dict[str, Any]) -> None:
        if event["event"] == "stage":
            print(f"Macro Reconstruction: {event.get('title')}", flush=True)

    try:
        job.reconstruct(request, solver_python(), scene=scene, on_event=tell)
    except MacroError as error:
        operator.report({"ERROR"}, error.sentence)
        return {"CANCELLED"}
    if not bpy.app.background:
        bpy.ops.ed.undo_push(message="Import Macro Reconstruction")
    return {"FINISHED"}


def _steered(operator: bpy.types.Operator, run: job.Job, wish: Any) -> set[str]:
    try:
        job.steer(run, wish)
    except MacroError as error:
        operator.report({"ERROR"}, error.sentence)
        return {"CANCELLED"}
    job.redraw()
    return {"FINISHED"}


def _request(scene: bpy.types.Scene) -> Request:
    """The scene's settings for the solver; an error is shown in the panel as well as raised."""
    settings = scene.macro_reconstruction
    try:
        return settings.request()
    except MacroError as error:
        job.fail(error.sentence)
        raise


CLASSES = (
    MACRO_OT_inspect,
    MACRO_OT_open_sheet,
    MACRO_OT_reconstruct,
    MACRO_OT_pause,
    MACRO_OT_finish,
    MACRO_OT_cancel,
    MACRO_OT_start_waiting,
    MACRO_OT_escape,
    MACRO_OT_mend,
    MACRO_OT_dismiss,
    MACRO_OT_open_log,
)
