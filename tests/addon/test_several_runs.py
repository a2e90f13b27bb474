# SPDX-License-Identifier: GPL-3.0-or-later
"""Several runs in the panel: each button is about the one that it stands beside."""

import importlib
import sys

import pytest

from blender_addon.mending import mended
from blender_addon.solver_process import Request


@pytest.fixture
def job(bpy, extension):
    """The module that drives runs in the installed extension, with this interpreter for the solver."""
    bpy.context.preferences.addons[extension].preferences.solver_python = sys.executable
    module = importlib.import_module(f"{extension}.blender_addon.job")
    yield module
    module.end_all()


@pytest.fixture
def solver(bpy, job, extension, solver_python):
    """Runs are the real solver's."""
    bpy.context.preferences.addons[extension].preferences.solver_python = solver_python


def over(job, folder, name, phase="error", **fields):
    """A run that is over, of a capture of its own that is not there."""
    request = job.Request(folder / f"photos of {name}", folder / name, device="cpu")
    ended = job.Job(output=request.output, capture=request.capture, request=request, phase=phase, **fields)
    job.jobs.append(ended)
    return ended


@pytest.mark.usefixtures("solver")
def test_mending_is_about_the_run_beside_the_button(bpy, job, tmp_path):
    for name in ("first", "second"):
        over(job, tmp_path, name)
    settings = bpy.context.scene.macro_reconstruction
    settings.preset, settings.max_size = "high", 1234
    with pytest.raises(RuntimeError, match="photos of first"):
        bpy.ops.macro.mend(how="fresh", output=str(tmp_path / "first"))
    assert (settings.capture, settings.output) == (str(tmp_path / "photos of first"), str(tmp_path / "first"))
    assert (settings.preset, settings.max_size) == ("high", 1234)  # nobody asked for another
    assert job.latest().request.preset == "standard"  # as it was asked for


@pytest.mark.usefixtures("solver")
def test_mending_is_for_the_scene_that_asked(bpy, job, tmp_path):
    asked = bpy.context.scene
    over(job, tmp_path, "result", mend="smaller", scene=asked.session_uid)
    other = bpy.data.scenes.new("Looked at")
    bpy.context.window.scene = other
    with pytest.raises(RuntimeError, match="photos of result"):
        bpy.ops.macro.mend(how="smaller", output=str(tmp_path / "result"))
    assert asked.macro_reconstruction.max_size == 400
    assert (other.macro_reconstruction.max_size, other.macro_reconstruction.output) == (0, "")


def test_what_cannot_be_tried_again_is_one_sentence(bpy, job):
    for _ in range(2):
        with pytest.raises(RuntimeError, match="nothing to try again") as caught:
            bpy.ops.macro.mend(how="output")
        assert "Traceback" not in str(caught.value)
        job.fail("The path is wrong.")


def test_one_message_is_dismissed_and_the_others_stay(bpy, job, tmp_path):
    for name in ("first", "second", "third"):
        over(job, tmp_path, name)
    job.fail("The path is wrong.")
    job.fail("The path is still wrong.")
    assert [other.output.name for other in job.jobs] == ["first", "second", "third", ""]
    assert bpy.ops.macro.dismiss(output=str(tmp_path / "second")) == {"FINISHED"}
    assert [other.output.name for other in job.jobs] == ["first", "third", ""]
    assert bpy.ops.macro.dismiss(output=str(job.jobs[-1].output)) == {"FINISHED"}
    assert [other.output.name for other in job.jobs] == ["first", "third"]
    assert bpy.ops.macro.dismiss() == {"FINISHED"}
    assert job.jobs == []


def test_each_log_is_that_of_its_run(bpy, job, tmp_path, monkeypatch):
    for name in ("first", "second"):
        (tmp_path / f"{name}.log").write_text(name)
        over(job, tmp_path, name, log_path=tmp_path / f"{name}.log")
    (tmp_path / "first.log").unlink()
    with pytest.raises(RuntimeError, match=r"first\.log: the log is no longer there"):
        bpy.ops.macro.open_log(output=str(tmp_path / "first"))


