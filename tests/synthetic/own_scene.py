# SPDX-License-Identifier: GPL-3.0-or-later
"""Saves a user's .blend: a die with a sphere as its child on a floor, 1 Blender unit a millimetre; run on its own.

A hidden box hides nothing, a sphere stands beside the subject as an instance, the render engine is Workbench, and the
file is saved while the die is edited.
"""

import sys

import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.unit_settings.scale_length = 0.001
scene.render.engine = "BLENDER_WORKBENCH"


def added(name: str) -> bpy.types.Object:
    thing = bpy.context.object
    thing.name = name
    return thing


bpy.ops.mesh.primitive_plane_add(size=200)
added("Floor")
bpy.ops.mesh.primitive_cube_add(size=6, location=(3, 1, 3))
die = added("Die")
bpy.ops.mesh.primitive_uv_sphere_add(radius=1.5, location=(3, 1, 7))
knob = added("Knob")
knob.parent = die
knob.matrix_parent_inverse = die.matrix_world.inverted()
bpy.ops.mesh.primitive_cube_add(size=40, location=(3, 1, 3))
added("Hidden").hide_render = True
group = bpy.data.collections.new("Group")
bpy.ops.mesh.primitive_ico_sphere_add(radius=0.8, subdivisions=3)
pearl = added("Pearl")
group.objects.link(pearl)
scene.collection.objects.unlink(pearl)
bpy.ops.object.empty_add(location=(-3, -3, 0.8))
copy = added("Copy")
copy.instance_type, copy.instance_collection = "COLLECTION", group
bpy.ops.object.light_add(type="SUN", rotation=(0.5, 0.3, 0))
bpy.context.object.data.energy = 1
bpy.ops.object.select_all(action="DESELECT")
bpy.context.view_layer.objects.active = die
die.select_set(True)
bpy.ops.object.mode_set(mode="EDIT")
bpy.ops.wm.save_as_mainfile(filepath=sys.argv[1])
