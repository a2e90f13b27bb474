# SPDX-License-Identifier: GPL-3.0-or-later
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from solver.capture.exif import read_exif
from solver.capture.maker_notes import canon_focus_distance

SHOT_INFO, FILE_INFO = 0x0004, 0x0093


def folder(order: str, entries: list[tuple[int, int, int, int]]) -> bytes:
    """A folder of TIFF's: (tag, type, count, value) of each entry."""
    return (
        struct.pack(f"{order}H", len(entries))
        + b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
        + bytes(4)
    )


def metadata(order: str, make: bytes, lists: dict[int, list[int]]) -> bytes:
    """Metadata as Canon writes it: main folder, Exif folder, and a note with lists of 16-bit numbers."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    exif_at, note_at = 8 + 30 + 8, 8 + 30 + 8 + 18
    values_at = note_at + 6 + 12 * len(lists)
    entries, values = [], b""
    for tag, numbers in lists.items():
        entries.append((tag, 3, len(numbers), values_at + len(values)))
        values += struct.pack(f"{order}{len(numbers)}H", *numbers)
    main = folder(order, [(0x010F, 2, len(make), 38), (0x8769, 4, 1, exif_at)])
    exif = folder(order, [(0x927C, 7, 6 + 12 * len(lists) + len(values), note_at)])
    return mark + struct.pack(f"{order}I", 8) + main + make.ljust(8, b"\0") + exif + folder(order, entries) + values


def in_list(index: int, far: int, near: int, length: int = 28) -> list[int]:
    numbers = [7] * length
    numbers[index : index + 2] = [far, near]
    return numbers


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({FILE_INFO: in_list(20, 76, 58)}, 670),
        ({SHOT_INFO: in_list(19, 31, 31)}, 310),
        ({SHOT_INFO: in_list(19, 0, 0), FILE_INFO: in_list(20, 40, 38)}, 390),
        ({FILE_INFO: in_list(20, 0, 0)}, None),  # the lens does not tell
        ({FILE_INFO: in_list(20, 0xFFFF, 900)}, None),  # to infinity
        ({FILE_INFO: in_list(20, 58, 76)}, None),
        ({FILE_INFO: [7] * 21}, None),  # of a camera whose list is shorter
        ({}, None),
    ],
)
def test_the_focus_distance_in_canons_notes(tmp_path, order, lists, expected):
    content = metadata(order, b"Canon\0", lists)
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (16, 8)).save(path, exif=b"Exif\0\0" + content)
    assert read_exif(path).focus_distance_mm == (pytest.approx(expected) if expected else None)
    assert canon_focus_distance(metadata(order, b"Nikon\0", lists)) is None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_notes_tell_a_distance_or_nothing(data):
    content = bytearray(metadata("<", b"Canon\0", {FILE_INFO: in_list(20, 76, 58)}))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(8, len(content) - 1), st.integers(0, 255)))):
        content[place] = byte
    del content[data.draw(st.integers(2, len(content))) :]
    distance = canon_focus_distance(bytes(content))
    assert distance is None or 0 < distance < 656
