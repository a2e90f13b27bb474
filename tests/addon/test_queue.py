# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in the queue outlasts Blender, its crash, and damage on the disk."""

import dataclasses
import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blender_addon import locks, queue_on_disk, runs
from blender_addon.errors import MacroError
from blender_addon.run_records import Origin
from blender_addon.solver_process import Request

ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; time.sleep(600)"


def request_for(folder, name, **settings):
    return Request(capture=folder / "photos", output=folder / name, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"masks": ROOT / "masks", "make_masks": "yes", "preset": "draft", "max_size": 300, "iterations": 50},
        {"device": "cpu", "seed": 0, "focal_length_mm": 100.0, "f_number": 2.8, "marker_mm": 5.5},
        {"close_holes": True, "resume": True},
    ],
)
def test_a_request_is_read_as_it_was_written(tmp_path, settings):
    request = request_for(tmp_path, "Käfer 1", **settings)
    assert Request.from_json(json.loads(json.dumps(request.as_json()))) == request
    assert set(request.as_json()) == {field.name for field in dataclasses.fields(Request)}


def line_up(folder, name, origin=Origin("a.blend", "Scene")):  # noqa: B008 - it cannot be changed
    return queue_on_disk.line_up(request_for(folder, name), sys.executable, folder, origin)


def test_places_are_kept_in_order_until_their_turn(tmp_path):
    first, second, third = (line_up(tmp_path, name) for name in ("z", "a", "m"))
    assert queue_on_disk.adopt(tmp_path) == ([], [])  # this Blender minds them
    second.give_up()
    third.follow(Origin("b.blend", "Renamed"))
    for place in (first, third):
        place.leave()
    assert runs.adopt(tmp_path) == []  # which puts away what it does not know
    found, faults = queue_on_disk.adopt(tmp_path)
    assert faults == []
    assert [place.request for place in found] == [request_for(tmp_path, "z"), request_for(tmp_path, "m")]
    assert [place.origin for place in found] == [Origin("a.blend", "Scene"), Origin("b.blend", "Renamed")]
    assert [place.python for place in found] == [sys.executable] * 2
    for place in found:
        place.give_up()
    assert list((tmp_path / "jobs").iterdir()) == []


def test_a_killed_blender_leaves_its_queue(tmp_path):
    program = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
        "from blender_addon.queue_on_disk import line_up\nfrom blender_addon.run_records import Origin\n"
        f"from blender_addon.solver_process import Request\nfolder = Path({str(tmp_path)!r})\n"
        "kept = line_up(Request(folder / 'photos', folder / 'result'), sys.executable, folder, Origin())\n"
        "print('waits', flush=True)\nimport time; time.sleep(600)\n"
    )
    blender = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert blender.stdout.readline() == "waits\n"
        assert queue_on_disk.adopt(tmp_path) == ([], [])
    finally:
        blender.kill()
        blender.communicate()
    ((place,), faults) = queue_on_disk.adopt(tmp_path)
    assert (place.request.output, faults) == (tmp_path / "result", [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"capture"', '"captured"'),
        lambda text: text.replace('"max_size": null', '"max_size": ["rm"]'),
        lambda text: text.replace('"output": "/', '"output": "'),
        lambda text: text.replace('"scene"', '"of a later version"'),
        lambda text: "\udcff",
    ],
)
def test_a_damaged_place_is_one_sentence_and_the_others_stay(tmp_path, damage):
    places = [line_up(tmp_path, name) for name in ("first", "second", "third")]
    for place in places:
        place.leave()
    note = places[1].folder / "waiting.json"
    note.write_text(damage(note.read_text()), errors="surrogateescape")
    found, (sentence,) = queue_on_disk.adopt(tmp_path)
    assert [place.request.output.name for place in found] == ["first", "third"]
    assert str(note) in sentence and "start it again" in sentence and "\n" not in sentence
    assert not note.exists()  # it is told once
    assert queue_on_disk.adopt(tmp_path) == ([], [])


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "jobs").write_text("in the way")
    with pytest.raises(MacroError, match="the queue cannot be noted"):
        line_up(tmp_path, "result")


