# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators for synthetic captures: render one in another Blender, and reconstruct it."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import job
from .errors import MacroError
from .job_operators import start_or_wait
from .properties import absolute, propose_output
from .rendering import CURRENT

COPY = "synthetic-scene.blend"  # of the scene that is open, in this Blender's temporary folder


class MACRO_OT_render_capture(bpy.types.Operator):
    """Photograph the scene with a macro lens, in a Blender of its own, with the truth beside the blurred photos"""

    bl_idname = "macro.render_capture"
    bl_label = "Render Capture"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """It is said what to render and where to."""
        settings = context.scene.macro_synthetic
        if job.rendered is not None and job.rendered.phase == "running":
            cls.poll_message_set("A capture is being rendered")
        elif not settings.output:
            cls.poll_message_set("Choose the output folder first")
        elif settings.scene == CURRENT and (context.object is None or context.object.type != "MESH"):
            cls.poll_message_set("Make the mesh that is to be photographed the active object first")
        else:
            return True
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start, and in background mode wait for the end."""
        settings = context.scene.macro_synthetic
        try:
            subject, copy = "", None
            if settings.scene == CURRENT:
                subject, copy = context.object.name, _copy_of_this_file()
            rendering = job.render(settings.request(subject, copy))
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        if rendering.phase == "error":
            self.report({"ERROR"}, rendering.message)
            return {"CANCELLED"}
        return {"FINISHED"}


class MACRO_OT_cancel_rendering(bpy.types.Operator):
    """Stop rendering; the same button goes on with the frames that are there"""

    bl_idname = "macro.cancel_rendering"
    bl_label = "Cancel Rendering"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """A capture is being rendered."""
        if job.rendered is not None and job.rendered.phase == "running":
            return True
        cls.poll_message_set("Nothing is being rendered")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask the other Blender to end."""
        assert job.rendered is not None
        if job.rendered.run is not None:
            job.rendered.run.cancel()
        return {"FINISHED"}


class MACRO_OT_reconstruct_rendered(bpy.types.Operator):
    """Reconstruct the capture that was just rendered, with the settings above"""

    bl_idname = "macro.reconstruct_rendered"
    bl_label = "Reconstruct What Was Rendered"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is a capture."""
        if job.rendered is not None and job.rendered.phase == "done":
            return True
        cls.poll_message_set("Render a capture first")
        return False

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Fill the folders in, and do what the button does. The result of another capture is left alone."""
        assert job.rendered is not None
        settings = context.scene.macro_reconstruction
        capture = str(job.rendered.request.output)
        another = settings.capture != capture
        settings.capture = capture
        if not settings.output or (another and _is_taken(settings.output)):
            propose_output(settings)
        return start_or_wait(self, context.scene)


def _is_taken(output: str) -> bool:
    """Whether there is something in a folder."""
    try:
        return any(absolute(output).iterdir())
    except (MacroError, OSError):
        return False


def _copy_of_this_file() -> Path:
    """The scene as it is now, saved or not, where another Blender can open it. This file's name and state stay."""
    path = Path(bpy.app.tempdir) / COPY
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, check_existing=False)
    except RuntimeError as error:
        raise MacroError(f"the scene cannot be copied ({error})", where=path) from None
    return path


CLASSES = (MACRO_OT_render_capture, MACRO_OT_cancel_rendering, MACRO_OT_reconstruct_rendered)
