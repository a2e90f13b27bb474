# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the focus moves through the subject from photo to photo, as far as single photos show it.

Without poses nobody knows where in space a photo is focused. But a photographer who walks round a subject with the
focus ring untouched, or with the autofocus on its centre, has the same part of the frame in focus in each photo: the
sharpness maps are alike. Where the focus moves they are not. On the eight scenes of the generated benchmark the median
correlation of two photos' maps is at most 0.06 with the focus stepped through the subject, singly or in brackets. With
the sharp photos blurred as by a focus that stays at one distance, or on the middle of the frame, it is 0.25 to 0.65 in
six scenes, and under 0.2 in two that have little texture or a subject of many depths: there nothing is noticed.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from solver.optics.circle_of_confusion import SHARP_COC_PX

ALIKE = 0.2  # median correlation from which the focus does not seem to move
_LONGER, _SHORTER = 8, 6  # cells of the frame
_KNOWN_SHARE = 0.3  # of a cell, for it to count
_LEAST_CELLS = 10  # that two photos have in common
_LEAST_CONTRAST = 0.02  # standard deviation over cells, of a map that can be like another
_LEAST_PAIRS = 6
_MOST_PHOTOS = 100  # evenly chosen among more


def focus_likeness(maps: Sequence[np.ndarray]) -> float | None:  # [h, w] each, px; NaN where unknown
    """Median correlation, over pairs of photos, of the shares in focus of parts of the frame; None where too few tell.

    Args:
        maps: circles of confusion. Portrait and landscape photos are not compared with each other.
    """
    chosen = np.unique(np.linspace(0, len(maps) - 1, min(len(maps), _MOST_PHOTOS)).round().astype(int)) if maps else []
    cells = [_shares(maps[index]) for index in chosen]
    correlations = [
        correlation
        for first, second in combinations(cells, 2)
        if first.shape == second.shape and (correlation := _correlation(first, second)) is not None
    ]
    return float(np.median(correlations)) if len(correlations) >= _LEAST_PAIRS else None


def _shares(coc_px: np.ndarray) -> np.ndarray:
    """The share in focus of each cell of the frame; NaN where little is known."""
    height, width = coc_px.shape
    rows, columns = (_SHORTER, _LONGER) if width >= height else (_LONGER, _SHORTER)
    known = np.isfinite(coc_px)
    sharp = known & (np.nan_to_num(coc_px, nan=np.inf) <= SHARP_COC_PX)
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    cell = (row[:, None] * columns + column).ravel()
    count, in_focus, size = (
        np.bincount(cell, weights=None if values is None else values.ravel(), minlength=rows * columns)
        for values in (known, sharp, None)
    )
    shares = np.where(count >= np.maximum(1, _KNOWN_SHARE * size), in_focus / np.maximum(count, 1), np.nan)
    return shares.reshape(rows, columns)


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    both = np.isfinite(first) & np.isfinite(second)
    a, b = first[both], second[both]
    if len(a) < _LEAST_CELLS or min(a.std(), b.std()) < _LEAST_CONTRAST:
        return None
    return float(np.corrcoef(a, b)[0, 1])
