# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to look at an imported result, on request: a crop box, coverage as colours, photos on the timeline."""

from __future__ import annotations

import bpy

from . import import_result, materials
from .errors import MacroError
from .import_result import CROP_PART, PART_KEY, PHOTO_KEY, RESULT_KEY
from .materials import OWN_MATERIAL_KEY

COVERAGE = "smallest_coc_px"  # attribute of a mesh
MARGIN = 1.05


def crop(collection: bpy.types.Collection) -> bpy.types.Object:
    """Show the splats inside a box round the subject only; a box that is there already returns to its place.

    Raises:
        MacroError: the result has no splats here, or their modifier is not ours any more.
    """
    part = import_result.part_of(collection, "splats")
    splats = next((item for item in part.objects if item.get(PART_KEY) == "splats"), None) if part is not None else None
    modifier = next((m for m in splats.modifiers if m.type == "NODES"), None) if splats is not None else None
    if part is None or splats is None or modifier is None or modifier.node_group is None:
        raise MacroError("there are no splats to crop", remedy="import the result with its splats")
    sockets = {
        item.name: item.identifier for item in modifier.node_group.interface.items_tree if item.in_out == "INPUT"
    }
    box_of = import_result.corners(collection)
    if box_of is None or not {materials.CROP, materials.CROP_BOX} <= sockets.keys():
        raise MacroError("these splats were imported by an older version", remedy="remove them, and import again")
    box = next((item for item in part.objects if item.get(PART_KEY) == CROP_PART), None)
    if box is None:
        box = bpy.data.objects.new(f"{collection.name} crop", None)
        box[RESULT_KEY], box[PART_KEY] = collection[RESULT_KEY], CROP_PART
        box.empty_display_type = "CUBE"
        part.objects.link(box)
    low, high = box_of
    box.location = (low + high) / 2
    box.rotation_euler = (0, 0, 0)
    box.scale = MARGIN * (high - low) / 2
    _set_input(modifier, sockets[materials.CROP], True)
    _set_input(modifier, sockets[materials.CROP_BOX], box)
    splats.update_tag()
    return box


def _set_input(modifier: bpy.types.NodesModifier, identifier: str, value: object) -> None:
    """Set an input of a Geometry Nodes modifier; since Blender 5.2 they are no custom properties any more."""
    inputs = getattr(getattr(modifier, "properties", None), "inputs", None)
    if inputs is not None:
        getattr(inputs, identifier).value = value
    else:
        modifier[identifier] = value


def knows_coverage(collection: bpy.types.Collection) -> bool:
    """Whether there is a mesh that was told how sharply the photos saw it."""
    item = _mesh_object(collection)
    return item is not None and COVERAGE in item.data.attributes


def coverage_is_shown(collection: bpy.types.Collection) -> bool:
    """Whether the mesh wears the colours of its coverage."""
    item = _mesh_object(collection)
    return item is not None and OWN_MATERIAL_KEY in item.data


def show_coverage(collection: bpy.types.Collection, shown: bool) -> None:
    """Let the mesh wear the colours of its coverage, or what it wore before.

    Raises:
        MacroError: there is no mesh here, or it knows nothing of coverage.
    """
    item = _mesh_object(collection)
    if item is None or not knows_coverage(collection):
        raise MacroError("there is no mesh that knows its coverage", remedy="import the result with its mesh")
    mesh = item.data
    if shown == coverage_is_shown(collection):
        return
    if not mesh.materials:
        mesh.materials.append(None)
    if shown:
        name = f"{collection.name} coverage"
        mesh[OWN_MATERIAL_KEY] = mesh.materials[0]
        mesh.materials[0] = bpy.data.materials.get(name) or materials.coverage_material(collection.name)
    else:
        mesh.materials[0] = mesh[OWN_MATERIAL_KEY]
        del mesh[OWN_MATERIAL_KEY]


def add_markers(scene: bpy.types.Scene, collection: bpy.types.Collection) -> None:
    """A marker on the timeline for each photo, from the first frame on, that makes its camera the scene's."""
    for index, camera in enumerate(_cameras(collection)):
        marker = scene.timeline_markers.new(camera.name, frame=scene.frame_start + index)
        marker.camera = camera


def remove_markers(scene: bpy.types.Scene, collection: bpy.types.Collection) -> int:
    """Take those markers away; returns how many there were."""
    cameras = set(_cameras(collection))
    ours = [m for m in scene.timeline_markers if m.camera in cameras and m.name == m.camera.name]
    for marker in ours:
        scene.timeline_markers.remove(marker)
    return len(ours)


def has_markers(scene: bpy.types.Scene, collection: bpy.types.Collection) -> bool:
    """Whether the photos of a result are on the timeline."""
    cameras = set(_cameras(collection))
    return any(marker.camera in cameras for marker in scene.timeline_markers)


def _cameras(collection: bpy.types.Collection) -> list[bpy.types.Object]:
    """Those of the photos, by name."""
    part = import_result.part_of(collection, "cameras")
    return sorted((o for o in part.objects if PHOTO_KEY in o), key=lambda o: o.name) if part is not None else []


def _mesh_object(collection: bpy.types.Collection) -> bpy.types.Object | None:
    part = import_result.part_of(collection, "mesh")
    return next((o for o in part.objects if o.get(PART_KEY) == "mesh"), None) if part is not None else None
