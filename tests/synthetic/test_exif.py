# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXIF of a photo, read by Pillow and by the solver."""

import struct
from pathlib import Path

import numpy as np
import pytest

from synthetic import exif, png
from synthetic.lens import Lens

MACRO = Lens(105.0, 2.8, 23.5)


def photo(path: Path, lens: Lens, width: int, height: int, **settings: float) -> Path:
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((height, width, 3), np.uint8)
    png.write(path, pixels, exif.block(lens, width, height, **settings))
    return path


def test_pillow_reads_every_entry(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    with image.open(
        photo(tmp_path / "photo.png", MACRO, 400, 300, iso=exif.iso_speed(12_500), exposure_s=1 / 80)
    ) as opened:
        tags = opened.getexif()
        entries = tags.get_ifd(0x8769)
    assert (tags[0x010F], tags[0x0110], tags[0x0112]) == (exif.MAKE, exif.MODEL, 1)
    assert entries[0x829D] == pytest.approx(2.8, rel=1e-6)
    assert entries[0x920A] == 105
    assert entries[0x8827] == 400
    assert entries[0x829A] == pytest.approx(1 / 80, rel=1e-6)
    assert (entries[0xA002], entries[0xA003]) == (400, 300)
    assert entries[0xA20E] == entries[0xA20F] == pytest.approx(400 / 2.35, rel=1e-6)  # a centimetre
    assert entries[0xA210] == 3
    assert entries[0xA405] == round(105 * np.hypot(36, 24) / np.hypot(23.5, 23.5 * 3 / 4))
    assert 0x9206 not in entries  # SubjectDistance


def test_the_frame_is_that_of_tiff() -> None:
    """Ascending tags, values within the block and at even offsets, as strict readers want it."""
    block = exif.block(MACRO, 400, 300, iso=100)
    order, magic, folder = struct.unpack_from("<2sHI", block)
    assert (order, magic) == (b"II", 42)
    folders = 0
    while folder:
        folders += 1
        (count,) = struct.unpack_from("<H", block, folder)
        entries = [struct.unpack_from("<HHII", block, folder + 2 + 12 * index) for index in range(count)]
        assert [entry[0] for entry in entries] == sorted({entry[0] for entry in entries})
        for _, kind, number, value in entries:
            size = {2: 1, 3: 2, 4: 4, 5: 8, 7: 1}[kind] * number
            if size > 4:
                assert value % 2 == 0
                assert value + size <= len(block)
        assert struct.unpack_from("<I", block, folder + 2 + 12 * count) == (0,)
        folder = next((value for tag, _, _, value in entries if tag == 0x8769), 0)
    assert folders == 2


@pytest.mark.parametrize(
    ("lens", "width", "height"),
    [
        (MACRO, 400, 300),
        (Lens(100.0, 9.0, 23.5), 300, 400),  # the sensor's width lies along the image's
        (Lens(60.0, 11.3, 17.3), 64, 48),
        (Lens(100.0, 16.0, 36.0), 1600, 1200),
        (Lens(4.25, 1.8, 5.6), 504, 378),
    ],
)
def test_the_solver_comes_to_the_lens(tmp_path: Path, lens: Lens, width: int, height: int) -> None:
    reader = pytest.importorskip("solver.capture.exif")
    found = reader.read_exif(photo(tmp_path / "photo.png", lens, width, height))
    assert (found.make, found.model, found.iso) == (exif.MAKE, exif.MODEL, None)
    assert found.focal_length_mm == pytest.approx(lens.focal_length_mm, rel=1e-6)
    assert found.f_number == pytest.approx(lens.f_number, rel=1e-6)
    assert reader.focal_length_px(found, width, height) == pytest.approx(lens.principal_distance_px(width), rel=1e-5)


def test_the_solver_comes_to_the_prior_of_a_folder(tmp_path: Path) -> None:
    reader = pytest.importorskip("solver.capture.structure_from_motion")
    photos = {name: photo(tmp_path / f"{name}.png", MACRO, 200, 150, iso=200) for name in ("a", "b", "c")}
    overrides = pytest.importorskip("solver.capture.overrides").LensOverrides()
    ((names, focal_length_px),) = reader._lenses(photos, overrides).values()
    assert names == ["a", "b", "c"]
    assert focal_length_px == pytest.approx(MACRO.principal_distance_px(200), rel=1e-5)


def test_what_the_format_cannot_hold_is_left_out(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    extreme = Lens(1e7, 1e-9, 1e-8)
    with image.open(photo(tmp_path / "photo.png", extreme, 40, 30, iso=1e6)) as opened:
        entries = opened.getexif().get_ifd(0x8769)
    assert entries[0x920A] == 1e7
    assert not {0x829D, 0x8827, 0xA20E, 0xA405} & set(entries)


def test_iso_speeds_are_those_on_a_dial() -> None:
    assert [exif.iso_speed(50_000 / factor) for factor in (1, 1.25, 1.6, 2, 8, 16)] == [100, 125, 160, 200, 800, 1600]
    assert exif.iso_speed(100_000) == 50
