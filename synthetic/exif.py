# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera writes into a photo about itself and its lens: an EXIF block, so that photos pass as a camera's own.

After the "Exchangeable image file format for digital still cameras: Exif Version 2.32" (CIPA DC-008), whose frame is
that of TIFF 6.0. The focus distance is left out, as most cameras do not tell it. No bpy here.
"""

import math
import struct
from collections.abc import Mapping
from fractions import Fraction

from .lens import Lens

SHUTTER_S = 1 / 60  # of a photo whose exposure is 1
MAKE, MODEL = "Macro Reconstruction", "Synthetic macro camera"
_BASE_FULL_WELL = 50_000  # electrons at white and ISO 100, as of APS-C sensors with pixels of 4 to 5 micrometres
_FULL_FRAME_DIAGONAL_MM = math.hypot(36, 24)

_ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 2, 3, 4, 5, 7  # types of TIFF
_UINT16, _UINT32 = 2**16 - 1, 2**32 - 1
_EXIF_FOLDER = 0x8769

_Entry = tuple[int, int, bytes]  # type, count of values, their bytes


def block(lens: Lens, width: int, height: int, *, iso: float | None = None, exposure_s: float | None = None) -> bytes:
    """The EXIF of a `width` x `height` photo through `lens`; goes into a PNG's eXIf chunk as it is.

    The focal plane's resolution is that of the photo itself, as of a camera with so many pixels on a sensor
    `lens.sensor_width_mm` wide. A value that the format cannot hold is left out.

    Args:
        lens: engraved focal length, f-number and sensor.
        width: of the photo as it is stored, px.
        height: of the photo, px.
        iso: the sensor's speed, of `iso_speed`; None to say nothing.
        exposure_s: how long the shutter was open; None to say nothing.
    """
    pixels_per_cm = 10 * width / lens.sensor_width_mm
    diagonal_mm = lens.sensor_width_mm * math.hypot(width, height) / width
    equivalent_mm = lens.focal_length_mm * _FULL_FRAME_DIAGONAL_MM / diagonal_mm
    photo = {
        0x829A: None if exposure_s is None else _rational(exposure_s),  # ExposureTime
        0x829D: _rational(lens.f_number),  # FNumber
        0x8827: _short(iso),  # ISOSpeedRatings
        0x9000: (_UNDEFINED, 4, b"0232"),  # ExifVersion
        0x920A: _rational(lens.focal_length_mm),  # FocalLength
        0xA001: _short(1),  # ColorSpace: sRGB
        0xA002: _long(width),  # PixelXDimension, also called ExifImageWidth
        0xA003: _long(height),  # PixelYDimension
        0xA20E: _rational(pixels_per_cm),  # FocalPlaneXResolution
        0xA20F: _rational(pixels_per_cm),  # FocalPlaneYResolution; pixels are square
        0xA210: _short(3),  # FocalPlaneResolutionUnit: centimetre
        0xA405: _short(equivalent_mm),  # FocalLengthIn35mmFilm, by the diagonal
    }
    camera = {
        0x010F: _ascii(MAKE),  # Make
        0x0110: _ascii(MODEL),  # Model
        0x0112: _short(1),  # Orientation: upright
        0x011A: _rational(72),  # XResolution, YResolution and their unit, the inch: required, without meaning
        0x011B: _rational(72),
        0x0128: _short(2),
        _EXIF_FOLDER: _long(0),  # where the other folder begins
    }
    first = 8
    second = first + len(_folder(camera, first))
    camera[_EXIF_FOLDER] = _long(second)
    return b"II" + struct.pack("<HI", 42, first) + _folder(camera, first) + _folder(photo, second)


def iso_speed(full_well_electrons: float = _BASE_FULL_WELL) -> float:
    """The ISO speed, in steps of a third of a stop, at which white is so many electrons: 50,000 are ISO 100."""
    stops, third = divmod(round(3 * math.log2(_BASE_FULL_WELL / full_well_electrons)), 3)
    return (100.0, 125.0, 160.0)[third] * 2.0**stops


def _folder(entries: Mapping[int, _Entry | None], offset: int) -> bytes:
    """An image file directory at `offset`, by ascending tag, followed by the values of over 4 bytes (TIFF 6.0)."""
    present = [(tag, *entry) for tag, entry in sorted(entries.items()) if entry is not None]
    heap_begins = offset + 2 + 12 * len(present) + 4
    table, heap = struct.pack("<H", len(present)), b""
    for tag, kind, count, value in present:
        table += struct.pack("<HHI", tag, kind, count)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack("<I", heap_begins + len(heap))
            heap += value + b"\0" * (len(value) % 2)  # values begin at even offsets
    return table + struct.pack("<I", 0) + heap


def _ascii(text: str) -> _Entry:
    value = text.encode("ascii") + b"\0"
    return _ASCII, len(value), value


def _short(value: float | None) -> _Entry | None:
    number = None if value is None else round(value)
    return (_SHORT, 1, struct.pack("<H", number)) if number is not None and 0 < number <= _UINT16 else None


def _long(value: int) -> _Entry:
    return _LONG, 1, struct.pack("<I", value)


def _rational(value: float) -> _Entry | None:
    """The nearest fraction of two unsigned 32-bit numbers whose denominator is at most a million."""
    if not 1e-6 <= value <= _UINT32:
        return None
    fraction = Fraction(value).limit_denominator(min(1_000_000, int(_UINT32 / value)))
    return _RATIONAL, 1, struct.pack("<II", fraction.numerator, fraction.denominator)
