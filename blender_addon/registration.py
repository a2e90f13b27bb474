# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the extension into Blender and taking it out again."""

import atexit

import bpy

from . import job, operators, panel, preferences, properties

CLASSES = (*properties.CLASSES, *preferences.CLASSES, *operators.CLASSES, *panel.CLASSES)


def register() -> None:
    """Add classes, the scene's settings, and the entry of File > Import."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.macro_reconstruction = bpy.props.PointerProperty(
        type=properties.MacroSettings,
        name="Macro Reconstruction",
        description="What the Macro panel is set to",
    )
    bpy.types.TOPBAR_MT_file_import.append(operators.draw_import_entry)
    atexit.register(job.end_all)


def unregister() -> None:
    """End the solver, then undo `register` in reverse."""
    job.end_all()
    atexit.unregister(job.end_all)
    bpy.types.TOPBAR_MT_file_import.remove(operators.draw_import_entry)
    del bpy.types.Scene.macro_reconstruction
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
