# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw photos, as the sensor read them: developed by LibRaw into linear light, all of a folder alike.

What makes a single photo look its best would tell the photos of a capture apart: brightening, a white level by the
photo's own maximum, white balance photo by photo. None of that happens here. The white balance is the one that the
camera wrote into its first raw photo in the folder.
"""

import io
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from solver.capture.maker_notes import CANON_FOCUS_DISTANCE, canon_focus_distance
from solver.errors import SolverError

if TYPE_CHECKING:
    import rawpy

RAW_SUFFIXES = frozenset(
    {
        *(".cr2", ".cr3", ".crw"),  # Canon
        *(".nef", ".nrw"),  # Nikon
        *(".arw", ".sr2", ".srf"),  # Sony
        *(".raf", ".orf", ".rw2", ".rwl", ".pef"),  # Fujifilm, Olympus, Panasonic, Leica, Pentax
        *(".srw", ".3fr", ".fff", ".iiq", ".erf", ".x3f"),  # Samsung, Hasselblad, Phase One, Epson, Sigma
        ".dng",
    }
)
MAX_PIXELS = 178_000_000  # refused by the header, before memory is taken

_ORIENTATION_OF_FLIP = {3: 3, 5: 8, 6: 6}  # LibRaw's code of half and quarter turns -> EXIF's
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG"  # what a photo with a raw photo's suffix may be instead
_EXIF_FOLDER = 0x8769
_MAKE, _MODEL = 0x010F, 0x0110
_F_NUMBER, _EXPOSURE, _ISO, _FOCAL_LENGTH, _LENS_MODEL = 0x829D, 0x829A, 0x8827, 0x920A, 0xA434
_PARSING_ERRORS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error)


def is_raw(path: Path) -> bool:
    """Whether the file is a raw photo, by its suffix, unless it starts like a JPEG or PNG."""
    if path.suffix.lower() not in RAW_SUFFIXES:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return True
    return not start.startswith((_JPEG, _PNG))


@contextmanager
def open_raw(path: Path) -> "Iterator[rawpy.RawPy]":
    """Open a raw photo lazily; whatever LibRaw finds wrong inside the block names the file.

    Raises:
        SolverError: the file is absent, no raw photo that LibRaw knows, broken, or larger than `MAX_PIXELS`.
    """
    import rawpy

    try:
        with path.open("rb"):  # LibRaw does not say why it cannot
            pass
        with rawpy.imread(os.fspath(path)) as raw:
            if raw.sizes.raw_width * raw.sizes.raw_height > MAX_PIXELS:
                raise SolverError(
                    f"the image claims more than {MAX_PIXELS // 1_000_000} megapixels",
                    where=path,
                    remedy="reduce its size, or remove it",
                )
            yield raw
    except FileNotFoundError:
        raise SolverError("the image is missing", where=path, remedy="put it back") from None
    except (OSError, ValueError, rawpy.LibRawError, rawpy.NotSupportedError) as error:
        text = error.args[0] if error.args else type(error).__name__
        reason = text.decode("ascii", errors="replace") if isinstance(text, bytes) else error
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
        raise SolverError(
            f"the raw photo cannot be decoded ({reason})",
            where=path,
            remedy="copy it from the card again, convert it to DNG or TIFF, or remove it",
        ) from None


def raw_size(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """Width and height in pixels of the image, from the header alone; as the sensor lay without `upright`.

    Raises:
        SolverError: see `open_raw`.
    """
    with open_raw(path) as raw:
        size = raw.sizes.iwidth, raw.sizes.iheight
        return size[::-1] if upright and raw.sizes.flip in (5, 6) else size


def raw_orientation(path: Path) -> int:
    """EXIF's orientation, 1 to 8, that the sensor's pixels need to be upright.

    Raises:
        SolverError: see `open_raw`.
    """
    with open_raw(path) as raw:
        return _ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1)


def check_raw(path: Path) -> None:
    """Read what the sensor wrote, to find a truncated or broken file before the long run.

    Raises:
        SolverError: see `open_raw`.
    """
    with open_raw(path) as raw:
        raw.unpack()


def develop(path: Path, at_least: int | None = None, *, upright: bool = True) -> np.ndarray:
    """The image, [H, W, 3] uint16, sRGB with its transfer function; highlights are clipped.

    Without `upright` it lies as the sensor did.

    Where the longest side need only have `at_least` so many pixels, and half of its own are enough, each two by two of
    the sensor's pixels become one, ten times as fast.

    Raises:
        SolverError: see `open_raw`.
    """
    import rawpy

    balance = white_balance(path)
    with open_raw(path) as raw:
        return raw.postprocess(
            half_size=at_least is not None and max(raw.sizes.iwidth, raw.sizes.iheight) // 2 >= at_least,
            # Twice as fast as LibRaw's usual one; reduced to the size worked at, they are alike.
            demosaic_algorithm=rawpy.DemosaicAlgorithm.PPG,
            user_wb=list(balance),
            user_flip=None if upright else 0,
            no_auto_bright=True,
            adjust_maximum_thr=0,  # the white level is the camera's, not the brightest pixel's
            gamma=(2.4, 12.92),  # sRGB's
            output_bps=16,
        )


def white_balance(path: Path) -> tuple[float, ...]:
    """Multipliers of the sensor's colours, [4], of the first raw photo of the same camera in the folder of `path`."""
    camera, own = _camera_and_balance(path)
    for other in _raw_photos_in(path.parent):
        its_camera, balance = _camera_and_balance(other)
        if its_camera == camera and balance is not None:
            return balance
    return own or (1.0, 1.0, 1.0, 1.0)  # without its own it cannot be read; opening it will say why


