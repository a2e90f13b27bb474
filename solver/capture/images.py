# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoding photos and masks: upright, in linear light, at the size the solver works at."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    "image_size",
    "linear_to_srgb",
    "load_mask",
    "load_photo",
    "resample",
    "srgb_to_linear",
    "working_camera",
]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})
MAX_PIXELS = 178_000_000  # refused by the header, before memory is taken; just under Pillow's own limit

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 258
# What Pillow raises on broken files, as its decoders do not agree on one kind.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


@contextmanager
def open_image(path: Path) -> "Iterator[Image.Image]":
    """Open an image lazily with Pillow; whatever goes wrong inside the block names the file.

    Raises:
        SolverError: the file is absent, not an image, broken, or larger than `MAX_PIXELS`.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd metadata, and on sizes that are checked here
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except FileNotFoundError:
        raise SolverError("the image is missing", where=path, remedy="put it back") from None
    except Image.DecompressionBombError:
        raise SolverError(
            f"the image claims more than {MAX_PIXELS // 1_000_000} megapixels",
            where=path,
            remedy="reduce its size, or remove it",
        ) from None
    except _DECODING_ERRORS as error:
        reason = " ".join(str(error).split()).replace(str(path), "the file") or type(error).__name__
        raise SolverError(
            f"the image cannot be decoded ({reason})", where=path, remedy="export it again, or remove it"
        ) from None


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels of the upright image, from the header alone.

    Raises:
        SolverError: see `open_image`.
    """
    with open_image(path) as image:
        width, height = image.size
        # Pillow turns TIFF by itself.
        turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION_TAG) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def check_image(path: Path) -> None:
    """Read the whole file, to find a truncated or broken one before the long run.

    Raises:
        SolverError: see `open_image`.
    """
    with open_image(path) as image:
        # JPEG's own reduction skips most of the arithmetic and still walks through the whole stream.
        image.draft("RGB", (image.width // 8, image.height // 8))
        image.load()


def decode(path: Path) -> np.ndarray:
    """The upright image as stored, [H, W, 3] uint8 or uint16, sRGB; alpha is dropped, grey is repeated.

    16 bits are kept for TIFF and for greyscale PNG; Pillow reads colour PNG of 16 bits at 8, and so does
    this.

    Raises:
        SolverError: see `open_image`.
    """
    from PIL import ImageOps

    with open_image(path) as image:
        pixels = _decode_deep_tiff(path, image)
        if pixels is None and image.mode.startswith("I"):
            pixels = np.asarray(image).clip(0, 65535).astype(np.uint16)
        if pixels is None:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    return _upright(np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels, orientation)


def _decode_deep_tiff(path: Path, image: "Image.Image") -> np.ndarray | None:
    """Pixels of a colour TIFF with 16 bits, [H, W, 3] uint16, or None for anything else."""
    if image.format != "TIFF" or image.mode not in ("RGB", "RGBA"):
        return None
    bits = image.getexif().get(_BITS_PER_SAMPLE_TAG, 8)
    if max(bits) != 16 if isinstance(bits, tuple) else bits != 16:
        return None
    import tifffile

    try:
        pixels = tifffile.imread(path, key=0)
    except (ValueError, tifffile.TiffFileError):  # no codec for its compression: Pillow's 8 bits will do
        return None
    if pixels.ndim != 3 or pixels.dtype != np.uint16:
        return None
    if pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):  # stored plane by plane
        pixels = pixels.transpose(1, 2, 0)
    return pixels[..., :3]


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`pixels`, [H, W, C], with the EXIF orientation (1 to 8) applied."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def decode_mask(path: Path) -> np.ndarray:
    """The upright mask, [H, W] uint8, 255 is the subject.

    Raises:
        SolverError: see `open_image`.
    """
    from PIL import ImageOps

    with open_image(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):
            return (np.asarray(upright).clip(0, 65535) // 257).astype(np.uint8)
        return np.asarray(upright.convert("L"))


def load_photo(photo: Photo, width: int, height: int) -> np.ndarray:
    """The photo in linear light at `width` x `height` pixels, [H, W, 3] float32.

    Smaller sizes average exact areas in linear light, as a sensor with larger pixels would have.

    Raises:
        SolverError: see `open_image`.
    """
    pixels = decode(photo.image_path)
    levels = np.iinfo(pixels.dtype).max + 1
    table = srgb_to_linear(np.arange(levels) / (levels - 1)).astype(np.float32)
    return resample(table[pixels], width, height)


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
    columns = rows.reshape(height, source_width, channels).transpose(1, 0, 2).reshape(source_width, -1)
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
