# SPDX-License-Identifier: GPL-3.0-or-later
"""An imported result seen through its own cameras by Cycles, in Blender as a module (`pip install bpy`)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TRANSPARENT_BOUNCES = 1024  # surfaces that a ray may pass; each splat is two


def import_alone(folder: Path, samples: int) -> Any:
    """Empty Blender, import a result, and set Cycles up for it.

    Args:
        folder: the result.
        samples: light paths a pixel.

    Returns:
        The result's collection.

    Raises:
        MacroError: the folder is no whole result.
    """
    import bpy

    from blender_addon import import_result

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    collection = import_result.import_result(bpy.context, folder)
    import _cycles  # there once bpy is

    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.seed = "CPU", samples, 0
    scene.cycles.use_denoising = bool(_cycles.with_openimagedenoise)
    scene.cycles.transparent_max_bounces = TRANSPARENT_BOUNCES
    scene.render.film_transparent = True
    scene.view_settings.view_transform = "Standard"
    return collection


def mesh_of(collection: Any) -> Any | None:
    """The object of a result's mesh, where it has one."""
    from blender_addon import import_result

    meshes = (item for item in collection.all_objects if item.get(import_result.PART_KEY) == "mesh")
    return next(meshes, None)


def cameras_of(collection: Any) -> list[Any]:
    """The objects of a result's cameras, by name."""
    return sorted((item for item in collection.all_objects if item.type == "CAMERA"), key=lambda item: item.name)


def photo_of(camera: Any) -> Image.Image:
    """The photo that an imported camera took, sRGB."""
    import bpy

    with Image.open(bpy.path.abspath(camera.data.background_images[1].image.filepath)) as picture:
        return picture.convert("RGB")


def let_shine(material: Any) -> None:
    """Make a matt material emit its colour: a result's colours have the photos' light in them already."""
    tree = material.node_tree
    principled = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    emission = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(principled.inputs["Base Color"].links[0].from_socket, emission.inputs["Color"])
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])


def render(camera: Any, *, blurred: bool, percentage: int = 100) -> np.ndarray:
    """What an imported camera sees.

    Args:
        camera: its object.
        blurred: whether with its depth of field.
        percentage: of the photo's size.

    Returns:
        [H, W, 4], sRGB and coverage, 0 to 1.
    """
    import bpy

    from blender_addon import import_result

    scene = bpy.context.scene
    scene.camera = camera
    scene.render.resolution_x, scene.render.resolution_y = camera[import_result.RESOLUTION_KEY]
    scene.render.resolution_percentage = percentage
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = camera[import_result.PIXEL_ASPECT_KEY]
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    had = camera.data.dof.use_dof
    camera.data.dof.use_dof = had and blurred
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "frame.png")
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        camera.data.dof.use_dof = had
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGBA"), dtype=np.float64) / 255
