# SPDX-License-Identifier: GPL-3.0-or-later
"""Each scene as it is built, not rendered: its subject, its size, and what its views see."""

import numpy as np
import pytest

pytest.importorskip("bpy")

import bpy

from synthetic import ground_truth, scenes, views
from synthetic.lens import Lens

WIDTH, HEIGHT = 32, 24


@pytest.mark.parametrize("name", scenes.SCENES)
def test_a_scene_is_a_macro_photograph_of_its_subject(name: str) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = scenes.build(name)
    bpy.context.view_layer.update()
    assert 10 <= scene.field_width_mm <= 40
    vertices, triangles = ground_truth.subject_mesh(scene.subject)
    assert np.isfinite(vertices).all()
    assert triangles.max() < len(vertices)
    assert np.linalg.norm(vertices - scene.centre_mm, axis=1).min() < scene.radius_mm / 2
    for thing in bpy.data.objects:
        if thing.type == "MESH":
            assert [material.use_nodes for material in thing.data.materials] == [True], thing.name
            assert len(thing.data.polygons) > 0, thing.name
        else:
            assert (thing.type, thing.visible_camera) == ("LIGHT", False)  # softboxes

    lens = Lens(100.0, scene.f_number, 23.5)
    distance = lens.distance_mm(scene.field_width_mm)
    assert distance > 2 * scene.radius_mm
    for plan in views.PLANS.values():
        (stand,) = plan(1, scene.centre_mm, distance, np.random.default_rng(0), scene.elevations)
        depth, mask = ground_truth.first_surfaces(stand.camera_to_world, lens, WIDTH, HEIGHT, scene.subject)
        assert mask.mean() > 0.1
        assert mask[HEIGHT // 2 - 3 : HEIGHT // 2 + 3, WIDTH // 2 - 4 : WIDTH // 2 + 4].any()
        assert depth.min() > 0  # there is no void beside or behind it
        points = ground_truth.surface_points(depth, stand.camera_to_world, lens)
        near = depth[np.linalg.norm(points - scene.centre_mm, axis=-1) < scene.radius_mm]
        blur = lens.circle_of_confusion_px(np.array([near.min()]), float(near.max()), 200)
        assert blur[0] > 4  # px of the preset mini, of the nearest surface where the farthest is in focus
