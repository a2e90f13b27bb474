# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found in a folder of photos: as a table for people, and as JSON for programs."""

import io
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from solver.inspection.advice import Advice, blurred_all_over, odd_cameras, viewpoints
from solver.inspection.folder import Findings
from solver.inspection.photos import INSPECTED_SIZE_PX, InspectedPhoto, printable
from solver.optics.circle_of_confusion import SHARP_COC_PX

FORMAT_VERSION = 1
_PLAIN_WIDTH = 110  # of the table, where no terminal tells its own
_BAR = 10  # characters
_BLOCKS, _PLAIN_BLOCKS = "█░", "#."
_TOLD_STOPS = 0.3  # of spread, from which each photo's exposure is listed


def as_json(findings: Findings, advice: Sequence[Advice]) -> dict[str, Any]:
    """Everything, as docs/formats.md has it."""
    photos, views, exposure = findings.photos, findings.views, findings.exposure
    marks = flags(findings)

    def names(groups: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[photos[index].name for index in group] for group in groups]

    return {
        "format_version": FORMAT_VERSION,
        "folder": str(findings.folder),
        "inspected_size_px": INSPECTED_SIZE_PX,
        "limit_px": SHARP_COC_PX,
        "viewpoints": viewpoints(findings),
        "photos": [
            _photo_json(photo)
            | {
                "exposure_stops": _rounded(exposure.settings_stops[index]),
                "brightness_stops": _rounded(exposure.brightness_stops[index]),
                "flags": list(marks[index]),
            }
            for index, photo in enumerate(photos)
        ],
        "unreadable": [{"name": photo.name, "reason": photo.reason} for photo in findings.unreadable],
        "exposure": {
            "settings_spread_stops": _rounded(exposure.settings_spread_stops),
            "brightness_spread_stops": _rounded(exposure.brightness_spread_stops),
        },
        "focus_likeness": _rounded(findings.focus_likeness),
        "brackets": names(views.brackets),
        "copies": names(views.copies),
        "repeats": names(views.repeats),
        "stacks": [photos[index].name for index in views.stacks],
        "advice": [{"kind": a.kind, "message": a.message, "photos": list(a.photos)} for a in advice],
    }


def flags(findings: Findings) -> list[tuple[str, ...]]:
    """What is remarkable about each photo, in a word or two."""
    views, odd = findings.views, odd_cameras(findings)
    marks: list[list[str]] = [[] for _ in findings.photos]
    for index, photo in enumerate(findings.photos):
        if blurred_all_over(photo):
            marks[index].append("blurred")
        if index in findings.shaken:
            marks[index].append("shaken")
        if index in odd:
            marks[index].append("other camera")
    for word, groups in (("bracket", views.brackets), ("copy", views.copies), ("repeat", views.repeats)):
        for number, group in enumerate(groups, start=1):
            for index in group:
                marks[index].append(f"{word} {number}")
    for index in views.stacks:
        marks[index].append("stack")
    return [tuple(words) for words in marks]


