# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: D415 - these docstrings are tooltips, to which Blender adds the full stop
"""The buttons round the solver's environment; thin, over installation.py."""

from __future__ import annotations

import bpy

from . import installation, job
from .environment import Places
from .environment_commands import Progress
from .errors import MacroError


class MACRO_OT_install_solver(bpy.types.Operator):
    """Download the solver's packages and install them into an environment of their own, beside Blender's Python"""

    bl_idname = "macro.install_solver"
    bl_label = "Install the Solver"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Allowed, and not under way."""
        reason = installation.refusal()
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """In a window return at once, and the preferences follow; in background mode wait for the end."""
        shown = ""

        def tell(progress: Progress) -> None:
            nonlocal shown
            if progress.title != shown:
                shown = progress.title
                print(f"Macro Reconstruction: {shown}", flush=True)

        try:
            wanted = installation.order()
            if bpy.app.background:
                installation.run(wanted, tell)
            else:
                installation.begin(wanted)
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        return {"FINISHED"}


class MACRO_OT_cancel_installation(bpy.types.Operator):
    """Stop the installation; what is in place stays, and Repair goes on from there"""

    bl_idname = "macro.cancel_installation"
    bl_label = "Cancel the Installation"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """One is running."""
        if installation.current is not None and installation.current.phase == "running":
            return True
        cls.poll_message_set("Nothing is being installed")
        return False

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Ask it to end."""
        installation.cancel()
        job.redraw()
        return {"FINISHED"}


class MACRO_OT_delete_solver(bpy.types.Operator):
    """Delete the environment that was installed for the solver, with everything in it"""

    bl_idname = "macro.delete_solver"
    bl_label = "Delete the Solver's Environment"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """There is one, and nothing uses it."""
        if installation.current is not None and installation.current.running:
            cls.poll_message_set("The solver is being installed")
        elif job.working() is not None:
            cls.poll_message_set("A reconstruction is running")
        elif installation.state() == "absent":
            cls.poll_message_set("The solver is not installed")
        else:
            return True
        return False

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Ask first."""
        return set(context.window_manager.invoke_confirm(self, event))

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Delete."""
        try:
            installation.delete()
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        job.redraw()
        return {"FINISHED"}


class MACRO_OT_open_installation_log(bpy.types.Operator):
    """Open the log of the last installation in the system's text viewer"""

    bl_idname = "macro.open_installation_log"
    bl_label = "Open Log"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        """Leave it to the system."""
        try:
            log = Places(installation.root()).log
        except MacroError as error:
            self.report({"ERROR"}, error.sentence)
            return {"CANCELLED"}
        if not log.is_file():
            self.report({"ERROR"}, f"{log}: there is no log yet.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(log))
        return {"FINISHED"}


CLASSES = (
    MACRO_OT_install_solver,
    MACRO_OT_cancel_installation,
    MACRO_OT_delete_solver,
    MACRO_OT_open_installation_log,
)
