# SPDX-License-Identifier: GPL-3.0-or-later
"""Import a result with the extension's own code into an empty scene, render it, and save the .blend.

Runs with the bpy wheel.
"""

import argparse
import sys
from pathlib import Path

import bpy

from blender_addon.import_result import PHOTO_KEY, RESOLUTION_KEY, import_result

SAMPLES = 64


def main() -> int:
    """Build the scene; 0 when the files are written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--result", type=Path, required=True, help="result folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for demo.blend and demo.png")
    parser.add_argument("--scale", type=float, default=3.0, help="size of the picture, in sizes of the photo")
    arguments = parser.parse_args()

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    collection = import_result(bpy.context, arguments.result)
    camera = min(
        (item for item in collection.all_objects if item.type == "CAMERA"), key=lambda item: str(item[PHOTO_KEY])
    )
    camera.data.dof.use_dof = False  # the point of it all
    scene.camera = camera
    width, height = camera[RESOLUTION_KEY]
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = round(100 * arguments.scale)
    scene.view_settings.view_transform = "Standard"
    scene.world = _even_light()
    _set_up_cycles(scene)
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(arguments.output / "demo.png")
    bpy.ops.render.render(write_still=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(arguments.output / "demo.blend"), compress=True)
    return 0


def _even_light() -> bpy.types.World:
    """White from everywhere, since the mesh's colours already hold the light of the photos; the camera sees grey."""
    world = bpy.data.worlds.new("Even light")
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    light, backdrop = nodes["Background"], nodes.new("ShaderNodeBackground")
    light.inputs["Color"].default_value = (1, 1, 1, 1)
    backdrop.inputs["Color"].default_value = (0.05, 0.05, 0.05, 1)
    mix, path = nodes.new("ShaderNodeMixShader"), nodes.new("ShaderNodeLightPath")
    links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    links.new(light.outputs[0], mix.inputs[1])
    links.new(backdrop.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], nodes["World Output"].inputs["Surface"])
    return world


def _set_up_cycles(scene: bpy.types.Scene) -> None:
    import _cycles

    scene.render.engine = "CYCLES"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = bool(_cycles.with_openimagedenoise)


if __name__ == "__main__":
    sys.exit(main())