def _raw_photos_in(folder: Path) -> "Iterator[Path]":
    """The raw photos right in a folder, by name; only those that are asked for are opened."""
    try:
        named = [file for file in folder.iterdir() if file.suffix.lower() in RAW_SUFFIXES and file.name[0] != "."]
    except OSError:
        return
    for file in sorted(named):
        if file.is_file() and is_raw(file):
            yield file


def _camera_and_balance(path: Path) -> tuple[tuple[Any, Any], tuple[float, ...] | None]:
    """Make and model, and the white balance that the camera wrote, else that of daylight; None where unreadable."""
    try:
        status = path.stat()
        return _read_camera_and_balance(path, status.st_mtime_ns, status.st_size)
    except (OSError, SolverError):
        return (None, None), None


@lru_cache(maxsize=256)
def _read_camera_and_balance(path: Path, mtime_ns: int, size: int) -> tuple[tuple[Any, Any], tuple[float, ...]]:
    """`mtime_ns` and `size` make a changed file be read anew."""
    tags = raw_tags(path)
    camera = tags.get(_MAKE), tags.get(_MODEL)
    with open_raw(path) as raw:
        for balance in (raw.camera_whitebalance, raw.daylight_whitebalance):
            if np.isfinite(balance).all() and min(balance[:3]) > 0:
                return camera, tuple(balance)
    return camera, (1.0, 1.0, 1.0, 1.0)


def raw_tags(path: Path) -> dict[int, Any]:
    """The EXIF entries of a raw photo by their numbers, its main and its Exif folder in one.

    What the maker keeps in a container of its own is completed by what LibRaw makes of it.

    Raises:
        SolverError: see `open_raw`.
    """
    with open_raw(path) as raw:
        shot, lens = raw.other, raw.lens
        known = {
            _F_NUMBER: shot.aperture,
            _EXPOSURE: shot.shutter_speed,
            _ISO: shot.iso_speed,
            _FOCAL_LENGTH: shot.focal_length,
            _LENS_MODEL: lens.model,
        }
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as content:
            written = _container_tags(content)
    except _PARSING_ERRORS:
        written = {}
    return {**{tag: value for tag, value in known.items() if value}, **written}


def _container_tags(content: mmap.mmap) -> dict[int, Any]:
    from PIL import Image

    tags: dict[int, Any] = {}
    if content[:8] == b"FUJIFILM":  # a JPEG with the metadata lies at the offset that stands at 84
        start, length = struct.unpack_from(">II", content, 84)
        with Image.open(io.BytesIO(content[start : start + length]), formats=("JPEG",)) as preview:
            return _entries(preview.getexif())
    if content[4:8] == b"ftyp":  # Canon's CR3: each folder is a TIFF of its own, in boxes CMT1 and CMT2
        for name in (b"CMT1", b"CMT2"):
            at = content.find(name, 0, 1 << 20)
            if at >= 4:
                (length,) = struct.unpack_from(">I", content, at - 4)
                exif = Image.Exif()
                exif.load(content[at + 4 : at - 4 + length])
                tags |= dict(exif)
        return tags
    if content[:2] not in (b"II", b"MM"):
        return tags
    content[2:4] = b"*\0" if content[:2] == b"II" else b"\0*"  # Olympus and Panasonic have signatures of their own
    exif = Image.Exif()
    exif.load_from_fp(cast(IO[bytes], content))
    return {**_entries(exif), CANON_FOCUS_DISTANCE: canon_focus_distance(content)}


def _entries(exif: Any) -> dict[int, Any]:
    return {**dict(exif), **dict(exif.get_ifd(_EXIF_FOLDER))}
