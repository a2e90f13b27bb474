# SPDX-License-Identifier: GPL-3.0-or-later
"""A result with a texture in Blender: where it lies, what shows it, and what a second import changes."""

import json

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData, PlyElement

from blender_addon.errors import MacroError
from blender_addon.result_files import read_surface

CORNERS = np.array([(0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)])  # of the tetrahedron in conftest.py
PLACES = [(-2, -1, 0), (2, -1, 0), (0, 2, 0), (0, 0, 3)]
COORDINATES = np.array(  # of each face a triangle in one quarter of the image, u right, v up
    [[(0.05 + x, 0.05 + y), (0.45 + x, 0.05 + y), (0.05 + x, 0.45 + y)] for y in (0, 0.5) for x in (0, 0.5)]
)
QUARTERS = np.array([[(200, 30, 30), (30, 200, 30)], [(30, 30, 200), (200, 200, 30)]], np.uint8)  # of v below, above


@pytest.fixture
def import_result(blender):
    from blender_addon import import_result

    return import_result


def add_texture(folder):
    """Give the hand-made result a texture: its vertices split at every edge, each face in a quarter of its own."""
    vertex = np.zeros(
        12, [(n, "<f4") for n in ("x", "y", "z")] + [(n, "u1") for n in ("red", "green", "blue", "alpha")]
    )
    vertex = np.zeros(12, [*vertex.dtype.descr, *((n, "<f4") for n in ("s", "t", "smallest_coc_px"))])
    order = np.random.default_rng(1).permutation(12)  # vertices of a file need not be in the order of the faces
    for index, (corner, coordinate) in enumerate(zip(CORNERS.ravel(), COORDINATES.reshape(-1, 2), strict=True)):
        vertex[order[index]] = (*PLACES[corner], 188, 188, 188, 255, *coordinate, corner / 2)
    face = np.zeros(4, [("vertex_indices", "<i4", (3,))])
    face["vertex_indices"] = order.reshape(4, 3)
    elements = [PlyElement.describe(vertex, "vertex"), PlyElement.describe(face, "face")]
    PlyData(elements, byte_order="<", comments=["TextureFile texture.png"]).write(str(folder / "mesh.ply"))
    image = QUARTERS[::-1].repeat(32, axis=0).repeat(32, axis=1)  # rows of a file go down
    Image.fromarray(image).save(folder / "texture.png")
    tell(folder, "texture.png")


def tell(folder, texture):
    path = folder / "result.json"
    summary = json.loads(path.read_text())
    summary["mesh"] |= {"texture": texture, "texture_size": 64}
    path.write_text(json.dumps(summary))


@pytest.fixture
def textured(result_folder):
    add_texture(result_folder)
    return result_folder


def mesh_of(import_result, collection):
    return import_result.part_of(collection, "mesh").objects[0]


def image_nodes(material):
    return [node for node in material.node_tree.nodes if node.type == "TEX_IMAGE"]


def test_split_vertices_are_one_again(textured):
    surface = read_surface(textured / "mesh.ply")
    assert surface.vertices.shape == (4, 3)
    np.testing.assert_array_equal(surface.vertices[surface.faces], np.array(PLACES, float)[CORNERS])
    np.testing.assert_allclose(surface.corner_coordinates, COORDINATES, atol=1e-7)
    by_place = {
        tuple(place): coc
        for place, coc in zip(surface.vertices.tolist(), surface.coverage["smallest_coc_px"], strict=True)
    }
    assert by_place == {tuple(map(float, place)): index / 2 for index, place in enumerate(PLACES)}


def test_corners_have_their_place_in_the_image(blender, import_result, textured):
    mesh = mesh_of(import_result, import_result.import_result(blender.context, textured)).data
    assert (len(mesh.vertices), len(mesh.edges), len(mesh.polygons)) == (4, 6, 4)  # no seam in the surface
    layer = mesh.uv_layers.active
    assert layer.active_render
    for polygon in mesh.polygons:
        at = [tuple(mesh.vertices[mesh.loops[i].vertex_index].co / 0.002) for i in polygon.loop_indices]
        face = next(f for f in range(4) if np.allclose(np.array(PLACES, float)[CORNERS[f]], at, atol=1e-4))
        uv = [tuple(layer.uv[i].vector) for i in polygon.loop_indices]
        np.testing.assert_allclose(uv, COORDINATES[face], atol=1e-6)


def test_material_shows_the_image(blender, import_result, textured):
    item = mesh_of(import_result, import_result.import_result(blender.context, textured))
    (node,) = image_nodes(item.active_material)
    assert node == item.active_material.node_tree.nodes.active  # solid shading with textures shows this one
    assert node.image.filepath.endswith("texture.png")
    assert tuple(node.image.size) == (64, 64)
    assert node.image.colorspace_settings.name == "sRGB"
    (link,) = node.outputs["Color"].links
    assert (link.to_node.type, link.to_socket.name) == ("BSDF_PRINCIPLED", "Base Color")
    assert link.to_node.inputs["Roughness"].default_value >= 0.7
    assert item.data.color_attributes.active_color.name == "rgb"  # solid shading with attributes shows this


