# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Macro" in the sidebar of the 3D view: capture, settings, the button, and what came of it."""

from __future__ import annotations

import bpy

from . import import_result, job, presentation
from .panel_parts import draw_end, draw_errand, draw_inspection, draw_progress, draw_warnings
from .preferences import draw_setup

SETTINGS = ("output", "preset", "max_size", "masks", "make_masks", "marker_mm")
ADVANCED = (("focal_length_mm", "f_number", "sensor_width_mm"), ("iterations", "close_holes"), ("device", "resume"))


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
        """The steps from top to bottom; then how the last runs ended."""
        layout = self.layout
        settings = context.scene.macro_reconstruction
        run = job.working()
        row = _settings_column(layout).row(align=True)
        row.prop(settings, "capture")
        row.operator("macro.inspect", text="", icon="VIEWZOOM")
        if run is None:
            draw_inspection(layout, settings)
        _draw_settings(layout, settings)

        draw_setup(layout)
        if run is not None:
            draw_progress(layout, run)
        button = layout.column()
        button.scale_y = 1.6 if run is None else 1.0
        text = "Reconstruct Macro Scene" if run is None else "Add to the Queue"
        button.operator("macro.reconstruct", text=text, icon="OUTLINER_OB_POINTCLOUD" if run is None else "ADD")
        for other in job.waiting():
            row = layout.row(align=True)
            row.label(text=f"{other.output.name} waits", icon="SORTTIME")
            row.operator("macro.cancel", text="", icon="X", emboss=False).output = str(other.output)
        if any(other.held for other in job.waiting()):
            layout.operator("macro.start_waiting", icon="PLAY")
        for other in job.jobs:
            if other.is_over:
                draw_end(layout, other, context.scene)


class MACRO_PT_synthetic(MacroTab, bpy.types.Panel):
    """Photos of a scene in Blender, to try the reconstruction on or to measure it with."""

    bl_label = "Synthetic Capture"
    bl_idname = "MACRO_PT_synthetic"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        """Settings, the button or the progress, and the way on from there."""
        layout = self.layout
        column = _settings_column(layout)
        for name in ("scene", "output", "preset", "focus", "f_number"):
            column.prop(context.scene.macro_synthetic, name)
        rendering = job.rendered
        if rendering is not None and rendering.phase == "running":
            draw_errand(layout, rendering, cancel="macro.cancel_rendering")
            return
        layout.operator("macro.render_capture", icon="RENDER_STILL")
        if rendering is not None:
            draw_errand(layout, rendering)
            draw_warnings(layout, rendering.warnings)
        if rendering is not None and rendering.phase == "done":
            layout.operator("macro.reconstruct_rendered", icon="OUTLINER_OB_POINTCLOUD")


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
            _draw_result(layout.box(), collection, context)
        column = layout.column()
        if results:
            column.operator("macro.look_through", icon="VIEW_CAMERA")
        column.operator("macro.import_result", text="Import Result…", icon="IMPORT")


def _draw_settings(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """What is asked for; what most people leave alone is closed."""
    header, body = layout.panel("macro_settings")
    header.label(text="Settings")
    if body is None:
        return
    column = _settings_column(body)
    for name in SETTINGS:
        column.prop(settings, name)
    header, body = body.panel("macro_advanced", default_closed=True)
    header.label(text="Advanced")
    if body is not None:
        for names in ADVANCED:
            column = _settings_column(body)
            for name in names:
                column.prop(settings, name)


def _draw_result(box: bpy.types.UILayout, collection: bpy.types.Collection, context: bpy.types.Context) -> None:
    """What can be done with an imported result."""
    row = box.row()
    row.label(text=collection.name, icon="OUTLINER_COLLECTION")
    row.operator("macro.frame_result", text="", icon="ZOOM_SELECTED").collection = collection.name
    size = collection.get(import_result.SIZE_KEY)
    if size:
        box.label(text=f"{_length(size)} across", icon="DRIVER_DISTANCE")
    row = box.row(align=True)
    for part, text in (("mesh", "Mesh"), ("splats", "Splats")):
        if import_result.part_of(collection, part) is not None:
            shown = import_result.is_shown(context.view_layer, collection, part)
            button = row.operator("macro.show", text=text, depress=shown)
            button.collection, button.part = collection.name, part
    splats = import_result.is_shown(context.view_layer, collection, "splats")
    row = box.row(align=True)
    if presentation.knows_coverage(collection):
        shown = presentation.coverage_is_shown(collection)
        row.operator("macro.show_coverage", depress=shown).collection = collection.name
    if splats:
        row.operator("macro.crop_splats").collection = collection.name
    on = presentation.has_markers(context.scene, collection)
    box.operator("macro.step_photos", icon="MARKER_HLT", depress=on).collection = collection.name
    if splats and hasattr(context.scene, "cycles") and context.scene.cycles.transparent_max_bounces < 256:
        box.operator("macro.allow_transparency", icon="SHADING_RENDERED")
    column = box.column(align=True)
    row = column.row(align=True)
    row.operator("macro.open_report", text="Report", icon="FILE_TEXT").collection = collection.name
    row.operator("macro.open_folder", text="Folder", icon="FILE_FOLDER").collection = collection.name
    row = column.row(align=True)
    row.operator("macro.refocus", text="Refocus…", icon="CAMERA_DATA").collection = collection.name
    row.operator("macro.export", text="Export…", icon="EXPORT").collection = collection.name
    made = job.made
    if made is not None and str(made.request.result) == collection[import_result.RESULT_KEY]:
        draw_errand(box, made, cancel="macro.cancel_making")
        if made.phase == "done":
            row = box.row()
            row.label(text=made.message, icon="CHECKMARK")
            row.operator("macro.open_made", text="", icon="FILEBROWSER", emboss=False)
            draw_warnings(box, made.warnings)


def _settings_column(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _length(metres: float) -> str:
    """A length as people say it, whatever unit the scene shows."""
    return f"{1000 * metres:.3g} mm" if metres < 0.1 else f"{metres:.3g} m"


CLASSES = (MACRO_PT_reconstruct, MACRO_PT_result, MACRO_PT_synthetic)
