# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering in Cycles: the camera, the settings, one image at a time."""

import math
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from . import png
from .errors import GeneratorError
from .files import written_aside
from .lens import Lens
from .scenes.construction import MM
from .transforms import View


class RenderCancelled(Exception):  # noqa: N818 - an outcome, not an error
    """Blender stopped the render because it was asked to."""


def has_denoiser() -> bool:
    """Whether this Blender was built with OpenImageDenoise; Debian's is not."""
    import _cycles

    return bool(getattr(_cycles, "with_openimagedenoise", False))


def set_up_cycles(width: int, height: int, samples: int, *, denoise: bool) -> None:
    """Make the current scene render `width` x `height` pixels whose sRGB values are radiance and nothing else."""
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.use_persistent_data = True  # the scene is built once for all frames
    render.use_compositing = render.use_sequencer = False
    render.film_transparent = render.use_motion_blur = False
    render.use_file_extension = False
    render.dither_intensity = 0.0  # it would be noise on radiance
    cycles.device = "CPU"
    cycles.samples = samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = denoise
    if denoise:
        cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 2
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 5.0
    view = scene.view_settings
    scene.display_settings.display_device = "sRGB"
    view.view_transform, view.look, view.exposure, view.gamma = "Standard", "None", 0.0, 1.0
    view.use_curve_mapping = False
    image = render.image_settings
    if hasattr(image, "media_type"):  # Blender 5
        image.media_type = "IMAGE"
    image.file_format, image.color_mode, image.color_depth, image.compression = "PNG", "RGB", "8", 50


def add_camera(lens: Lens) -> bpy.types.Object:
    """The camera that takes all photos: the engraved lens, in a scene whose unit is the metre."""
    scene = bpy.context.scene
    data = bpy.data.cameras.new("Camera")
    data.sensor_fit = "HORIZONTAL"  # the sensor's width lies along the image's, in portrait too
    data.lens, data.sensor_width = lens.focal_length_mm, lens.sensor_width_mm
    data.clip_start, data.clip_end = 1e-3, 100.0
    data.dof.aperture_fstop = lens.f_number
    data.dof.aperture_blades = lens.blades
    data.dof.aperture_rotation = math.radians(lens.blade_rotation_degrees)
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def place_camera(camera: bpy.types.Object, camera_to_world: np.ndarray) -> None:
    """Set the pose [4, 4], OpenGL axes, mm."""
    pose = camera_to_world.copy()
    pose[:3, 3] *= MM
    camera.matrix_world = Matrix(pose.tolist())


def render_view(camera: bpy.types.Object, view: View, path: Path, *, defocus: bool, seed: int) -> None:
    """Render one PNG, atomically.

    Args:
        camera: of `add_camera`.
        view: where it stands and what it is focused on.
        path: of the PNG.
        defocus: through the whole aperture, or through a pinhole.
        seed: of the sampling noise.

    Raises:
        RenderCancelled: Blender was interrupted.
        GeneratorError: Blender could not render or write.
    """
    place_camera(camera, view.camera_to_world)
    camera.data.dof.use_dof = defocus
    if defocus:
        if view.focus_distance_mm is None:
            raise ValueError(f"{view.name} has no focus distance")
        camera.data.dof.focus_distance = view.focus_distance_mm * MM
    scene = bpy.context.scene
    scene.cycles.seed = seed
    with written_aside(path) as temporary:
        scene.render.filepath = str(temporary)
        try:
            outcome = bpy.ops.render.render(write_still=True)
        except RuntimeError as error:  # how Blender reports any failure
            raise GeneratorError(f"Blender could not render ({str(error).strip()})", where=path) from None
        if "FINISHED" not in outcome:
            raise RenderCancelled
        png.strip_notes(temporary)
