# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of working copies: never needed, never wrong, never larger than said. And the memory a photo takes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from solver.capture import images
from solver.capture.images import load_photo
from solver.capture.photo_cache import FOLDER_VARIABLE, SIZE_VARIABLE, PhotoCache, key_of, photo_cache
from solver.capture.types import Camera, Photo


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of the cache, which is switched on."""
    monkeypatch.setenv(SIZE_VARIABLE, "0.001")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return Photo("a", tmp_path / "a.png", Camera(90, 60, 1, 1, 45, 30), np.eye(4))


@pytest.fixture
def decoded(monkeypatch):
    """Counts how often a photo is decoded."""
    paths = []
    real = images.decode
    monkeypatch.setattr(images, "decode", lambda path: paths.append(path) or real(path))
    return paths


def entries(cache):
    return sorted(cache.glob("*.photo"))


def test_the_second_time_comes_from_the_disk_and_is_the_same(photo, cache, decoded, monkeypatch):
    first = load_photo(photo, 30, 20)
    again = load_photo(photo, 30, 20)
    assert len(decoded) == 1
    np.testing.assert_array_equal(again, first)
    assert again.dtype == first.dtype == np.float32
    assert [entry.stat().st_size for entry in entries(cache)] == [30 * 20 * 6 + 4]
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    np.testing.assert_array_equal(load_photo(photo, 30, 20), first)
    assert len(decoded) == 2


def test_a_change_of_the_photo_or_the_size_is_noticed(photo, cache, decoded):
    first = load_photo(photo, 30, 20)
    assert load_photo(photo, 45, 30).shape == (30, 45, 3)
    os.utime(photo.image_path, ns=(1, 1))
    load_photo(photo, 30, 20)
    assert len(decoded) == 3
    # Other content, of the same length and time, as some tools leave it.
    status = photo.image_path.stat()
    content = bytearray(photo.image_path.read_bytes())
    Image.fromarray(255 - np.asarray(Image.open(photo.image_path))).save(photo.image_path)
    other = photo.image_path.read_bytes()[: len(content)]
    photo.image_path.write_bytes(other.ljust(len(content), b"\0"))
    os.utime(photo.image_path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert abs(load_photo(photo, 30, 20) - first).max() > 0.01


def test_full_size_is_not_kept(photo, cache):
    load_photo(photo, 90, 60)
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty", "folder", "gone"])
def test_a_damaged_entry_is_made_anew(photo, cache, decoded, damage):
    first = load_photo(photo, 30, 20)
    (entry,) = entries(cache)
    content = entry.read_bytes()
    if damage == "flipped":
        entry.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage in ("cut", "longer", "empty"):
        entry.write_bytes({"cut": content[:-1], "longer": content + b"x", "empty": b""}[damage])
    else:
        entry.unlink()
        if damage == "folder":
            entry.mkdir()
        else:
            cache.rmdir()
    np.testing.assert_array_equal(load_photo(photo, 30, 20), first)
    assert len(decoded) == 2
    if damage != "folder":
        assert entries(cache)[0].read_bytes() == content


def test_a_place_that_takes_no_files(photo, cache, monkeypatch):
    cache.write_text("a file")
    first = load_photo(photo, 30, 20)
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    np.testing.assert_array_equal(first, load_photo(photo, 30, 20))
    assert cache.read_text() == "a file"


def test_a_full_disk(photo, cache):
    """Files cannot grow beyond a kilobyte."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from solver.capture.photo_cache import PhotoCache\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "PhotoCache(Path(sys.argv[1]), 10**9).put('k', np.zeros((20, 30, 3), np.uint16))\n"
    )
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code, str(cache)], cwd=root, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert list(cache.iterdir()) == []


def key(letter):
    """A key as `key_of` makes them: 64 hexadecimal digits."""
    return letter * 64


def letters(cache):
    return [entry.stem[0] for entry in entries(cache)]


