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
