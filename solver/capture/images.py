# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding photos and masks: upright, in linear light, at the size the solver works at.

One photo is decoded at a time. What is kept of it in the cache on disk is its working copy: 16 bits of sRGB at the size
asked for, which is finer than 8 bits of the photo itself, and the same whether it comes from the cache or not.
"""

import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.colour_profiles import MatrixProfile, adobe_rgb, by_littlecms, matrix_profile, to_srgb
from solver.capture.photo_cache import key_of, photo_cache
from solver.capture.raw import (
    MAX_PIXELS,
    RAW_SUFFIXES,
    check_raw,
    develop,
    is_raw,
    raw_orientation,
    raw_size,
    white_balance,
)
from solver.capture.types import Camera, Photo
from solver.errors import SolverError
from solver.optics.colour import linear_to_srgb, srgb_to_linear

if TYPE_CHECKING:
    from PIL import Image
    from scipy.sparse import csr_array

__all__ = [
    "IMAGE_SUFFIXES",
    "check_image",
    "decode",
    "decode_mask",
    "eight_bits",
    "image_size",
    "linear_to_srgb",
    "load_mask",
    "load_photo",
    "resample",
    "srgb_to_linear",
    "working_camera",
]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".heic", ".heif", ".hif"}) | RAW_SUFFIXES
MIN_SIDE = 8  # px; what is smaller is an icon or a mistake

# What is decoded, whatever the suffix says. Pillow knows more, some of which runs other programs.
_FORMATS = ("JPEG", "PNG", "TIFF", "HEIF", "WEBP", "BMP")
_STRIP_PIXELS = 1 << 20  # turned into linear light at a time

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
_EXIF_FOLDER, _INTEROPERABILITY_FOLDER = 0x8769, 0xA005
_COLOUR_SPACE_TAG, _INTEROPERABILITY_INDEX_TAG = 0xA001, 1
# What Pillow raises on broken metadata.
GARBLED_EXIF = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error)
# What it raises on broken files, as its decoders do not agree on one kind.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, MemoryError, struct.error, zlib.error)


@contextmanager
def open_image(path: Path) -> "Iterator[Image.Image]":
    """Open an image that is not raw lazily with Pillow; whatever goes wrong inside the block names the file.

    Raises:
        SolverError: the file is absent, not an image, broken, or larger than `MAX_PIXELS`.
    """
    from PIL import Image, UnidentifiedImageError

    _know_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd metadata, and on sizes that are checked here
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except FileNotFoundError:
        raise SolverError("the image is missing", where=path, remedy="put it back") from None
    except PermissionError:
        raise SolverError(
            "the image may not be read (permission denied)", where=path, remedy="change its permissions"
        ) from None
    except Image.DecompressionBombError:
        raise SolverError(
            f"the image claims more than {MAX_PIXELS // 1_000_000} megapixels",
            where=path,
            remedy="reduce its size, or remove it",
        ) from None
    except _DECODING_ERRORS as error:
        if isinstance(error, MemoryError):  # or a broken file that claims gigabytes
            reason = "it takes more memory than there is"
        elif isinstance(error, OSError) and path.is_file() and path.stat().st_size == 0:
            reason = "the file is empty"
        elif isinstance(error, UnidentifiedImageError):
            reason = "its content is no JPEG, PNG, HEIC, or TIFF of 8 or 16 bits"
        elif "truncated" in str(error).lower():
            reason = "the file ends early"
        else:
            reason = " ".join(str(error).split()).replace(str(path), "the file") or type(error).__name__
        raise SolverError(
            f"the image cannot be decoded ({reason})", where=path, remedy="export it again, or remove it"
        ) from None


@lru_cache(maxsize=1)
def _know_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def image_size(path: Path, *, upright: bool = True) -> tuple[int, int]:
    """Width and height in pixels of the upright image, from the header alone.

    Args:
        path: the image.
        upright: whether EXIF's orientation counts, or the way the sensor of a raw photo lay.

    Raises:
        SolverError: see `open_image` and `open_raw`.
    """
    if is_raw(path):
        return raw_size(path, upright=upright)
    with open_image(path) as image:
        width, height = image.size
        is_upright = image.format == "TIFF"  # Pillow turns it by itself
        turned = is_upright != upright and _orientation(image) >= 5
    return (height, width) if turned else (width, height)


def orientation_of(path: Path) -> int:
    """EXIF's orientation, 1 to 8, that the pixels as stored still need.

    Raises:
        SolverError: see `open_image` and `open_raw`.
    """
    if is_raw(path):
        return raw_orientation(path)
    with open_image(path) as image:
        return _orientation(image)


def check_image(path: Path) -> None:
    """Read the whole file, to find a truncated or broken one before the long run.

    Raises:
        SolverError: the image is tiny; or see `open_image` and `open_raw`.
    """
    size = image_size(path)
    if min(size) < MIN_SIDE:
        raise SolverError(f"the image has {size[0]} x {size[1]} pixels", where=path, remedy="export it again, larger")
    if is_raw(path):
        check_raw(path)
        return
    with open_image(path) as image:
        if image.mode == "F":
            raise ValueError("its pixels are floating-point numbers")
        # JPEG's own reduction skips most of the arithmetic and still walks through the whole stream.
        deep = _is_deep(path, image)
        image.draft("RGB", (image.width // 8, image.height // 8))
        image.load()
    if deep:  # other libraries decode it, which have their own mind on what is broken
        decode(path)


def decode(path: Path, at_least: int | None = None, *, upright: bool = True) -> np.ndarray:
    """The upright image, [H, W, 3] uint8 or uint16, sRGB; alpha is dropped, grey is repeated.

    16 bits are kept for PNG and TIFF, and are what raw photos are developed to. Another colour space than sRGB, by the
    photo's profile, is converted. Where the longest side need only have `at_least` so many pixels, a JPEG is decoded at
    a half, a quarter or an eighth of its size, and a raw photo at a half, in a fraction of the time and the memory.
    Without `upright` the pixels are left as they are stored, whatever EXIF's orientation.

    Raises:
        SolverError: see `open_image` and `open_raw`.
    """
    if is_raw(path):
        return develop(path, at_least, upright=upright)
    with open_image(path) as image:
        if at_least is not None:
            scale = at_least / max(image.size)
            image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        orientation = _orientation(image)
        icc = image.info.get("icc_profile")
        profile = matrix_profile(icc) if icc else _adobe_rgb_by_exif(image)
        found = None if icc and profile is None and image.mode in ("RGB", "RGBA") else _deep_pixels(path, image)
        if found is not None:
            pixels, is_upright = found
        else:
            is_upright = image.format == "TIFF"
            pixels = _shallow_pixels(image, None if profile else icc)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if upright and not is_upright:
        pixels = _upright(pixels, orientation)
    elif is_upright and not upright:
        pixels = _as_stored(pixels, orientation)
    return to_srgb(pixels, profile) if profile else pixels


def exif_of(image: "Image.Image") -> "Image.Exif":
    """The metadata of an image that `open_image` opened; empty where it is absent or garbled.

    Of PNG only what stands before the pixels, as the standard wants it: Pillow would decode them all to look behind.
    """
    from PIL import Image

    try:
        if image.format != "PNG":
            return image.getexif()
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return exif
    except GARBLED_EXIF:
        return Image.Exif()


def _orientation(image: "Image.Image") -> int:
    """EXIF's orientation, 1 to 8; 1 where it is absent or garbled, since the pixels do not suffer by that."""
    try:
        value = exif_of(image).get(_ORIENTATION_TAG, 1)
    except GARBLED_EXIF:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _adobe_rgb_by_exif(image: "Image.Image") -> MatrixProfile | None:
    """Adobe RGB where the camera says so by DCF's index in place of a profile."""
    try:
        exif = exif_of(image)
        if exif.get_ifd(_EXIF_FOLDER).get(_COLOUR_SPACE_TAG) == 1:  # sRGB
            return None
        index = exif.get_ifd(_INTEROPERABILITY_FOLDER).get(_INTEROPERABILITY_INDEX_TAG)
    except GARBLED_EXIF:
        return None
    return adobe_rgb() if isinstance(index, str) and index.startswith("R03") else None


