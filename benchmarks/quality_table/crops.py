# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the page: of each scene one part, as every method has it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import uniform_filter

from solver.evaluation.scores import SHARP_COC_PX
from solver.evaluation.truth import TrueView, read_ground_truth

_SHARE = 1 / 3  # of the photo's sides, that is shown
_MOST_BLUR_PX = 8.0  # blur beyond this makes a part no more interesting
_TILE_WIDTH_PX, _TITLE_HEIGHT_PX, _GAP_PX = 200, 22, 4


@dataclass(frozen=True)
class Crop:
    """A part of a training view."""

    view: str
    box: tuple[int, int, int, int]  # left, top, right, bottom, px


def choose_crop(capture: Path) -> Crop:
    """The part with the most detail of what a photo blurs and the other photos could tell.

    No method's result has a say in it: a pixel counts by the sharp truth's squared gradient times its circle of
    confusion, where it is recoverable.
    """
    best, crop = -1.0, None
    for view in read_ground_truth(capture).photos:
        score, box = _best_box(view)
        if score > best:
            best, crop = score, Crop(view.name, box)
    assert crop is not None  # a capture has photos
    return crop


def _best_box(view: TrueView) -> tuple[float, tuple[int, int, int, int]]:
    grey = view.image().mean(-1)
    energy = sum(slope**2 for slope in np.gradient(grey))
    coc, smallest = view.coc(), view.smallest_coc()
    recoverable = view.subject() & (smallest >= 0) & (smallest <= SHARP_COC_PX)
    detail = energy * np.minimum(coc, _MOST_BLUR_PX) * recoverable
    height, width = (max(round(side * _SHARE), 8) for side in grey.shape)
    means = uniform_filter(detail, (height, width), mode="constant")
    top, left = height // 2, width // 2
    inside = means[top : grey.shape[0] - height + top + 1, left : grey.shape[1] - width + left + 1]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return float(inside.max()), (int(column), int(row), int(column) + width, int(row) + height)


def strip(title: str, crop: Crop, images: Sequence[tuple[str, Path | None]]) -> Image.Image:
    """One row: a part of each image under its name; None, or a file that is absent, leaves a dash."""
    left, top, right, bottom = crop.box
    height = round(_TILE_WIDTH_PX * (bottom - top) / (right - left))
    step = _TILE_WIDTH_PX + _GAP_PX
    sheet = Image.new("RGB", (len(images) * step - _GAP_PX, height + _TITLE_HEIGHT_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (name, path) in enumerate(images):
        x = index * step
        draw.text((x + 2, 3), f"{title}: {name}" if index == 0 else name, fill="black", font=font)
        if path is None or not path.is_file():
            draw.rectangle((x, _TITLE_HEIGHT_PX, x + _TILE_WIDTH_PX - 1, sheet.height - 1), fill="#dddddd")
            draw.text((x + _TILE_WIDTH_PX // 2, _TITLE_HEIGHT_PX + height // 2), "-", fill="black", font=font)
            continue
        with Image.open(path) as image:
            part = image.convert("RGB").crop(crop.box)
        sheet.paste(part.resize((_TILE_WIDTH_PX, height), Image.Resampling.BICUBIC), (x, _TITLE_HEIGHT_PX))
    return sheet


def stacked(rows: Sequence[Image.Image]) -> bytes:
    """All rows as one JPEG."""
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height + _GAP_PX for row in rows)), "white")
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height + _GAP_PX
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88, optimize=True)
    return buffer.getvalue()
