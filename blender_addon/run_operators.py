# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators for reconstructions that are under way or over: steer, stop, dismiss, and read the log."""

from __future__ import annotations

from typing import Any

import bpy

from . import job
from .errors import MacroError
from .operator_properties import output_of_a_run


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

    output: output_of_a_run()

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


class MACRO_OT_dismiss(bpy.types.Operator):
    """Remove the message from the panel"""

    bl_idname = "macro.dismiss"
    bl_label = "Dismiss"

    output: output_of_a_run()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Forget what is over."""
        job.dismiss(self.output)
        return {"FINISHED"}


class MACRO_OT_open_log(bpy.types.Operator):
    """Open the solver's log in the system's text viewer"""

    bl_idname = "macro.open_log"
    bl_label = "Open Log"

    output: output_of_a_run()

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is a log."""
        if any(run.log_path for run in job.jobs) or any(errand.log_path for errand in job.errands()):
            return True
        cls.poll_message_set("The solver has not run, so there is no log")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        path = job.log_of(self.output)
        if path is None:
            self.report({"ERROR"}, "There is no log of this.")
            return {"CANCELLED"}
        if not path.is_file():
            self.report({"ERROR"}, f"{path}: the log is no longer there.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


def _steered(operator: bpy.types.Operator, run: job.Job, wish: Any) -> set[str]:
    try:
        job.steer(run, wish)
    except MacroError as error:
        operator.report({"ERROR"}, error.sentence)
        return {"CANCELLED"}
    job.redraw()
    return {"FINISHED"}


CLASSES = (MACRO_OT_pause, MACRO_OT_finish, MACRO_OT_cancel, MACRO_OT_escape, MACRO_OT_dismiss, MACRO_OT_open_log)