def test_a_place_whose_turn_comes_while_another_blender_looks_is_no_fault(tmp_path, monkeypatch):
    place, others = line_up(tmp_path, "first"), line_up(tmp_path, "second")
    others.leave()
    take = locks.take

    def late(path):
        if path.parent == place.folder:
            (place.folder / "waiting.json").unlink()
            place.leave()
        return take(path)

    monkeypatch.setattr(locks, "take", late)
    (found,), faults = queue_on_disk.adopt(tmp_path)
    assert (found.request.output.name, faults) == ("second", [])


def test_a_second_place_does_not_harm_the_first_where_the_clock_stands_still(tmp_path, monkeypatch):
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() // 16_000_000 * 16_000_000)
    for name in ("z", "a"):
        line_up(tmp_path, name).leave()
    places, _ = queue_on_disk.adopt(tmp_path)
    assert [place.request.output.name for place in places] == ["z", "a"]


@pytest.fixture
def job(bpy, extension):
    """The module that drives runs in the installed extension, where something is running already."""
    module = importlib.import_module(f"{extension}.blender_addon.job")
    yield module
    for other in list(module.jobs):
        if other.phase == "waiting":
            module.cancel(other)
    module.end_all()


@pytest.fixture
def busy(job, tmp_path):
    """Something is running, so that what follows waits."""
    run = importlib.import_module(job.runs.__name__).start_child(
        [sys.executable, "-c", SLEEP], tmp_path, output=tmp_path / "busy", capture=tmp_path
    )
    job.jobs.append(job.Job(output=tmp_path / "busy", phase="running", run=run))
    return run


def press(bpy, job, folder, name, python=sys.executable):
    """The button, as in a window; gives the waiting job."""
    settings = bpy.context.scene.macro_reconstruction
    settings.capture, settings.output, settings.preset = str(folder / "photos"), str(folder / name), "high"
    return job.begin(settings.request(), python, bpy.context.scene)


def notes(job):
    return sorted((job.storage() / "jobs").glob("*/waiting.json"))


def restart(job, leave):
    """Blender is closed, and another one opened: what it knows is on the disk."""
    job.leave_at_exit = leave
    job.end_at_exit()
    assert job.jobs == []
    job.adopt_all()


@pytest.mark.parametrize("leave", [False, True])
def test_the_queue_outlasts_blender(bpy, job, busy, solver_python, tmp_path, leave):
    for name in ("first", "second", "third"):
        press(bpy, job, tmp_path, name, solver_python)
    assert len(notes(job)) == 3
    assert bpy.ops.macro.cancel(output=str(tmp_path / "second")) == {"FINISHED"}
    assert len(notes(job)) == 2
    restart(job, leave)
    assert [(other.output.name, other.phase) for other in job.waiting()] == [("first", "waiting"), ("third", "waiting")]
    assert all(other.request.preset == "high" and other.python == solver_python for other in job.waiting())
    assert bpy.ops.macro.start_waiting.poll() == (not leave)
    if not leave:  # nothing begins unasked
        assert job._tick() is not None
        assert len(job.waiting()) == 2
        assert bpy.ops.macro.start_waiting() == {"FINISHED"}
    while job._tick() is not None:
        time.sleep(0.1)
    for other in job.jobs:  # the real solver, with what was asked for
        assert other.phase == "error"
        assert str(tmp_path / "photos") in other.message
    assert [other.output.name for other in job.jobs] == ["first", "third"]
    assert notes(job) == []
    restart(job, leave)
    assert job.jobs == []


