# SPDX-License-Identifier: GPL-3.0-or-later
"""A result folder as a collection in a Blender scene: mesh, splats, and one camera for each photo.

Everything is read and checked before the first datablock is made, so a damaged result leaves the scene as it was.
Importing the same folder again updates what the first import made: objects keep their identity, and with it the scene's
active camera, modifiers, and edited materials.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from . import materials
from .camera import BlenderCamera, blender_camera, blender_unit
from .errors import MacroError
from .import_options import ImportOptions, chosen
from .result_files import PhotoView, Result, Splats, Surface, read_result

RESULT_KEY = "macro_result"  # on everything that was imported: path of the result folder
PART_KEY = "macro_part"  # "mesh", "splats", "cameras", "camera" or `CROP_PART`
CROP_PART = "crop"  # the box outside of which no splats are drawn
PHOTO_KEY = "macro_photo"  # on a camera: the photo's name
SIZE_KEY = "macro_size"  # on a result's collection: how large the subject is, metres; absent where unknown
RESOLUTION_KEY = "macro_resolution"  # on a camera: the photo's size, px
PIXEL_ASPECT_KEY = "macro_pixel_aspect"  # on a camera: x and y, as render settings want them
VIEWPORT_SPLATS = 50_000  # about as many as a viewport turns smoothly
SMALLEST_EXTENT = 1e-3  # standard deviations; for splats too faint to be seen at all
SMALLEST_SCALE = 1e-7  # Blender units; a flatter splat could not be inverted in single precision


def leave_a_step_to_undo_to(context: bpy.types.Context) -> None:
    """For Sculpt Mode, where an import that is undone to a stroke, or to entering the mode, would stay otherwise."""
    if context.mode == "SCULPT" and bpy.ops.ed.undo_push.poll():
        bpy.ops.ed.undo_push(message="Before the Import")


def import_result(
    context: bpy.types.Context,
    folder: str | Path,
    *,
    scene: bpy.types.Scene | None = None,
    options: ImportOptions | None = None,
) -> bpy.types.Collection:
    """Import a result folder, or update what an earlier import of it made.

    Where the result has a mesh, the mesh is shown and the splats' collection is excluded from the view layers (tick its
    box in the Outliner); where it has none, the splats are shown. Nothing else in the scene is changed.

    Args:
        context: whose scene to import into.
        folder: the result folder (docs/formats.md), or its result.json.
        scene: another scene to import into.
        options: what of it to import; everything when left out. What an earlier import made of the rest stays.

    Returns:
        The collection that holds everything, named after the folder.

    Raises:
        MacroError: the folder is not a whole, undamaged result, or what an earlier import made is being edited.
    """
    options = options or ImportOptions()
    result = chosen(read_result(folder), options)
    scene = scene or context.scene
    unit = blender_unit(result.unit_mm, scene.unit_settings.scale_length)

    collection = _result_collection(result)
    _refuse_to_disturb(collection)
    new_here = collection not in scene.collection.children_recursive
    if new_here:
        scene.collection.children.link(collection)
    parts_before = _parts(collection)
    if result.surface is not None:
        part = _part_collection(collection, result, "mesh", "Mesh")
        surface = result.surface
        _place(part, result, "mesh", lambda old: _mesh(result, surface, unit, old))
    elif options.mesh:
        _remove_part(collection, result, "mesh")
    if result.splats is not None:
        part = _part_collection(collection, result, "splats", "Splats")
        splats = result.splats
        _instance_splats(_place(part, result, "splats", lambda old: _points(result, splats, unit, old)), result)
    elif options.splats:
        _remove_part(collection, result, "splats")
    if new_here or parts_before != _parts(collection):
        show(scene, collection, "splats", "mesh" not in _parts(collection))
    if options.cameras:
        _cameras(_part_collection(collection, result, "cameras", "Cameras"), result, unit)
    extent = bounds(collection)
    collection.pop(SIZE_KEY, None)
    if result.unit_mm is not None and extent is not None:
        collection[SIZE_KEY] = 2 * extent[1] * scene.unit_settings.scale_length
    return collection


def results_in(scene: bpy.types.Scene) -> list[bpy.types.Collection]:
    """The collections of imported results in a scene."""
    return [c for c in scene.collection.children_recursive if RESULT_KEY in c and PART_KEY not in c]


def is_in(scene: bpy.types.Scene, folder: Path) -> bool:
    """Whether a result folder is imported in a scene: asked of the scene itself, since an import can be undone."""
    key = os.path.abspath(folder)  # noqa: PTH100 - as the import does
    return any(collection[RESULT_KEY] == key for collection in results_in(scene))


def part_of(collection: bpy.types.Collection, part: str) -> bpy.types.Collection | None:
    """The collection inside a result's that holds its "mesh", "splats" or "cameras"."""
    return next((child for child in collection.children if child.get(PART_KEY) == part), None)