def _shallow_pixels(image: "Image.Image", icc: bytes | None) -> np.ndarray:
    """8 bits as Pillow decodes them, [H, W, 3] uint8, converted to sRGB by the profile `icc` if there is one."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if icc:
        image = by_littlecms(image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB"), icc)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _deep_pixels(path: Path, image: "Image.Image") -> tuple[np.ndarray, bool] | None:
    """16 bits, [H, W] or [H, W, 3] uint16, and whether they are upright already; None where there are no 16 bits."""
    if _is_deep(path, image):
        return (_by_opencv(path), False) if image.format == "PNG" else _deep_tiff(path)
    if image.mode.startswith("I"):
        upright = image.format == "TIFF"
        return np.asarray(image).clip(0, 65535).astype(np.uint16), upright
    return None


def _is_deep(path: Path, image: "Image.Image") -> bool:
    """Whether the file has 16 bits that Pillow would not keep: those of a PNG, or of a TIFF with colours."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[-1] == 16
    if image.format != "TIFF" or image.mode not in ("RGB", "RGBA"):
        return False
    bits = image.getexif().get(_BITS_PER_SAMPLE_TAG, 8)
    return (max(bits) if isinstance(bits, tuple) else bits) == 16


def _deep_tiff(path: Path) -> tuple[np.ndarray, bool]:
    """A colour TIFF of 16 bits; what tifffile has no codec for, OpenCV reads."""
    import tifffile

    try:
        pixels = tifffile.imread(path, key=0)
    except (*GARBLED_EXIF, ZeroDivisionError, MemoryError, zlib.error, tifffile.TiffFileError):
        return _by_opencv(path), True
    if pixels.ndim != 3 or pixels.dtype != np.uint16:
        raise ValueError("its layout is unusual")
    if pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):  # stored plane by plane
        pixels = pixels.transpose(1, 2, 0)
    return pixels[..., :3], False


