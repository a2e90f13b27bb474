# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the scene after an import, and that nothing else there moved."""

import json

import numpy as np
import pytest

from blender_addon.errors import MacroError
from blender_addon.result_files import linear_from_srgb, read_splats

UNIT = 0.002  # Blender units in a scene unit of 2 mm


@pytest.fixture
def import_result(blender):
    from blender_addon import import_result

    return import_result


def positions(item):
    flat = np.empty(3 * len(item.data.vertices), dtype=np.float32)
    item.data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def attribute(item, name, member, width):
    data = item.data.attributes[name].data
    flat = np.empty(width * len(data), dtype=np.float32)
    data.foreach_get(member, flat)
    return flat.reshape(-1, width)


def dump(value, depth=0):
    """Every property of a Blender struct that the interface can show, recursively where it owns the value.

    Not those of `uv_sculpt`: reading its palette crashes Blender 4.2.
    """
    found = {}
    for prop in value.bl_rna.properties:
        if prop.identifier in ("rna_type", "session_uid", "users", "is_evaluated", "uv_sculpt"):
            continue
        content = getattr(value, prop.identifier)
        if prop.type == "POINTER":
            if content is not None and hasattr(content, "bl_rna") and depth < 2 and not hasattr(content, "users"):
                content = dump(content, depth + 1)
            else:
                content = getattr(content, "name", str(content is not None))
        elif prop.type == "COLLECTION":
            content = [getattr(entry, "name", "?") for entry in content]
        elif getattr(prop, "is_array", False):
            content = np.array(content, dtype=object).ravel().tolist()
        found[prop.identifier] = content
    return found


def test_everything_of_a_result_is_in_one_collection(blender, import_result, result_folder):
    collection = import_result.import_result(blender.context, result_folder)
    assert collection.name == "beetle"
    assert collection.name in blender.context.scene.collection.children
    kinds = [item.type for item in collection.all_objects]
    assert sorted(kinds) == ["CAMERA"] * 5 + ["MESH"] * 2
    mesh = import_result.part_of(collection, "mesh").objects[0]
    assert (len(mesh.data.vertices), len(mesh.data.polygons)) == (4, 4)
    assert len(import_result.part_of(collection, "splats").objects[0].data.vertices) == 40


def test_mesh_is_upright_in_true_size_and_coloured(blender, import_result, result_folder):
    collection = import_result.import_result(blender.context, result_folder)
    mesh = import_result.part_of(collection, "mesh").objects[0]
    expected = np.array([(-2, -1, 0), (2, -1, 0), (0, 2, 0), (0, 0, 3)]) * UNIT
    np.testing.assert_allclose(positions(mesh), expected, atol=1e-8)
    assert mesh.matrix_world.is_identity
    assert mesh.data.polygons[0].normal.z < -0.99  # the base looks down
    np.testing.assert_allclose(
        attribute(mesh, "rgb", "color", 4)[[0, 3]],
        [(*[linear_from_srgb(np.float64(188 / 255))] * 3, 1), (1, 0, 0, 1)],
        atol=1e-4,
    )
    np.testing.assert_allclose(attribute(mesh, "smallest_coc_px", "value", 1)[:, 0], [0, 0.5, 1, 1.5])
    np.testing.assert_allclose(attribute(mesh, "sharp_photo_count", "value", 1)[:, 0], [0, 1, 2, 3])
    assert mesh.data.color_attributes.active_color.name == "rgb"
    assert mesh.active_material.node_tree.nodes["Attribute"].attribute_name == "rgb"


