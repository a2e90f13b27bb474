# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a result is imported, and the ways to look at it: crop box, coverage, photos on the timeline."""

import dataclasses
import json

import numpy as np
import pytest

from blender_addon.errors import MacroError
from blender_addon.import_options import ImportOptions, chosen, most_important, subject_box
from blender_addon.result_files import read_result


@pytest.fixture
def imported(blender, result_folder):
    from blender_addon import import_result

    return import_result.import_result(blender.context, result_folder)


def instances(bpy, item):
    """Centers of what Geometry Nodes make of an object."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    return np.array(
        [
            tuple(i.matrix_world.translation)
            for i in depsgraph.object_instances
            if i.is_instance and i.parent.original == item
        ]
    ).reshape(-1, 3)


def splats_of(collection):
    from blender_addon import import_result

    return next(o for o in import_result.part_of(collection, "splats").objects if o.type == "MESH")


def mesh_of(collection):
    from blender_addon import import_result

    return import_result.part_of(collection, "mesh").objects[0]


@pytest.mark.parametrize("part", ["mesh", "splats", "cameras"])
def test_each_part_can_be_left_out(blender, result_folder, part):
    from blender_addon import import_result

    options = dataclasses.replace(ImportOptions(), **{part: False})
    collection = import_result.import_result(blender.context, result_folder, options=options)
    there = {name for name in ("mesh", "splats", "cameras") if import_result.part_of(collection, name) is not None}
    kinds = {part: len(import_result.part_of(collection, part).objects) for part in there}
    assert kinds.get(part, 0) == 0
    assert all(count > 0 for name, count in kinds.items() if name != part)


def test_what_is_not_chosen_again_stays(blender, result_folder):
    from blender_addon import import_result

    collection = import_result.import_result(blender.context, result_folder)
    before = set(collection.all_objects)
    import_result.import_result(
        blender.context, result_folder, options=ImportOptions(mesh=False, cameras=False, splat_budget=3)
    )
    assert set(collection.all_objects) == before
    assert len(splats_of(collection).data.vertices) == 3


def test_the_budget_keeps_the_splats_that_cover_most(result_folder):
    splats = read_result(result_folder).splats
    kept = most_important(splats, 7)
    slow = [
        float(o) * float(np.prod(sorted(map(float, s))[1:]))
        for o, s in zip(splats.opacities, splats.scales, strict=True)
    ]
    assert sorted(kept) == sorted(np.argsort(slow)[-7:])
    taken = chosen(read_result(result_folder), ImportOptions(splat_budget=7)).splats
    assert len(taken.means) == len(taken.rgb) == len(taken.quaternions) == 7
    np.testing.assert_array_equal(taken.means, splats.means[kept])
    for name, values in taken.coverage.items():
        np.testing.assert_array_equal(values, splats.coverage[name][kept])


def test_cropping_on_import_keeps_what_is_round_the_mesh(result_folder):
    result = read_result(result_folder)
    low, high = subject_box(result)
    kept = chosen(result, ImportOptions(crop=True)).splats.means
    expected = [m for m in result.splats.means if all(low[k] <= m[k] <= high[k] for k in range(3))]
    np.testing.assert_array_equal(kept, expected)
    assert 0 < len(kept) < len(result.splats.means)


def test_the_operator_takes_the_same_choice(blender, extension, result_folder):
    blender.ops.macro.import_result(filepath=str(result_folder), cameras=False, splat_budget=5)
    collection = blender.data.collections["beetle"]
    assert len(splats_of(collection).data.vertices) == 5
    assert not any(o.type == "CAMERA" for o in collection.all_objects)


def test_the_crop_box_decides_which_splats_are_drawn(blender, imported):
    from blender_addon import import_result, presentation

    import_result.show(blender.context.scene, imported, "splats", True)
    item = splats_of(imported)
    assert len(instances(blender, item)) == 40
    box = presentation.crop(imported)
    for _ in range(2):  # as it is put, then as the user moves and turns it
        blender.context.view_layer.update()
        places = np.array([v.co for v in item.data.vertices])
        local = np.c_[places, np.ones(40)] @ np.linalg.inv(np.array(box.matrix_world)).T[:, :3]
        expected = places[(np.abs(local) <= 1).all(axis=1)]
        assert 0 < len(expected) < 40
        found = instances(blender, item)
        np.testing.assert_allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], atol=1e-6)
        box.rotation_euler.z = 0.7
        box.scale *= 0.8
    assert presentation.crop(imported) == box
    assert tuple(box.rotation_euler) == (0, 0, 0)


def test_without_splats_there_is_nothing_to_crop(blender, make_result, tmp_path):
    from blender_addon import import_result, presentation

    folder = make_result(tmp_path / "bare")
    collection = import_result.import_result(blender.context, folder, options=ImportOptions(splats=False))
    with pytest.raises(MacroError, match="no splats to crop"):
        presentation.crop(collection)


def test_a_mesh_of_an_older_version_knows_no_coverage(imported):
    from blender_addon import presentation

    assert presentation.knows_coverage(imported)
    mesh = mesh_of(imported).data
    mesh.attributes.remove(mesh.attributes["smallest_coc_px"])
    assert not presentation.knows_coverage(imported)
    with pytest.raises(MacroError, match="knows its coverage"):
        presentation.show_coverage(imported, True)


def test_coverage_is_shown_and_taken_back(blender, imported):
    from blender_addon import presentation

    mesh = mesh_of(imported).data
    own = mesh.materials[0]
    presentation.show_coverage(imported, True)
    assert presentation.coverage_is_shown(imported)
    assert mesh.materials[0] != own
    assert "smallest_coc_px" in {n.attribute_name for n in mesh.materials[0].node_tree.nodes if n.type == "ATTRIBUTE"}
    presentation.show_coverage(imported, True)
    presentation.show_coverage(imported, False)
    assert mesh.materials[0] == own
    assert not presentation.coverage_is_shown(imported)


def test_coverage_stays_shown_when_the_result_is_imported_again(blender, imported, result_folder):
    from blender_addon import import_result, presentation

    own = mesh_of(imported).data.materials[0]
    presentation.show_coverage(imported, True)
    heat_map = mesh_of(imported).data.materials[0]
    for _ in range(2):
        import_result.import_result(blender.context, result_folder)
        assert presentation.coverage_is_shown(imported)
        assert list(mesh_of(imported).data.materials) == [heat_map]
    presentation.show_coverage(imported, False)
    assert list(mesh_of(imported).data.materials) == [own]


def test_the_crop_box_goes_with_the_splats_and_stays_as_long_as_they_do(blender, imported, result_folder):
    from blender_addon import import_result, presentation

    box = presentation.crop(imported)
    box.scale *= 0.5
    scale = tuple(box.scale)
    import_result.import_result(blender.context, result_folder)
    assert tuple(box.scale) == scale
    description = json.loads((result_folder / "result.json").read_text())
    (result_folder / "result.json").write_text(json.dumps({**description, "splats": None}))
    import_result.import_result(blender.context, result_folder)
    assert import_result.part_of(imported, "splats") is None
    assert not [item for item in blender.data.objects if item.type == "EMPTY"]


def test_what_is_being_edited_is_not_imported_over(blender, imported, result_folder):
    from blender_addon import import_result

    blender.context.view_layer.objects.active = item = mesh_of(imported)
    meshes = len(blender.data.meshes)
    blender.ops.object.mode_set(mode="EDIT")
    with pytest.raises(MacroError, match="mesh is being edited; return to Object Mode"):
        import_result.import_result(blender.context, result_folder)
    blender.ops.object.mode_set(mode="OBJECT")
    assert len(blender.data.meshes) == meshes
    assert import_result.import_result(blender.context, result_folder) == imported
    assert mesh_of(imported) == item


def test_colors_of_coverage_are_those_of_the_circles(blender, tmp_path):
    """Rendered: a plane whose left half was in focus, whose right half was lost, and one that nobody saw."""
    from blender_addon import materials

    bpy = blender
    material = materials.coverage_material("probe")
    scene = bpy.context.scene
    for item in list(scene.objects):
        bpy.data.objects.remove(item)
    for index, circle in enumerate((0.0, 12.0, -1.0)):
        mesh = bpy.data.meshes.new("plane")
        mesh.from_pydata([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], [], [(0, 1, 2, 3)])
        mesh.attributes.new("smallest_coc_px", "FLOAT", "POINT").data.foreach_set("value", [circle] * 4)
        mesh.materials.append(material)
        item = bpy.data.objects.new("plane", mesh)
        item.location.x = 2 * (index - 1)
        scene.collection.objects.link(item)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type, camera.data.ortho_scale, camera.location.z = "ORTHO", 6.0, 5.0
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
    scene.cycles.device = "CPU"
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 12, 4, 100
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(tmp_path / "probe.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.array(image.pixels[:]).reshape(4, 12, 4)[2, [2, 6, 10], :3]
    expected = [materials.COVERAGE_COLOURS[0][1], materials.COVERAGE_COLOURS[-1][1], materials.NEVER_SEEN]
    np.testing.assert_allclose(pixels, np.array(expected)[:, :3], atol=0.01)


def test_frames_step_through_the_photos(blender, imported):
    from blender_addon import presentation

    scene = blender.context.scene
    before = scene.camera
    presentation.add_markers(scene, imported)
    assert presentation.has_markers(scene, imported)
    names = []
    for frame in range(scene.frame_start, scene.frame_start + 5):
        scene.frame_set(frame)
        names.append(scene.camera.name)
    assert names == sorted(o.name for o in imported.all_objects if o.type == "CAMERA")
    other = scene.timeline_markers.new("mine", frame=3)
    other.camera = next(o for o in imported.all_objects if o.type == "CAMERA")
    assert presentation.remove_markers(scene, imported) == 5
    assert list(scene.timeline_markers) == [other]
    assert before is not None
