# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata of every kind, sane and not: what is read is a sane number or nothing."""

import math
import struct
from datetime import datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from solver.capture.exif import Exif, focal_length_px, read_exif
from solver.capture.images import decode, image_size

NUMBERS = ("focal_length_mm", "f_number", "iso", "exposure_s", "focus_distance_mm", "sensor_width_mm")
EXIF_FOLDER = 0x8769
TAGS_READ = (
    *(0x829A, 0x829D, 0x8827, 0x8832, 0x9003, 0x9004, 0x9201, 0x9202, 0x9206, 0x920A),
    *(0xA001, 0xA002, 0xA003, 0xA005, 0xA20E, 0xA210, 0xA405, 0xA434),
)
few = settings(max_examples=60, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("exif") / "photo.jpg"


def check_sane(exif: Exif) -> None:
    for name in NUMBERS:
        value = getattr(exif, name)
        assert value is None or (math.isfinite(value) and value > 0), name
    for text in (exif.make, exif.model, exif.lens):
        assert text is None or (text == text.strip() and text and text.isprintable())
    assert exif.taken is None or isinstance(exif.taken, datetime)
    focal_length = focal_length_px(exif, 16, 8)
    assert focal_length is None or focal_length > 0


def write_with_payload(path, payload: bytes) -> None:
    """A JPEG whose EXIF segment is `payload`."""
    Image.new("RGB", (16, 8), (10, 200, 30)).save(path)
    content = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    path.write_bytes(content[:2] + segment + content[2:])


@few
@given(st.binary(max_size=400))
def test_any_bytes_for_metadata_leave_the_photo_readable(path, payload):
    for head in (b"", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"Exif\0\0MM\0*\0\0\0\x08"):
        write_with_payload(path, head + payload)
        check_sane(read_exif(path))
        assert sorted(image_size(path)) == [8, 16]
        assert decode(path).shape[:2] == image_size(path)[::-1]


entry = st.tuples(
    st.sampled_from((*TAGS_READ, 0x0112, 0x010F, 0x0110, 0x0132, EXIF_FOLDER)),
    st.integers(0, 14),
    st.one_of(st.integers(0, 9), st.integers(0, 2**32 - 1)),
    st.one_of(st.integers(0, 300), st.integers(0, 2**32 - 1)),
)


@few
@given(st.lists(entry, max_size=12), st.binary(max_size=100))
def test_any_types_counts_and_offsets(path, entries, tail):
    folder = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *values) for values in entries)
    write_with_payload(path, b"Exif\0\0II*\0\x08\0\0\0" + folder + bytes(4) + tail)
    check_sane(read_exif(path))
    assert decode(path).shape[:2] == image_size(path)[::-1]


value = st.one_of(
    st.integers(0, 2**32 - 1),
    st.builds(IFDRational, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.lists(st.integers(0, 65535), max_size=4).map(tuple),
)


@few
@given(st.dictionaries(st.sampled_from(TAGS_READ), value, max_size=8))
def test_any_values(path, tags):
    exif = Image.Exif()
    exif.get_ifd(EXIF_FOLDER).update(tags)
    try:
        payload = exif.tobytes()
    except (ValueError, TypeError, AttributeError, OverflowError, struct.error, ZeroDivisionError, KeyError):
        assume(False)
    write_with_payload(path, payload)
    check_sane(read_exif(path))


plain = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@few
@given(
    texts=st.tuples(plain, plain, plain),
    padding=st.sampled_from(["", "\0", "\0\0\0\0", "  ", " \0\0", "\0rubbish after the end"]),
    focal_length=st.integers(1, 12_000),
    f_number=st.integers(5, 900),
    iso=st.integers(1, 60_000),
    exposure=st.tuples(st.integers(1, 60), st.integers(1, 8000)),
    distance=st.integers(1, 50_000),
)
def test_what_a_camera_writes_is_read_back(path, texts, padding, focal_length, f_number, iso, exposure, distance):
    exif = Image.Exif()
    make, model, lens = texts
    exif[0x010F], exif[0x0110] = make + padding, model + padding
    exif.get_ifd(EXIF_FOLDER).update(
        {
            0xA434: lens + padding,
            0x920A: IFDRational(focal_length, 10),
            0x829D: IFDRational(f_number, 10),
            0x8827: iso,
            0x829A: IFDRational(*exposure),
            0x9206: IFDRational(distance, 1000),
            0x9003: "2026:05:04 03:02:01" + padding[:1],
        }
    )
    Image.new("RGB", (16, 8)).save(path, exif=exif)
    read = read_exif(path)
    assert (read.make, read.model, read.lens) == texts
    assert read.focal_length_mm == pytest.approx(focal_length / 10)
    assert read.f_number == pytest.approx(f_number / 10)
    assert read.iso == iso
    assert read.exposure_s == pytest.approx(exposure[0] / exposure[1])
    assert read.focus_distance_mm == pytest.approx(distance)
    assert read.taken == datetime(2026, 5, 4, 3, 2, 1)
