# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures from files in the interface. They are no images of the user's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy.utils.previews

_pictures: Any = None  # Blender's collection; made when first wanted
_shown: dict[str, tuple[float, str]] = {}  # path: its time, and the name of its picture


def icon(path: Path) -> int:
    """The icon of a picture file as it is now; 0 where it cannot be read."""
    global _pictures
    try:
        changed = path.stat().st_mtime
    except OSError:
        return 0
    if _pictures is None:
        _pictures = bpy.utils.previews.new()
    known = _shown.get(str(path))
    if known is None or known[0] != changed:
        if known is not None:
            del _pictures[known[1]]
        name = f"{path}?{changed}"
        _pictures.load(name, str(path), "IMAGE")
        known = _shown[str(path)] = (changed, name)
    return int(_pictures[known[1]].icon_id)


def clear() -> None:
    """Let go of all pictures: for unregistering."""
    global _pictures
    if _pictures is not None:
        bpy.utils.previews.remove(_pictures)
        _pictures = None
    _shown.clear()