def test_splats_carry_what_the_file_says(blender, import_result, result_folder):
    collection = import_result.import_result(blender.context, result_folder)
    item = import_result.part_of(collection, "splats").objects[0]
    splats = read_splats(result_folder / "splats.ply")
    np.testing.assert_allclose(positions(item), splats.means * UNIT, rtol=1e-6)
    np.testing.assert_allclose(attribute(item, "rgb", "color", 4)[:, :3], splats.rgb, rtol=1e-6)
    np.testing.assert_allclose(attribute(item, "scale", "vector", 3), splats.scales * UNIT, rtol=1e-5)
    np.testing.assert_allclose(attribute(item, "rotation", "value", 4), splats.quaternions, atol=1e-6)
    np.testing.assert_allclose(attribute(item, "opacity", "value", 1)[:, 0], splats.opacities, rtol=1e-6)
    assert set(splats.coverage) == {"smallest_coc_px", "sharp_photo_count"}  # and not "of_a_later_version"
    for name, values in splats.coverage.items():
        np.testing.assert_array_equal(attribute(item, name, "value", 1)[:, 0], values)
        assert len(np.unique(values)) > 3


def test_splats_become_turned_and_scaled_ellipsoids(blender, import_result, result_folder):
    from mathutils import Matrix, Quaternion

    collection = import_result.import_result(blender.context, result_folder)
    import_result.show(blender.context.scene, collection, "splats", True)
    item = import_result.part_of(collection, "splats").objects[0]
    splats = read_splats(result_folder / "splats.ply")
    instances = [
        instance.matrix_world.copy()
        for instance in blender.context.evaluated_depsgraph_get().object_instances
        if instance.is_instance and instance.parent.original == item
    ]
    assert len(instances) == 40
    for index in (0, 17, 39):
        expected = Matrix.LocRotScale(
            (splats.means[index] * UNIT).tolist(),
            Quaternion(splats.quaternions[index].tolist()),
            (splats.scales[index] * UNIT * np.sqrt(2 * np.log(255 * splats.opacities[index]))).tolist(),
        )
        nearest = min(instances, key=lambda m: (m.translation - expected.translation).length)
        np.testing.assert_allclose(np.array(nearest), np.array(expected), atol=1e-7)


def test_only_the_mesh_is_shown_where_there_is_one(blender, import_result, result_folder, make_result, tmp_path):
    layer = blender.context.view_layer
    both = import_result.import_result(blender.context, result_folder)
    assert import_result.is_shown(layer, both, "mesh")
    assert not import_result.is_shown(layer, both, "splats")
    cloud = import_result.import_result(blender.context, make_result(tmp_path / "cloud", mesh=False))
    assert import_result.part_of(cloud, "mesh") is None
    assert import_result.is_shown(layer, cloud, "splats")


def test_another_scene_shows_only_the_mesh_as_well(blender, import_result, result_folder):
    import_result.import_result(blender.context, result_folder)
    other = blender.data.scenes.new("other")
    collection = import_result.import_result(blender.context, result_folder, scene=other)
    assert import_result.is_shown(other.view_layers[0], collection, "mesh")
    assert not import_result.is_shown(other.view_layers[0], collection, "splats")


def test_size_goes_with_the_unit(blender, import_result, result_folder, make_result):
    collection = import_result.import_result(blender.context, result_folder)
    assert collection["macro_size"] == pytest.approx(0.0117, abs=1e-4)
    make_result(result_folder, unit_mm=None)
    import_result.import_result(blender.context, result_folder)
    assert "macro_size" not in collection


def test_import_after_the_user_took_materials_and_modifier_away(blender, import_result, result_folder):
    collection = import_result.import_result(blender.context, result_folder)
    item = import_result.part_of(collection, "splats").objects[0]
    item.data.materials.clear()
    item.modifiers.clear()
    import_result.import_result(blender.context, result_folder)
    assert [modifier.type for modifier in item.modifiers] == ["NODES"]


def test_unknown_unit_and_scene_scale(blender, import_result, make_result, tmp_path):
    free = import_result.import_result(blender.context, make_result(tmp_path / "free", unit_mm=None))
    assert positions(import_result.part_of(free, "mesh").objects[0])[3, 2] == pytest.approx(3)
    blender.context.scene.unit_settings.scale_length = 0.001  # a scene in millimetres
    known = import_result.import_result(blender.context, make_result(tmp_path / "known", unit_mm=2.0))
    assert positions(import_result.part_of(known, "mesh").objects[0])[3, 2] == pytest.approx(6)


