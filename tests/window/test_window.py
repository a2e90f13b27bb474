# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension in a real Blender with a window: `make test-blender BLENDER=/path/to/blender`.

Only here do timers run, keys and the mouse work, and panels get drawn. The tests tell one story, in their order, and
leave a picture of each state in build/window/. Real mouse events go to buttons that are found by hovering over them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .blender_window import ICONS, LEFT, RIGHT, BlenderWindow, Screen

ROOT = Path(__file__).resolve().parents[2]
BLENDER = os.environ.get("BLENDER", "")
SOLVER_PYTHON = os.environ.get("SOLVER_PYTHON") or str(ROOT / ".venv" / "bin" / "python")
CAPTURE = os.environ.get("CAPTURE", "")  # photos for nicer pictures; without it the story renders tiny ones
STEPS = int(os.environ.get("STEPS", "1"))  # of optimization before the run is finished early
ENDLESS = 100_000  # iterations
MISSING = [name for name in ("xdotool",) if shutil.which(name) is None]
if not os.environ.get("DISPLAY") and shutil.which("Xvfb") is None:
    MISSING.append("a display or Xvfb")
if not BLENDER:
    pytest.skip("left out: a Blender with a window (make test-blender BLENDER=...)", allow_module_level=True)
if MISSING:
    pytest.skip(f"left out: the window test needs {' and '.join(MISSING)}", allow_module_level=True)

SETTINGS = "bpy.context.window_manager.windows[0].scene.macro_reconstruction"
SYNTHETIC = "bpy.context.window_manager.windows[0].scene.macro_synthetic"
RUN_S = 1200  # the longest that a run may take on a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """For user folders, captures and results."""
    return tmp_path_factory.mktemp("window")


@pytest.fixture(scope="module")
def capture(folder):
    """Where the photos are, once they have been rendered."""
    return Path(CAPTURE) if CAPTURE else folder / "photos"


@pytest.fixture(scope="module")
def screen():
    """The display."""
    opened = Screen()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def open_blender(screen, folder):
    """Opens a Blender; all share user folders, as one user's do."""
    answer = subprocess.run([BLENDER, "--version"], capture_output=True, text=True, check=True, timeout=120)
    version = next(line for line in answer.stdout.split("\n") if line.startswith("Blender")).split()[1]
    opened = []

    def open_one():
        opened.append(BlenderWindow(BLENDER, screen, folder, ROOT / "build" / "window" / version))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def opened(folder):
    """The paths that Blender has asked the system to open, for which there is a program that notes them."""
    notes, program = folder / "opened.txt", folder / "system" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" >> {notes}\n')
    program.chmod(0o755)

    def wait_for(window, name):
        told = f"Path({str(notes)!r})"
        window.wait_for(f"{told}.exists() and {told}.read_text().rstrip().endswith({name!r})", 20)

    wait_for.path = f"os.environ['PATH'] = {str(program.parent)!r} + os.pathsep + os.environ['PATH']"
    return wait_for


@pytest.fixture(scope="module")
def window(open_blender, folder, opened):
    """A Blender into which the built zip has just been installed, with the tab Macro open."""
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "build_extension.py", "--output", folder / "dist"], check=True, timeout=60
    )
    (built,) = (folder / "dist").glob("*.zip")
    window = open_blender()
    window.run(opened.path)
    window.run(
        "with in_view():\n"
        f"    bpy.ops.extensions.package_install_files(filepath={str(built)!r}, repo='user_default',"
        " enable_on_install=True)\n"
        "    bpy.data.objects.remove(bpy.data.objects['Cube'])\n"
    )
    assert window.ask("PACKAGE in bpy.context.preferences.addons")
    window.open_tab()
    return window


def preferences(window, **values):
    for name, value in values.items():
        window.run(f"bpy.context.preferences.addons[PACKAGE].preferences.{name} = {value!r}")


def fill_in(window, which=SETTINGS, **values):
    for name, value in values.items():
        window.run(f"{which}.{name} = {value!r}")


def test_without_a_solver_the_panel_leads_to_the_preferences(window):
    window.rest()
    window.picture("1-no-solver")
    window.press("macro.open_preferences()")
    window.wait_for("len(bpy.context.window_manager.windows) == 2", 20)
    window.picture("2-preferences")
    window.close_preferences()
    preferences(window, solver_python=SOLVER_PYTHON)
    window.rest()
    window.picture("3-idle")


