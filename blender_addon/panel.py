# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Macro" in the sidebar of the 3D view."""

from __future__ import annotations

import bpy

from . import import_result, job
from .layout import wrapped
from .preferences import solver_python

MOST_WARNINGS = 3


class MacroTab:
    """Where the panels stand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Macro"


class MACRO_PT_reconstruct(MacroTab, bpy.types.Panel):
    """Folders, preset, and the button."""

    bl_label = "Macro Reconstruction"
    bl_idname = "MACRO_PT_reconstruct"

    def draw(self, context: bpy.types.Context) -> None:
        """Settings, then the button or the progress in its place, then how the last run ended."""
        layout = self.layout
        settings = context.scene.macro_reconstruction
        running = job.current is not None and job.current.running
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.enabled = not running
        column.prop(settings, "capture")
        column.prop(settings, "output")
        column.prop(settings, "preset")

        if not solver_python():
            box = layout.box()
            wrapped(box, "The solver is not set up: choose its Python in the preferences.", icon="INFO")
            box.operator("macro.open_preferences", icon="PREFERENCES")
        if job.current is not None and job.current.running:
            _draw_progress(layout, job.current)
        else:
            button = layout.column()
            button.scale_y = 1.6
            button.operator("macro.reconstruct", icon="OUTLINER_OB_POINTCLOUD")
        if job.current is not None:
            _draw_messages(layout, job.current)


class MACRO_PT_advanced(MacroTab, bpy.types.Panel):
    """What most people leave alone."""

    bl_label = "Advanced"
    bl_idname = "MACRO_PT_advanced"
    bl_parent_id = "MACRO_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - Blender's own convention

    def draw(self, context: bpy.types.Context) -> None:
        """The remaining settings."""
        settings = context.scene.macro_reconstruction
        column = self.layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.enabled = job.current is None or not job.current.running
        for name in ("masks", "max_size", "iterations", "device", "resume"):
            column.prop(settings, name)


class MACRO_PT_result(MacroTab, bpy.types.Panel):
    """What was imported, and importing more."""

    bl_label = "Result"
    bl_idname = "MACRO_PT_result"
    bl_parent_id = "MACRO_PT_reconstruct"

    def draw(self, context: bpy.types.Context) -> None:
        """A box for each imported result."""
        layout = self.layout
        results = import_result.results_in(context.scene)
        for collection in results:
            box = layout.box()
            row = box.row()
            row.label(text=collection.name, icon="OUTLINER_COLLECTION")
            row.operator("macro.frame_result", icon="ZOOM_SELECTED").collection = collection.name
            size = collection.get(import_result.SIZE_KEY)
            if size:
                box.label(text=f"{_length(size)} across", icon="DRIVER_DISTANCE")
            row = box.row(align=True)
            for part, text in (("mesh", "Mesh"), ("splats", "Splats")):
                cell = row.row(align=True)
                cell.enabled = import_result.part_of(collection, part) is not None
                shown = import_result.is_shown(context.view_layer, collection, part)
                button = cell.operator("macro.show", text=text, depress=shown)
                button.collection, button.part = collection.name, part
            if (
                import_result.is_shown(context.view_layer, collection, "splats")
                and hasattr(context.scene, "cycles")
                and context.scene.cycles.transparent_max_bounces < 256
            ):
                box.operator("macro.allow_transparency", icon="SHADING_RENDERED")
        column = layout.column()
        if results:
            column.operator("macro.look_through", icon="VIEW_CAMERA")
        column.operator("macro.import_result", text="Import Result…", icon="IMPORT")


def _draw_progress(layout: bpy.types.UILayout, run: job.Job) -> None:
    column = layout.column(align=True)
    column.label(text=run.title)
    row = column.row(align=True)
    row.scale_y = 1.6
    row.progress(factor=run.fraction, type="BAR", text=run.status)
    row.operator("macro.cancel", text="", icon="X")


def _draw_messages(layout: bpy.types.UILayout, run: job.Job) -> None:
    if not run.running:
        box = layout.box()
        row = box.row()
        title, icon = {
            "done": ("Finished", "CHECKMARK"),
            "error": ("Something is wrong", "ERROR"),
            "cancelled": ("Cancelled", "CANCEL"),
        }[run.phase]
        row.label(text=title, icon=icon)
        if run.log_path is not None:
            row.operator("macro.open_log", text="", icon="TEXT", emboss=False)
        row.operator("macro.dismiss", text="", icon="X", emboss=False)
        if run.phase == "error":
            wrapped(box, run.message)
        if run.phase == "cancelled" and run.resumable:
            wrapped(box, "Turn on Resume under Advanced to go on from where it stopped.")
    if run.warnings:
        box = layout.box()
        for warning in run.warnings[:MOST_WARNINGS]:
            wrapped(box, warning, icon="INFO")
        if len(run.warnings) > MOST_WARNINGS:
            box.label(text=f"and {len(run.warnings) - MOST_WARNINGS} more, in the log", icon="BLANK1")


def _length(metres: float) -> str:
    """A length as people say it, whatever unit the scene shows."""
    return f"{1000 * metres:.3g} mm" if metres < 0.1 else f"{metres:.3g} m"


CLASSES = (MACRO_PT_reconstruct, MACRO_PT_advanced, MACRO_PT_result)