def test_rendered_faces_have_the_colours_of_their_quarters(blender, import_result, textured, tmp_path):
    from mathutils import Vector

    scene = blender.context.scene
    collection = import_result.import_result(blender.context, textured)
    item = mesh_of(import_result, collection)
    for name in ("Cube", "Light"):
        blender.data.objects.remove(blender.data.objects[name])
    shown = item.active_material.node_tree
    emission = shown.nodes.new("ShaderNodeEmission")  # light of a known colour: no shading
    shown.links.new(image_nodes(item.active_material)[0].outputs["Color"], emission.inputs["Color"])
    output = next(node for node in shown.nodes if node.type == "OUTPUT_MATERIAL")
    shown.links.new(emission.outputs[0], output.inputs["Surface"])
    camera = scene.camera
    camera.data.clip_start = 1e-4
    scene.render.engine, scene.cycles.samples = "CYCLES", 4
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = 16
    scene.view_settings.view_transform = "Standard"
    scene.render.filepath = str(tmp_path / "face.png")
    for polygon in item.data.polygons:
        normal, centre = Vector(polygon.normal), Vector(polygon.center)
        camera.matrix_world = normal.to_track_quat("Z", "Y").to_matrix().to_4x4()
        camera.matrix_world.translation = centre + 0.002 * normal
        blender.ops.render.render(write_still=True)
        seen = np.asarray(Image.open(tmp_path / "face.png").convert("RGB"))[8, 8]
        u, v = np.mean([item.data.uv_layers[0].uv[i].vector for i in polygon.loop_indices], axis=0)
        np.testing.assert_allclose(seen, QUARTERS[int(v > 0.5), int(u > 0.5)], atol=2)


def counts(bpy):
    kinds = ("objects", "meshes", "materials", "images", "collections", "node_groups")
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def test_importing_again_reloads_and_keeps_what_was_edited(blender, import_result, textured):
    item = mesh_of(import_result, import_result.import_result(blender.context, textured))
    material, before = item.active_material, counts(blender)
    material.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.25
    (node,) = image_nodes(material)
    assert node.image.pixels[0] == pytest.approx(200 / 255, abs=0.01)
    Image.new("RGB", (128, 128), (10, 20, 30)).save(textured / "texture.png")
    import_result.import_result(blender.context, textured)
    assert counts(blender) == before
    assert item.active_material == material
    assert material.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value == 0.25
    assert tuple(node.image.size) == (128, 128)
    assert len(item.data.uv_layers) == 1


def test_a_texture_that_comes_or_goes_changes_the_material(blender, import_result, make_result, tmp_path):
    folder = make_result(tmp_path / "moth")
    item = mesh_of(import_result, import_result.import_result(blender.context, folder))
    own = blender.data.materials.new("own")
    item.data.materials.append(own)
    name, before = item.active_material.name, counts(blender)
    assert not image_nodes(item.active_material)
    add_texture(folder)
    import_result.import_result(blender.context, folder)
    assert image_nodes(item.data.materials[0])
    assert item.data.materials[0].name == name
    assert item.data.materials[1] == own
    assert counts(blender) == {**before, "images": before["images"] + 1}
    make_result(folder)
    import_result.import_result(blender.context, folder)
    assert not image_nodes(item.data.materials[0])
    assert item.data.materials[1] == own
    assert counts(blender)["materials"] == before["materials"]
    assert len(item.data.uv_layers) == 0


def test_no_settings_of_the_user_change(blender, import_result, textured):
    scene = blender.context.scene
    shading = [area.spaces[0].shading for s in blender.data.screens for area in s.areas if area.type == "VIEW_3D"]

    def settings():
        looks = [(each.type, each.color_type, each.light) for each in shading]
        return looks, scene.display.shading.color_type, scene.render.engine, scene.view_settings.view_transform

    before = settings()
    assert shading
    import_result.import_result(blender.context, textured)
    assert settings() == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: (f / "texture.png").unlink(), "texture is missing"),
        (lambda f: tell(f, "../secret.png"), "not the name of a file"),
        (lambda f: tell(f, 7), "not the name of a file"),
        (
            lambda f: (f / "mesh.ply").write_bytes((f / "mesh.ply").read_bytes().replace(b"float s\n", b"float q\n")),
            "no place in its texture",
        ),
    ],
)
def test_a_broken_texture_is_told(blender, import_result, textured, change, expected):
    change(textured)
    before = counts(blender)
    with pytest.raises(MacroError, match=expected):
        import_result.import_result(blender.context, textured)
    assert counts(blender) == before


def test_coordinates_without_an_image_are_left_out(blender, import_result, textured):
    """As where the texture was taken out of a result by hand."""
    tell(textured, None)
    item = mesh_of(import_result, import_result.import_result(blender.context, textured))
    assert (len(item.data.vertices), len(item.data.uv_layers)) == (4, 0)
    assert not image_nodes(item.active_material)
