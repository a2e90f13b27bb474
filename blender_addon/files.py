# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing small files so that a reader never sees half of one. Nothing here needs Blender."""

from __future__ import annotations

import os
import time
from pathlib import Path

TRIES, BETWEEN_TRIES_S = 10, 0.05


def write_aside(path: Path, text: str) -> None:
    """Write a file beside `path` and rename it onto `path`.

    Windows forbids that while another program has the file open, such as the solver that reads it: it is tried again
    for half a second.

    Raises:
        OSError: the folder cannot be written, or the file stays open. The old file is still there, and nothing else.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        for _ in range(TRIES - 1):
            try:
                aside.replace(path)
                return
            except PermissionError:
                time.sleep(BETWEEN_TRIES_S)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
