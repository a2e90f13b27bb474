# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Macro" in the sidebar of the 3D view: capture, settings, the button, and what came of it."""

from __future__ import annotations

import bpy

from . import import_result, job, presentation, previews
from .capture_check import Inspection, Summary
from .layout import capitalized, wrapped
from .preferences import draw_setup
from .quantities import duration_text

MOST_WARNINGS = 3
MENDS = {  # what a button can do about an error: its words and its icon
    "fresh": ("Start Anew", "FILE_REFRESH"),
    "output": ("Use Another Folder", "NEWFOLDER"),
    "smaller": ("Try Again Smaller", "FULLSCREEN_EXIT"),
    "resume": ("Go On", "PLAY"),
}


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
        column = _settings_column(layout)
        row = column.row(align=True)
        row.prop(settings, "capture")
        row.operator("macro.inspect", text="", icon="VIEWZOOM")
        if run is None:
            _draw_inspection(layout, settings)
        column = _settings_column(layout)
        column.prop(settings, "output")
        column.prop(settings, "preset")

        draw_setup(layout)
        if run is not None:
            _draw_progress(layout, run)
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
                _draw_end(layout, other, context.scene)


class MACRO_PT_advanced(MacroTab, bpy.types.Panel):
    """What most people leave alone."""

    bl_label = "Advanced"
    bl_idname = "MACRO_PT_advanced"
    bl_parent_id = "MACRO_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - Blender's own convention

    def draw(self, context: bpy.types.Context) -> None:
        """The remaining settings, by what they are about."""
        settings = context.scene.macro_reconstruction
        for names in (
            ("masks", "make_masks"),
            ("focal_length_mm", "f_number", "marker_mm"),
            ("max_size", "iterations", "close_holes"),
            ("device", "resume"),
        ):
            column = _settings_column(self.layout)
            for name in names:
                column.prop(settings, name)


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
            box = layout.box()
            box.label(text=rendering.title)
            row = box.row(align=True)
            left = "" if rendering.seconds_left is None else f"  ·  {duration_text(rendering.seconds_left)} left"
            row.progress(factor=rendering.fraction, type="BAR", text=f"{100 * rendering.fraction:.0f} %{left}")
            row.operator("macro.cancel_rendering", text="", icon="X")
            return
        layout.operator("macro.render_capture", icon="RENDER_STILL")
        if rendering is not None and rendering.phase == "error":
            wrapped(layout.box(), capitalized(rendering.message), icon="ERROR")
        elif rendering is not None and rendering.phase == "done":
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
            box = layout.box()
            row = box.row()
            row.label(text=collection.name, icon="OUTLINER_COLLECTION")
            row.operator("macro.frame_result", text="", icon="ZOOM_SELECTED").collection = collection.name
            row.operator("macro.open_report", text="", icon="FILE_TEXT").collection = collection.name
            row.operator("macro.open_folder", text="", icon="FILE_FOLDER").collection = collection.name
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
            row = box.row(align=True)
            if presentation.knows_coverage(collection):
                shown = presentation.coverage_is_shown(collection)
                row.operator("macro.show_coverage", depress=shown).collection = collection.name
            if import_result.is_shown(context.view_layer, collection, "splats"):
                row.operator("macro.crop_splats").collection = collection.name
            on = presentation.has_markers(context.scene, collection)
            box.operator("macro.step_photos", icon="MARKER_HLT", depress=on).collection = collection.name
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