def test_the_bound_holds_and_what_was_used_last_stays(tmp_path):
    size = 20 * 30 * 6 + 4
    cache = PhotoCache(tmp_path / "cache", 3 * size)
    pixels = np.arange(20 * 30 * 3, dtype=np.uint16).reshape(20, 30, 3)
    for i, letter in enumerate("abc"):
        cache.put(key(letter), pixels + i)
        os.utime(tmp_path / "cache" / f"{key(letter)}.photo", ns=(i, i))
    np.testing.assert_array_equal(cache.get(key("a"), 30, 20), pixels)  # used: b is now the oldest
    cache.put(key("d"), pixels)
    assert letters(tmp_path / "cache") == ["a", "c", "d"]
    assert cache.get(key("b"), 30, 20) is None
    assert cache.get(key("a"), 20, 30) is not None  # as many pixels; keys tell sizes apart
    assert cache.get(key("a"), 30, 21) is None
    PhotoCache(tmp_path / "cache", size - 1).put(key("e"), pixels)  # larger than all of the cache
    assert letters(tmp_path / "cache") == ["a", "c", "d"]


def test_foreign_files_stay_and_those_of_killed_runs_go(tmp_path):
    cache = PhotoCache(tmp_path / "cache", 10_000)
    cache.put(key("a"), np.zeros((20, 30, 3), np.uint16))
    folder = tmp_path / "cache"
    foreign = ["notes.txt", "holiday.photo", f"{key('0')[:-1]}.photo", f"{key('0')}0.photo", f"{key('z')}.photo"]
    foreign += [".holiday.1.photo", f"{key('0')}.photo.bak"]
    left, written = f".{key('b')}.ab_1.photo", f".{key('b')}.ab_2.photo"
    old = time.time() - 7200
    for name in (*foreign, left, written):
        (folder / name).write_bytes(bytes(100_000))
        if name != written:
            os.utime(folder / name, (old, old))
    cache.put(key("b"), np.zeros((20, 30, 3), np.uint16))
    kept = [*foreign, written, f"{key('a')}.photo", f"{key('b')}.photo"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(kept)
    assert folder.stat().st_mode & 0o077 == 0


def test_switches(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for value, expected in {"0": None, "-1": None, "nan": None, "2": 2 * 10**9, "much": 4 * 10**9}.items():
        monkeypatch.setenv(SIZE_VARIABLE, value)
        found = photo_cache()
        assert (found and found.max_bytes) == expected
    assert key_of(tmp_path / "gone.jpg", 3, 2) is None


def test_white_balance_is_part_of_a_raw_photos_key(tmp_path, write_dng, cache, decoded):
    linear = np.full((64, 96, 3), 0.4)
    path = write_dng(tmp_path / "b.dng", linear)
    photo = Photo("b", path, Camera(96, 64, 1, 1, 48, 32), np.eye(4))
    alone = load_photo(photo, 24, 16)
    write_dng(tmp_path / "a.dng", linear, white=(0.9, 1.0, 0.4))  # from now on the first of the folder
    assert abs(load_photo(photo, 24, 16) - alone).max() > 0.1
    assert len(decoded) == 2


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from solver.capture.images import load_photo
from solver.capture.types import Camera, Photo

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

photos = [Photo(path.stem, path, Camera(1, 1, 1, 1, 0, 0), np.eye(4)) for path in sorted(Path(sys.argv[1]).iterdir())]
small = load_photo(photos[0], 40, 30)  # and the libraries
before, kept = megabytes(), []
for photo in photos[1:]:
    kept.append(load_photo(photo, 400, 300))
print(megabytes() - before)
"""


def test_decoded_photos_are_not_held(tmp_path):
    """Eight photos of 12 megapixels, 288 MB decoded: only one of them is there at a time."""
    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    large = Image.fromarray(coarse).resize((4000, 3000))
    (tmp_path / "photos").mkdir()
    Image.fromarray(coarse).save(tmp_path / "photos" / "0.jpg")
    large.save(tmp_path / "photos" / "1.jpg", quality=80)
    for i in range(2, 9):
        (tmp_path / "photos" / f"{i}.jpg").symlink_to(tmp_path / "photos" / "1.jpg")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "photos")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, SIZE_VARIABLE: "0"},
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 200