def test_errors_stay_while_the_queue_grows(bpy, job, tmp_path):
    over(job, tmp_path, "failed")
    over(job, tmp_path, "again")
    run = job.runs.start_child(
        [sys.executable, "-c", "import time; time.sleep(600)"], tmp_path, output=tmp_path / "busy", capture=tmp_path
    )
    job.jobs.append(job.Job(output=tmp_path / "busy", phase="running", run=run))
    request = job.Request(tmp_path / "photos", tmp_path / "again")
    waits = job.begin(request, sys.executable, bpy.context.scene)
    assert [(other.output.name, other.phase) for other in job.jobs] == [
        ("failed", "error"),
        ("busy", "running"),
        ("again", "waiting"),
    ]
    job.cancel(waits)
    with pytest.raises(RuntimeError, match="A reconstruction is running"):
        bpy.ops.macro.install_solver()  # it would change the packages under the one that runs


def test_errors_of_others_stay_when_one_is_tried_again(bpy, job, tmp_path):
    for name, phase in (("first", "error"), ("second", "cancelled"), ("third", "done")):
        over(job, tmp_path, name, phase)
    over(job, tmp_path, "fourth", "done", imported=True)
    job.fail("The path is wrong.")
    job.begin(job.named(str(tmp_path / "second")).request, sys.executable, bpy.context.scene)
    assert [(other.output.name, other.phase) for other in job.jobs] == [
        ("first", "error"),
        ("third", "done"),
        ("second", "running"),
    ]


@pytest.mark.usefixtures("solver")
def test_a_folder_that_a_button_chose_is_not_kept_for_another_capture(bpy, job, tmp_path):
    (tmp_path / "result").mkdir()
    over(job, tmp_path, "result", mend="output")
    with pytest.raises(RuntimeError, match="photos of result"):
        bpy.ops.macro.mend(how="output", output=str(tmp_path / "result"))
    settings = bpy.context.scene.macro_reconstruction
    assert settings.output == str(tmp_path / "result-2")
    settings.capture = str(tmp_path / "other")
    assert settings.output == str(tmp_path / "other_reconstruction")


def test_nothing_begins_while_the_solver_is_being_installed(bpy, job, extension, tmp_path):
    installation = importlib.import_module(f"{extension}.blender_addon.installation")
    settings = bpy.context.scene.macro_reconstruction
    settings.capture, settings.output = str(tmp_path / "photos"), str(tmp_path / "result")
    assert bpy.ops.macro.reconstruct.poll() and bpy.ops.macro.mend.poll()
    installation.current = installation.Installation(order=None)  # nothing is begun, so nothing is asked for
    assert not bpy.ops.macro.reconstruct.poll() and not bpy.ops.macro.mend.poll()
    installation.current.phase = "done"
    assert bpy.ops.macro.reconstruct.poll() and bpy.ops.macro.mend.poll()


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        ("cancel", ["output"]),
        ("mend", ["output"]),
        ("dismiss", ["output"]),
        ("open_log", ["output"]),
        ("import_result", ["filepath", "mesh", "splats", "cameras", "splat_budget", "crop"]),
    ],
)
def test_a_button_does_not_remember_what_another_one_was_about(bpy, job, operator, names):
    """Blender fills what a button leaves out with what was chosen last, such as the queued run that was removed."""
    properties = getattr(bpy.ops.macro, operator).get_rna_type().properties
    assert [name for name in names if not properties[name].is_skip_save] == []


def test_an_error_before_a_run_has_no_checkpoint_wherever_blender_was_started(job, tmp_path, monkeypatch):
    (tmp_path / "checkpoint.pt").touch()
    monkeypatch.chdir(tmp_path)
    job.fail("The path is wrong.")
    assert not job.latest().resumable


def test_ways_of_mending(tmp_path):
    request = Request(tmp_path, tmp_path / "a.b", preset="draft", iterations=9, resume=True)
    assert mended(request, "fresh") == Request(tmp_path, tmp_path / "a.b", preset="draft", iterations=9)
    assert mended(mended(request, "fresh"), "resume") == request
    (tmp_path / "a.b-2").mkdir()
    assert mended(request, "output").output == tmp_path / "a.b-3"
    sizes = []
    while not sizes or sizes[-1] > 100:
        request = mended(request, "smaller")
        sizes.append(request.max_size)
    assert sizes == [200, 100]
    assert mended(request, "smaller").max_size == 100
