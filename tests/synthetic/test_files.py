# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generator writes, read by other people's readers."""

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
