# SPDX-License-Identifier: GPL-3.0-or-later
"""Putting a scene into Blender: objects, lights, world.

Scenes are written in millimetres. Blender gets their meshes in millimetres too, on objects scaled by 0.001, so that
its unit is the metre, its lens is the engraved one, and "Object" texture coordinates are millimetres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .geometry import Geometry

MM = 0.001  # Blender units


@dataclass(frozen=True)
class MacroScene:
    """What the views and the ground truth need to know of a scene."""

    subject: tuple[bpy.types.Object, ...]  # what mesh.ply holds
    centre_mm: np.ndarray  # [3], what the camera looks at
    radius_mm: float  # round the centre: surfaces within it may be focused on
    field_width_mm: float  # width of the frame at the centre
    elevations: tuple[float, float]  # degrees above the horizon, of the views
    view_plan: str = "hemisphere"  # of views.PLANS, where the user asks for none
    f_number: float = 9.0  # where the user asks for none
    masked: bool = False  # the subject stands on a plain background, and masks are part of the capture
    units_per_mm: float = MM  # Blender units


def add_mesh(name: str, geometry: Geometry, material: bpy.types.Material, *, smooth: bool = True) -> bpy.types.Object:
    """Put `geometry` into the scene with one material."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(geometry.vertices))
    mesh.vertices.foreach_set("co", geometry.vertices.astype(np.float32).ravel())
    count = len(geometry.triangles)
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", geometry.triangles.astype(np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.full(count, smooth))
    for attribute, values in geometry.attributes.items():
        mesh.attributes.new(attribute, "FLOAT", "POINT").data.foreach_set("value", values.astype(np.float32))
    mesh.update(calc_edges=True)
    mesh.validate()
    mesh.materials.append(material)
    thing = bpy.data.objects.new(name, mesh)
    thing.matrix_world = Matrix.Scale(MM, 4)
    bpy.context.scene.collection.objects.link(thing)
    return thing


@cache
def lettering(text: str) -> Geometry:
    """A line of `text` in Blender's own font, flat in the x-y plane, capitals 1 mm high, centred on the origin."""
    curve = bpy.data.curves.new("Lettering", "FONT")
    curve.body, curve.resolution_u, curve.align_x = text, 3, "CENTER"
    curve.size = 1 / 0.69  # a capital's height in the built-in font
    thing = bpy.data.objects.new("Lettering", curve)
    mesh = thing.to_mesh()
    mesh.calc_loop_triangles()
    vertices, triangles = np.empty(3 * len(mesh.vertices)), np.empty(3 * len(mesh.loop_triangles), np.int32)
    mesh.vertices.foreach_get("co", vertices)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    thing.to_mesh_clear()
    bpy.data.objects.remove(thing)
    bpy.data.curves.remove(curve)
    return Geometry(vertices.reshape(-1, 3) - [0, 0.5, 0], triangles.reshape(-1, 3))


def add_softbox(
    name: str,
    position_mm: Sequence[float],
    target_mm: Sequence[float],
    size_mm: tuple[float, float],
    power: float,  # W
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> bpy.types.Object:
    """A rectangular area light that points at `target_mm`; it lights and mirrors, but no camera sees it."""
    light = bpy.data.lights.new(name, "AREA")
    light.shape = "RECTANGLE"
    light.size, light.size_y = size_mm[0] * MM, size_mm[1] * MM
    light.energy, light.color = power, colour
    thing = bpy.data.objects.new(name, light)
    position = Vector(position_mm) * MM
    aim = (Vector(target_mm) * MM - position).to_track_quat("-Z", "Y")
    thing.matrix_world = Matrix.Translation(position) @ aim.to_matrix().to_4x4()
    thing.visible_camera = False
    bpy.context.scene.collection.objects.link(thing)
    return thing


def set_world(colour: tuple[float, float, float], strength: float) -> None:
    """Light from everywhere, and the background."""
    world = bpy.data.worlds.new("World")
    world.use_nodes = True
    background = next(node for node in world.node_tree.nodes if node.type == "BACKGROUND")
    background.inputs["Color"].default_value = (*colour, 1.0)
    background.inputs["Strength"].default_value = strength
    bpy.context.scene.world = world


def spherical(distance: float, azimuth: float, elevation: float) -> tuple[float, float, float]:
    """A point by distance and two angles in degrees."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return distance * math.cos(e) * math.cos(a), distance * math.cos(e) * math.sin(a), distance * math.sin(e)