def _settings_column(layout: bpy.types.UILayout) -> bpy.types.UILayout:
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def _draw_inspection(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """What was found in the folder that is chosen now."""
    found = job.inspection
    if found is None or not found.is_of(bpy.path.abspath(settings.capture)):
        return
    box = layout.box()
    if found.phase == "running":
        box.progress(factor=found.fraction, type="BAR", text=found.title)
    elif found.phase == "error":
        wrapped(box, capitalized(found.message), icon="ERROR")
    elif found.summary is not None:
        _draw_summary(box, found, found.summary)


def _draw_summary(box: bpy.types.UILayout, found: Inspection, summary: Summary) -> None:
    row = box.row()
    photos = f"{summary.photos} photos"
    if summary.viewpoints is not None and summary.viewpoints != summary.photos:
        photos += f" from {summary.viewpoints} places"
    row.label(text=photos, icon="IMAGE_DATA")
    row.operator("macro.open_sheet", text="", icon="IMGDISPLAY", emboss=False)
    facts = box.column(align=True)
    facts.scale_y = 0.8
    if summary.lens:
        wrapped(facts, summary.lens, icon="BLANK1")
    if summary.f_numbers:
        facts.label(text=summary.f_numbers, icon="BLANK1")
    if summary.in_focus_share is not None:
        facts.label(text=f"{100 * summary.in_focus_share:.0f} % of a photo in focus", icon="BLANK1")
    if summary.brackets:
        facts.label(text=f"{summary.brackets} focus brackets", icon="BLANK1")
    if summary.unusable:
        facts.label(text=f"{summary.unusable} files that cannot be read", icon="BLANK1")
    for advice in summary.advice[:MOST_WARNINGS]:
        wrapped(box, capitalized(advice), icon="INFO")
    if len(summary.advice) > MOST_WARNINGS:
        box.label(text=f"and {len(summary.advice) - MOST_WARNINGS} more, on the contact sheet", icon="BLANK1")


def _draw_progress(layout: bpy.types.UILayout, run: job.Job) -> None:
    box = layout.box()
    column = box.column(align=True)
    row = column.row()
    row.label(text=run.title)
    if run.psnr is not None and run.stage == "train":
        right = row.row()
        right.alignment = "RIGHT"
        right.label(text=f"{run.psnr:.1f} dB")
    row = column.row(align=True)
    row.scale_y = 1.4
    row.progress(factor=run.fraction, type="BAR", text=run.status)
    row.operator(
        "macro.pause", text="", icon="PLAY" if run.phase == "paused" else "PAUSE", depress=run.phase == "paused"
    )
    row.operator("macro.finish", text="", icon="CHECKMARK")
    row.operator("macro.cancel", text="", icon="X")
    picture = previews.icon(run.preview) if run.preview is not None else 0
    if picture:
        box.template_icon(icon_value=picture, scale=10)
    _draw_warnings(box, run)


def _draw_end(layout: bpy.types.UILayout, run: job.Job, scene: bpy.types.Scene) -> None:
    box = layout.box()
    row = box.row()
    title, icon = {
        "done": (f"Finished: {run.output.name}", "CHECKMARK"),
        "error": ("Something is wrong", "ERROR"),
        "cancelled": (f"Cancelled: {run.output.name}", "CANCEL"),
    }[run.phase]
    row.label(text=title, icon=icon)
    if run.log_path is not None:
        row.operator("macro.open_log", text="", icon="TEXT", emboss=False).output = str(run.output)
    row.operator("macro.dismiss", text="", icon="X", emboss=False).output = str(run.output)
    if run.phase == "error":
        wrapped(box, capitalized(run.message))
    elif run.took_s is not None:
        box.label(text=f"after {duration_text(run.took_s)}", icon="BLANK1")
    if run.mend == "solver":
        box.operator("macro.open_preferences", text="Set the Solver Up", icon="PREFERENCES")
    else:
        how = run.mend if run.mend in MENDS else "resume" if run.resumable else ""
        if how:
            text, icon = MENDS[how]
            button = box.operator("macro.mend", text=text, icon=icon)
            button.how, button.output = how, str(run.output)
    if run.phase == "done" and not import_result.is_in(scene, run.output):
        box.operator("macro.import_result", text="Import", icon="IMPORT").filepath = str(run.output / "result.json")
    _draw_warnings(box, run)


def _draw_warnings(layout: bpy.types.UILayout, run: job.Job) -> None:
    for warning in run.warnings[:MOST_WARNINGS]:
        wrapped(layout, capitalized(warning), icon="INFO")
    if len(run.warnings) > MOST_WARNINGS:
        layout.label(text=f"and {len(run.warnings) - MOST_WARNINGS} more, in the log", icon="BLANK1")


def _length(metres: float) -> str:
    """A length as people say it, whatever unit the scene shows."""
    return f"{1000 * metres:.3g} mm" if metres < 0.1 else f"{metres:.3g} m"


CLASSES = (MACRO_PT_reconstruct, MACRO_PT_advanced, MACRO_PT_result, MACRO_PT_synthetic)
