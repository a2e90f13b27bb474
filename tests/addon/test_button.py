# SPDX-License-Identifier: GPL-3.0-or-later
"""The button pressed in Blender's background mode, with the real solver, on a capture rendered for it."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

VIEWS = 6
ITERATIONS = 40


@pytest.fixture(scope="session")
def capture(bpy, root, tmp_path_factory):
    """A tiny capture with the generator's own command."""
    folder = tmp_path_factory.mktemp("photos") / "beetle capture"  # spaces are part of the test
    command = [sys.executable, root / "synthetic" / "make_dataset.py", "--output", folder, "--scene", "beetle"]
    command += ["--views", str(VIEWS), "--held-out", "0", "--resolution", "64", "48", "--samples", "4", "--seed", "1"]
    answer = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return folder


@pytest.fixture
def settings(bpy, extension, solver_python):
    """The panel's settings, with the solver's interpreter; and the panel is left as it was found."""
    bpy.context.preferences.addons[extension].preferences.solver_python = solver_python
    job = importlib.import_module(f"{extension}.blender_addon.job")
    yield bpy.context.scene.macro_reconstruction
    job.end_all()


@pytest.fixture
def panel(extension):
    """What the panel shows."""
    job = importlib.import_module(f"{extension}.blender_addon.job")
    return job.latest