def is_shown(view_layer: bpy.types.ViewLayer, collection: bpy.types.Collection, part: str) -> bool:
    """Whether a view layer includes a part of a result."""
    child = part_of(collection, part)
    layers = _layers(view_layer.layer_collection, child) if child is not None else []
    return any(not layer.exclude for layer in layers)


def show(scene: bpy.types.Scene, collection: bpy.types.Collection, part: str, shown: bool) -> None:
    """Include a part of a result in the scene's view layers, or exclude it (then it costs nothing)."""
    child = part_of(collection, part)
    if child is None:
        return
    for view_layer in scene.view_layers:
        if view_layer.layer_collection is None:  # a scene that was never shown, in Blender 5.2
            view_layer.update()
        for layer in _layers(view_layer.layer_collection, child):
            layer.exclude = not shown


def bounds(collection: bpy.types.Collection) -> tuple[np.ndarray, float] | None:
    """Centre, [3], and radius of a result in world space: of its mesh, else of nine tenths of its splats."""
    found = corners(collection)
    return None if found is None else ((found[0] + found[1]) / 2, float(np.linalg.norm(found[1] - found[0])) / 2)


def corners(collection: bpy.types.Collection) -> tuple[np.ndarray, np.ndarray] | None:
    """The lowest and highest corner, [3] each, of what `bounds` goes by."""
    for part, share in (("mesh", 1.0), ("splats", 0.9)):
        child = part_of(collection, part)
        for item in child.objects if child is not None else []:
            if item.type != "MESH" or not len(item.data.vertices):
                continue
            points = np.empty(3 * len(item.data.vertices), dtype=np.float32)
            item.data.vertices.foreach_get("co", points)
            world = np.array(item.matrix_world)
            places = points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
            low, high = np.quantile(places, [(1 - share) / 2, (1 + share) / 2], axis=0)
            return low, high
    return None


def _layers(
    layer: bpy.types.LayerCollection | None, collection: bpy.types.Collection
) -> list[bpy.types.LayerCollection]:
    if layer is None:
        return []
    found = [layer] if layer.collection == collection else []
    for child in layer.children:
        found += _layers(child, collection)
    return found


def _parts(collection: bpy.types.Collection) -> set[str]:
    """Which of the two that show the subject a result's collection has."""
    return {part for part in ("mesh", "splats") if part_of(collection, part) is not None}


def _result_collection(result: Result) -> bpy.types.Collection:
    """What an earlier import of the same folder made, or a new collection that is in no scene yet."""
    key = str(result.folder)
    collection = next(
        (c for c in bpy.data.collections if c.library is None and c.get(RESULT_KEY) == key and PART_KEY not in c),
        None,
    )
    if collection is None:
        collection = bpy.data.collections.new(result.name)
        collection[RESULT_KEY] = key
    return collection


def _refuse_to_disturb(collection: bpy.types.Collection) -> None:
    """Blender keeps the data of an object in edit mode, and other modes would lose what was done in them.

    Raises:
        MacroError: something of the result is in another mode than object mode.
    """
    ours = (item for item in collection.all_objects if RESULT_KEY in item)
    busy = next((item for item in ours if item.mode != "OBJECT"), None)
    if busy is not None:
        raise MacroError(f"{busy.name} is being edited", remedy="return to Object Mode, and import the result again")


def _part_collection(collection: bpy.types.Collection, result: Result, part: str, title: str) -> bpy.types.Collection:
    """The part's collection, made where it is missing."""
    existing = part_of(collection, part)
    if existing is not None:
        return existing
    child = bpy.data.collections.new(f"{result.name} {title}")
    _mark(child, result, part)
    collection.children.link(child)
    return child


def _remove_part(collection: bpy.types.Collection, result: Result, part: str) -> None:
    """Take out what an earlier import made and the result no longer has; what the user put there stays."""
    child = part_of(collection, part)
    if child is None:
        return
    for item in _ours(child, result, part) + (_ours(child, result, CROP_PART) if part == "splats" else []):
        _remove(item)
    if not child.objects and not child.children:
        bpy.data.collections.remove(child)


def _mark(item: Any, result: Result, part: str) -> None:
    item[RESULT_KEY] = str(result.folder)
    item[PART_KEY] = part