def test_the_synthetic_panel_renders_photos(window, capture):
    if CAPTURE:
        pytest.skip("photos were given")
    fill_in(window, SYNTHETIC, output=str(capture), preset="tiny")
    window.open_panel_below("macro.import_result", "macro.render_capture")
    window.press("macro.render_capture()")
    window.wait_for("job().rendered is not None", 20)
    window.rest()
    window.picture("4-rendering")
    window.wait_for("job().rendered.phase != 'running'", RUN_S)
    assert window.ask("job().rendered.phase") == "done"
    window.picture("5-rendered")
    assert len(list((capture / "images").glob("*"))) == 4


def test_photos_are_inspected(window, capture, opened):
    fill_in(window, capture=str(capture))
    assert window.ask(f"{SETTINGS}.output") == f"{capture}_reconstruction"
    window.press("macro.inspect()", ICONS)
    window.wait_for("job().inspection is not None and job().inspection.phase != 'running'", RUN_S)
    assert window.ask("job().inspection.phase") == "done"
    assert window.ask("job().inspection.summary.photos") == len(list((capture / "images").iterdir()))
    window.rest()
    window.picture("6-inspected")
    window.press("macro.open_sheet()")
    opened(window, "sheet.jpg")


def test_what_was_rendered_is_reconstructed_with_one_click(window, capture):
    if CAPTURE:
        pytest.skip("photos were given")
    fill_in(window, capture="", output="", preset="draft", device="cpu", iterations=5)
    window.press("macro.reconstruct_rendered()")
    window.wait_for("job().latest() is not None and job().latest().phase == 'done'", RUN_S)
    assert window.ask(f"{SETTINGS}.capture") == str(capture)
    window.rest()
    window.picture("6-one-click")
    assert window.ask(f"{capture.name + '_reconstruction'!r} in bpy.data.collections")
    window.run("job().dismiss()")


def begin(window, capture, output, **values):
    """Set everything, and press the button with the mouse."""
    fill_in(window, capture=str(capture), output=str(output), preset="draft", device="cpu", **values)
    window.press("macro.reconstruct()")
    window.wait_for("job().latest() is not None", 20)


def test_an_error_stays_with_the_button_that_mends_it(window, capture, folder):
    (folder / "holiday").mkdir()
    photo = min((capture / "images").iterdir())
    shutil.copy(photo, folder / "holiday")
    begin(window, capture, folder / "holiday", iterations=5)
    window.wait_for("job().latest().phase == 'error'", RUN_S)
    assert window.ask("job().latest().mend") == "output"
    window.rest()
    window.picture("7-error")
    window.press("macro.mend(")
    window.wait_for("job().latest().phase == 'done'", RUN_S)
    assert window.ask("str(job().latest().output)") == str(folder / "holiday-2")
    assert window.ask("'holiday-2' in bpy.data.collections")
    assert [path.name for path in (folder / "holiday").iterdir()] == [photo.name]


def test_a_solver_that_is_not_there_leads_to_the_preferences(window, capture, folder):
    window.run("job().dismiss()")
    preferences(window, solver_python="/no/such/python")
    begin(window, capture, folder / "nowhere", iterations=5)
    window.wait_for("job().latest().phase == 'error'", 20)
    window.rest()
    window.picture("7-no-such-python")
    window.key("Escape")  # from Blender 5 on the popup that tells the error too takes the mouse until it is closed
    window.press("macro.open_preferences()")
    window.close_preferences()
    preferences(window, solver_python=SOLVER_PYTHON)


def test_a_run_is_watched_paused_and_finished_early(window, capture, folder):
    window.run("job().dismiss()")
    begin(window, capture, folder / "beetle", iterations=ENDLESS)
    begin(window, capture, folder / "next", iterations=5)
    window.wait_for("job().latest().training and job().latest().previews > 0", RUN_S)
    window.rest()
    window.picture("8-running")
    assert window.ask("[(one.output.name, one.phase) for one in job().jobs]") == [
        ["beetle", "running"],
        ["next", "waiting"],
    ]
    window.press("macro.pause()", ICONS)
    window.wait_for("job().working().phase == 'paused'", 20)
    window.rest()
    window.picture("9-paused")
    window.press("macro.pause()", ICONS)
    window.wait_for("job().working().phase == 'running'", 20)
    window.wait_for(f"job().working().done >= {STEPS}", RUN_S)
    window.rest()
    window.picture("10-running-on")
    window.press("macro.finish()", ICONS)
    window.wait_for("all(one.phase == 'done' for one in job().jobs)", 2 * RUN_S)
    window.rest()
    window.picture("11-done")
    for name in ("beetle", "next"):
        assert window.ask(f"{name!r} in bpy.context.scene.collection.children")
    cameras = window.ask("[o.name for o in bpy.data.collections['beetle'].all_objects if o.type == 'CAMERA']")
    assert len(cameras) == len(list((capture / "images").iterdir()))


