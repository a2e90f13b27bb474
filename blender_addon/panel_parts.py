# SPDX-License-Identifier: GPL-3.0-or-later
"""How the Macro tab shows what is under way or over: inspections, runs, and other errands."""

from __future__ import annotations

import bpy

from . import import_result, job, previews
from .capture_check import Summary
from .errands import Errand
from .layout import capitalized, wrapped
from .quantities import duration_text

MOST_WARNINGS = 3
MENDS = {  # what a button can do about an error: its words and its icon
    "fresh": ("Start Anew", "FILE_REFRESH"),
    "output": ("Use Another Folder", "NEWFOLDER"),
    "smaller": ("Try Again Smaller", "FULLSCREEN_EXIT"),
    "resume": ("Go On", "PLAY"),
}


def draw_inspection(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """What was found in the folder that is chosen now."""
    found = job.inspection
    if found is None or not found.is_of(bpy.path.abspath(settings.capture)):
        return
    if found.summary is None:
        draw_errand(layout, found)
        return
    box = layout.box()
    _draw_summary(box, found.summary)
    if found.is_read:
        return
    for advice in found.summary.advice[:MOST_WARNINGS]:
        wrapped(box, capitalized(advice), icon="INFO")
    if len(found.summary.advice) > MOST_WARNINGS:
        box.label(text=f"and {len(found.summary.advice) - MOST_WARNINGS} more, on the contact sheet", icon="BLANK1")


def _draw_summary(box: bpy.types.UILayout, summary: Summary) -> None:
    photos = f"{summary.photos} photos"
    if summary.viewpoints is not None and summary.viewpoints != summary.photos:
        photos += f" from {summary.viewpoints} places"
    box.label(text=photos, icon="IMAGE_DATA")
    facts = [", ".join(fact for fact in (summary.lens, summary.f_numbers) if fact)]
    if summary.in_focus_share is not None:
        facts.append(f"{100 * summary.in_focus_share:.0f} % of a photo in focus")
    if summary.focus_moves is not None:
        facts.append(f"focus {'moves' if summary.focus_moves else 'hardly moves'} between photos")
    if summary.brackets:
        facts.append(f"{summary.brackets} focus brackets")
    if summary.unusable:
        facts.append(f"{summary.unusable} files that cannot be read")
    wrapped(box, "\n".join(capitalized(fact) for fact in facts if fact), icon="BLANK1")
    box.operator("macro.open_sheet", icon="IMGDISPLAY")


def draw_progress(layout: bpy.types.UILayout, run: job.Job) -> None:
    """What the solver is at, with its buttons and its picture."""
    box = layout.box()
    box.label(text=run.output.name, icon="OUTLINER_OB_POINTCLOUD")
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
        row = box.row()
        row.alignment = "CENTER"
        row.label(text="A photo, and the model in focus")
    draw_warnings(box, run.warnings)


def draw_end(layout: bpy.types.UILayout, run: job.Job, scene: bpy.types.Scene) -> None:
    """How a run ended, and the way on from there."""
    box = layout.box()
    row = box.row()
    title, icon = {
        "done": ("Finished", "CHECKMARK"),
        "error": ("Something is wrong", "ERROR"),
        "cancelled": ("Cancelled", "CANCEL"),
    }[run.phase]
    if run.phase != "error" and run.took_s is not None:
        title += f" after {duration_text(run.took_s)}"
    row.label(text=title, icon=icon)
    if run.log_path is not None:
        row.operator("macro.open_log", text="", icon="TEXT", emboss=False).output = str(run.output)
    row.operator("macro.dismiss", text="", icon="X", emboss=False).output = str(run.output)
    if run.phase == "error":
        wrapped(box, capitalized(run.message))
    else:
        wrapped(box, run.output.name, icon="BLANK1")
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
    if run.warnings:
        header, body = layout.panel(f"macro_warnings {run.output}", default_closed=True)
        header.label(text=f"Warnings ({len(run.warnings)})", icon="INFO")
        if body is not None:
            draw_warnings(body, run.warnings)


def draw_errand(layout: bpy.types.UILayout, errand: Errand, cancel: str = "") -> None:
    """An errand that is under way, with the operator that ends it, or the error that it ended with."""
    if errand.phase == "running":
        box = layout.box()
        box.label(text=errand.title)
        row = box.row(align=True)
        left = "" if errand.seconds_left is None else f"  ·  {duration_text(errand.seconds_left)} left"
        row.progress(factor=errand.fraction, type="BAR", text=f"{100 * errand.fraction:.0f} %{left}")
        if cancel:
            row.operator(cancel, text="", icon="X")
    elif errand.phase == "error":
        box = layout.box()
        wrapped(box, capitalized(errand.message), icon="ERROR")
        if errand.log_path is not None:
            box.operator("macro.open_log", icon="TEXT").output = str(errand.output)


def draw_warnings(layout: bpy.types.UILayout, warnings: list[str]) -> None:
    """Those that came first."""
    for warning in warnings[:MOST_WARNINGS]:
        wrapped(layout, capitalized(warning), icon="INFO")
    if len(warnings) > MOST_WARNINGS:
        layout.label(text=f"and {len(warnings) - MOST_WARNINGS} more, in the log", icon="BLANK1")
