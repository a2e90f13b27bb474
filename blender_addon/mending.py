# SPDX-License-Identifier: GPL-3.0-or-later
"""What the buttons beside an error change before the next try. Nothing here needs Blender."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from .solver_process import Request

Way = Literal["resume", "fresh", "output", "smaller"]

DEFAULT_SIZES = {"draft": 400, "standard": 800, "high": 1600}  # longest side of the presets, px
SMALLEST_SIZE = 100  # px; below, nothing would be left to see


def mended(request: Request, way: Way) -> Request:
    """The request for the next try of one that came to nothing."""
    match way:
        case "resume":
            return replace(request, resume=True)
        case "fresh":
            return replace(request, resume=False)
        case "output":
            return replace(request, output=free_folder(request.output), resume=False)
        case "smaller":
            size = request.max_size or DEFAULT_SIZES[request.preset]
            return replace(request, max_size=max(SMALLEST_SIZE, size // 2), resume=False)


def free_folder(output: Path) -> Path:
    """The first of output-2, output-3, ... that is not there yet."""
    number = 2
    while output.with_name(f"{output.name}-{number}").exists():
        number += 1
    return output.with_name(f"{output.name}-{number}")
