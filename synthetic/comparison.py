# SPDX-License-Identifier: GPL-3.0-or-later
"""The finished views held against each other: which of their pixels show what the photos hold in focus."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from . import exr, png
from .frames import Frame, Studio
from .recoverable import Taken, is_recoverable, smallest_circle_of_confusion
from .transforms import View


def compare(studio: Studio, photos: Sequence[View], held_out: Sequence[View]) -> Iterator[Frame]:
    """Write smallest_coc/ and recoverable/ of all views, one after the other; what is there already is kept."""
    size = studio.settings.bracket_size
    taken = []
    for first in range(0, len(photos), size):
        bracket = photos[first : first + size]
        distances = tuple(view.focus_distance_mm for view in bracket if view.focus_distance_mm is not None)
        taken.append(Taken(bracket[0].camera_to_world, _depth(studio.truth, bracket[0]), distances))
    for folder, views in ((studio.truth, photos), (studio.novel, held_out)):
        for view in views:
            compared = _compare(studio, folder, view, taken)
            yield Frame(view, kept=not compared)


def _compare(studio: Studio, folder: Path, view: View, taken: Sequence[Taken]) -> bool:
    """Write both files of a view; whether its circles of confusion were not there yet."""
    coc_path, mask_path = folder / "smallest_coc" / f"{view.name}.exr", folder / "recoverable" / f"{view.name}.png"
    missing = not coc_path.exists()
    if missing:
        depth = _depth(folder, view)
        if studio.subject_only:
            depth = np.where(png.read(folder / "mask" / f"{view.name}.png") > 127, depth, np.float32(0))
        coc = smallest_circle_of_confusion(view.camera_to_world, depth, taken, studio.lens)
        exr.write_channel(coc_path, coc, "V")
    if not mask_path.exists():
        recoverable = is_recoverable(exr.read_channel(coc_path, "V"))
        png.write(mask_path, np.where(recoverable, np.uint8(255), np.uint8(0)))
    return missing


def _depth(folder: Path, view: View) -> np.ndarray:
    return exr.read_channel(folder / "depth" / f"{view.name}.exr", "Z")
