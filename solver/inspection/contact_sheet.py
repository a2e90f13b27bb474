# SPDX-License-Identifier: GPL-3.0-or-later
"""All photos of a folder in one picture, each with its sharpness map laid over it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.photos import SUBFOLDERS
from solver.files import written_aside
from solver.inspection.advice import Advice, blurred_all_over, inspected_size
from solver.inspection.folder import Findings
from solver.inspection.photos import InspectedPhoto, printable
from solver.inspection.report import flags, settings_line, summary
from solver.inspection.sharpness_map import LARGEST_COC_PX
from solver.optics.circle_of_confusion import SHARP_COC_PX

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_WIDTH = 1600
_MARGIN, _GAP, _CAPTION = 32, 14, 50  # px: round the sheet, between photos, of the text below one
_COLUMNS = ((6, 3), (24, 4), (60, 5), (300, 6))  # photos up to which there are so many columns
_MOST_COLUMNS = 10
_LINE, _HEAD_LINE = 24, 22  # px
_LARGEST_HEIGHT = 32_000  # px; what a JPEG and its readers can hold
_LISTED_ADVICE = 8
_QUALITY = 88

_GROUND, _BRIGHT, _GREY, _DIM = (24, 25, 27), (236, 234, 230), (160, 161, 164), (70, 72, 76)
_GOOD, _FAIR, _BAD, _NOTE = (92, 201, 128), (240, 196, 84), (240, 106, 84), (122, 170, 240)
_STEPS_PX = (0.0, SHARP_COC_PX, 3.0, 6.0, LARGEST_COC_PX)  # of the colours below
_TINTS = np.array([(40, 214, 112), (104, 214, 84), (250, 190, 40), (238, 92, 40), (150, 42, 110)], np.float32)
_TINTED = 0.55  # of a pixel's colour, where its blur is known
_UNKNOWN_LIGHT = 0.55  # of a pixel, where it is not


def contact_sheet(findings: Findings, advice: Sequence[Advice]) -> "Image.Image":
    """The sheet, 1600 px wide: what there is to say about the folder, and then the photos in rows."""
    from PIL import Image, ImageDraw

    photos = findings.photos
    columns = next((number for most, number in _COLUMNS if len(photos) <= most), _MOST_COLUMNS)
    width = (_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns
    head = _head_lines(findings, advice)
    top = _MARGIN + 48 + len(head) * _LINE + 18
    tile = round(width * _tile_shape(photos))
    rows = -(-len(photos) // columns)
    height = min(top + rows * (tile + _CAPTION + _GAP) + _MARGIN, _LARGEST_HEIGHT)
    sheet = Image.new("RGB", (_WIDTH, height), _GROUND)
    draw = ImageDraw.Draw(sheet)
    _draw_head(sheet, draw, findings, head)
    marks = flags(findings)
    for index, photo in enumerate(photos):
        left = _MARGIN + index % columns * (width + _GAP)
        upper = top + index // columns * (tile + _CAPTION + _GAP)
        if upper + tile + _CAPTION > height:
            break
        _draw_photo(sheet, draw, photo, marks[index], (left, upper, width, tile))
    return sheet


def write_contact_sheet(path: Path, findings: Findings, advice: Sequence[Advice]) -> None:
    """Write the sheet as a JPEG."""
    sheet = contact_sheet(findings, advice)
    with written_aside(path) as temporary:
        sheet.save(temporary, "JPEG", quality=_QUALITY, optimize=True)


def overlaid(photo: InspectedPhoto, width: int, height: int) -> np.ndarray:  # [height, width, 3] uint8
    """The photo with the colour of its blur where that is known, green for in focus, and dimmed elsewhere."""
    from PIL import Image

    picture = Image.fromarray(photo.shown).resize((width, height), Image.Resampling.LANCZOS)
    coc = np.asarray(Image.fromarray(photo.coc_px, "F").resize((width, height), Image.Resampling.NEAREST))
    colours = np.asarray(picture).astype(np.float32)
    grey = colours @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    # The tint keeps the picture's light and dark, so that one sees what is sharp.
    tinted = tint(coc) * (0.25 + 0.75 * grey[..., None] / 255)
    shown = np.where(
        np.isfinite(coc)[..., None],
        (1 - _TINTED) * colours + _TINTED * tinted,
        _UNKNOWN_LIGHT * grey[..., None] + 12,
    )
    return shown.clip(0, 255).astype(np.uint8)


def tint(coc_px: np.ndarray) -> np.ndarray:  # [...] -> [..., 3], 0 to 255
    """The colour of a circle of confusion."""
    known = np.nan_to_num(coc_px)
    return np.stack([np.interp(known, _STEPS_PX, channel) for channel in _TINTS.T], axis=-1).astype(np.float32)


def _tile_shape(photos: Sequence[InspectedPhoto]) -> float:
    """Height over width of the space for a photo: that of most photos, portrait ones at most square."""
    shapes = [photo.height / photo.width for photo in photos]
    return float(np.clip(np.median(shapes), 0.5, 1.0))


def _head_lines(findings: Findings, advice: Sequence[Advice]) -> list[tuple[str, tuple[int, int, int]]]:
    lines = [(line, _GREY) for line in summary(findings)[1:]]
    lines += [(_sentence(item), _FAIR) for item in advice[:_LISTED_ADVICE]]
    if len(advice) > _LISTED_ADVICE:
        lines.append((f"and {len(advice) - _LISTED_ADVICE} more", _FAIR))
    return lines


def _sentence(item: Advice) -> str:
    """The message with a capital letter, unless it begins with the name of a photo."""
    named = item.photos and item.message.startswith(item.photos[0])
    return item.message if named else item.message[:1].upper() + item.message[1:]


def _draw_head(
    sheet: "Image.Image",
    draw: "ImageDraw.ImageDraw",
    findings: Findings,
    lines: Sequence[tuple[str, tuple[int, int, int]]],
) -> None:
    from PIL import Image

    named = findings.folder.parts[-2:] if findings.folder.name in SUBFOLDERS else [findings.folder.name]
    title = f"{printable('/'.join(named))}: {summary(findings)[0].split(' in ')[0]}"
    draw.text((_MARGIN, _MARGIN - 4), _fitted(draw, title, 30, 1000), _BRIGHT, _font(30), anchor="lt")
    inspected = max(inspected_size(photo) for photo in findings.photos)
    width, left = 300, _WIDTH - _MARGIN - 300
    ramp = tint(np.interp(np.linspace(0, len(_STEPS_PX) - 1, width), range(len(_STEPS_PX)), _STEPS_PX))
    bar = np.tile(ramp.round().astype(np.uint8), (10, 1, 1))
    sheet.paste(Image.fromarray(bar), (left, _MARGIN + 18))
    draw.text((left - 12, _MARGIN + 23), "grey: unknown, or masked out", _GREY, _font(14), anchor="rm")
    draw.text((left, _MARGIN + 12), "in focus", _GOOD, _font(14), anchor="ls")
    draw.text((left + width, _MARGIN + 12), f"blur disc, px of {inspected}", _GREY, _font(14), anchor="rs")
    for place, step in enumerate(_STEPS_PX):
        anchor = "lt" if place == 0 else "rt" if place == len(_STEPS_PX) - 1 else "mt"
        draw.text((left + place * width // 4, _MARGIN + 32), f"{step:g}", _GREY, _font(13), anchor=anchor)
    for row, (text, colour) in enumerate(lines):
        at = (_MARGIN, _MARGIN + 48 + row * _LINE)
        draw.text(at, _fitted(draw, text, 17, _WIDTH - 2 * _MARGIN), colour, _font(17), anchor="lt")


def _draw_photo(
    sheet: "Image.Image",
    draw: "ImageDraw.ImageDraw",
    photo: InspectedPhoto,
    marks: Sequence[str],
    box: tuple[int, int, int, int],  # left, top, width, height
) -> None:
    from PIL import Image

    left, top, width, height = box
    scale = min(width / photo.width, height / photo.height)
    size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    corner = (left + (width - size[0]) // 2, top + (height - size[1]) // 2)
    sheet.paste(Image.fromarray(overlaid(photo, *size)), corner)
    _draw_marks(draw, marks, (left + 6, top + 6))

    share, base = photo.in_focus_share, top + height
    bad = blurred_all_over(photo)
    colour = _DIM if share is None else _BAD if bad else _FAIR if share < 0.1 else _GOOD
    draw.rectangle((left, base + 3, left + width - 1, base + 6), _DIM)
    if share:
        draw.rectangle((left, base + 3, left + max(2, round(width * share)) - 1, base + 6), colour)
    told = "unknown" if share is None else f"{100 * share:.0f} % in focus"
    told_width = draw.textlength(told, _font(16))
    draw.text((left + width, base + 26), told, colour, _font(16), anchor="rs")
    name = _fitted(draw, photo.name, 16, width - told_width - 10)
    draw.text((left, base + 26), name, _BRIGHT, _font(16), anchor="ls")
    draw.text((left, base + 44), _fitted(draw, settings_line(photo), 13, width), _GREY, _font(13), anchor="ls")


def _draw_marks(draw: "ImageDraw.ImageDraw", marks: Sequence[str], corner: tuple[int, int]) -> None:
    left, top = corner
    for mark in marks:
        bad = mark in ("blurred", "shaken", "other camera", "stack")
        colour = _BAD if bad else _NOTE if "bracket" in mark else _FAIR
        width = draw.textlength(mark, _font(14)) + 14
        draw.rounded_rectangle((left, top, left + width, top + _HEAD_LINE), 5, colour)
        draw.text((left + width / 2, top + _HEAD_LINE / 2), mark, _GROUND, _font(14), anchor="mm")
        left += int(width) + 6


def _fitted(draw: "ImageDraw.ImageDraw", text: str, size: int, width: float) -> str:
    """`text`, cut where it does not fit."""
    if draw.textlength(text, _font(size)) <= width:
        return text
    while text and draw.textlength(text + "…", _font(size)) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