def test_projection_of_every_camera_to_a_tenth_of_a_pixel(blender, import_result, result_folder):
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    collection = import_result.import_result(blender.context, result_folder)
    blender.context.view_layer.update()
    frames = json.loads((result_folder / "transforms.json").read_text())["frames"]
    points = np.random.default_rng(1).uniform(-6, 6, (50, 3))
    render = blender.context.scene.render
    for index, frame in enumerate(frames):
        item = next(o for o in collection.all_objects if o.name == f"photo_{index:02d}")
        render.resolution_x, render.resolution_y = item["macro_resolution"]
        render.pixel_aspect_x, render.pixel_aspect_y = item["macro_pixel_aspect"]
        in_camera = (points - np.array(frame["transform_matrix"])[:3, 3]) @ np.array(frame["transform_matrix"])[:3, :3]
        expected = np.stack(
            [
                frame["cx"] + frame["fl_x"] * in_camera[:, 0] / -in_camera[:, 2],
                frame["cy"] - frame["fl_y"] * in_camera[:, 1] / -in_camera[:, 2],
            ],
            axis=1,
        )
        matrix = np.array(
            item.calc_matrix_camera(
                blender.context.evaluated_depsgraph_get(),
                x=frame["w"],
                y=frame["h"],
                scale_x=render.pixel_aspect_x,
                scale_y=render.pixel_aspect_y,
            )
        ) @ np.linalg.inv(np.array(item.matrix_world))
        clip = np.concatenate([points * UNIT, np.ones((50, 1))], axis=1) @ matrix.T
        ndc = clip[:, :2] / clip[:, 3:]
        by_matrix = np.stack([(ndc[:, 0] + 1) / 2 * frame["w"], (1 - ndc[:, 1]) / 2 * frame["h"]], axis=1)
        assert np.abs(by_matrix - expected).max() < 0.02, f"frame {index}"
        if frame["fl_x"] == frame["fl_y"]:  # the helper knows nothing of pixels that are not square
            seen = [world_to_camera_view(blender.context.scene, item, Vector((p * UNIT).tolist())) for p in points]
            by_helper = np.array([(v.x * frame["w"], (1 - v.y) * frame["h"]) for v in seen])
            assert np.abs(by_helper - expected).max() < 0.1, f"frame {index}"


def test_depth_of_field_blurs_as_much_as_the_recovered_pupil(blender, import_result, result_folder):
    collection = import_result.import_result(blender.context, result_folder)
    frames = json.loads((result_folder / "transforms.json").read_text())["frames"]
    assert not next(o for o in collection.all_objects if o.name == "photo_00").data.dof.use_dof
    for index, frame in enumerate(frames[1:], start=1):
        camera = next(o for o in collection.all_objects if o.name == f"photo_{index:02d}").data
        assert camera.dof.use_dof
        fx = camera.lens / camera.sensor_width * frame["w"]
        pupil = camera.lens * 1e-3 / camera.dof.aperture_fstop  # what Cycles blurs with, Blender units
        focus = camera.dof.focus_distance
        for depth in (40.0, 70.0):
            blur = pupil * fx * abs(1 / (depth * UNIT) - 1 / focus)
            expected = frame["pupil_diameter"] * frame["fl_x"] * abs(1 / depth - 1 / frame["focus_distance"])
            assert blur == pytest.approx(expected, rel=1e-4)


def test_sharp_view_and_photo_are_the_backgrounds(blender, import_result, result_folder):
    collection = import_result.import_result(blender.context, result_folder)
    camera = next(o for o in collection.all_objects if o.name == "photo_02").data
    sharp, photo = camera.background_images
    assert camera.show_background_images
    assert sharp.show_background_image
    assert not photo.show_background_image
    assert sharp.image.filepath.endswith("sharp/photo_02.png")
    assert photo.image.filepath.endswith("capture/photo_02.png")
    assert tuple(sharp.image.size) == (64, 96)