def _ours(collection: bpy.types.Collection, result: Result, part: str) -> list[bpy.types.Object]:
    key = str(result.folder)
    return [o for o in collection.objects if o.get(RESULT_KEY) == key and o.get(PART_KEY) == part]


def _remove(item: bpy.types.Object) -> None:
    data = item.data
    bpy.data.objects.remove(item)
    _remove_unused(data)


def _remove_unused(data: Any) -> None:
    if data is not None and data.users == 0:
        bpy.data.batch_remove([data])


def _place(
    collection: bpy.types.Collection,
    result: Result,
    part: str,
    build: Callable[[bpy.types.Mesh | None], bpy.types.Mesh],
) -> bpy.types.Object:
    """The part's object with newly built data; `build` gets the data of the earlier import."""
    existing = next(iter(_ours(collection, result, part)), None)
    if existing is None:
        existing = bpy.data.objects.new(f"{result.name} {part}", build(None))
        _mark(existing, result, part)
        collection.objects.link(existing)
    else:
        old = existing.data
        existing.data = build(old)
        _remove_unused(old)
    return existing


def _mesh(result: Result, surface: Surface, unit: float, old: bpy.types.Mesh | None) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(f"{result.name} mesh")
    _mark(mesh, result, "mesh")
    vertex_count, face_count = len(surface.vertices), len(surface.faces)
    mesh.vertices.add(vertex_count)
    mesh.vertices.foreach_set("co", (surface.vertices * unit).astype(np.float32).ravel())
    mesh.loops.add(3 * face_count)
    mesh.loops.foreach_set("vertex_index", surface.faces.ravel())
    mesh.polygons.add(face_count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * face_count, 3, dtype=np.int32))
    if surface.colours is not None:
        rgba = np.ones((vertex_count, 4), dtype=np.float32)
        rgba[:, :3] = surface.colours
        attribute = mesh.color_attributes.new("rgb", "BYTE_COLOR", "POINT")
        attribute.data.foreach_set("color_srgb", rgba.ravel())
        mesh.color_attributes.active_color = attribute
        mesh.color_attributes.render_color_index = 0
    for name, values in surface.coverage.items():
        mesh.attributes.new(name, "FLOAT", "POINT").data.foreach_set("value", values)
    if surface.texture_path is not None and surface.corner_coordinates is not None:
        layer = mesh.uv_layers.new(name="UVMap", do_init=False)
        layer.uv.foreach_set("vector", np.ascontiguousarray(surface.corner_coordinates, dtype=np.float32).ravel())
    mesh.update(calc_edges=True)
    mesh.validate()
    mesh.shade_smooth()
    worn = old.materials[0] if old is not None and materials.OWN_MATERIAL_KEY in old else None
    if old is not None and worn is not None:
        old.materials[0] = old[materials.OWN_MATERIAL_KEY]
    for material in _surface_materials(result, surface, old):
        mesh.materials.append(material)
    if worn is not None and surface.coverage:
        mesh[materials.OWN_MATERIAL_KEY] = mesh.materials[0]
        mesh.materials[0] = worn
    return mesh


def _surface_materials(result: Result, surface: Surface, old: bpy.types.Mesh | None) -> list[bpy.types.Material | None]:
    """Those of the earlier import, edited or not, as long as the result has a texture where they want one."""
    texture = None if surface.texture_path is None else _image(surface.texture_path)
    if old is None:
        return [materials.surface_material(result.name, texture)]
    kept: list[bpy.types.Material | None] = []
    for material in old.materials:
        textured = None if material is None else material.get(materials.TEXTURED_KEY)
        if material is None or textured is None or bool(textured) == (texture is not None):
            kept.append(material)
            continue
        made = materials.surface_material(result.name, texture)
        old.materials[len(kept)] = None
        if material.users == 0:
            made_name = material.name
            bpy.data.materials.remove(material)
            made.name = made_name
        kept.append(made)
    return kept


