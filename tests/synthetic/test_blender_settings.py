# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender is told before anything is rendered, a user's file included."""

import math

import numpy as np
import pytest

pytest.importorskip("bpy")

import addon_utils
import bpy

from synthetic import generation, ground_truth, render
from synthetic.device import choose_device
from synthetic.errors import GeneratorError
from synthetic.lens import Lens
from synthetic.scenes import current
from synthetic.scenes.construction import MacroScene


@pytest.fixture(autouse=True)
def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


@pytest.mark.parametrize("degrees", [0.0, 25.0, -170.0, 200.0, 270.0, 360.0])
def test_blades_are_turned_as_far_as_they_were_asked_to(degrees: float) -> None:
    camera = render.add_camera(Lens(100.0, 4.0, 24.0, blades=5, blade_rotation_degrees=degrees))
    difference = camera.data.dof.aperture_rotation - math.radians(degrees)
    assert math.remainder(difference, 2 * math.pi) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("lens", [Lens(1.0, 0.1, 1.0), Lens(1e4, 1e6, 1e4), Lens(100.0, 9.0, 23.5)])
@pytest.mark.parametrize("units_per_mm", [0.001, 1.0])
def test_the_camera_is_the_lens_up_to_the_limits_of_the_command_line(lens: Lens, units_per_mm: float) -> None:
    data = render.add_camera(lens, units_per_mm).data
    assert data.lens / data.sensor_width == pytest.approx(lens.focal_length_mm / lens.sensor_width_mm, rel=1e-6)
    # Cycles takes a Blender unit for a metre: the pupil it renders with is lens in mm / 1000 / f-number, in units.
    pupil_mm = data.lens / 1000 / data.dof.aperture_fstop / units_per_mm
    assert pupil_mm == pytest.approx(lens.pupil_diameter_mm, rel=1e-6)


def test_a_file_that_renders_otherwise_renders_radiance() -> None:
    scene = bpy.context.scene
    image = scene.render.image_settings
    image.color_management, image.view_settings.view_transform = "OVERRIDE", "AgX"
    scene.view_settings.view_transform, scene.view_settings.exposure = "AgX", 2.0
    scene.render.use_stamp, scene.render.resolution_percentage = True, 50
    scene.cycles.time_limit = 5.0
    render.set_up_cycles(64, 48, denoise=False)
    view = scene.view_settings
    assert (image.color_management, view.view_transform, view.exposure) == ("FOLLOW_SCENE", "Standard", 0.0)
    assert (scene.render.use_stamp, scene.render.resolution_percentage, scene.cycles.time_limit) == (False, 100, 0.0)


def test_what_rays_hit_is_as_fine_as_what_is_rendered() -> None:
    bpy.ops.curve.primitive_bezier_circle_add(radius=0.01)
    ring = bpy.context.object
    ring.name, ring.data.bevel_depth, ring.data.resolution_u, ring.data.render_resolution_u = "Ring", 0.001, 1, 24
    coarse = len(ground_truth.subject_mesh((ring,))[0])
    scene = current.build("Ring")
    assert len(ground_truth.subject_mesh(scene.subject)[0]) > 8 * coarse
    assert scene.radius_mm == pytest.approx(np.hypot(22, np.hypot(22, 2)) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("focal_length_mm", "words"), [(8.0, "inside the subject"), (100.0, ""), (1e4, ""), (1e6, "50 m away")]
)
def test_a_lens_that_leaves_no_room_is_refused(focal_length_mm: float, words: str) -> None:
    scene = MacroScene((), np.zeros(3), 8.5, 20.0, (24.0, 65.0))
    lens = Lens(focal_length_mm, 9.0, 23.5)
    if words:
        with pytest.raises(GeneratorError, match=words):
            generation._require_room(lens, scene)
    else:
        generation._require_room(lens, scene)


def test_a_device_that_blender_does_not_know_is_one_sentence() -> None:
    kinds = {kind for kind, *_ in bpy.context.preferences.addons["cycles"].preferences.get_device_types(bpy.context)}
    missing = next(name for name in ("metal", "hip", "optix") if name.upper() not in kinds)
    with pytest.raises(GeneratorError, match=f"built without {missing.upper()}"):
        choose_device(missing)
    choose_device("cpu")
    assert bpy.context.scene.cycles.device == "CPU"


def test_a_blender_whose_cycles_is_off_is_one_sentence() -> None:
    addon_utils.disable("cycles")
    try:
        with pytest.raises(GeneratorError, match="turned off"):
            choose_device("cpu")
    finally:
        addon_utils.enable("cycles")
