# SPDX-License-Identifier: GPL-3.0-or-later
"""Rays where they could differ from what Cycles shows, and subjects that do not turn as a whole."""

import math

import numpy as np
import pytest

pytest.importorskip("bpy")

import bpy

from synthetic.errors import GeneratorError
from synthetic.ground_truth import first_surfaces, subject_mesh
from synthetic.lens import Lens
from synthetic.turntable import Turntable
from synthetic.views import turn

LENS = Lens(100.0, 9.0, 23.5)


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def plane(place: tuple[float, float, float], *, visible: bool = True) -> bpy.types.Object:
    bpy.ops.mesh.primitive_plane_add(size=1.0, location=place)
    bpy.context.object.visible_camera = visible
    return bpy.context.object


def looking_down(x: float, y: float, z: float) -> np.ndarray:
    """A camera's pose at a place in metres."""
    pose = np.eye(4)
    pose[:3, 3] = [1000 * x, 1000 * y, 1000 * z]
    return pose


def seen(pose: np.ndarray, *subject: bpy.types.Object) -> tuple[np.ndarray, np.ndarray]:
    bpy.context.view_layer.update()
    return first_surfaces(pose, LENS, 4, 3, subject)


@pytest.mark.parametrize("far", [0.0, 1000.0, -20000.0])
def test_what_no_camera_sees_is_looked_through_wherever_it_is(far: float) -> None:
    """Far from the origin the next 32-bit number is farther away than a share of a small distance."""
    floor = plane((far, far, far))
    plane((far, far, far + 0.5), visible=False)
    plane((far, far, far + 0.75), visible=False)
    depth, mask = seen(looking_down(far, far, far + 1), floor)
    np.testing.assert_allclose(depth, 1000.0, atol=1e-3 + 1e-3 * abs(far))
    assert mask.all()


def test_what_lies_beyond_the_farthest_that_cycles_shows_is_not_there() -> None:
    near, beyond = plane((0.0, 0.0, -99.0)), plane((0.0, 0.0, -101.0))
    beyond.scale = near.scale = (100.0, 100.0, 1.0)
    depth, mask = seen(looking_down(0, 0, 0), near, beyond)
    np.testing.assert_allclose(depth, 99000.0, rtol=1e-6)
    assert mask.all()
    near.visible_camera = False
    depth, mask = seen(looking_down(0, 0, 0), near, beyond)
    assert not depth.any()
    assert not mask.any()


def puppet() -> tuple[bpy.types.Object, bpy.types.Object]:
    """A box that a bent bone shapes, and the armature."""
    bpy.ops.mesh.primitive_cube_add(size=0.01)
    box = bpy.context.object
    bpy.ops.object.armature_add()
    rig = bpy.context.object
    rig.pose.bones[0].rotation_mode = "XYZ"
    rig.pose.bones[0].rotation_euler = (0.4, 0.0, 0.0)
    box.vertex_groups.new(name=rig.data.bones[0].name).add(range(4), 1.0, "REPLACE")
    box.modifiers.new("Armature", "ARMATURE").object = rig
    bpy.context.view_layer.update()
    return box, rig


def test_a_subject_that_something_else_shapes_is_not_turned() -> None:
    box, _ = puppet()
    with pytest.raises(GeneratorError, match="would not keep its shape on a turntable"):
        Turntable((box,), np.zeros(3), 0.001)


def test_a_subject_that_something_else_holds_is_not_turned() -> None:
    post, box = plane((0.0, 0.0, 0.0)), plane((0.3, 0.0, 0.0))
    box.constraints.new("COPY_ROTATION").target = post
    bpy.context.view_layer.update()
    with pytest.raises(GeneratorError, match="would not keep its shape on a turntable"):
        Turntable((box,), np.zeros(3), 0.001)


@pytest.mark.parametrize("far", [0.0, 1000.0])
def test_a_subject_turns_with_its_own_armature(far: float) -> None:
    box, rig = puppet()
    rig.parent = box
    box.location.x = far
    bpy.context.view_layer.update()
    before, _ = subject_mesh((box, rig))
    centre = np.array([1000 * far, 0.0, 0.0])
    table = Turntable((box, rig), centre, 0.001)
    np.testing.assert_allclose(subject_mesh((box, rig))[0], before, atol=1e-5 + 1e-3 * far)
    table.turn_to(30.0)
    motion = turn(30.0, centre)
    expected = before @ motion[:3, :3].T + motion[:3, 3]
    np.testing.assert_allclose(subject_mesh((box, rig))[0], expected, atol=1e-5 + 1e-3 * far)
    assert math.dist(before[0], expected[0]) > 1
