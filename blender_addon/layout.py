# SPDX-License-Identifier: GPL-3.0-or-later
"""Long sentences in Blender's interface, whose labels do not wrap by themselves."""

import blf
import bpy

MOST_LINES = 30
MARGIN, ICON = 75, 22  # of a box in a sidebar with tabs, and of the icon before a text, in unscaled pixels


def wrapped(layout: bpy.types.UILayout, text: str, icon: str = "NONE") -> None:
    """Draw `text` as a block of lines that fit the region; the icon stands before the first."""
    scale = bpy.context.preferences.system.ui_scale
    region = bpy.context.region
    margin = MARGIN if icon == "NONE" else MARGIN + ICON
    width = (region.width if region is not None else 300) - margin * scale
    blf.size(0, bpy.context.preferences.ui_styles[0].widget.points * scale)
    lines = [line for paragraph in text.split("\n") for line in _lines(paragraph, max(width, 60))]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], "…"]
    column = layout.column(align=True)
    column.scale_y = 0.8
    for index, line in enumerate(lines):
        if icon == "NONE":
            column.label(text=line)
        else:
            column.label(text=line, icon=icon if index == 0 else "BLANK1")


def capitalized(sentence: str) -> str:
    """As a sentence begins, unless with the name of a file, which keeps its letters."""
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


def _lines(text: str, width: float) -> list[str]:
    """`text` in lines of at most `width` pixels; words too long for a line, such as paths, are broken."""
    lines = [""]
    for word in text.split(" "):
        rest = word
        while rest:
            candidate = f"{lines[-1]} {rest}" if lines[-1] else rest
            if blf.dimensions(0, candidate)[0] <= width:
                lines[-1] = candidate
                rest = ""
            elif lines[-1]:
                lines.append("")
            else:
                fitting = next((n for n in range(len(rest), 1, -1) if blf.dimensions(0, rest[:n])[0] <= width), 1)
                lines[-1] = rest[:fitting]
                rest = rest[fitting:]
                lines.append("")
    return [line for line in lines if line]