def snapshot(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def test_button_reconstructs_and_imports(bpy, extension, settings, panel, capture, tmp_path):
    installed = Path(importlib.import_module(extension).__file__).parent
    before = snapshot(installed)
    output = tmp_path / "the result"
    settings.capture, settings.output = str(capture), str(output)
    settings.preset, settings.iterations, settings.device = "draft", ITERATIONS, "cpu"
    assert bpy.ops.macro.reconstruct() == {"FINISHED"}

    assert panel().phase == "done"
    assert 0 < panel().took_s < 3600
    assert (output / "solver.log").is_file()
    sources_and_cache = {p for p in snapshot(installed).keys() - before.keys() if "__pycache__" not in p.parts}
    assert not sources_and_cache
    assert not [p for p in snapshot(installed).keys() - before.keys() if "solver" in p.parts]

    summary = json.loads((output / "result.json").read_text())
    truth = json.loads((capture / "transforms.json").read_text())
    collection = bpy.data.collections["the result"]
    objects = {o.name: o for o in collection.all_objects}
    cameras = {name: o for name, o in objects.items() if o.type == "CAMERA"}
    assert len(cameras) == VIEWS
    assert set(cameras) == {photo["name"] for photo in summary["photos"]}
    splats = objects["the result splats"]
    assert len(splats.data.vertices) == summary["splats"]["count"] > 0
    if summary["mesh"] is not None:
        assert len(objects["the result mesh"].data.vertices) == summary["mesh"]["vertices"]

    unit = summary["unit_mm"] / 1000
    bpy.context.view_layer.update()
    for frame in truth["frames"]:
        camera = cameras[Path(frame["file_path"]).stem]
        expected = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(np.array(camera.matrix_world)[:3, 3], expected[:3, 3] * unit, atol=1e-6)
        assert projection_error(bpy, camera, {**truth, **frame}, unit) < 0.1
        assert camera.data.dof.use_dof
        assert camera.data.background_images[0].image.filepath.endswith(".png")

    places = np.empty(3 * len(splats.data.vertices), dtype=np.float32)
    splats.data.vertices.foreach_get("co", places)
    centre = np.median(places.reshape(-1, 3), axis=0)
    heights = [np.array(o.matrix_world)[2, 3] for o in cameras.values()]
    nearest = min(np.linalg.norm(np.array(o.matrix_world)[:3, 3] - centre) for o in cameras.values())
    assert min(heights) > centre[2]  # Z is up: the cameras look down at the subject
    assert 0.02 < nearest < 2.0  # metres: a macro lens's distance in true size

    log = (output / "solver.log").read_text()
    assert bpy.ops.macro.export(collection="the result", file_format="splats-ply") == {"FINISHED"}
    assert (output / "export" / "splats.ply").is_file()
    (output / "export" / "export.json").unlink()  # so nothing says that the file is ours
    with pytest.raises(RuntimeError, match=r"splats\.ply"):
        bpy.ops.macro.export(collection="the result", file_format="splats-ply")
    bpy.context.view_layer.objects.active = next(iter(cameras.values()))
    assert bpy.ops.macro.refocus(collection="the result", way="sharp") == {"FINISHED"}
    photo = min(cameras)
    assert (output / "refocused" / f"{photo}-sharp.png").is_file()
    assert bpy.ops.macro.refocus(collection="the result", way="picture", focus_mm=90, f_number=4) == {"FINISHED"}
    assert (output / "refocused" / f"{photo}-picture-focus-mm-90-f-number-4.png").is_file()
    with pytest.raises(RuntimeError, match="no imported result named wasp"):
        bpy.ops.macro.refocus(collection="wasp")
    assert (output / "solver.log").read_text() == log  # that of the run stays


def projection_error(bpy, item, frame, unit):
    """Largest distance in pixels between Blender's projection of random points and the capture's own camera."""
    points = np.random.default_rng(5).uniform(-5, 5, (40, 3))
    matrix = np.array(frame["transform_matrix"])
    local = (points - matrix[:3, 3]) @ matrix[:3, :3]
    expected = np.stack(
        [
            frame["cx"] + frame["fl_x"] * local[:, 0] / -local[:, 2],
            frame["cy"] - frame["fl_y"] * local[:, 1] / -local[:, 2],
        ],
        axis=1,
    )
    depsgraph = bpy.context.evaluated_depsgraph_get()
    projection = np.array(item.calc_matrix_camera(depsgraph, x=frame["w"], y=frame["h"]))
    clip = np.c_[points * unit, np.ones(40)] @ (projection @ np.linalg.inv(np.array(item.matrix_world))).T
    ndc = clip[:, :2] / clip[:, 3:]
    seen = np.stack([(ndc[:, 0] + 1) / 2 * frame["w"], (1 - ndc[:, 1]) / 2 * frame["h"]], axis=1)
    return np.abs(seen - expected).max()


@pytest.fixture
def press(bpy, extension, settings, capture):
    """Presses the button as in a window: a function that starts a short run and returns the panel's job module."""
    job = importlib.import_module(f"{extension}.blender_addon.job")

    def start(output, iterations=5):
        settings.capture, settings.output = str(capture), str(output)
        settings.preset, settings.iterations, settings.device = "draft", iterations, "cpu"
        preferences = importlib.import_module(f"{extension}.blender_addon.preferences")
        job.begin(settings.request(), preferences.solver_python(), bpy.context.scene)
        return job

    return start


def hear_to_the_end(job):
    """What Blender's timer does; in this process no timer fires."""
    while job._tick() is not None:
        time.sleep(0.1)


def test_run_that_a_timer_drives_finds_its_scene_again(bpy, press, tmp_path):
    job = press(tmp_path / "result")
    with pytest.raises(RuntimeError, match="A reconstruction is running"):
        bpy.ops.macro.reconstruct()  # in background mode nothing waits in line
    with pytest.raises(Exception, match="already running or waiting"):
        press(tmp_path / "result")
    bpy.context.scene.name = "renamed meanwhile"
    started_from = bpy.context.scene
    bpy.context.window.scene = bpy.data.scenes.new("looked at now")
    hear_to_the_end(job)
    assert job.latest().phase == "done"
    assert all("focus" in told or "masks" in told for told in job.latest().warnings)  # it minds the photos only
    assert "result" in started_from.collection.children
    assert "result" not in bpy.context.scene.collection.children


def test_the_panel_is_drawn_again_only_when_something_changed(extension, tmp_path, monkeypatch):
    job = importlib.import_module(f"{extension}.blender_addon.job")
    drawn = []
    monkeypatch.setattr(job, "redraw", lambda: drawn.append(True))
    run = job.Job(output=tmp_path, phase="done")
    job.jobs.append(run)
    for warnings in ([], [], ["Of focus."], ["Of focus."]):
        run.warnings = warnings
        job._tick()
    assert len(drawn) == 2
    job.end_all()


def test_a_second_run_waits_for_the_first(bpy, press, tmp_path):
    job = press(tmp_path / "first")
    press(tmp_path / "second")
    press(tmp_path / "third")
    assert [other.phase for other in job.jobs] == ["running", "waiting", "waiting"]
    assert bpy.ops.macro.cancel(output=str(tmp_path / "third")) == {"FINISHED"}
    hear_to_the_end(job)
    assert [(other.output.name, other.phase) for other in job.jobs] == [("first", "done"), ("second", "done")]
    assert all(other.imported for other in job.jobs)
    assert {"first", "second"} <= set(bpy.context.scene.collection.children.keys())
    assert not (tmp_path / "third").exists()


def until_training(job):
    while not job.latest().training:
        assert job._tick() is not None
        time.sleep(0.05)


def test_pause_go_on_and_finish_early(bpy, press, tmp_path):
    job = press(tmp_path / "result", iterations=100_000)
    assert not bpy.ops.macro.pause.poll()  # there is nothing to pause yet
    until_training(job)
    assert bpy.ops.macro.pause() == {"FINISHED"}
    assert job.latest().status == "Paused"
    while not (tmp_path / "result" / "checkpoint.pt").is_file():  # the solver has heard
        job._tick()
        time.sleep(0.05)
    time.sleep(1.0)
    job._tick()
    reached = job.latest().done
    time.sleep(1.0)
    job._tick()
    assert job.latest().done == reached
    assert bpy.ops.macro.pause() == {"FINISHED"}
    while job.latest().done == reached:
        job._tick()
        time.sleep(0.05)
    assert bpy.ops.macro.finish() == {"FINISHED"}
    hear_to_the_end(job)
    assert (job.latest().phase, job.latest().imported) == ("done", True)
    assert any("finished early" in warning for warning in job.latest().warnings)


def test_a_run_left_behind_is_found_again(bpy, press, tmp_path):
    """As by a Blender that was closed or crashed: all that the next one has is on the disk."""
    job = press(tmp_path / "result", iterations=100_000)
    until_training(job)
    child = job.latest().run._child
    job.end_all(leave_running=True)
    assert job.latest() is None
    assert child.poll() is None
    job.adopt_all()
    found = job.latest()
    assert (found.output, found.phase) == (tmp_path / "result", "running")
    job.adopt_all()
    assert len(job.jobs) == 1  # not twice
    job._tick()
    assert found.training and found.total == 100_000  # heard from the beginning
    assert bpy.ops.macro.finish() == {"FINISHED"}
    while found.phase not in ("done", "error"):
        child.poll()  # it is this process's child after all, and would stay a zombie
        job._tick()
        time.sleep(0.1)
    assert (found.phase, found.imported) == ("done", False)  # this file was not saved, so it may be any other
    assert bpy.ops.macro.import_result(filepath=str(tmp_path / "result")) == {"FINISHED"}


def test_a_crashed_run_that_is_found_again_can_go_on(bpy, press, settings, capture, tmp_path):
    job = press(tmp_path / "result", iterations=400)
    while not (tmp_path / "result" / "checkpoint.pt").is_file():
        assert job._tick() is not None
        time.sleep(0.05)
    child = job.latest().run._child
    job.end_all(leave_running=True)
    child.kill()
    child.wait()
    job.adopt_all()
    job._tick()
    assert job.latest().phase == "error"
    assert job.latest().resumable
    settings.capture = settings.output = ""  # as in a new file
    settings.iterations = 0
    assert bpy.ops.macro.mend(how="resume") == {"FINISHED"}
    assert (settings.capture, settings.output) == (str(capture), str(tmp_path / "result"))
    assert job.latest().phase == "done"
    assert not settings.resume
    assert job.latest().request.iterations == 400  # as was asked for, whatever the new file says


def test_inspecting_photos_from_the_panel(bpy, settings, panel, extension, capture):
    job = importlib.import_module(f"{extension}.blender_addon.job")
    settings.capture = str(capture / "images")
    assert bpy.ops.macro.inspect() == {"FINISHED"}
    assert job.inspection.summary.photos == VIEWS
    assert "f/" in job.inspection.summary.f_numbers
    assert job.inspection.sheet.is_file()
    assert Path(bpy.app.tempdir) in job.inspection.sheet.parents  # no other Blender's look replaces it
    settings.capture = str(capture / "nowhere")
    with pytest.raises(RuntimeError, match="nowhere"):
        bpy.ops.macro.inspect()
    assert job.inspection.phase == "error"
    assert job.log_of(str(job.inspection.output)) == job.inspection.log_path
    assert "nowhere" in job.inspection.log_path.read_text()


def test_an_output_folder_that_is_taken_is_mended(bpy, settings, panel, capture, tmp_path):
    taken = tmp_path / "result"
    noise(taken / "holiday.png")
    settings.capture, settings.output = str(capture), str(taken)
    settings.preset, settings.iterations, settings.device = "draft", 5, "cpu"
    with pytest.raises(RuntimeError, match="holds photos"):
        bpy.ops.macro.reconstruct()
    assert panel().mend == "output"
    assert bpy.ops.macro.mend(how="output") == {"FINISHED"}
    assert settings.output == str(tmp_path / "result-2")
    assert panel().phase == "done"
    assert [path.name for path in taken.iterdir()] == ["holiday.png"]


def test_another_file_opened_meanwhile_gets_nothing(bpy, press, tmp_path):
    job = press(tmp_path / "result")
    bpy.ops.wm.read_homefile()
    objects = set(bpy.data.objects.keys())
    hear_to_the_end(job)
    assert job.latest().phase == "done"
    assert str(tmp_path / "result") in job.latest().warnings[-1]
    assert set(bpy.data.objects.keys()) == objects
    assert bpy.ops.macro.import_result(filepath=str(tmp_path / "result")) == {"FINISHED"}


def test_cancel_leaves_a_checkpoint_and_no_result(bpy, press, tmp_path):
    job = press(tmp_path / "result", iterations=100_000)
    while job.latest().title != "Optimizing scene and lens" or not job.latest().done:
        assert job._tick() is not None
        time.sleep(0.1)
    assert 0 < job.latest().fraction < 0.1
    assert bpy.ops.macro.cancel() == {"FINISHED"}
    assert job.latest().status == "Saving what is there"
    hear_to_the_end(job)
    assert (job.latest().phase, job.latest().resumable) == ("cancelled", True)
    assert (tmp_path / "result" / "checkpoint.pt").is_file()
    assert not (tmp_path / "result" / "result.json").exists()
    assert "result" not in bpy.data.collections
    assert bpy.ops.macro.reconstruct.poll()


def test_disabling_the_extension_ends_the_solver(bpy, extension, press, tmp_path):
    import addon_utils

    job = press(tmp_path / "result")
    run = job.latest().run
    addon_utils.disable(extension)
    assert run.outcome.kind == "cancelled"
    assert run._child.poll() is not None
    assert not (tmp_path / "result").exists()
    addon_utils.enable(extension)


def test_disabling_the_extension_leaves_the_solver_where_one_wishes(bpy, extension, press, tmp_path):
    """Blender disables extensions when it is closed, too."""
    import addon_utils

    bpy.context.preferences.addons[extension].preferences.at_exit = "leave"
    child = press(tmp_path / "result").latest().run._child
    addon_utils.disable(extension)
    assert child.poll() is None
    addon_utils.enable(extension)
    job = importlib.import_module(f"{extension}.blender_addon.job")
    job.adopt_all()
    assert (job.latest().output, job.latest().phase) == (tmp_path / "result", "running")
    child.kill()
    child.wait()
    job.end_all()


def noise(path, size=(64, 48)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name) + size[0]).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def spoil_transforms(capture, change):
    content = json.loads((capture / "transforms.json").read_text())
    change(content["frames"][1])
    (capture / "transforms.json").write_text(json.dumps(content))