def test_nothing_else_in_the_scene_changes(blender, import_result, result_folder):
    context = blender.context

    grown = {"objects", "depsgraph", "layer_collection"}  # what any new object is added to

    def everything():
        structs = {"scene": context.scene, "layer": context.view_layer, "world": context.scene.world}
        structs |= {name: context.scene.objects[name] for name in ("Cube", "Light", "Camera")}
        state = {
            f"{name}.{key}": value
            for name, struct in structs.items()
            for key, value in dump(struct).items()
            if key not in grown
        }
        state["selection"] = [o.name for o in context.selected_objects]
        state["active"] = context.view_layer.objects.active.name
        return state

    before = everything()
    import_result.import_result(context, result_folder)
    context.view_layer.update()
    after = everything()
    assert len(before) > 300
    assert {key: (before[key], after[key]) for key in before if before[key] != after[key]} == {}
    assert context.scene.camera.name == "Camera"


def test_importing_again_updates_instead_of_duplicating(blender, import_result, result_folder, make_result):
    collection = import_result.import_result(blender.context, result_folder)
    mesh = import_result.part_of(collection, "mesh").objects[0]
    material = mesh.active_material
    mesh.modifiers.new("Mine", "SMOOTH")
    camera = next(o for o in collection.all_objects if o.name == "photo_03")
    blender.context.scene.camera = camera
    added = blender.data.objects.new("added by hand", None)
    collection.objects.link(added)
    import_result.show(blender.context.scene, collection, "splats", True)
    counts = {
        name: len(getattr(blender.data, name))
        for name in ("objects", "meshes", "cameras", "materials", "images", "collections", "node_groups")
    }

    make_result(result_folder, splats=25)
    again = import_result.import_result(blender.context, result_folder)
    assert again == collection
    assert counts == {name: len(getattr(blender.data, name)) for name in counts}
    assert blender.context.scene.camera == camera
    assert mesh.modifiers[0].name == "Mine"
    assert mesh.active_material == material
    assert added.name in collection.objects
    assert import_result.is_shown(blender.context.view_layer, collection, "splats")  # as the user left it
    assert len(import_result.part_of(collection, "splats").objects[0].data.vertices) == 25


def test_what_a_result_no_longer_has_goes(blender, import_result, result_folder, make_result):
    collection = import_result.import_result(blender.context, result_folder)
    from_three = [(96, 64, 210.0, 210.0, 48.0, 32.0)] * 3
    (result_folder / "mesh.ply").unlink()
    make_result(result_folder, mesh=False, cameras=from_three)
    import_result.import_result(blender.context, result_folder)
    assert import_result.part_of(collection, "mesh") is None
    assert import_result.is_shown(blender.context.view_layer, collection, "splats")
    assert sorted(o.name for o in collection.all_objects if o.type == "CAMERA") == ["photo_00", "photo_01", "photo_02"]


