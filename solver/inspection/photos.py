# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of one photo for inspection: little enough that a hundred fit in memory, read one at a time."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from solver.capture.exif import Exif, read_exif
from solver.capture.images import MIN_SIDE, decode, decode_mask, image_size
from solver.capture.overrides import LensOverrides
from solver.capture.photos import SharedCamera, shared_camera
from solver.errors import SolverError
from solver.inspection.shake import DirectionalBlur, directional_blur
from solver.inspection.sharpness_map import sharpness_map

INSPECTED_SIZE_PX = 800  # longest side that blur is measured at, which is what the standard preset works at
MATCHED_SIZE_PX = 256  # longest side at which photos are compared with each other
SHOWN_SIZE_PX = 480  # longest side in the contact sheet
_MAP_SIZE_PX = 200  # longest side of the sharpness map that is kept


@dataclass(frozen=True)
class InspectedPhoto:
    """A photo's metadata, its small pictures, and how blurred its parts are."""

    path: Path
    width: int  # px, upright
    height: int  # px, upright
    camera: SharedCamera
    exif: Exif
    pixels_digest: str  # equal for photos whose reduced pixels are
    matched: np.ndarray  # [h, w, 3] uint8, sRGB, at most MATCHED_SIZE_PX
    shown: np.ndarray  # [h, w, 3] uint8, sRGB, at most SHOWN_SIZE_PX
    coc_px: (
        np.ndarray
    )  # [h, w] float32, circle of confusion in px of the inspected size; NaN where unknown or masked out
    in_focus_share: float | None  # of the subject's area whose blur is known; None where none is
    known_share: float  # of the subject's area whose blur is known
    sharpest_px: float | None  # largest circle of confusion of the sharpest tenth of it
    directional_blur: DirectionalBlur | None  # None where too little has texture
    masked: bool  # whether a mask said what the subject is

    @property
    def name(self) -> str:
        """The file's name, as far as it can be printed."""
        return printable(self.path.name)


def printable(text: str) -> str:
    """`text` with question marks for what is no text, as bytes of another encoding in the name of a file."""
    return text.encode("utf-8", errors="replace").decode("utf-8")


def inspect_photo(path: Path, mask: Path | None = None, overrides: LensOverrides | None = None) -> InspectedPhoto:
    """Read a photo, and measure how blurred it is where `mask` (if there is one) is white.

    Raises:
        SolverError: the photo or its mask cannot be decoded, or the photo is tiny or far too narrow.
    """
    width, height = image_size(path)
    if min(width, height) < MIN_SIDE:
        raise SolverError(f"the image has {width} x {height} pixels", where=path, remedy="export it again, larger")
    image = read_reduced(path, INSPECTED_SIZE_PX)
    if min(image.shape[:2]) < MIN_SIDE:
        raise SolverError(f"the image is too narrow ({width} x {height} pixels)", where=path, remedy="crop it less")
    sharpness = sharpness_map(image)
    subject = None
    if mask is not None:
        subject = np.asarray(_resized(decode_mask(mask), (image.shape[1], image.shape[0]))) > 127
    return InspectedPhoto(
        path=path,
        width=width,
        height=height,
        camera=shared_camera(path),
        exif=(overrides or LensOverrides()).of_exif(read_exif(path)),
        pixels_digest=hashlib.blake2b(image.tobytes(), digest_size=16).hexdigest(),
        matched=reduced(image, MATCHED_SIZE_PX),
        shown=reduced(image, SHOWN_SIZE_PX),
        coc_px=_coarser(sharpness.coc_px if subject is None else np.where(subject, sharpness.coc_px, np.nan)),
        in_focus_share=sharpness.share_in_focus(subject),
        known_share=sharpness.known_share(subject),
        sharpest_px=sharpness.sharpest_px(subject),
        directional_blur=directional_blur(image),
        masked=subject is not None,
    )


def read_reduced(path: Path, longest: int) -> np.ndarray:  # [h, w, 3] uint8, sRGB
    """The upright photo, averaged down to `longest` pixels on its longest side; never enlarged.

    Raises:
        SolverError: the photo cannot be decoded.
    """
    pixels = decode(path, at_least=longest)
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    return reduced(pixels, longest)


def reduced(pixels: np.ndarray, longest: int) -> np.ndarray:  # [H, W, C] uint8
    """`pixels` averaged over areas so that the longest side is at most `longest` pixels."""
    height, width = pixels.shape[:2]
    scale = longest / max(width, height)
    if scale >= 1:
        return pixels
    return _resized(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _coarser(coc_px: np.ndarray) -> np.ndarray:  # [H, W] -> at most twice _MAP_SIZE_PX on the longest side
    """Medians of what is known in squares of pixels; NaN where less than half of a square is known."""
    step = min(max(1, max(coc_px.shape) // _MAP_SIZE_PX), *coc_px.shape)
    rows, columns = (side // step for side in coc_px.shape)
    squares = coc_px[: rows * step, : columns * step].reshape(rows, step, columns, step)
    squares = squares.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    known = np.isfinite(squares).sum(axis=2)
    # Unknown ones are sorted last.
    middle = np.take_along_axis(np.sort(squares, axis=2), np.maximum(known - 1, 0)[..., None] // 2, axis=2)[..., 0]
    return np.where(2 * known >= squares.shape[2], middle, np.nan).astype(np.float32)