def _by_opencv(path: Path) -> np.ndarray:
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype != np.uint16:
        raise ValueError("its data is damaged")
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] == 2:  # grey and alpha
        return pixels[..., 0]
    return pixels[..., 2::-1]  # from BGR, with or without alpha


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`pixels`, [H, W, C], with the EXIF orientation (1 to 8) applied."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels, [H, W, C], that `_upright` makes these of: quarter turns go back, all else is its own inverse."""
    return _upright(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def decode_mask_as_stored(path: Path, photo: Path) -> np.ndarray:
    """The mask on the pixels of `photo` as they are stored, [H, W] uint8, 255 is the subject.

    A mask of the size of those pixels that has no orientation of its own lies on them, as those of COLMAP and Metashape
    do. Any other is as the photo is seen upright.

    Raises:
        SolverError: see `open_image`.
    """
    pixels = decode_mask(path)
    if orientation_of(path) == 1 and image_size(path) == image_size(photo, upright=False):
        return pixels
    return _as_stored(pixels[..., None], orientation_of(photo))[..., 0]


def decode_mask(path: Path) -> np.ndarray:
    """The upright mask, [H, W] uint8, 255 is the subject.

    Raises:
        SolverError: see `open_image`.
    """
    with open_image(path) as image:
        orientation = 1 if image.format == "TIFF" else _orientation(image)
        if image.mode.startswith("I"):
            pixels = eight_bits(np.asarray(image).clip(0, 65535))
        else:
            pixels = np.asarray(image.convert("L"))
    return _upright(pixels[..., None], orientation)[..., 0]


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Pixels of 16 bits (of any integer type), or of 8, as the nearest of 8: uint8."""
    if pixels.dtype == np.uint8:
        return pixels
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def load_photo(photo: Photo, width: int, height: int) -> np.ndarray:
    """The photo in linear light at `width` x `height` pixels, [H, W, 3] float32.

    Smaller sizes average exact areas in linear light, as a sensor with larger pixels would have, and are rounded to 16
    bits of sRGB.

    Raises:
        SolverError: see `open_image` and `open_raw`.
    """
    pixels = _working_copy(photo.image_path, width, height)
    return _linear_table(pixels.dtype)[pixels]


def _working_copy(path: Path, width: int, height: int) -> np.ndarray:
    """The photo at `width` x `height` pixels, [H, W, 3] uint16, sRGB; as it is where that is its own size."""
    if image_size(path) == (width, height):
        return decode(path)
    cache = photo_cache()
    key = key_of(path, width, height, white_balance(path) if is_raw(path) else ()) if cache else None
    if cache and key:
        kept = cache.get(key, width, height)
        if kept is not None:
            return kept
    reduced = _reduce(decode(path), width, height)
    if cache and key:
        cache.put(key, reduced)
    return reduced


@lru_cache(maxsize=2)
def _linear_table(dtype: np.dtype) -> np.ndarray:
    """Linear light of each stored value, [256] or [65536] float32."""
    levels = np.iinfo(dtype).max + 1
    return srgb_to_linear(np.arange(levels) / (levels - 1)).astype(np.float32)


def _reduce(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """`pixels`, [H, W, 3] uint8 or uint16, averaged in linear light, [height, width, 3] uint16; strip by strip."""
    source_height, source_width, _ = pixels.shape
    table = _linear_table(pixels.dtype)
    weights = _area_weights(source_height, height)
    result = np.empty((height, width, 3), dtype=np.uint16)
    step = max(1, _STRIP_PIXELS * height // (source_height * source_width))
    for start in range(0, height, step):
        part = weights[start : start + step]
        first, last = part.indices.min(), part.indices.max() + 1
        linear = table[pixels[first:last]]
        rows = (part[:, first:last] @ linear.reshape(last - first, -1)).reshape(-1, source_width, 3)
        strip = _resample_columns(rows, width)
        result[start : start + step] = np.rint(linear_to_srgb(strip.clip(0, 1)) * 65535)
    return result


def load_mask(photo: Photo, width: int, height: int) -> np.ndarray:
    """The photo's mask at `width` x `height` pixels, [H, W] float32, 1 on the subject; all 1 without a mask.

    Raises:
        SolverError: see `open_image`.
    """
    if photo.mask_path is None:
        return np.ones((height, width), dtype=np.float32)
    mask = decode_mask(photo.mask_path).astype(np.float32) / 255
    return resample(mask[..., None], width, height)[..., 0]


def resample(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """`image`, [H, W, C] float32, averaged over the areas of larger pixels, [height, width, C]."""
    source_height, source_width, channels = image.shape
    if (source_width, source_height) == (width, height):
        return image
    rows = _area_weights(source_height, height) @ image.reshape(source_height, -1)
    return _resample_columns(rows.reshape(height, source_width, channels), width)


def _resample_columns(image: np.ndarray, width: int) -> np.ndarray:
    """`image`, [H, W, C], averaged along its rows, [H, width, C]."""
    height, source_width, channels = image.shape
    columns = image.transpose(1, 0, 2).reshape(source_width, -1)
    result = _area_weights(source_width, width) @ columns
    return np.ascontiguousarray(result.reshape(width, height, channels).transpose(1, 0, 2))


def _area_weights(source: int, target: int) -> "csr_array":
    """Sparse matrix [target, source]: the share of each source pixel in each target pixel; rows sum to 1."""
    from scipy.sparse import csr_array

    edges = np.arange(target + 1) * (source / target)
    first = np.floor(edges[:-1]).astype(int)
    span = int(np.ceil(source / target)) + 1
    index = np.minimum(first[:, None] + np.arange(span), source)  # one past the end carries no weight
    overlap = np.minimum(edges[1:, None], index + 1) - np.maximum(edges[:-1, None], index)
    overlap = np.where(index < source, overlap.clip(min=0), 0) * (target / source)
    rows = np.repeat(np.arange(target), span)
    entries = (overlap.ravel(), (rows, index.clip(max=source - 1).ravel()))
    weights = csr_array(entries, shape=(target, source), dtype=np.float32)
    weights.sum_duplicates()
    return weights


def working_camera(camera: Camera, max_size: int | None) -> Camera:
    """The camera of the photo reduced to at most `max_size` pixels on its longest side; never enlarged."""
    longest = max(camera.width, camera.height)
    if max_size is None or longest <= max_size:
        return camera
    scale = max_size / longest
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