def test_a_million_splats_have_no_python_loop(blender, import_result, make_result, tmp_path):
    """Not timed: a loop over a million splats would show in the number of function calls."""
    import sys

    folder = make_result(tmp_path / "large", splats=1_000_000, mesh=False)
    calls = 0

    def count(_frame, event, _argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        collection = import_result.import_result(blender.context, folder)
    finally:
        sys.setprofile(None)
    assert len(import_result.part_of(collection, "splats").objects[0].data.vertices) == 1_000_000
    assert calls < 50_000


def test_splats_render_in_cycles_with_the_exact_falloff(blender, import_result, make_result, tmp_path):
    """One round red splat in front of the camera: alpha along a row against opacity * exp(-r^2 / 2 sigma^2)."""
    folder = make_result(tmp_path / "one", splats=1, mesh=False, cameras=[(64, 64, 300.0, 300.0, 32.0, 32.0)])
    sigma, opacity = 1.0, 0.9
    path = folder / "splats.ply"
    content = path.read_bytes()
    row = np.frombuffer(content[-20 * 4 :], dtype="<f4").copy()
    row[0:3] = (0, 0, 1)  # where the camera looks
    row[6:9] = np.array([0.5, -0.5, -0.5]) / 0.28209479177387814
    row[9] = np.log(opacity / (1 - opacity))
    row[10:13] = np.log(sigma)
    path.write_bytes(content[: -20 * 4] + row.tobytes())

    scene = blender.context.scene
    for name in ("Cube", "Light"):
        blender.data.objects.remove(blender.data.objects[name])
    collection = import_result.import_result(blender.context, folder)
    camera = next(o for o in collection.all_objects if o.type == "CAMERA")
    scene.camera = camera
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 64
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 0.01
    scene.render.film_transparent = True
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.render.resolution_percentage = 100
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(tmp_path / "splat.exr")
    blender.ops.render.render(write_still=True)
    image = blender.data.images.load(str(tmp_path / "splat.exr"))
    pixels = np.array(image.pixels[:]).reshape(64, 64, 4)
    distance = np.linalg.norm(np.array(camera.matrix_world.translation) / UNIT - (0, 0, 1))
    columns = (np.arange(64) + 0.5 - 32) / 300 * distance / sigma
    rows = np.hypot(columns[None, :], columns[:, None])
    expected = np.where(rows < 3.33, opacity * np.exp(-(rows**2) / 2), 0)
    assert np.abs(pixels[..., 3] - expected)[rows < 3].mean() < 0.01
    np.testing.assert_allclose(pixels[30:34, 30:34, :3].mean(axis=(0, 1)), (0.9, 0, 0), atol=0.06)


def test_splats_are_made_for_eevee_as_well(blender, import_result, result_folder):
    """Stochastic transparency needs no order; what BLENDED mixes in the order of instances would come out wrong."""
    collection = import_result.import_result(blender.context, result_folder)
    material = import_result.part_of(collection, "splats").objects[0].active_material
    assert material.surface_render_method == "DITHERED"
    nodes = material.node_tree.nodes
    (output,) = [node for node in nodes if node.type == "OUTPUT_MATERIAL"]
    assert output.target == "ALL"  # and not for one engine
    told = {node.attribute_name: node.attribute_type for node in nodes if node.type == "ATTRIBUTE"}
    assert told == dict.fromkeys(("extent", "opacity", "rgb"), "INSTANCER")
    lit = {node.type for node in nodes if any(socket.type == "SHADER" for socket in node.outputs)}
    assert lit == {"EMISSION", "BSDF_TRANSPARENT", "MIX_SHADER"}  # no lamp changes the colours


def damage(folder, name, change):
    path = folder / name
    path.write_bytes(change(path.read_bytes()))


def edited(folder, name, **changes):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


BROKEN = {
    "no folder": (lambda f: f.rename(f.with_name("moved")), "does not exist"),
    "no result.json": (lambda f: (f / "result.json").unlink(), "not a finished result"),
    "result.json is garbage": (lambda f: damage(f, "result.json", lambda b: b[:50]), "not valid JSON"),
    "result.json is a list": (lambda f: (f / "result.json").write_text("[1]"), "JSON object"),
    "result.json is binary": (lambda f: (f / "result.json").write_bytes(b"\xff\xfe\0"), "cannot be read"),
    "result.json is deep": (lambda f: (f / "result.json").write_text("[" * 200_000), "not valid JSON"),
    "format of the future": (lambda f: edited(f, "result.json", format_version=99), "format version 99"),
    "unit is zero": (lambda f: edited(f, "result.json", unit_mm=0), "unit_mm is not positive"),
    "unit is text": (lambda f: edited(f, "result.json", unit_mm="2"), "unit_mm is not a number"),
    "unit is gigantic": (lambda f: edited(f, "result.json", unit_mm=10**400), "unit_mm is not a number"),
    "unit has 5000 digits": (
        lambda f: damage(f, "result.json", lambda b: b.replace(b'"unit_mm": 2.0', b'"unit_mm": ' + b"9" * 5000)),
        "not valid JSON",
    ),
    "no cameras": (lambda f: (f / "transforms.json").unlink(), "missing from the result"),
    "no frames": (lambda f: edited(f, "transforms.json", frames=None), "no list of frames"),
    "no sharp image": (lambda f: (f / "sharp" / "photo_01.png").unlink(), "sharp image is missing"),
    "no splats": (lambda f: (f / "splats.ply").unlink(), "missing from the result"),
    "splats cut short": (lambda f: damage(f, "splats.ply", lambda b: b[:-5]), "cut short"),
    "splats claim 10^12": (
        lambda f: damage(f, "splats.ply", lambda b: b.replace(b"vertex 40\n", b"vertex 1000000000000\n")),
        "cut short",
    ),
    "splats without opacity": (
        lambda f: damage(f, "splats.ply", lambda b: b.replace(b"float opacity", b"float opaqueX")),
        "lack the property opacity",
    ),
    "splats with a property twice": (
        lambda f: damage(f, "splats.ply", lambda b: b.replace(b"float nx", b"float ny")),
        "names a property twice",
    ),
    "splats not finite": (
        lambda f: damage(f, "splats.ply", lambda b: b[:-80] + np.float32(np.nan).tobytes() + b[-76:]),
        "not finite",
    ),
    "splats with a circle that is not finite": (
        lambda f: damage(f, "splats.ply", lambda b: b[:-12] + np.float32(np.inf).tobytes() + b[-8:]),
        "not finite",
    ),
    "splats in text": (
        lambda f: damage(f, "splats.ply", lambda b: b.replace(b"binary_little_endian", b"ascii")),
        "not binary little-endian",
    ),
    "splats are a picture": (lambda f: damage(f, "splats.ply", lambda _: b"\x89PNG\r\n"), "not a PLY file"),
    "splats are empty": (lambda f: damage(f, "splats.ply", lambda _: b""), "not a PLY file"),
    "splats are a header's ends": (lambda f: damage(f, "splats.ply", lambda _: b"plyend_header\n"), "not binary"),
    "mesh without lists": (
        lambda f: damage(f, "mesh.ply", lambda b: b.replace(b"list uchar int vertex_indices", b"uchar vertex_indices")),
        "no faces",
    ),
    "mesh refers to nothing": (
        lambda f: damage(f, "mesh.ply", lambda b: b[:-4] + np.int32(77).tobytes()),
        "vertices that it does not have",
    ),
    "mesh with a square": (
        lambda f: damage(f, "mesh.ply", lambda b: b[:-13] + b"\x04" + b[-12:]),
        "not triangles",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_result_is_one_sentence_and_leaves_no_trace(blender, import_result, result_folder, case):
    change, expected = BROKEN[case]
    change(result_folder)
    names = {name: len(getattr(blender.data, name)) for name in ("objects", "meshes", "images", "collections")}
    with pytest.raises(MacroError, match=expected) as caught:
        import_result.import_result(blender.context, result_folder)
    assert "\n" not in caught.value.sentence
    assert caught.value.sentence.endswith(".")
    assert str(result_folder) in caught.value.sentence
    assert names == {name: len(getattr(blender.data, name)) for name in names}


@pytest.mark.parametrize("matrix", [None, [[1, 2], [3, 4]], "x", np.zeros((4, 4)).tolist(), (2 * np.eye(4)).tolist()])
def test_matrix_that_is_no_pose(blender, import_result, result_folder, matrix):
    path = result_folder / "transforms.json"
    content = json.loads(path.read_text())
    content["frames"][2]["transform_matrix"] = matrix
    path.write_text(json.dumps(content))
    with pytest.raises(MacroError, match="photo_02"):
        import_result.import_result(blender.context, result_folder)