def test_something_is_made_of_the_result(window, opened, folder):
    window.run("job().dismiss()")
    window.press('macro.open_report(collection="beetle")', LEFT)
    opened(window, "report.html")
    window.press('macro.open_folder(collection="beetle")', RIGHT)
    opened(window, "beetle")
    window.press('macro.refocus(collection="beetle")', LEFT)
    window.picture("11-refocus")
    window.key("Return")
    window.wait_for("job().made is not None and job().made.phase != 'running'", RUN_S)
    assert window.ask("(job().made.phase, job().made.message)") == ["done", "Made view_000-picture.png"] or CAPTURE
    window.press("macro.open_made()", ICONS)
    opened(window, "-picture.png")
    window.press('macro.export(collection="beetle")', RIGHT)
    window.picture("11-export")
    window.key("Return")
    window.wait_for("job().made.request.command == 'export' and job().made.phase != 'running'", RUN_S)
    window.rest()
    window.picture("11-exported")
    assert window.ask("(job().made.phase, job().made.message)") == ["done", "Made export"]
    assert (folder / "beetle" / "export" / "mesh.glb").is_file()


def test_the_result_is_framed_and_undone(window):
    window.run("job().dismiss()")
    window.press('macro.frame_result(collection="beetle")', ICONS)
    window.rest()
    window.run("view()[1].spaces.active.shading.color_type = 'TEXTURE'")
    window.picture("12-framed")
    window.press("macro.show(collection=\"beetle\", part='splats')", (0.7,))
    window.press('macro.crop_splats(collection="beetle")', (0.7,))  # beside the one for coverage
    assert window.ask("'beetle crop' in bpy.data.objects")
    window.rest()
    window.picture("12-splats-cropped")
    window.run("with in_view():\n    bpy.ops.ed.undo()\n    bpy.ops.ed.undo()")
    window.key("ctrl+z")
    window.picture("13-undone")
    assert window.ask("'next' not in bpy.data.collections")
    window.key("ctrl+shift+z")
    assert window.ask("'next' in bpy.data.collections")


def test_escape_over_the_tab_asks(window, capture, folder):
    begin(window, capture, folder / "escaped", iterations=ENDLESS)
    window.wait_for("job().latest().training", RUN_S)
    window.rest()
    window.key("Escape")  # over the view it is somebody else's
    assert window.ask("job().latest().phase") == "running"
    window.find("macro.reconstruct()")
    window.key("Escape")
    window.picture("14-escape")
    assert window.ask("job().latest().phase") == "running"
    window.key("Return")
    window.wait_for("job().latest().phase == 'cancelled'", 60)
    assert (folder / "escaped" / "checkpoint.pt").is_file()
    window.rest()
    window.picture("15-cancelled")


def test_a_run_that_is_left_is_found_again(window, open_blender, capture, folder):
    window.run("job().dismiss()")
    preferences(window, at_exit="leave")
    window.run("bpy.ops.wm.save_userpref()")
    begin(window, capture, folder / "left", iterations=ENDLESS)
    window.wait_for("job().latest().training", RUN_S)
    assert window.close() == 0
    again = open_blender()
    again.open_tab()
    again.wait_for("job().latest() is not None and job().latest().training", 30)
    again.rest()
    again.picture("16-found-again")
    again.press("macro.cancel()", ICONS)
    again.wait_for("job().latest().phase == 'cancelled'", 60)
    again.run("job().dismiss()")
    preferences(again, at_exit="end")
    again.run("bpy.ops.wm.save_userpref()")
    begin(again, capture, folder / "ended", iterations=ENDLESS)
    begin(again, capture, folder / "waiting", iterations=5)
    again.wait_for("len(job().waiting()) == 1", 20)
    assert again.close() == 0


def test_the_queue_waits_for_its_button(open_blender, folder):
    window = open_blender()
    window.open_tab()
    window.wait_for("[(one.output.name, one.held) for one in job().jobs] == [('waiting', True)]", 30)
    window.rest()
    window.picture("17-queue-waits")
    window.press("macro.start_waiting()")
    window.wait_for("job().latest().phase == 'done'", RUN_S)
    window.press("macro.import_result(filepath=")
    assert window.ask("'waiting' in bpy.data.collections")
    window.rest()
    window.picture("18-queue-done")
    assert window.close() == 0
