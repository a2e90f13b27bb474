# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that outlast the file or the Blender that they were started from."""

import sys
import time

import pytest


@pytest.fixture
def job(blender):
    """The module that drives runs, left as it was found."""
    from blender_addon import job

    yield job
    job.end_all()


def test_opening_a_file_at_the_start_does_not_keep_runs_from_being_found(blender, job):
    job.adopt_soon()
    try:
        blender.ops.wm.read_homefile()  # as a file that is named when Blender is started
        assert blender.app.timers.is_registered(job.adopt_all)
    finally:
        blender.app.timers.unregister(job.adopt_all)


@pytest.mark.parametrize("known", ["from the start", "since it was saved", "by another Blender"])
def test_a_file_that_is_opened_again_gets_its_result(blender, job, result_folder, tmp_path, known):
    from blender_addon import runs

    path = str(tmp_path / "a.blend")
    scene = blender.context.scene
    scene.name = "Asked"
    program = 'import time; time.sleep(1); print(\'{"event": "done", "result": "x"}\')'
    run = runs.start_child([sys.executable, "-c", program], tmp_path, output=result_folder, capture=tmp_path)
    waits = job.Job(output=result_folder, phase="running", run=run)
    if known != "since it was saved":
        waits.origin = runs.Origin(path, scene.name)
    if known != "by another Blender":
        waits.scene = scene.session_uid
    job.jobs.append(waits)
    blender.ops.wm.save_as_mainfile(filepath=path)
    job._tick()
    blender.ops.wm.read_homefile()
    job._tick()
    blender.ops.wm.open_mainfile(filepath=path)
    while job._tick() is not None:
        time.sleep(0.1)
    assert (waits.phase, waits.imported) == ("done", True)
    assert "beetle" in blender.data.scenes["Asked"].collection.children


def test_a_pause_that_another_blender_asked_for_is_known(job):
    from pathlib import Path

    found = job.Job(output=Path(), phase="running")
    phases = []
    for event in ("paused", "going_on", "paused", "stage"):
        found.hear({"event": event, "name": "evaluate"})
        phases.append(found.phase)
    assert phases == ["paused", "running", "paused", "running"]
    found.phase = "finishing"
    found.hear({"event": "going_on"})
    assert found.phase == "finishing"


@pytest.fixture
def started(blender, job, tmp_path):
    """Starts a run for the scene that is open, as the button does; it is done when `tmp_path/go` is there."""
    from blender_addon import runs
    from blender_addon.solver_process import Request

    program = (
        f"import time\nfrom pathlib import Path\nwhile not Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)\n"
        'print(\'{"event": "done", "result": "x"}\')\n'
    )

    def start(output):
        request = Request(tmp_path / "photos", output, preset="high", iterations=77)
        scene = blender.context.scene
        origin = runs.Origin(blender.data.filepath, scene.name)
        run = runs.start_child(
            [sys.executable, "-c", program],
            job.storage(),
            output=output,
            capture=request.capture,
            origin=origin,
            request=request,
        )
        begun = job.Job(output=output, request=request, phase="running", run=run, origin=origin)
        begun.scene = scene.session_uid
        job.jobs.append(begun)
        return begun

    yield start
    (tmp_path / "go").touch()


def restart(job, go):
    """Blender is closed while the run goes on to its end, and opened again: what it knows is on the disk."""
    (begun,) = job.jobs
    child = begun.run._child
    job.end_all(leave_running=True)
    go.touch()
    child.wait()
    job.adopt_all()
    (found,) = job.jobs
    return found


def hear_to_the_end(job):
    while job._tick() is not None:
        time.sleep(0.1)


def test_a_file_that_was_saved_only_after_the_start_gets_its_result_after_a_restart(
    blender, job, started, result_folder, tmp_path
):
    started(result_folder)
    path = str(tmp_path / "a.blend")
    blender.context.scene.name = "Asked"
    blender.ops.wm.save_as_mainfile(filepath=path)
    job._tick()
    blender.ops.wm.read_homefile()
    found = restart(job, tmp_path / "go")
    blender.ops.wm.open_mainfile(filepath=path)
    hear_to_the_end(job)
    assert (found.phase, found.imported) == ("done", True)
    assert "beetle" in blender.data.scenes["Asked"].collection.children


def test_a_file_that_was_never_saved_is_not_taken_for_another_one(blender, job, started, result_folder, tmp_path):
    """After a restart every new file has a scene of the same name."""
    started(result_folder)
    blender.ops.wm.read_homefile()
    found = restart(job, tmp_path / "go")
    hear_to_the_end(job)
    assert (found.phase, found.imported) == ("done", False)
    assert str(result_folder) in found.warnings[-1]
    assert "beetle" not in blender.data.collections


def test_a_run_that_is_found_again_knows_what_was_asked_for(job, started, tmp_path):
    asked = started(tmp_path / "result").request
    assert restart(job, tmp_path / "go").request == asked


def test_undo_loses_neither_the_scene_of_a_run_nor_the_way_to_its_result(
    blender, job, started, result_folder, tmp_path
):
    from blender_addon import import_result

    blender.ops.ed.undo_push(message="before")
    begun = started(result_folder)
    blender.context.scene.name = "Asked"
    blender.ops.ed.undo_push(message="renamed")
    blender.ops.ed.undo()
    (tmp_path / "go").touch()
    hear_to_the_end(job)
    assert begun.imported
    assert import_result.is_in(blender.context.scene, result_folder)
    assert blender.ops.ed.undo() == {"FINISHED"}
    assert not import_result.is_in(blender.context.scene, result_folder)  # the panel has its button again
    assert blender.ops.ed.redo() == {"FINISHED"}
    assert import_result.is_in(blender.context.scene, result_folder / "sharp" / "..")
