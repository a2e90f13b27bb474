# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.photos import find_photos
from solver.errors import SolverError
from solver.events import Reporter


@pytest.fixture
def folder(tmp_path):
    """A folder with three photos."""
    path = tmp_path / "my photos ü"
    path.mkdir()
    for name in ("b.JPG", "a.png", "c.Tiff"):
        Image.new("RGB", (60, 40)).save(path / name)
    return path


def load(path):
    return load_capture(path, poses_folder=path.parent / "poses")


def test_photos_are_found_by_suffix_in_the_folder_or_below(folder):
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "sub").mkdir()
    Image.new("RGB", (10, 10)).save(folder / "sub" / "d.png")
    assert list(find_photos(folder, Reporter())) == ["a", "b", "c"]
    outer = folder.parent / "outer"
    outer.mkdir()
    folder.rename(outer / "photos")
    assert list(find_photos(outer, Reporter())) == ["a", "b", "c"]


def test_no_photos_and_one_photo(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SolverError, match="the folder holds no photos"):
        load(tmp_path / "empty")
    Image.new("RGB", (60, 40)).save(tmp_path / "empty" / "a.png")
    with pytest.raises(SolverError, match="the folder holds one photo"):
        load(tmp_path / "empty")
    with pytest.raises(SolverError, match="the capture is a file"):
        load(tmp_path / "empty" / "a.png")


def test_two_sizes_name_the_odd_one_out(folder):
    Image.new("RGB", (40, 50)).save(folder / "a.png")
    with pytest.raises(SolverError, match=r"a.png: photos of two sizes: this one is 40 x 50 pixels, most are 60 x 40"):
        load(folder)


def test_orientation_counts_for_the_size(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 60)).save(folder / "b.JPG", exif=exif)
    assert list(find_photos(folder, Reporter())) == ["a", "b", "c"]


def test_broken_and_ambiguous_files(folder):
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "b.JPG")
    (folder / "b.JPG").write_bytes((folder / "b.JPG").read_bytes()[:2000])
    with pytest.raises(SolverError, match=r"b.JPG: the image cannot be decoded"):
        load(folder)
    Image.fromarray(noise).save(folder / "a.jpg")
    with pytest.raises(SolverError, match=r"a.jpg and a.png differ in their suffix alone"):
        load(folder)
    assert not (folder.parent / "poses").exists()
