# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures inside the page: JPEG as data URIs, each no larger than what it is allowed."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from solver.optics.circle_of_confusion import SHARP_COC_PX

# Light is sharp, whoever looks at it and on whatever paper; at 1.5 px the colours change their family.
_STEPS = (0.0, SHARP_COC_PX, SHARP_COC_PX + 1e-3, 3.0, 6.0, 12.0, 24.0)  # px
_COLOURS = np.array(
    [(214, 255, 233), (72, 202, 164), (255, 208, 104), (247, 148, 73), (212, 71, 92), (128, 34, 115), (44, 16, 66)],
    np.float32,
)
LEGEND_PX = (0.0, SHARP_COC_PX, 3.0, 6.0, 12.0, 24.0)  # equally far apart in the legend
NOTHING = (74, 77, 82)  # where there is no surface
_QUALITY = 82
_SHRINK = 0.97  # on top of what the number of bytes asks for
_SHRINK_AT_ONCE = 0.5  # at most: smaller pictures have fewer details a pixel, or more
_LEAST_SIDE = 24  # px
_WORDS_PER_BYTE = 4 / 3  # of base64


@dataclass(frozen=True)
class Picture:
    """A picture in the page."""

    uri: str
    width: int  # px, of the file
    height: int


def circle_colours(coc_px: np.ndarray, known: np.ndarray) -> np.ndarray:  # [H, W], [H, W] bool -> [H, W, 3] uint8
    """The map of circles of confusion as a picture."""
    colours = np.stack([np.interp(coc_px, _STEPS, channel) for channel in _COLOURS.T], axis=-1)
    return np.where(known[..., None], colours, NOTHING).round().astype(np.uint8)


def shaded(colours: np.ndarray, image: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8, both and the result
    """Colours with the light and dark of an image, so that one sees what they are of."""
    grey = image.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    light = np.clip(grey / max(float(np.percentile(grey, 95)), 1.0), 0, 1)
    return (colours * (0.4 + 0.6 * light[..., None])).round().astype(np.uint8)


def legend_gradient() -> str:
    """The colours as a CSS gradient over equal parts between `LEGEND_PX`."""
    stops = []
    for step, colour in zip(_STEPS, _COLOURS, strict=True):
        place = np.interp(step, LEGEND_PX, np.linspace(0, 100, len(LEGEND_PX)))
        stops.append(f"rgb({', '.join(f'{channel:.0f}' for channel in colour)}) {place:.2f}%")
    return f"linear-gradient(to right, {', '.join(stops)})"


def embedded(images: Sequence[np.ndarray], longest_side: int, allowed_bytes: int) -> list[Picture]:
    """Pictures that belong together, with one factor of reduction, as small as they must be.

    Args:
        images: [H, W, 3] uint8, sRGB.
        longest_side: px, of the largest; smaller ones stay as they are.
        allowed_bytes: of the page, for all of them together.
    """
    factor = min(1.0, longest_side / max(max(image.shape[:2]) for image in images))
    while True:
        files = [_jpeg(image, factor) for image in images]
        size = sum(len(data) for data, _, _ in files) * _WORDS_PER_BYTE
        if size <= allowed_bytes or all(max(width, height) <= _LEAST_SIDE for _, width, height in files):
            break
        factor *= max(_SHRINK * math.sqrt(allowed_bytes / size), _SHRINK_AT_ONCE)
    return [
        Picture(f"data:image/jpeg;base64,{base64.b64encode(data).decode('ascii')}", width, height)
        for data, width, height in files
    ]


def _jpeg(image: np.ndarray, factor: float) -> tuple[bytes, int, int]:
    height, width = image.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    picture = Image.fromarray(image)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return stream.getvalue(), *size