def print_table(findings: Findings, console: Console | None = None) -> None:
    """The photos one a line; what is the same for all of them is said once, above."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    unicode = console.encoding.lower().startswith("utf")
    if not unicode and isinstance(console.file, io.TextIOWrapper):
        console.file.reconfigure(errors="replace")
    for line in summary(findings):
        console.print(line, markup=False)
    columns = [(title, value) for title, value in _VALUES if _differs(findings.photos, value)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("photo", overflow="fold", min_width=min(30, max(len(photo.name) for photo in findings.photos)))
    for title, _ in columns:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("in focus", no_wrap=True)
    spreads = (findings.exposure.settings_spread_stops, findings.exposure.brightness_spread_stops)
    uneven = max(spread or 0.0 for spread in spreads) >= _TOLD_STOPS
    if uneven:
        table.add_column("stops", justify="right", no_wrap=True)
    table.add_column("")
    marks, blocks = flags(findings), _BLOCKS if unicode else _PLAIN_BLOCKS
    for index, photo in enumerate(findings.photos):
        cells = [Text(photo.name), *(Text(value(photo)) for _, value in columns), _focus_cell(photo, blocks)]
        if uneven:
            cells.append(Text(_stops(findings, index)))
        table.add_row(*cells, Text(", ".join(marks[index]), style="yellow"))
    console.print(table)


def summary(findings: Findings) -> list[str]:
    """A few lines about the folder as a whole: what all photos share, and what was found."""
    photos, views = findings.photos, findings.views
    shared = [_common(photos, value) for value in (*_CAMERA, *(value for _, value in _VALUES))]
    lines = [
        f"{'1 photo' if len(photos) == 1 else f'{len(photos)} photos'} in {printable(str(findings.folder))}",
        ", ".join(told for told in shared if told),
    ]
    found = []
    if views.brackets:
        sizes = sorted({len(bracket) for bracket in views.brackets})
        size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        number = "1 focus bracket" if len(views.brackets) == 1 else f"{len(views.brackets)} focus brackets"
        found.append(f"{number} of {size} photos")
    places = viewpoints(findings)
    if places < len(photos):
        found.append("1 viewpoint" if places == 1 else f"{places} viewpoints")
    for name, stops in (
        ("settings", findings.exposure.settings_spread_stops),
        ("brightness", findings.exposure.brightness_spread_stops),
    ):
        if stops is not None:
            found.append(f"{name} within {stops:.1f} stops")
    masked = sum(photo.masked for photo in photos)
    if masked:
        found.append(f"{masked} masks")
    told = ", ".join(found)
    lines.append(told[:1].upper() + told[1:])
    return [line for line in lines if line]


def settings_line(photo: InspectedPhoto) -> str:
    """Aperture, shutter and ISO, as far as known."""
    return "  ".join(text for text in (_f_number(photo), _shutter(photo), _iso(photo)) if text)


def _photo_json(photo: InspectedPhoto) -> dict[str, Any]:
    exif, directional = photo.exif, photo.directional_blur
    return {
        "name": photo.name,
        "width": photo.width,
        "height": photo.height,
        "make": exif.make,
        "model": exif.model,
        "lens": exif.lens,
        "focal_length_mm": exif.focal_length_mm,
        "f_number": exif.f_number,
        "iso": exif.iso,
        "exposure_s": exif.exposure_s,
        "focus_distance_mm": exif.focus_distance_mm,
        "sensor_width_mm": exif.sensor_width_mm,
        "taken": exif.taken.isoformat() if exif.taken else None,
        "masked": photo.masked,
        "in_focus_share": _rounded(photo.in_focus_share, 3),
        "known_share": _rounded(photo.known_share, 3),
        "sharpest_coc_px": _rounded(photo.sharpest_px),
        "directional_blur_stops": _rounded(directional.stops) if directional else None,
        "directional_blur_angle_degrees": _rounded(directional.angle_degrees, 0) if directional else None,
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _differs(photos: Sequence[InspectedPhoto], value: Callable[[InspectedPhoto], str]) -> bool:
    """Whether the photos that say something do not all say the same."""
    return len({value(photo) for photo in photos} - {""}) > 1


def _common(photos: Sequence[InspectedPhoto], value: Callable[[InspectedPhoto], str]) -> str:
    """What the photos that say something agree on; empty where they do not."""
    values = {value(photo) for photo in photos} - {""}
    return values.pop() if len(values) == 1 else ""


def _focus_cell(photo: InspectedPhoto, blocks: str) -> Text:
    if photo.in_focus_share is None:
        return Text("?", style="dim")
    filled = round(_BAR * photo.in_focus_share)
    style = "red" if blurred_all_over(photo) else "green"
    return Text.assemble(
        (f"{100 * photo.in_focus_share:3.0f} % ", ""), (blocks[0] * filled, style), (blocks[1] * (_BAR - filled), "dim")
    )


def _stops(findings: Findings, index: int) -> str:
    """By the settings where they differ, else by what the photo shows."""
    exposure = findings.exposure
    by_settings = (exposure.settings_spread_stops or 0.0) >= _TOLD_STOPS
    stops = (exposure.settings_stops if by_settings else exposure.brightness_stops)[index]
    return "" if stops is None else f"{stops:+.1f}"


def _f_number(photo: InspectedPhoto) -> str:
    return f"f/{photo.exif.f_number:g}" if photo.exif.f_number else ""


def _shutter(photo: InspectedPhoto) -> str:
    seconds = photo.exif.exposure_s
    if not seconds:
        return ""
    return f"{seconds:.3g} s" if seconds >= 0.3 else f"1/{1 / seconds:.0f} s"


def _iso(photo: InspectedPhoto) -> str:
    return f"ISO {photo.exif.iso:.0f}" if photo.exif.iso else ""


def _size(photo: InspectedPhoto) -> str:
    return f"{max(photo.width, photo.height)} x {min(photo.width, photo.height)}"


def _held(photo: InspectedPhoto) -> str:
    return "landscape" if photo.width > photo.height else "portrait" if photo.width < photo.height else "square"


def _focal_length(photo: InspectedPhoto) -> str:
    return f"{photo.exif.focal_length_mm:g} mm" if photo.exif.focal_length_mm else ""


def _focus_distance(photo: InspectedPhoto) -> str:
    return f"{photo.exif.focus_distance_mm:.0f} mm" if photo.exif.focus_distance_mm else ""


_CAMERA: tuple[Callable[[InspectedPhoto], str], ...] = (
    lambda photo: photo.camera.name,
    lambda photo: photo.exif.lens or "",
)
_VALUES: tuple[tuple[str, Callable[[InspectedPhoto], str]], ...] = (
    ("length", _focal_length),
    ("f", _f_number),
    ("shutter", _shutter),
    ("ISO", _iso),
    ("focused at", _focus_distance),
    ("size", _size),
    ("held", _held),
)
