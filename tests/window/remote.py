# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the Blender of the window test: does what the test writes into a folder, one file a request."""

import json
import os
import traceback
from pathlib import Path

import bpy

FOLDER = Path(os.environ["MACRO_WINDOW_REMOTE"])
PACKAGE = "bl_ext.user_default.macro_reconstruction"
INTERVAL_S = 0.03


def view():
    """The first window's 3D view and its sidebar."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "UI")


def in_sidebar():
    """The context that a click into the sidebar has."""
    window, area, region = view()
    return bpy.context.temp_override(window=window, area=area, region=region)


def in_view():
    """The context that a click into the 3D view has."""
    window, area, _region = view()
    region = next(region for region in area.regions if region.type == "WINDOW")
    return bpy.context.temp_override(window=window, area=area, region=region)


def job():
    """What the panel shows, as the extension keeps it."""
    import importlib

    return importlib.import_module(f"{PACKAGE}.blender_addon.job")


def button_under_the_mouse():
    """The button's Python command, as Blender's own Copy Python Command gives it; empty where there is none."""
    window_manager = bpy.context.window_manager
    window_manager.clipboard = ""
    with in_sidebar():
        if not bpy.ops.ui.copy_python_command_button.poll():
            return ""
        bpy.ops.ui.copy_python_command_button()
    return window_manager.clipboard


def answer_all():
    """Do what has been asked since the last call."""
    for path in sorted(FOLDER.glob("*.py")):
        names = {name: value for name, value in globals().items() if not name.startswith("__")}
        try:
            exec(compile(path.read_text(encoding="utf-8"), path.name, "exec"), names)
            content = {"answer": names.get("answer")}
        except Exception:
            content = {"error": traceback.format_exc()}
        path.unlink()
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(content, default=str), encoding="utf-8")
        aside.replace(path.with_suffix(".json"))
    return INTERVAL_S


bpy.context.preferences.view.show_splash = False
bpy.context.preferences.view.show_tooltips = False
bpy.app.timers.register(answer_all, first_interval=INTERVAL_S, persistent=True)