def no_photos(folder, capture):
    folder.mkdir()
    return folder


def one_photo(folder, capture):
    noise(folder / "a.png")
    return folder / "a.png"


def unreadable_photo(folder, capture):
    for name in ("a", "bb", "ccc"):
        noise(folder / f"{name}.png")
    (folder / "bb.png").write_bytes((folder / "bb.png").read_bytes()[:900])
    return folder / "bb.png"


def two_sizes(folder, capture):
    for name in ("a", "bb", "ccc"):
        noise(folder / f"{name}.png")
    noise(folder / "odd.png", size=(60, 48))
    return folder / "odd.png"


def nothing_in_common(folder, capture):
    for name in ("a", "bb", "ccc"):
        noise(folder / f"{name}.png", size=(200, 150))
    return folder


def missing_images(folder, capture):
    """Of which one remains, and one is not enough."""
    shutil.copytree(capture, folder)
    for path in sorted((folder / "images").iterdir())[1:]:
        path.unlink()
    return folder / "images" / "view_001.png"


def singular_matrix(folder, capture):
    shutil.copytree(capture, folder)
    spoil_transforms(folder, lambda frame: frame.update(transform_matrix=[[0.0] * 4] * 3 + [[0, 0, 0, 1.0]]))
    return folder / "transforms.json"


