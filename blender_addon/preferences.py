# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
"""The extension's preferences: the solver's environment, or another Python in its place."""

import bpy

from . import environment, installation, job
from .errors import MacroError
from .installation import PACKAGE
from .layout import capitalized, wrapped
from .properties import folder_options
from .quantities import size_text
from .solver_process import default_python

STATES = {  # what the state line says, its icon, and the button that mends it
    "absent": ("The solver is not installed", "INFO", "Install the Solver"),
    "unfinished": ("The solver's installation was not finished", "ERROR", "Repair"),
    "broken": ("The Python that the solver was installed with is gone", "ERROR", "Repair"),
    "outdated": ("This version of the extension wants other packages", "ERROR", "Update the Solver"),
    "ready": ("The solver is installed", "CHECKMARK", ""),
}


WHEN_EMPTY = {  # what the options do that are left empty
    "environment_folder": "the extension's own folder",
    "base_python": "Blender's own, or one that is found",
    "wheels": "download the packages",
    "index": "PyPI",
    "torch_index": "PyTorch's own",
}
UI_PROP = bpy.types.UILayout.bl_rna.functions["prop"]  # takes placeholders in newer Blenders


class MacroPreferences(bpy.types.AddonPreferences):
    """Kept with the user's preferences, not with the scene."""

    bl_idname = PACKAGE

    solver_python: bpy.props.StringProperty(
        name="Existing Python",
        description="Python interpreter of an environment of your own that has the solver's packages; it is used"
        " instead of the one that this extension installs",
        subtype="FILE_PATH",
        default=default_python(),
    )
    environment_folder: bpy.props.StringProperty(
        name="Folder",
        description="Folder in which the solver's environment is made; when empty, the extension's own user folder",
        subtype="DIR_PATH",
        options=folder_options(),
    )
    base_python: bpy.props.StringProperty(
        name="Made With",
        description="Python 3.11 to 3.13 that the environment is made with; when empty, Blender's own or another that"
        " is found on this machine",
        subtype="FILE_PATH",
    )
    device: bpy.props.EnumProperty(
        name="Device",
        description="What the solver is installed for",
        items=(
            ("auto", "Automatic", "CUDA where this machine has what it takes, else the processor"),
            ("cpu", "Processor", "The processor alone: the smaller download"),
            ("cuda", "CUDA GPU", "An NVIDIA GPU, with the CUDA toolkit installed"),
        ),
        default="auto",
    )
    wheels: bpy.props.StringProperty(
        name="Wheels",
        description="Folder of the packages' wheels to install from, without the network",
        subtype="DIR_PATH",
        options=folder_options(),
    )
    index: bpy.props.StringProperty(
        name="Package Index",
        description="Address of another package index; when empty, pip's own setting, which is PyPI",
    )
    torch_index: bpy.props.StringProperty(
        name="PyTorch Index",
        description="Address of another index of PyTorch's builds; when empty, PyTorch's own for the device",
    )
    at_exit: bpy.props.EnumProperty(
        name="When Blender Is Closed",
        description="What happens to a reconstruction that is running, also when this extension is disabled",
        items=(
            ("end", "End the Run", "Save its state and end it; it can go on from there later"),
            (
                "leave",
                "Let It Run",
                "Let it run on; the next Blender finds it again, shows how far it is, and goes on with the queue",
            ),
        ),
        default="end",
        update=lambda _preferences, _context: note_what_happens_at_exit(),
    )
    show_options: bpy.props.BoolProperty(
        name="Options", description="Show where and how the solver is installed", default=False
    )

    def draw(self, context: bpy.types.Context) -> None:
        """The state with its button, then the options."""
        box = self.layout.box()
        if self.solver_python:
            self._draw_own(box)
        elif installation.current is not None and installation.current.running:
            draw_progress(box, installation.current)
        else:
            self._draw_environment(box, context)
        row = self.layout.row()
        row.use_property_split = True
        row.use_property_decorate = False
        row.prop(self, "at_exit")
        self._draw_options(self.layout)

    def _draw_own(self, layout: bpy.types.UILayout) -> None:
        row = layout.row()
        row.label(text="The solver runs in a Python of your own", icon="SCRIPT")
        row.operator("macro.test_solver", text="Test", icon="CHECKMARK")
        wrapped(layout, self.solver_python, icon="BLANK1")
        _draw_answer(layout)

    def _draw_environment(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        state, failed = installation.state(), installation.current
        text, icon, button = STATES[state]
        row = layout.row()
        row.label(text=text, icon=icon)
        if failed is not None and failed.phase == "error":
            wrapped(layout, capitalized(failed.message), icon="CANCEL")
        if state == "ready":
            row.operator("macro.test_solver", text="Test", icon="CHECKMARK")
            row.operator("macro.delete_solver", text="Delete", icon="TRASH")
            wrapped(layout, environment.summary(installation.root()), icon="BLANK1")
            _draw_answer(layout)
            return
        self._draw_what_it_takes(layout, context)
        row = layout.row()
        row.scale_y = 1.4
        row.operator("macro.install_solver", text=button, icon="IMPORT" if state == "absent" else "FILE_REFRESH")
        if state != "absent":
            row = layout.row()
            row.operator("macro.open_installation_log", icon="TEXT")
            row.operator("macro.delete_solver", text="Delete", icon="TRASH")

    def _draw_what_it_takes(self, layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
        """Size, place, Python and device of what would be installed, before anything is."""
        found = installation.look()
        device = installation.device()
        download, installed = installation.locks().sizes(device)
        column = layout.column(align=True)
        if self.wheels:
            _fact(column, "Packages", f"from {self.wheels}; nothing is downloaded")
        elif download:
            about = "about" if installation.state() == "absent" else "what is missing of"
            _fact(column, "Download", f"{about} {size_text(download)}; {size_text(installed)} on the disk afterwards")
        try:
            _fact(column, "Folder", str(installation.root()))
        except MacroError as error:
            wrapped(column, error.sentence, icon="ERROR")
        if not found.finished:
            _fact(column, "Python", "looking…")
            return
        if found.interpreter is not None:
            _fact(column, "Python", f"{found.interpreter.label}, {found.interpreter.path}")
        reason = "" if self.device != "auto" else f" ({found.machine.reason})"
        _fact(column, "Computes on", ("the NVIDIA card" if device == "cuda" else "the processor") + reason)
        if found.fault:
            wrapped(layout, capitalized(found.fault), icon="ERROR")
        if not bpy.app.online_access and not self.wheels:
            wrapped(layout, f"{installation.OFFLINE}; {installation.ALLOW}.", icon="INTERNET_OFFLINE")
            row = layout.row()
            row.enabled = not bpy.app.online_access_override  # Blender was started with --offline-mode
            row.prop(context.preferences.system, "use_online_access")

    def _draw_options(self, layout: bpy.types.UILayout) -> None:
        row = layout.row()
        row.alignment = "LEFT"
        icon = "DOWNARROW_HLT" if self.show_options else "RIGHTARROW"
        row.prop(self, "show_options", icon=icon, emboss=False)
        if not self.show_options:
            return
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.enabled = installation.current is None or not installation.current.running
        column.prop(self, "device")
        for name, when_empty in WHEN_EMPTY.items():
            hint = {"placeholder": when_empty} if "placeholder" in UI_PROP.parameters else {}
            column.prop(self, name, **hint)
        column.separator()
        column.prop(self, "solver_python")


def draw_progress(layout: bpy.types.UILayout, running: installation.Installation) -> None:
    """Stage, bar and cancel of an installation; for the preferences and the panel."""
    progress = running.progress
    layout.label(text=progress.title, icon="IMPORT")
    row = layout.row(align=True)
    row.scale_y = 1.4
    text = "Stopping" if running.phase == "cancelling" else progress.detail or "…"
    row.progress(factor=progress.fraction or 0.0, type="BAR", text=text)
    row.operator("macro.cancel_installation", text="", icon="X")


def draw_setup(layout: bpy.types.UILayout) -> None:
    """For the panel: what keeps the solver from running, with the way to mend it; nothing where nothing does."""
    if installation.current is not None and installation.current.running:
        draw_progress(layout.box(), installation.current)
        return
    state = installation.state()
    if solver_python() and state != "outdated":
        return
    if state == "outdated" and solver_python() != installation.installed_python():
        return
    box = layout.box()
    text, icon, button = STATES[state]
    wrapped(box, f"{text}.", icon=icon)
    box.operator("macro.open_preferences", text=f"{button}…" if button else "Open Preferences", icon="PREFERENCES")


def _fact(layout: bpy.types.UILayout, name: str, text: str) -> None:
    row = layout.split(factor=0.17)
    row.scale_y = 0.85
    row.label(text=name)
    row.label(text=text)


def _draw_answer(layout: bpy.types.UILayout) -> None:
    """What the last test said."""
    check = job.check
    if check is None or check.python != solver_python():
        return
    if check.fine is None:
        layout.label(text="Waiting for the solver's answer…", icon="SORTTIME")
        return
    box = layout.box()
    text = "The solver is ready" if check.fine else "The solver cannot run"
    box.label(text=text, icon="CHECKMARK" if check.fine else "ERROR")
    wrapped(box, check.message)


def note_what_happens_at_exit() -> None:
    """Tell the jobs what is chosen for the time when Blender, and the preferences with it, are gone."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    if addon is not None and addon.preferences:
        job.leave_at_exit = addon.preferences.at_exit == "leave"


def solver_python() -> str:
    """The interpreter to use, as an absolute path: one's own, else the installed one, else a checkout's."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    stored = addon.preferences.solver_python if addon is not None and addon.preferences else ""
    if stored:
        return bpy.path.abspath(stored)
    return installation.installed_python() or default_python()


CLASSES = (MacroPreferences,)
