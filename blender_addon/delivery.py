# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the result of a run goes: the scene that asked for it, and no other."""

from __future__ import annotations

import traceback

import bpy

from .errors import MacroError
from .import_result import import_result, leave_a_step_to_undo_to
from .reconstruction import Job
from .run_records import Origin


def scene_of(job: Job) -> bpy.types.Scene | None:
    """The scene that a job is for, in this session of its file or in a later one.

    A file that was never saved is not known again: another one that was never saved may be anything.
    """
    for scene in bpy.data.scenes:
        if scene.session_uid == job.scene:
            return scene
    same_file = job.origin.blend_file and job.origin.blend_file == bpy.data.filepath
    return bpy.data.scenes.get(job.origin.scene) if same_file else None


def follow_scene(job: Job) -> None:
    """Keep up with a scene that is renamed, and with a file that is saved elsewhere or opened again."""
    scene = scene_of(job)
    if scene is None:
        return
    job.scene, origin = scene.session_uid, Origin(bpy.data.filepath, scene.name)
    if origin != job.origin:
        job.origin = origin
        for noted in (job.place, job.run):
            if noted is not None:
                noted.follow(origin)


def deliver(job: Job) -> None:
    """Import into the scene that the run was started from, if it is still there."""
    scene = scene_of(job)
    if scene is None:
        job.warnings.append(
            f"The scene that the result was meant for is no longer open. The result is in {job.output}; "
            "Import Result brings it into this scene."
        )
        return
    windows = bpy.context.window_manager.windows
    window = next((window for window in windows if window.scene == scene), next(iter(windows), None))
    try:
        with bpy.context.temp_override(window=window):
            leave_a_step_to_undo_to(bpy.context)
            import_result(bpy.context, job.output, scene=scene)
            job.imported = True
            if bpy.ops.ed.undo_push.poll():
                bpy.ops.ed.undo_push(message="Import Macro Reconstruction")
    except MacroError as error:
        job.warnings.append(error.sentence)  # the result is whole; the panel has a button to import it later
    except Exception as error:  # an exception would end the timer, and the queue with it
        traceback.print_exc()
        job.warnings.append(f"The import stopped unexpectedly ({type(error).__name__}: {error}).")
