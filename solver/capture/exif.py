# SPDX-License-Identifier: GPL-3.0-or-later
"""What the camera wrote into a photo about itself and its lens, and the focal length in pixels that follows.

Exporters resize photos and leave the camera's `FocalPlaneXResolution` as it was. So that tag is never set
against the image's own width: only against the width that the camera itself recorded (`ExifImageWidth`),
which gives the width of the sensor, and only where a sensor of that width can exist.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solver.capture.images import open_image
from solver.capture.sensors import sensor_width_of_model

_EXIF_FOLDER = 0x8769
_MAKE, _MODEL = 0x010F, 0x0110
_F_NUMBER, _ISO, _FOCAL_LENGTH = 0x829D, 0x8827, 0x920A
_IMAGE_WIDTH, _IMAGE_HEIGHT = 0xA002, 0xA003
_FOCAL_PLANE_X_RESOLUTION, _FOCAL_PLANE_UNIT = 0xA20E, 0xA210
_FOCAL_LENGTH_35_MM, _LENS_MODEL = 0xA405, 0xA434

_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # by the code of the focal plane's resolution unit
_SENSOR_WIDTHS_MM = (4.0, 54.0)  # phone to medium format; what lies outside is a faulty tag
_FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)


@dataclass(frozen=True)
class Exif:
    """A photo's metadata, as far as it was there and sane."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    focal_length_mm: float | None = None  # engraved
    f_number: float | None = None
    iso: float | None = None
    sensor_width_mm: float | None = None  # along the sensor's longer side


def read_exif(path: Path) -> Exif:
    """The metadata of a photo; a missing or garbled entry is None.

    Raises:
        SolverError: the file is not a readable image.
    """
    with open_image(path) as image:
        size = image.size
        try:
            tags = image.getexif()
            # One folder that is garbled does not spoil the other.
            entries = {**dict(tags), **_folder(tags)}
        except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError):
            return Exif()
    make, model = _text(entries.get(_MAKE)), _text(entries.get(_MODEL))
    focal_length = _number(entries.get(_FOCAL_LENGTH))
    return Exif(
        make=make,
        model=model,
        lens=_text(entries.get(_LENS_MODEL)),
        focal_length_mm=focal_length,
        f_number=_number(entries.get(_F_NUMBER)),
        iso=_number(entries.get(_ISO)),
        sensor_width_mm=sensor_width_of_model(make, model)
        or _sensor_width_from_resolution(entries)
        or _sensor_width_from_equivalent(entries, focal_length, size),
    )


def focal_length_px(exif: Exif, width: int, height: int) -> float | None:
    """The focal length in pixels of a `width` x `height` photo, or None where the metadata does not tell.

    It is the engraved focal length over the sensor's width, times the image's longer side. At macro distances
    the principal distance is longer, by the magnification: calibration starts here and does not end here.
    """
    if not exif.focal_length_mm or not exif.sensor_width_mm:
        return None
    return exif.focal_length_mm / exif.sensor_width_mm * max(width, height)


def _folder(tags: Any) -> dict[int, Any]:
    try:
        return dict(tags.get_ifd(_EXIF_FOLDER))
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError):
        return {}


def _sensor_width_from_resolution(entries: dict[int, Any]) -> float | None:
    """Width in mm of the sensor's longer side, by the camera's own pixel count and pixels per length."""
    width, height = _number(entries.get(_IMAGE_WIDTH)), _number(entries.get(_IMAGE_HEIGHT))
    resolution = _number(entries.get(_FOCAL_PLANE_X_RESOLUTION))
    unit = _MILLIMETRES.get(entries.get(_FOCAL_PLANE_UNIT, 2))
    if not width or not resolution or not unit:
        return None
    sensor_width = max(width, height or 0) / resolution * unit
    return sensor_width if _SENSOR_WIDTHS_MM[0] <= sensor_width <= _SENSOR_WIDTHS_MM[1] else None


def _sensor_width_from_equivalent(
    entries: dict[int, Any], focal_length: float | None, size: tuple[int, int]
) -> float | None:
    """Width in mm of the sensor's longer side, by the focal length that gives the same view on 36 x 24 mm.

    The equivalence is of diagonals (CIPA DCG-001); the image's shape gives the width.
    """
    equivalent = _number(entries.get(_FOCAL_LENGTH_35_MM))
    if not equivalent or not focal_length:
        return None
    diagonal = _FULL_FRAME_DIAGONAL_MM * focal_length / equivalent
    sensor_width = diagonal * max(size) / math.hypot(*size)
    return sensor_width if _SENSOR_WIDTHS_MM[0] <= sensor_width <= _SENSOR_WIDTHS_MM[1] else None


def _text(value: Any) -> str | None:
    """A string without the NULs and blanks that some cameras pad with."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    return value.split("\0")[0].strip() or None


def _number(value: Any) -> float | None:
    """A finite number above 0, of a rational, a number, or a sequence that starts with one."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    try:
        result = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) and result > 0 else None
