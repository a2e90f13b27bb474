# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The extension's preferences: where the solver's Python is, and whether it answers."""

import bpy

from . import job
from .layout import wrapped
from .solver_process import default_python

PACKAGE = __package__.rpartition(".")[0] or __package__


class MacroPreferences(bpy.types.AddonPreferences):
    """Kept with the user's preferences, not with the scene."""

    bl_idname = PACKAGE

    solver_python: bpy.props.StringProperty(
        name="Solver Python",
        description="Python interpreter of the environment in which the solver's packages are installed",
        subtype="FILE_PATH",
        default=default_python(),
    )

    def draw(self, _context: bpy.types.Context) -> None:
        """Path, test button and answer."""
        layout = self.layout
        row = layout.split(factor=0.85, align=True)
        row.prop(self, "solver_python")
        row.operator("macro.test_solver", text="Test", icon="CHECKMARK")
        if not self.solver_python:
            wrapped(
                layout,
                "Choose the Python of an environment that has the solver's packages; the README tells how to make one.",
                icon="INFO",
            )
        check = job.check
        if check is None or check.python != solver_python():
            return
        if check.fine is None:
            layout.label(text="Waiting for the solver's answer…", icon="SORTTIME")
            return
        box = layout.box()
        box.label(
            text="The solver is ready" if check.fine else "The solver cannot run",
            icon="CHECKMARK" if check.fine else "ERROR",
        )
        wrapped(box, check.message)


def solver_python() -> str:
    """The interpreter to use, as an absolute path; the development checkout's where nothing is set."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    stored = addon.preferences.solver_python if addon is not None and addon.preferences else ""
    return bpy.path.abspath(stored) if stored else default_python()


CLASSES = (MacroPreferences,)
