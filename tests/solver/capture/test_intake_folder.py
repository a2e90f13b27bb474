# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as it comes from a card: what is used of it, what is left out, and what the user is told."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.images import load_photo
from solver.capture.photos import find_photos, list_images
from solver.capture.types import Camera, Photo
from solver.errors import SolverError
from solver.events import Reporter
from solver.inspection.folder import inspect_folder


def write(path, size=(60, 40), camera=None, seed=0, **options):
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    exif = Image.Exif()
    if camera:
        exif[0x010F], exif[0x0110] = camera
    Image.fromarray(noise).save(path, exif=exif, **options)
    return path


@pytest.fixture
def folder(tmp_path):
    """Five photos."""
    path = tmp_path / "Käfer und Blüten 1"
    path.mkdir()
    for i in range(5):
        write(path / f"p {i} ä.jpg", seed=i)
    return path


def find(folder):
    reporter = Reporter()
    return sorted(path.name for path in find_photos(folder, reporter).values()), reporter.warnings


def test_broken_photos_are_left_out_as_long_as_enough_remain(folder):
    (folder / "p 1 ä.jpg").write_bytes((folder / "p 1 ä.jpg").read_bytes()[:1500])
    (folder / "p 3 ä.jpg").write_bytes(b"")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    found, warnings = find(folder)
    assert found == ["p 0 ä.jpg", "p 2 ä.jpg", "p 4 ä.jpg"]
    assert warnings[0] == f"{folder / 'p 1 ä.jpg'}: the image cannot be decoded (the file ends early); it was left out"
    assert warnings[1] == f"{folder / 'p 3 ä.jpg'}: the image cannot be decoded (the file is empty); it was left out"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    (folder / "p 4 ä.jpg").write_bytes(b"GIF89a")
    with pytest.raises(SolverError, match=r"p 1 ä.jpg: the image cannot be decoded .*; export it again, or remove it"):
        find(folder)


def test_an_icon_is_no_photo(folder):
    Image.new("RGB", (1, 1)).save(folder / "p 0 ä.jpg")
    found, warnings = find(folder)
    assert len(found) == 4
    assert warnings == [f"{folder / 'p 0 ä.jpg'}: the image has 1 x 1 pixels; it was left out"]


def test_links_that_lead_nowhere_and_in_circles(folder):
    (folder / "gone.jpg").symlink_to(folder / "never was.jpg")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "a.tif").symlink_to(folder / "b.tif")
    (folder / "b.tif").symlink_to(folder / "a.tif")
    (folder / "round").symlink_to(folder)
    (folder / "good.jpg").symlink_to(write(folder.parent / "elsewhere.jpg"))
    found, warnings = find(folder)
    assert len(found) == 6
    assert "good.jpg" in found
    assert sorted(warnings) == [
        f"{folder / name}: the link leads to no file; it was left out"
        for name in ("a.tif", "b.tif", "gone.jpg", "self.png")
    ]
    loop = folder.parent / "loop"
    loop.symlink_to(loop)
    with pytest.raises(SolverError, match="the folder holds no photos"):
        find(loop)


def test_a_folder_called_like_a_photo(folder):
    (folder / "p 9.jpg").mkdir()
    assert len(find(folder)[0]) == 5


def test_wrong_suffixes_do_not_matter(folder):
    shutil.move(write(folder / "x.png", seed=7), folder / "p 0 ä.jpg")
    shutil.move(write(folder / "x.jpg", seed=8), folder / "p 1 ä.dng")
    shutil.move(write(folder / "x.tif", seed=9), folder / "p 2 ä.JPEG")
    (folder / "p 1 ä.jpg").unlink()
    (folder / "p 2 ä.jpg").unlink()
    found, warnings = find(folder)
    assert len(found) == 5
    assert warnings == []
    photo = Photo("x", folder / "p 1 ä.dng", Camera(60, 40, 1, 1, 30, 20), np.eye(4))
    assert load_photo(photo, 60, 40).shape == (40, 60, 3)


def test_two_cameras(folder):
    for i in range(3):
        write(folder / f"p {i} ä.jpg", camera=("Canon", "Canon EOS 600D"), seed=i)
    write(folder / "p 3 ä.jpg", camera=("NIKON CORPORATION", "NIKON D850"), seed=3)
    found, warnings = find(folder)
    assert found == ["p 0 ä.jpg", "p 1 ä.jpg", "p 2 ä.jpg", "p 4 ä.jpg"]  # the last does not say
    assert warnings == [
        "1 of 5 photos are of another camera or size and were left out (p 3 ä.jpg: NIKON D850, 60 x 40 pixels; "
        "the rest: Canon EOS 600D, 60 x 40 pixels)"
    ]
    write(folder / "p 4 ä.jpg", camera=("NIKON CORPORATION", "NIKON D850"), seed=3)
    write(folder / "p 0 ä.jpg", camera=("SONY", "ILCE-7M3"), seed=3)
    with pytest.raises(SolverError, match=r"photos of two cameras: this one is of a .*; keep photos of one camera"):
        find(folder)


