# SPDX-License-Identifier: GPL-3.0-or-later
"""When Blender looks for the runs of an earlier one."""


def test_opening_a_file_at_the_start_does_not_keep_runs_from_being_found(blender):
    from blender_addon import job

    job.adopt_soon()
    try:
        blender.ops.wm.read_homefile()  # as a file that is named when Blender is started
        assert blender.app.timers.is_registered(job.adopt_all)
    finally:
        blender.app.timers.unregister(job.adopt_all)
