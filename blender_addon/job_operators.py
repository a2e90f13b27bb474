# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators that begin reconstructions: the button, the queue, and the next try after an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import delivery, installation, job
from .errors import MacroError
from .mending import mended
from .operator_properties import output_of_a_run
from .preferences import solver_python
from .solver_process import Request


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
    output: output_of_a_run()

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
        scene = delivery.scene_of(run) or context.scene
        settings = scene.macro_reconstruction
        for name, path in (("capture", request.capture), ("output", request.output)):
            if Path(bpy.path.abspath(getattr(settings, name))) != path:
                setattr(settings, name, str(path))
        if self.how == "output":  # chosen by nobody, so that another capture gets another one
            settings.proposed_output = settings.output
        if self.how == "smaller":
            settings.max_size = request.max_size
        return _started(self, request, scene)


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


def _request(scene: bpy.types.Scene) -> Request:
    """The scene's settings for the solver; an error is shown in the panel as well as raised."""
    settings = scene.macro_reconstruction
    try:
        return settings.request()
    except MacroError as error:
        job.fail(error.sentence)
        raise


CLASSES = (MACRO_OT_reconstruct, MACRO_OT_start_waiting, MACRO_OT_mend)
