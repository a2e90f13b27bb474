# SPDX-License-Identifier: GPL-3.0-or-later
"""What the camera wrote into a photo about itself and its lens, and the focal length in pixels that follows.

Exporters resize photos and leave the camera's `FocalPlaneXResolution` as it was. So that tag is never set
against the image's own width: only against the width that the camera itself recorded (`ExifImageWidth`),
which gives the width of the sensor. It is believed where the sensor is one that cameras are built with, and does not
contradict the focal length's 35 mm equivalent; some exporters rewrite the recorded width too, some cameras state the
wrong unit.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from solver.capture.images import GARBLED_EXIF, exif_of, open_image
from solver.capture.maker_notes import CANON_FOCUS_DISTANCE, canon_focus_distance
from solver.capture.raw import is_raw, raw_size, raw_tags
from solver.capture.sensors import sensor_width_of_model, used_width

_JPEG_HEAD = b"Exif\0\0"  # before the metadata of a JPEG
_EXIF_FOLDER = 0x8769
_MAKE, _MODEL, _LENS_MODEL = 0x010F, 0x0110, 0xA434
_FOCAL_LENGTH, _FOCAL_LENGTH_35_MM = 0x920A, 0xA405
_F_NUMBER, _APERTURE_VALUE = 0x829D, 0x9202
_EXPOSURE, _SHUTTER_SPEED_VALUE = 0x829A, 0x9201
_ISO, _RECOMMENDED_EXPOSURE_INDEX = 0x8827, 0x8832
_SUBJECT_DISTANCE = 0x9206
_TAKEN = (0x9003, 0x9004, 0x0132)  # taken, digitized, file changed
_IMAGE_WIDTH, _IMAGE_HEIGHT = 0xA002, 0xA003
_FOCAL_PLANE_X_RESOLUTION, _FOCAL_PLANE_UNIT = 0xA20E, 0xA210

_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # by the code of the focal plane's resolution unit
_SENSOR_WIDTHS_MM = (3.0, 54.0)  # phone to medium format; what lies outside is a faulty tag
# Longer sides of the sensors that cameras with a focal plane resolution have: 1 inch, Four Thirds, 1.5 inch, Foveon,
# APS-C, APS-H, 35 mm, medium format. Smaller ones lie too close together to tell a right value from a wrong one.
_BUILT_WIDTHS_MM = (13.2, 17.3, 18.7, 20.7, 22.3, 23.5, 24.9, 27.9, 28.7, 35.9, 43.9, 49.1, 53.5)
_BUILT_TOLERANCE = 0.02
_EQUIVALENT_TOLERANCE = 0.15  # the equivalent is a whole number, and makers round it to what sells
_FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)
_FARTHEST_MM = 1e6  # of a focus distance; beyond is infinity
_ABSENT = frozenset({0, 0xFFFF, 0xFFFFFFFF})  # numbers that stand for none


@dataclass(frozen=True)
class Exif:
    """A photo's metadata, as far as it was there and sane."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    focal_length_mm: float | None = None  # engraved
    f_number: float | None = None
    iso: float | None = None
    exposure_s: float | None = None  # shutter time
    focus_distance_mm: float | None = None  # from the sensor, as far as the lens tells; rarely there, never exact
    sensor_width_mm: float | None = None  # along the sensor's longer side
    taken: datetime | None = None  # by the camera's clock

    @property
    def exposure_stops(self) -> float | None:
        """How much light the settings ask for, in factors of two; None where one of them is missing."""
        if self.exposure_s and self.iso and self.f_number:
            return math.log2(self.exposure_s * self.iso / self.f_number**2)
        return None


def read_exif(path: Path) -> Exif:
    """The metadata of a photo; a missing or garbled entry is None.

    Raises:
        SolverError: the file is not a readable image.
    """
    if is_raw(path):
        entries, size = raw_tags(path), raw_size(path)
    else:
        with open_image(path) as image:
            size = image.size
            entries = _entries(image)
    make, model = _text(entries.get(_MAKE)), _text(entries.get(_MODEL))
    focal_length = _number(entries.get(_FOCAL_LENGTH))
    return Exif(
        make=make,
        model=model,
        lens=_text(entries.get(_LENS_MODEL)),
        focal_length_mm=focal_length,
        f_number=_number(entries.get(_F_NUMBER)) or _power(entries.get(_APERTURE_VALUE), 0.5),
        iso=_number(entries.get(_ISO)) or _number(entries.get(_RECOMMENDED_EXPOSURE_INDEX)),
        exposure_s=_number(entries.get(_EXPOSURE)) or _power(entries.get(_SHUTTER_SPEED_VALUE), -1),
        focus_distance_mm=_distance(entries.get(_SUBJECT_DISTANCE)) or _distance(entries.get(CANON_FOCUS_DISTANCE)),
        sensor_width_mm=_sensor_width(sensor_width_of_model(make, model), entries, focal_length, size),
        taken=next((taken for taken in (_date(entries.get(tag)) for tag in _TAKEN) if taken), None),
    )


