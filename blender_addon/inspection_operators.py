# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""Thin operators for looking at photos before the long run."""

from __future__ import annotations

import bpy

from . import job
from .errors import MacroError
from .preferences import solver_python


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


CLASSES = (MACRO_OT_inspect, MACRO_OT_open_sheet)