@pytest.mark.parametrize(
    "spoil",
    [no_photos, one_photo, unreadable_photo, two_sizes, nothing_in_common, missing_images, singular_matrix],
)
def test_bad_input_is_one_sentence_in_the_panel(bpy, settings, panel, capture, tmp_path, spoil):
    """The sentence of the real solver; it names the culprit or its folder, and nothing is left."""
    output = tmp_path / "result"
    culprit = spoil(tmp_path / "bad", capture)
    settings.capture, settings.output = str(tmp_path / "bad"), str(output)
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.macro.reconstruct()
    assert panel().phase == "error"
    assert culprit.name in panel().message or str(tmp_path / "bad") in panel().message
    assert "; " in panel().message  # what is wrong; what to do
    assert "\n" not in panel().message
    assert "Traceback" not in panel().message
    assert panel().message in str(caught.value)
    assert panel().log_path.is_file()
    assert not output.exists()
    assert "result" not in bpy.data.collections


def test_output_that_cannot_be_written_is_one_sentence_in_the_panel(bpy, settings, panel, capture, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings.capture, settings.output = str(capture), str(tmp_path / "file" / "result")
    with pytest.raises(RuntimeError):
        bpy.ops.macro.reconstruct()
    assert panel().phase == "error"
    assert str(tmp_path / "file") in panel().message
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize(
    "python, told", [("", "the solver is not installed"), ("/no/such/python", "the solver's Python was not found")]
)
def test_missing_solver_python_is_one_sentence(bpy, extension, settings, panel, tmp_path, python, told):
    bpy.context.preferences.addons[extension].preferences.solver_python = python
    output = tmp_path / "result"
    settings.capture, settings.output = str(tmp_path), str(output)
    with pytest.raises(RuntimeError, match=told):
        bpy.ops.macro.reconstruct()
    assert panel().phase == "error"
    assert "preferences" in panel().message
    assert not output.exists()


@pytest.mark.skipif(os.name != "posix", reason="writes a shell script")
def test_python_without_the_solvers_packages(bpy, extension, settings, panel, tmp_path):
    """A virtual environment with nothing in it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    bpy.context.preferences.addons[extension].preferences.solver_python = str(tmp_path / "bare" / "bin" / "python")
    settings.capture, settings.output = str(tmp_path), str(tmp_path / "result")
    with pytest.raises(RuntimeError, match="lacks the module"):
        bpy.ops.macro.reconstruct()
    assert not (tmp_path / "result").exists()
    with pytest.raises(RuntimeError, match="this Python cannot run the solver"):
        bpy.ops.macro.test_solver()


def test_doctor_answers_through_the_preferences_button(bpy, settings):
    assert bpy.ops.macro.test_solver() == {"FINISHED"}


def test_relative_path_in_an_unsaved_file(bpy, settings, panel, tmp_path):
    settings.capture, settings.output = "//photos", str(tmp_path / "result")
    with pytest.raises(RuntimeError, match="not saved yet"):
        bpy.ops.macro.reconstruct()
    assert panel().phase == "error"