def focal_length_px(exif: Exif, width: int, height: int) -> float | None:
    """The focal length in pixels of a `width` x `height` photo, or None where the metadata does not tell.

    It is the engraved focal length over the sensor's width, times the image's longer side. At macro distances
    the principal distance is longer, by the magnification: calibration starts here and does not end here.
    """
    if not exif.focal_length_mm or not exif.sensor_width_mm:
        return None
    return exif.focal_length_mm / exif.sensor_width_mm * max(width, height)


def _entries(image: Any) -> dict[int, Any]:
    """The image's entries, its main and its Exif folder in one; one that is garbled does not spoil the other."""
    result: dict[int, Any] = {}
    tags = exif_of(image)
    for folder in (lambda: dict(tags), lambda: dict(tags.get_ifd(_EXIF_FOLDER))):
        try:
            result |= folder()
        except GARBLED_EXIF:
            continue
    metadata = image.info.get("exif")
    if isinstance(metadata, bytes):
        result[CANON_FOCUS_DISTANCE] = canon_focus_distance(metadata.removeprefix(_JPEG_HEAD))
    return result


def _sensor_width(
    listed: float | None, entries: dict[int, Any], focal_length: float | None, size: tuple[int, int]
) -> float | None:
    """Width in mm of the longer side of the sensor, or of the part of it that the camera used.

    That is what is `listed` for the model, as far as photos of this shape use it, unless the 35 mm equivalent says that
    the camera cropped more, as those of 35 mm do behind lenses for APS-C. Else it is by the focal plane's resolution,
    else by the equivalent.
    """
    listed = used_width(listed, size) if listed else None
    by_equivalent = _sensor_width_from_equivalent(entries, focal_length, size)
    if listed and not (by_equivalent and by_equivalent < (1 - _EQUIVALENT_TOLERANCE) * listed):
        return listed
    for width in _sensor_widths_from_resolution(entries):
        if by_equivalent:
            if abs(width / by_equivalent - 1) < _EQUIVALENT_TOLERANCE:
                return width
        elif any(abs(width / built - 1) < _BUILT_TOLERANCE for built in _BUILT_WIDTHS_MM):
            return width
    return by_equivalent


def _sensor_widths_from_resolution(entries: dict[int, Any]) -> list[float]:
    """Widths in mm by the camera's own pixel count and pixels per length; in the unit stated, then in the others."""
    width, height = _number(entries.get(_IMAGE_WIDTH)), _number(entries.get(_IMAGE_HEIGHT))
    resolution = _number(entries.get(_FOCAL_PLANE_X_RESOLUTION))
    if not width or not resolution:
        return []
    stated = _number(entries.get(_FOCAL_PLANE_UNIT, 2))
    units = sorted(_MILLIMETRES.items(), key=lambda unit: unit[0] != stated)
    widths = [max(width, height or 0) / resolution * millimetres for _, millimetres in units]
    return [width for width in widths if _SENSOR_WIDTHS_MM[0] <= width <= _SENSOR_WIDTHS_MM[1]]


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
    """A string without the NULs and blanks that some cameras pad with, nor other control characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    text = value.split("\0")[0]
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()) or None


def _number(value: Any) -> float | None:
    """A finite number above 0, of a rational, a number, or a sequence that starts with one."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if isinstance(value, str | bytes):
        return None
    try:
        result = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) and result > 0 and result not in _ABSENT else None


def _power(value: Any, exponent: float) -> float | None:
    """2 to the power of `exponent` times an APEX value, which may be 0 or less."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        apex = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return 2 ** (exponent * apex) if abs(apex) < 30 else None


def _distance(value: Any) -> float | None:
    """A distance in mm of one in metres; None for infinity."""
    metres = _number(value)
    return metres * 1000 if metres and metres * 1000 < _FARTHEST_MM else None


def _date(value: Any) -> datetime | None:
    try:
        return datetime.strptime((_text(value) or "")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