def test_two_sizes(folder):
    write(folder / "p 4 ä.jpg", size=(40, 60))  # upright
    assert len(find(folder)[0]) == 5
    write(folder / "p 4 ä.jpg", size=(30, 20))  # a thumbnail that slipped in
    found, warnings = find(folder)
    assert len(found) == 4
    assert "p 4 ä.jpg: camera without a name, 30 x 20 pixels" in warnings[0]


def test_raw_and_jpeg_of_each_photo(folder):
    """By their names alone: what is in the files is found out after that."""
    for i in range(5):
        write(folder / "x.png", seed=i).rename(folder / f"p {i} ä.NEF")
    found, warnings = find(folder)
    assert found == [f"p {i} ä.NEF" for i in range(5)]
    assert warnings == ["5 photos are there raw and in another format; the raw ones are used"]
    (folder / "p 3 ä.NEF").unlink()
    found, warnings = find(folder)
    assert found == [f"p {i} ä.jpg" for i in range(5)]
    assert warnings == ["4 of 5 photos are there raw as well; the others are used for all"]


def test_inspect_looks_at_those_that_are_used(folder, write_dng):
    for i in range(5):
        write_dng(folder / f"p {i} ä.dng", np.random.default_rng(i).random((40, 60, 3)))
    for expected in ("dng", "jpg"):
        reporter = Reporter()
        inspected = inspect_folder(folder, reporter=reporter)
        assert [photo.path.name for photo in inspected.photos] == [f"p {i} ä.{expected}" for i in range(5)]
        assert sorted(find(folder)[0]) == [photo.path.name for photo in inspected.photos]
        assert any("there raw" in warning for warning in reporter.warnings)
        (folder / "p 3 ä.dng").unlink(missing_ok=True)


WITHOUT_PRIVILEGES = """
import os, sys
from pathlib import Path
from solver.capture.photos import find_photos
from solver.errors import SolverError
from solver.events import Reporter
find_photos(Path(sys.argv[2]), Reporter())  # everything is imported after this
if os.geteuid() == 0:  # to whom permissions do not apply
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
reporter = Reporter()
try:
    print(len(find_photos(Path(sys.argv[1]), reporter)))
except SolverError as error:
    print(error)
print(*reporter.warnings, sep="\\n")
"""


def _find_without_privileges(folder: Path, readable: Path) -> list[str]:
    """What is told of `folder` to a user who is not root: the number of photos or the error, then the warnings."""
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGES, str(folder), str(readable)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert run.stderr == ""
    return run.stdout.splitlines()


@pytest.fixture
def open_folder(folder):
    """The folder, where every user can reach it."""
    for parent in (folder, *folder.parents):
        if os.geteuid() == 0 and "pytest" in str(parent):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    shutil.copytree(folder, folder.parent / "copy")
    return folder


def test_a_photo_that_may_not_be_read(open_folder):
    (open_folder / "p 1 ä.jpg").chmod(0)
    number, *warnings = _find_without_privileges(open_folder, open_folder.parent / "copy")
    assert number == "4"
    path = open_folder / "p 1 ä.jpg"
    assert warnings == [f"{path}: the image may not be read (permission denied); it was left out"]


def test_a_folder_that_may_not_be_written_to_or_read(open_folder):
    open_folder.chmod(0o555)
    before = sorted(path.name for path in open_folder.iterdir())
    assert _find_without_privileges(open_folder, open_folder.parent / "copy")[0] == "5"
    assert sorted(path.name for path in open_folder.iterdir()) == before
    open_folder.chmod(0o311)
    told = _find_without_privileges(open_folder, open_folder.parent / "copy")[0]
    open_folder.chmod(0o755)
    assert told.startswith(f"{open_folder}: the folder cannot be read (permission denied); change its permissions")


def test_listing_leaves_out_what_is_hidden(folder):
    write(folder / "._p 1 ä.jpg")  # as macOS leaves beside each file on a card
    assert len(list_images(folder)) == 5


def test_a_broken_photo_whose_pose_is_known(write_capture):
    folder = write_capture(count=4)
    path = folder / "images" / "photo_2.png"
    path.write_bytes(path.read_bytes()[:5000])
    reporter = Reporter()
    capture = load_capture(folder, poses_folder=folder.parent / "poses", find_points=False, reporter=reporter)
    assert [photo.name for photo in capture.photos] == ["photo_0", "photo_1", "photo_3"]
    assert reporter.warnings[0].startswith(f"{path}: the image cannot be decoded (")
    (folder / "images" / "photo_3.png").write_bytes(path.read_bytes())
    with pytest.raises(SolverError, match=r"photo_2.png: the image cannot be decoded"):
        load_capture(folder, poses_folder=folder.parent / "poses", find_points=False)
