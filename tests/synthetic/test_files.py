# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generator writes, read by other people's readers."""

import zlib
from pathlib import Path

import numpy as np
import pytest

from synthetic import exr, ply, png
from synthetic.errors import GeneratorError
from synthetic.files import require_writable_folder, written_aside


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(7, 13)).astype(np.float32)


def test_exr_is_read_by_the_openexr_library(tmp_path: Path, pixels: np.ndarray) -> None:
    openexr = pytest.importorskip("OpenEXR")
    exr.write_channel(tmp_path / "depth.exr", pixels, "Z")
    with openexr.File(str(tmp_path / "depth.exr"), separate_channels=True) as file:
        assert list(file.channels()) == ["Z"]
        np.testing.assert_array_equal(file.channels()["Z"].pixels, pixels)


def test_exr_round_trip(tmp_path: Path, pixels: np.ndarray) -> None:
    exr.write_channel(tmp_path / "coc.exr", pixels, "V")
    np.testing.assert_array_equal(exr.read_channel(tmp_path / "coc.exr", "V"), pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["coc.exr"]


def test_exr_damaged_anywhere_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "depth.exr"
    exr.write_channel(path, pixels, "Z")
    whole = path.read_bytes()
    for length in (0, 4, 60, 120, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(GeneratorError, match="damaged"):
            exr.read_channel(path, "Z")
    path.write_bytes(whole)
    with pytest.raises(GeneratorError, match="damaged"):
        exr.read_channel(path, "V")


def test_png_keeps_its_pixels_and_loses_its_notes(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    info = pytest.importorskip("PIL.PngImagePlugin").PngInfo()
    info.add_text("Date", "2026/02/03")
    info.add_text("File", "secret.blend", zip=True)
    colours = np.random.default_rng(2).integers(256, size=(5, 6, 3), dtype=np.uint8)
    image.fromarray(colours).save(tmp_path / "photo.png", pnginfo=info)
    png.strip_notes(tmp_path / "photo.png")
    photo = image.open(tmp_path / "photo.png")
    np.testing.assert_array_equal(np.asarray(photo), colours)
    assert photo.info == {}

    whole = (tmp_path / "photo.png").read_bytes()
    for part in (b"", whole[:50], whole[:-1]):
        (tmp_path / "photo.png").write_bytes(part)
        with pytest.raises(GeneratorError, match="no whole image"):
            png.strip_notes(tmp_path / "photo.png")


IMAGES = {
    "grey": np.random.default_rng(3).integers(256, size=(7, 5), dtype=np.uint8),
    "colour": np.random.default_rng(4).integers(256, size=(4, 9, 3), dtype=np.uint8),
    "one pixel": np.array([[[1, 2, 3]]], np.uint8),
    "waves": (128 + 100 * np.sin(np.indices((60, 80)).sum(axis=0)[..., None] / [5.0, 9.0, 30.0])).astype(np.uint8),
    "ramp": np.broadcast_to(np.arange(90, dtype=np.uint8), (50, 90)),
    "mask": (np.hypot(*(np.indices((40, 40)) - 20)) < 15).astype(np.uint8) * 255,
}


@pytest.mark.parametrize("pixels", IMAGES.values(), ids=IMAGES.keys())
def test_png_is_read_by_pillow_and_by_us(tmp_path: Path, pixels: np.ndarray) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "photo.png"
    png.write(path, pixels)
    with image.open(path) as opened:
        assert opened.mode == ("L" if pixels.ndim == 2 else "RGB")
        np.testing.assert_array_equal(np.asarray(opened), pixels)
    np.testing.assert_array_equal(png.read(path), pixels)
    assert list(tmp_path.iterdir()) == [path]
    first = path.read_bytes()
    png.write(path, pixels)
    assert path.read_bytes() == first


@pytest.mark.parametrize("pixels", IMAGES.values(), ids=IMAGES.keys())
def test_png_of_other_writers_is_read(tmp_path: Path, pixels: np.ndarray) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(pixels).save(tmp_path / "other.png")
    np.testing.assert_array_equal(png.read(tmp_path / "other.png"), pixels)


def test_png_is_filtered_as_well_as_others_do(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(5)
    picture = np.clip(IMAGES["waves"] + rng.normal(0, 2, (60, 80, 3)), 0, 255).astype(np.uint8)
    image.fromarray(picture).save(tmp_path / "other.png", optimize=True)
    png.write(tmp_path / "own.png", picture)
    assert (tmp_path / "own.png").stat().st_size < 1.05 * (tmp_path / "other.png").stat().st_size
    assert (tmp_path / "own.png").stat().st_size < 0.8 * picture.size


def test_png_reads_every_filter_type(tmp_path: Path) -> None:
    """A line of each type, of samples that are all 1 after filtering; by hand, from section 9.2."""
    size = 3
    lines = b"".join(bytes([kind]) + bytes([1] * size) for kind in (0, 1, 2, 3, 4))
    path = tmp_path / "filters.png"
    png.write(path, np.zeros((5, size), np.uint8))
    path.write_bytes(_with_data(path.read_bytes(), zlib.compress(lines)))
    assert png.read(path).tolist() == [[1, 1, 1], [1, 2, 3], [2, 3, 4], [2, 3, 4], [3, 4, 5]]


def test_exif_goes_into_a_png_before_its_data_and_only_once(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "photo.png"
    image.fromarray(IMAGES["colour"]).save(path)
    png.add_exif(path, b"II*\0 first")
    png.add_exif(path, b"II*\0 second")
    content = path.read_bytes()
    assert content.count(b"eXIf") == 1
    assert content.index(b"eXIf") < content.index(b"IDAT")
    with image.open(path) as opened:
        assert opened.info["exif"] == b"Exif\0\0" + b"II*\0 second"  # Pillow gives it JPEG's beginning
        opened.verify()  # checksums
    np.testing.assert_array_equal(png.read(path), IMAGES["colour"])

    png.write(tmp_path / "own.png", IMAGES["colour"], b"II*\0 second")
    with image.open(tmp_path / "own.png") as opened:
        assert opened.info["exif"] == b"Exif\0\0" + b"II*\0 second"
        opened.verify()


def test_png_damaged_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    png.write(path, IMAGES["colour"])
    whole = path.read_bytes()
    wrong_bit = bytearray(whole)
    wrong_bit[50] ^= 4
    huge = bytearray(whole)
    huge[16:20] = b"\x7f\xff\xff\xff"
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    damaged = [
        *(whole[:length] for length in (0, 7, 20, 40, len(whole) // 2, len(whole) - 1)),
        bytes(wrong_bit),
        bytes(huge),
        _with_data(whole, b"no zlib"),
        _with_data(whole, zlib.compress(bytes(10))),
        _with_data(whole, zlib.compress(bytes(10_000_000))),
        _with_data(whole, zlib.compress(bytes([9] * 4 * 28))),
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(GeneratorError, match="damaged"):
            png.read(path)
    for content in damaged[:7]:
        path.write_bytes(content)
        with pytest.raises(GeneratorError, match="damaged"):
            png.add_exif(path, b"II*\0")


def test_png_of_another_kind_is_refused(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for mode in ("RGBA", "P", "1", "I;16"):
        image.new(mode, (4, 4)).save(tmp_path / "other.png")
        with pytest.raises(GeneratorError, match="not 8-bit grey or RGB"):
            png.read(tmp_path / "other.png")
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(ValueError, match="no 8-bit"):
            png.write(tmp_path / "wrong.png", wrong)
    assert not (tmp_path / "wrong.png").exists()


def _with_data(content: bytes, data: bytes) -> bytes:
    """The PNG `content` with other compressed data."""
    chunk = b"IDAT" + data
    place = content.index(b"IDAT") - 4
    return content[:place] + len(data).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + content[-12:]


def test_ply_is_read_by_plyfile(tmp_path: Path) -> None:
    plyfile = pytest.importorskip("plyfile")
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.5]])
    triangles = np.array([[0, 2, 1], [0, 1, 3]])
    ply.write_mesh(tmp_path / "mesh.ply", vertices, triangles)
    mesh = plyfile.PlyData.read(str(tmp_path / "mesh.ply"))
    np.testing.assert_array_equal(np.stack([mesh["vertex"][axis] for axis in "xyz"], 1), vertices)
    np.testing.assert_array_equal(np.stack(mesh["face"]["vertex_indices"]), triangles)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_inside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GeneratorError, match="is a file"):
        require_writable_folder(tmp_path / "file" / "capture")
    require_writable_folder(tmp_path / "new" / "capture")
    assert not (tmp_path / "new").exists()
