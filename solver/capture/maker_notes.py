# SPDX-License-Identifier: GPL-3.0-or-later
"""Focus distances that stand in a maker's own notes: Canon's, whose layout is known and not encrypted.

Canon's note is one more folder of the TIFF structure that metadata is, its offsets counting from the same start. Two of
its entries are lists of 16-bit numbers that hold, side by side, the far and the near end of the range in which the
lens's encoder saw the focus, in centimetres; 0 is unknown, 65535 infinity (after ExifTool's list of Canon's tags).
"""

import struct
from mmap import mmap
from typing import NamedTuple

CANON_FOCUS_DISTANCE = -1  # among entries by their numbers: of none that is written, for what is found here

_MAKE, _EXIF_FOLDER, _MAKER_NOTE = 0x010F, 0x8769, 0x927C
_SHORT = 3  # type of an entry that is a list of 16-bit numbers
_LISTS = ((0x0093, 20), (0x0004, 19))  # FileInfo and, of older cameras, ShotInfo: where the far end stands
_INFINITE_CM = 0xFFFF
_ENTRY_BYTES = 12


class _Entry(NamedTuple):
    kind: int
    length: int
    value: int  # or the offset of the values


def canon_focus_distance(metadata: bytes | mmap) -> float | None:
    """The focus distance in metres, from the sensor, of a photo by Canon; None where its notes do not tell.

    Args:
        metadata: from the byte order's mark on, as in JPEG after "Exif", or a raw photo that is a TIFF.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(metadata[:2]))
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", metadata, 4)
        main = _folder(metadata, order, start)
        make = main[_MAKE].value
        if metadata[make : make + 5] != b"Canon":
            return None
        note = _folder(metadata, order, _folder(metadata, order, main[_EXIF_FOLDER].value)[_MAKER_NOTE].value)
        for tag, index in _LISTS:
            if tag in note and note[tag].kind == _SHORT and note[tag].length > index + 1:
                far, near = struct.unpack_from(f"{order}2H", metadata, note[tag].value + 2 * index)
                if 0 < near <= far < _INFINITE_CM:
                    return (far + near) / 200
    except (struct.error, KeyError):
        return None
    return None


def _folder(metadata: bytes | mmap, order: str, start: int) -> dict[int, _Entry]:
    """The entries of the folder at `start`, by their tags."""
    (count,) = struct.unpack_from(f"{order}H", metadata, start)
    places = (start + 2 + _ENTRY_BYTES * index for index in range(count))
    found = (struct.unpack_from(f"{order}HHII", metadata, place) for place in places)
    return {tag: _Entry(kind, number, value) for tag, kind, number, value in found}