def test_the_queue_waits_where_the_solver_cannot_be_started(bpy, job, extension, busy, solver_python, tmp_path):
    for name in ("first", "second"):
        press(bpy, job, tmp_path, name).python = str(tmp_path / "python that is gone")
    busy.end(0.1)
    job._tick()
    assert [(other.output.name, other.held) for other in job.waiting()] == [("first", True), ("second", True)]
    assert len(notes(job)) == 2
    assert "python that is gone" in job.jobs[-1].message and job.jobs[-1].mend == "solver"
    bpy.context.preferences.addons[extension].preferences.solver_python = solver_python
    assert bpy.ops.macro.start_waiting() == {"FINISHED"}
    while job._tick() is not None:
        time.sleep(0.1)
    tried = {other.output.name: other for other in job.jobs}
    assert set(tried) == {"busy", "first", "second"}
    assert all(str(tmp_path / "photos") in tried[name].message for name in ("first", "second"))


def test_another_run_goes_before_a_queue_that_waits_for_the_user(bpy, job, busy, tmp_path):
    press(bpy, job, tmp_path, "waits")
    restart(job, leave=False)
    assert press(bpy, job, tmp_path, "now").phase == "running"
    assert [other.output.name for other in job.waiting()] == ["waits"]
    with pytest.raises(Exception, match="already running or waiting"):
        press(bpy, job, tmp_path, "waits")


def test_the_queue_knows_its_scene_after_a_restart(bpy, job, busy, tmp_path):
    """Asked for in a file that was saved only afterwards, in a scene that was renamed."""
    waits = press(bpy, job, tmp_path, "result")
    bpy.context.scene.name = "Asked"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    job._tick()
    restart(job, leave=True)
    bpy.ops.wm.read_homefile()
    (found,) = job.waiting()
    delivery = importlib.import_module(f"{job.__package__}.delivery")
    assert delivery.scene_of(found) is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert delivery.scene_of(found) == bpy.data.scenes["Asked"]
    assert found is not waits


def test_a_run_that_had_just_begun_does_not_wait_too(bpy, job, busy, tmp_path):
    waits = press(bpy, job, tmp_path, "result")
    run = job.runs.start_child(
        [sys.executable, "-c", SLEEP], job.storage(), output=waits.output, capture=waits.capture, origin=waits.origin
    )
    run.leave()
    restart(job, leave=True)
    assert [(other.output, other.phase) for other in job.jobs] == [(waits.output, "running")]
    assert notes(job) == []
    run._child.kill()
    run._child.wait()


def test_damage_is_told_in_the_panel_and_the_rest_goes_on(bpy, job, busy, tmp_path):
    for name in ("first", "second"):
        press(bpy, job, tmp_path, name)
    job.end_at_exit()
    notes(job)[0].write_text('{"request": ')
    job.adopt_all()
    assert [(other.phase, other.output.name) for other in job.jobs] == [("error", ""), ("waiting", "second")]
    assert "waiting.json" in job.jobs[0].message
    assert bpy.ops.macro.dismiss() == {"FINISHED"}
    assert [other.output.name for other in job.jobs] == ["second"]


def test_deleting_the_folder_of_jobs_empties_the_queue(bpy, job, busy, tmp_path):
    import shutil

    press(bpy, job, tmp_path, "first")
    job.end_at_exit()
    shutil.rmtree(job.storage() / "jobs")
    job.adopt_all()
    assert job.jobs == []


def test_disabling_the_extension_keeps_the_queue_and_removing_it_does_not(bpy, job, busy, extension, tmp_path):
    import addon_utils

    press(bpy, job, tmp_path, "first")
    storage = job.storage()
    addon_utils.disable(extension)
    assert len(list(storage.glob("jobs/*/waiting.json"))) == 1
    addon_utils.enable(extension)
    job = importlib.import_module(f"{extension}.blender_addon.job")
    job.adopt_all()
    assert [other.output.name for other in job.waiting()] == ["first"]
    modules = [repository.module for repository in bpy.context.preferences.extensions.repos]
    repository = modules.index("user_default")
    bpy.ops.extensions.package_uninstall(repo_index=repository, pkg_id="macro_reconstruction")
    assert not storage.exists()
