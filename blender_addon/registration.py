# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting the extension into Blender and taking it out again."""

import atexit

import bpy

from . import (
    inspection_operators,
    installation,
    installation_operators,
    job,
    job_operators,
    making_operators,
    operators,
    panel,
    preferences,
    previews,
    properties,
    run_operators,
    synthetic_operators,
)

CLASSES = (
    *properties.CLASSES,
    *preferences.CLASSES,
    *operators.CLASSES,
    *inspection_operators.CLASSES,
    *job_operators.CLASSES,
    *run_operators.CLASSES,
    *making_operators.CLASSES,
    *synthetic_operators.CLASSES,
    *installation_operators.CLASSES,
    *panel.CLASSES,
)


_shortcuts: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def register() -> None:
    """Add classes, the scene's settings, the entry of File > Import, and Escape over the Macro tab."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.macro_reconstruction = bpy.props.PointerProperty(
        type=properties.MacroSettings,
        name="Macro Reconstruction",
        description="What the Macro panel is set to",
    )
    bpy.types.Scene.macro_synthetic = bpy.props.PointerProperty(
        type=properties.MacroSyntheticSettings,
        name="Synthetic Macro Capture",
        description="What the Synthetic Capture panel is set to",
    )
    bpy.types.TOPBAR_MT_file_import.append(operators.draw_import_entry)
    _add_shortcut()
    preferences.note_what_happens_at_exit()
    if not bpy.app.background:
        job.adopt_soon()
    atexit.register(job.end_at_exit)
    atexit.register(installation.end_all)


def unregister() -> None:
    """End the solver, or leave it at work, and end its installation; then undo `register` in reverse.

    Blender calls this when the extension is disabled and, before Python's own exit, when it is closed.
    """
    job.end_at_exit()
    installation.end_all()
    for end in (job.end_at_exit, installation.end_all):
        atexit.unregister(end)
    if bpy.app.timers.is_registered(job.adopt_all):
        bpy.app.timers.unregister(job.adopt_all)
    for keymap, item in _shortcuts:
        keymap.keymap_items.remove(item)
    _shortcuts.clear()
    previews.clear()
    bpy.types.TOPBAR_MT_file_import.remove(operators.draw_import_entry)
    del bpy.types.Scene.macro_synthetic
    del bpy.types.Scene.macro_reconstruction
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)


def _add_shortcut() -> None:
    """Escape asks whether to cancel; its poll lets the key pass everywhere but over the tab of a running solver."""
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is None:  # without a window
        return
    keymap = configuration.keymaps.new(name="3D View Generic", space_type="VIEW_3D")
    _shortcuts.append((keymap, keymap.keymap_items.new("macro.escape", "ESC", "PRESS")))
