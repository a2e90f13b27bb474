# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering in Cycles: the camera, the settings, one image at a time."""

import math
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from . import png
from .errors import GeneratorError
from .files import written_aside
from .interruption import stop_if_requested
from .lens import Lens
from .scenes.construction import MM
from .transforms import View

_LEAST_F_NUMBER = 0.1  # Blender clamps at less
NEAREST_MM, FARTHEST_MM = 1.0, 1e5  # what the camera sees, in depth


class RenderCancelled(Exception):  # noqa: N818 - an outcome, not an error
    """Blender stopped the render because it was asked to."""


def has_denoiser() -> bool:
    """Whether this Blender was built with OpenImageDenoise; Debian's is not.

    Raises:
        GeneratorError: it was built without Cycles.
    """
    try:
        import _cycles
    except ImportError:
        raise GeneratorError("this Blender was built without Cycles", remedy="take one of blender.org") from None

    return bool(getattr(_cycles, "with_openimagedenoise", False))


def set_up_cycles(width: int, height: int, *, denoise: bool) -> None:
    """Make the current scene render `width` x `height` pixels whose sRGB values are radiance and nothing else.

    What Cycles renders on is chosen by device.choose_device.
    """
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.use_persistent_data = True  # the scene is built once for all frames
    render.use_compositing = render.use_sequencer = False
    render.film_transparent = render.use_motion_blur = False
    render.use_border = render.use_multiview = False  # of a user's file, like some of the following
    render.use_stamp = render.use_freestyle = False
    render.use_file_extension = False
    render.dither_intensity = 0.0  # it would be noise on radiance
    cycles.use_adaptive_sampling, cycles.time_limit, cycles.use_layer_samples = False, 0.0, "IGNORE"
    cycles.sampling_pattern = "TABULATED_SOBOL"  # the default makes a frame depend on the samples of the one before
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
    if hasattr(view, "use_white_balance"):  # Blender 4.3
        view.use_white_balance = False
    image = render.image_settings
    image.color_management = "FOLLOW_SCENE"
    if hasattr(image, "media_type"):  # Blender 5
        image.media_type = "IMAGE"
    image.file_format, image.color_mode, image.color_depth, image.compression = "PNG", "RGB", "8", 50


def add_camera(lens: Lens, units_per_mm: float = MM) -> bpy.types.Object:
    """The camera that takes all photos: the engraved lens, in a scene of `units_per_mm` Blender units a millimetre.

    Cycles takes a Blender unit for a metre when it makes the aperture from focal length and f-number. A scene of
    another scale gets a proportional f-number, and where Blender's is bounded from below, a longer lens with a wider
    sensor, which sees the same.
    """
    scene = bpy.context.scene
    f_number = lens.f_number * MM / units_per_mm
    stretch = max(1.0, _LEAST_F_NUMBER / f_number)
    data = bpy.data.cameras.new("Camera")
    data.sensor_fit = "HORIZONTAL"  # the sensor's width lies along the image's, in portrait too
    data.lens, data.sensor_width = stretch * lens.focal_length_mm, stretch * lens.sensor_width_mm
    data.clip_start, data.clip_end = NEAREST_MM * units_per_mm, FARTHEST_MM * units_per_mm
    data.dof.aperture_fstop = stretch * f_number
    data.dof.aperture_blades = lens.blades
    data.dof.aperture_rotation = math.remainder(math.radians(lens.blade_rotation_degrees), 2 * math.pi)
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def place_camera(camera: bpy.types.Object, camera_to_world: np.ndarray, units_per_mm: float = MM) -> None:
    """Set the pose [4, 4], OpenGL axes, mm."""
    pose = camera_to_world.copy()
    pose[:3, 3] *= units_per_mm
    camera.matrix_world = Matrix(pose.tolist())


def render_view(
    camera: bpy.types.Object,
    view: View,
    path: Path,
    *,
    defocus: bool,
    samples: int,
    seed: int,
    exif: bytes | None = None,
    units_per_mm: float = MM,
) -> None:
    """Render one PNG, atomically.

    Args:
        camera: of `add_camera`.
        view: where it stands, in the room, and what it is focused on.
        path: of the PNG.
        defocus: through the whole aperture, or through a pinhole.
        samples: light paths a pixel.
        seed: of the sampling noise.
        exif: what the photo says of itself, if anything.
        units_per_mm: Blender units.

    Raises:
        RenderCancelled: Blender was interrupted.
        GeneratorError: Blender could not render or write.
    """
    _aim(camera, view, units_per_mm, defocus=defocus)
    with written_aside(path) as temporary:
        _render(temporary, path, samples, seed)
        png.strip_notes(temporary)
        if exif is not None:
            png.add_exif(temporary, exif)


def render_radiance(
    camera: bpy.types.Object,
    view: View,
    *,
    defocus: bool,
    samples: int,
    seed: int,
    units_per_mm: float = MM,
) -> np.ndarray:  # [H, W, 3] float32, linear light, 1 is white
    """The light on the sensor. Arguments and errors are those of `render_view`."""
    _aim(camera, view, units_per_mm, defocus=defocus)
    settings = bpy.context.scene.render.image_settings
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{view.name}.exr"
        settings.file_format, settings.color_depth, settings.exr_codec = "OPEN_EXR", "32", "NONE"
        try:
            _render(path, path, samples, seed)
        finally:
            settings.file_format, settings.color_depth = "PNG", "8"
        return _linear_pixels(path)


def _linear_pixels(path: Path) -> np.ndarray:
    image = bpy.data.images.load(str(path))
    try:
        width, height = image.size
        pixels = np.empty(image.channels * width * height, np.float32)
        image.pixels.foreach_get(pixels)
        return pixels.reshape(height, width, image.channels)[::-1, :, :3]
    finally:
        bpy.data.images.remove(image)


def _aim(camera: bpy.types.Object, view: View, units_per_mm: float, *, defocus: bool) -> None:
    place_camera(camera, view.camera_to_world, units_per_mm)
    camera.data.dof.use_dof = defocus
    if defocus:
        if view.focus_distance_mm is None:
            raise ValueError(f"{view.name} has no focus distance")
        camera.data.dof.focus_distance = view.focus_distance_mm * units_per_mm


def _render(file: Path, path: Path, samples: int, seed: int) -> None:
    """Render to `file`; `path` is what a message names."""
    scene = bpy.context.scene
    scene.cycles.samples, scene.cycles.seed = samples, seed
    scene.render.filepath = str(file)
    if bpy.app.version >= (5, 0):  # where braces stand for variables
        scene.render.filepath = str(file).replace("{", "{{").replace("}", "}}")
    try:
        outcome = bpy.ops.render.render(write_still=True)
    except RuntimeError as error:  # how Blender reports any failure
        raise GeneratorError(f"Blender could not render ({' '.join(str(error).split())})", where=path) from None
    stop_if_requested()
    if "FINISHED" not in outcome:
        raise RenderCancelled
