# SPDX-License-Identifier: GPL-3.0-or-later
"""An object of the user's own file, photographed where it stands, in the user's light and at its true size.

Nothing is saved: the file is changed in memory only, so that what rays hit is what Cycles renders.
"""

from pathlib import Path

import bpy
import numpy as np

from ..errors import GeneratorError
from ..ground_truth import surfaces_of
from .construction import MacroScene

_FRAME = 2.8  # width of the frame in radii of the subject: at 4:3 it is 2.1 high
_ELEVATIONS = (20.0, 65.0)
_NAMES_SHOWN = 12
_SURFACES = {"MESH", "CURVE", "SURFACE", "FONT", "META", "EMPTY"}  # empties may instance collections


def open_file(blend: Path | None) -> None:
    """Open `blend`; without one, require that Blender was started with a file.

    Raises:
        GeneratorError: there is no such file, or it is no Blender file.
    """
    if blend is None:
        if not bpy.data.filepath:
            remedy = "start Blender with one (blender FILE -b -P ...), or give --blend FILE"
            raise GeneratorError("no file is open that --scene current could mean", remedy=remedy)
        return
    if not blend.is_file():
        raise GeneratorError("there is no such file", where=blend, remedy="name a .blend file")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(blend), load_ui=False, use_scripts=False)
    except RuntimeError:
        raise GeneratorError("Blender cannot open the file", where=blend, remedy="name a .blend file") from None


def build(subject: str) -> MacroScene:
    """Make the open file's object `subject`, with its children, the subject of a macro scene.

    Raises:
        GeneratorError: there is no such object, or nothing of it is rendered.
    """
    _show_what_is_rendered()
    root = bpy.context.scene.objects.get(subject)
    if root is None:
        raise GeneratorError(f"the scene has no object {subject}", where=_file(), remedy=_choices())
    family = tuple(thing for thing in (root, *root.children_recursive) if not thing.hide_render)
    corners = _points(family)
    if not len(corners):
        raise GeneratorError(f"nothing of {subject} is rendered", where=_file(), remedy=_choices())
    units_per_mm = 1 / (1000 * bpy.context.scene.unit_settings.scale_length)
    low, high = corners.min(axis=0) / units_per_mm, corners.max(axis=0) / units_per_mm
    radius = float(np.linalg.norm(high - low)) / 2
    if radius == 0:
        raise GeneratorError(f"{subject} is a single point", where=_file(), remedy=_choices())
    return MacroScene(
        subject=family,
        centre_mm=(low + high) / 2,
        radius_mm=radius,
        field_width_mm=_FRAME * radius,
        elevations=_ELEVATIONS,
        units_per_mm=units_per_mm,
    )


def _show_what_is_rendered() -> None:
    """Make the viewport, where rays are cast, like the render."""
    active = bpy.context.view_layer.objects.active
    if active is not None and active.mode != "OBJECT":  # saved while a mesh was edited: some modifiers are off
        bpy.ops.object.mode_set(mode="OBJECT")
    render = bpy.context.scene.render
    render.simplify_subdivision = render.simplify_subdivision_render
    for shape in bpy.data.curves:  # text, too; 0 stands for the viewport's
        shape.resolution_u = shape.render_resolution_u or shape.resolution_u
        shape.resolution_v = shape.render_resolution_v or shape.resolution_v
    for blob in bpy.data.metaballs:
        blob.resolution = blob.render_resolution
    for collection in bpy.data.collections:
        collection.hide_viewport = collection.hide_render
    for layer in bpy.context.scene.view_layers:
        layer.use = layer == bpy.context.view_layer
    _show_collections(bpy.context.view_layer.layer_collection)
    for thing in bpy.context.scene.objects:
        thing.hide_viewport = thing.hide_render
        thing.show_instancer_for_viewport = thing.show_instancer_for_render
        if bpy.context.view_layer.objects.get(thing.name) is thing:
            thing.hide_set(False)
        for modifier in thing.modifiers:
            modifier.show_viewport = modifier.show_render
            if hasattr(modifier, "render_levels"):
                modifier.levels = modifier.render_levels
    bpy.context.view_layer.update()


def _show_collections(layer: bpy.types.LayerCollection) -> None:
    layer.hide_viewport = False
    for child in layer.children:
        _show_collections(child)


def _points(family: tuple[bpy.types.Object, ...]) -> np.ndarray:
    """The corners [N, 3] of all that the subject consists of or instances, as it is rendered, Blender units."""
    graph = bpy.context.evaluated_depsgraph_get()
    corners = [
        [matrix @ vertex.co for vertex in thing.data.vertices]
        for thing, matrix in surfaces_of(graph, family)
        if len(thing.data.polygons)
    ]
    return np.array([tuple(corner) for piece in corners for corner in piece]).reshape(-1, 3)


def _file() -> str:
    return bpy.data.filepath


def _choices() -> str:
    names = sorted(
        thing.name for thing in bpy.context.scene.objects if thing.type in _SURFACES and not thing.hide_render
    )
    if not names:
        return "the scene has no object to photograph"
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    return f"give one of these as --subject: {shown}"
