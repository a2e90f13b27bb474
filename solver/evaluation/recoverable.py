# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels of a view show something that the photos hold in focus: what any method could recover.

A surface point is recoverable when at least three training photos see it, one of them with a circle of confusion of
at most 1.5 px.
"""

from dataclasses import dataclass

import numpy as np

from solver.capture.types import Photo

LEAST_PHOTOS = 3
SHARP_COC_PX = 1.5
_DEPTH_TOLERANCE = 0.005  # relative: a photo sees a point if its depth there is not smaller by more than this


@dataclass(frozen=True)
class TruePhoto:
    """Ground truth of a training photo."""

    photo: Photo  # with the true pose
    depth: np.ndarray  # [H, W], scene unit, 0 where nothing is
    coc: np.ndarray  # [H, W], px
    pupil_diameter: float | None = None  # scene unit, where the capture states lens and unit


def recoverable_pixels(view: Photo, depth: np.ndarray, photos: list[TruePhoto]) -> np.ndarray:  # [H, W] -> [H, W]
    """The mask of recoverable pixels of a view whose true depth is given."""
    rows, columns = np.nonzero(depth > 0)
    points = view.unproject(rows, columns, depth[rows, columns])
    seen = np.zeros(len(points), int)
    sharp = np.zeros(len(points), bool)
    for entry in photos:
        pixels, depths, inside = entry.photo.project(points)
        chosen = np.nonzero(inside)[0]
        x, y = pixels[chosen].astype(int).T
        surface = entry.depth[y, x]
        visible = (surface > 0) & (depths[chosen] <= surface * (1 + _DEPTH_TOLERANCE))
        seen[chosen[visible]] += 1
        sharp[chosen[visible]] |= entry.coc[y, x][visible] <= SHARP_COC_PX
    result = np.zeros(depth.shape, bool)
    result[rows, columns] = (seen >= LEAST_PHOTOS) & sharp
    return result