def _points(result: Result, splats: Splats, unit: float, old: bpy.types.Mesh | None) -> bpy.types.Mesh:
    """A mesh of vertices alone that carries the splats' attributes.

    A mesh and not a point cloud: Blender before 5.1 cannot make a point cloud of a given size from Python.
    """
    mesh = bpy.data.meshes.new(f"{result.name} splats")
    _mark(mesh, result, "splats")
    count = len(splats.means)
    mesh.vertices.add(count)
    mesh.vertices.foreach_set("co", (splats.means * unit).astype(np.float32).ravel())
    rgba = np.ones((count, 4), dtype=np.float32)
    rgba[:, :3] = splats.rgb
    scales = np.maximum(splats.scales * unit, SMALLEST_SCALE)
    extents = np.sqrt(2 * np.log(np.maximum(splats.opacities / materials.LEAST_ALPHA, 1.0)))
    for name, kind, member, values in (
        ("rgb", "FLOAT_COLOR", "color", rgba),
        ("opacity", "FLOAT", "value", splats.opacities),
        ("extent", "FLOAT", "value", np.maximum(extents, SMALLEST_EXTENT)),
        ("scale", "FLOAT_VECTOR", "vector", scales),
        ("rotation", "QUATERNION", "value", splats.quaternions),
        *((name, "FLOAT", "value", values) for name, values in splats.coverage.items()),
    ):
        mesh.attributes.new(name, kind, "POINT").data.foreach_set(
            member, np.ascontiguousarray(values, dtype=np.float32).ravel()
        )
    mesh.update()
    for material in old.materials if old is not None else [materials.splat_material(result.name)]:
        mesh.materials.append(material)
    return mesh


def _instance_splats(item: bpy.types.Object, result: Result) -> None:
    """Give the points their ellipsoids, unless an earlier import did."""
    if any(modifier.type == "NODES" for modifier in item.modifiers):
        return
    share = min(1.0, VIEWPORT_SPLATS / max(1, len(item.data.vertices)))
    modifier = item.modifiers.new("Splats", "NODES")
    modifier.node_group = materials.splat_instancer(result.name, item.active_material, share)


def _cameras(collection: bpy.types.Collection, result: Result, unit: float) -> None:
    existing = {item.get(PHOTO_KEY): item for item in _ours(collection, result, "camera")}
    centre = _centre(result)
    for photo in result.photos:
        item = existing.pop(photo.name, None)
        if item is None:
            item = bpy.data.objects.new(photo.name, bpy.data.cameras.new(photo.name))
            _mark(item, result, "camera")
            _mark(item.data, result, "camera")
            item[PHOTO_KEY] = photo.name
            collection.objects.link(item)
        distance = photo.focus_distance or float(np.linalg.norm(photo.camera_to_world[:3, 3] - centre))
        _set_camera(item, blender_camera(photo, unit), distance * unit or 1.0)
        _set_backgrounds(item.data, photo)
    for leftover in existing.values():
        _remove(leftover)


def _centre(result: Result) -> np.ndarray:
    """Where the subject is, in the scene unit, [3]."""
    if result.surface is not None and len(result.surface.vertices):
        return np.median(result.surface.vertices, axis=0)
    if result.splats is not None and len(result.splats.means):
        return np.median(result.splats.means, axis=0)
    return np.zeros(3)


def _set_camera(item: bpy.types.Object, camera: BlenderCamera, distance: float) -> None:
    """Write a camera; `distance` to the subject, in Blender units, sets its clipping and how large it is drawn."""
    item.matrix_world = Matrix(camera.matrix_world.tolist())
    item[RESOLUTION_KEY] = camera.resolution
    item[PIXEL_ASPECT_KEY] = camera.pixel_aspect
    data = item.data
    data.type = "PERSP"
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = camera.sensor_width_mm
    data.sensor_height = camera.sensor_width_mm * camera.resolution[1] / camera.resolution[0]
    data.lens_unit = "MILLIMETERS"
    data.lens = camera.lens_mm
    data.shift_x, data.shift_y = camera.shift_x, camera.shift_y
    data.clip_start, data.clip_end = 0.01 * distance, 100 * distance
    data.display_size = 0.06 * distance * camera.sensor_width_mm / camera.lens_mm  # so deep, whatever the lens
    data.dof.use_dof = camera.focus_distance is not None
    if camera.focus_distance is not None:
        data.dof.focus_object = None
        data.dof.focus_distance = camera.focus_distance
        data.dof.aperture_fstop = camera.aperture_fstop


def _set_backgrounds(camera: bpy.types.Camera, photo: PhotoView) -> None:
    """The sharp view behind the scene, and the photo itself as a second background that is off."""
    paths = [path for path in (photo.sharp_path, photo.photo_path) if path is not None]
    wanted = [_image(path) for path in paths]
    if [background.image for background in camera.background_images] == wanted:
        return
    camera.background_images.clear()
    for index, image in enumerate(wanted):
        background = camera.background_images.new()
        background.image = image
        background.alpha = 1.0
        background.display_depth = "BACK"
        background.frame_method = "STRETCH"
        background.show_background_image = index == 0
        background.show_expanded = False
    camera.show_background_images = True


def _image(path: Path) -> bpy.types.Image:
    known = set(bpy.data.images)
    image = bpy.data.images.load(str(path), check_existing=True)
    if image in known:
        image.reload()
    return image
