# SPDX-License-Identifier: GPL-3.0-or-later
"""The one conversion from a photo's pinhole camera to Blender's; nothing here needs Blender.

Axes: a result's cameras are camera-to-world with OpenGL axes (x right, y up, z backward), which are Blender's own.

Intrinsics: with the sensor fit HORIZONTAL, which holds for landscape and portrait alike, Blender projects with
``fx = lens / sensor_width * width`` and measures *both* shifts in image widths. A positive shift moves the frame right
and up, so the principal point left and down:

    cx = width / 2 - shift_x * width                 cy = height / 2 + shift_y * width * fy / fx

Pixels that are not square (fy != fx) are a property of the scene's render settings in Blender, not of a camera; they
are given as `pixel_aspect` and hold once the scene uses them.

Depth of field: Blender blurs with an entrance pupil of ``lens / 1000 / aperture_fstop`` Blender units, whatever the
scene's unit, and a point at depth z spreads over ``pupil * fx * |1/z - 1/focus_distance|`` pixels, which is the
equation that the solver recovers the pupil with. So the f-stop follows from the pupil; it is the f-number engraved on
the lens only where focusing does not breathe and the scene is in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .result_files import PhotoView

DEFAULT_SENSOR_WIDTH_MM = 36.0  # Blender's own default; only its ratio to the lens matters to the picture


@dataclass(frozen=True)
class BlenderCamera:
    """What to write into a Blender camera, its object, and (only when asked) the render settings."""

    matrix_world: np.ndarray  # [4, 4] float64, camera to world, Blender units
    lens_mm: float
    sensor_width_mm: float  # with the sensor fit HORIZONTAL
    shift_x: float  # image widths
    shift_y: float  # image widths
    focus_distance: float | None  # Blender units; None where the photo was treated as sharp
    aperture_fstop: float | None
    resolution: tuple[int, int]  # px
    pixel_aspect: tuple[float, float]  # both at least 1, as Blender requires


def blender_camera(photo: PhotoView, unit: float) -> BlenderCamera:
    """Convert `photo`'s camera; `unit` is the length of the result's scene unit in Blender units."""
    matrix = photo.camera_to_world.copy()
    matrix[:3, 3] *= unit
    sensor_width = photo.sensor_width_mm or DEFAULT_SENSOR_WIDTH_MM
    lens = photo.fx / photo.width * sensor_width
    focus_distance = aperture_fstop = None
    if photo.focus_distance is not None and photo.pupil_diameter is not None:
        focus_distance = photo.focus_distance * unit
        aperture_fstop = lens * 1e-3 / (photo.pupil_diameter * unit)
    return BlenderCamera(
        matrix_world=matrix,
        lens_mm=lens,
        sensor_width_mm=sensor_width,
        shift_x=(photo.width / 2 - photo.cx) / photo.width,
        shift_y=(photo.cy - photo.height / 2) / photo.width * photo.fx / photo.fy,
        focus_distance=focus_distance,
        aperture_fstop=aperture_fstop,
        resolution=(photo.width, photo.height),
        pixel_aspect=(max(1.0, photo.fy / photo.fx), max(1.0, photo.fx / photo.fy)),
    )


def blender_unit(unit_mm: float | None, scale_length: float) -> float:
    """Length of a result's scene unit in Blender units.

    Args:
        unit_mm: length of the scene unit in millimetres; where it is unknown one unit becomes one Blender unit.
        scale_length: metres in a Blender unit, from the scene's unit settings.
    """
    return 1.0 if unit_mm is None else unit_mm / 1000 / scale_length
