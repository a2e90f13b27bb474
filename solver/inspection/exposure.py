# SPDX-License-Identifier: GPL-3.0-or-later
"""How much lighter or darker the photos are than each other, by their settings and by what they show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.capture.exif import Exif
from solver.inspection.likeness import Likeness, Overview

_ALIKE = 0.65  # correlation of two overviews from which they show the same things
_LEAST_OVERLAP = 0.3  # of an overview, well exposed in both
_LEAST_PHOTOS = 3  # compared with each other, for a spread to be told


@dataclass(frozen=True)
class Exposure:
    """Differences in stops (factors of two of light)."""

    settings_stops: tuple[float | None, ...]  # of each photo, relative to the middle one, by shutter, f-number and ISO
    brightness_stops: tuple[float | None, ...]  # of each photo, relative to the middle one, by what it shows

    @property
    def settings_spread_stops(self) -> float | None:
        """From the darkest to the lightest setting; None where the metadata does not tell."""
        return _spread(self.settings_stops)

    @property
    def brightness_spread_stops(self) -> float | None:
        """From the darkest to the lightest photo, of like content; None where too few photos are alike."""
        return _spread(self.brightness_stops)


def compare_exposures(
    exifs: Sequence[Exif], overviews: Sequence[Overview], likenesses: dict[tuple[int, int], Likeness]
) -> Exposure:
    """Compare the photos' settings, and their brightness where two show the same things.

    The brightness of two photos is compared where they overlap, by the median ratio of light; the offsets of all
    photos are those that explain these ratios best (least squares), in the largest set of photos that are connected.
    """
    return Exposure(_settings(exifs), _brightness(overviews, likenesses))


def _settings(exifs: Sequence[Exif]) -> tuple[float | None, ...]:
    return _about_the_middle([exif.exposure_stops for exif in exifs])


def _brightness(overviews: Sequence[Overview], likenesses: dict[tuple[int, int], Likeness]) -> tuple[float | None, ...]:
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import lsqr

    ratios = {
        pair: ratio
        for pair, like in likenesses.items()
        if like.correlation >= _ALIKE
        and (ratio := _ratio_stops(overviews[pair[0]], overviews[pair[1]], like.shift)) is not None
    }
    connected = _largest_connected(len(overviews), list(ratios))
    if len(connected) < _LEAST_PHOTOS:
        return (None,) * len(overviews)
    column = {photo: place for place, photo in enumerate(connected)}
    inside = [(pair, ratio) for pair, ratio in ratios.items() if pair[0] in column]
    rows = np.arange(len(inside)).repeat(2)
    columns = [column[photo] for pair, _ in inside for photo in pair]
    equations = coo_array((np.tile([1.0, -1.0], len(inside)), (rows, columns)), shape=(len(inside), len(connected)))
    offsets = lsqr(equations.tocsr(), np.array([ratio for _, ratio in inside]), atol=1e-9, btol=1e-9)[0]
    return _about_the_middle([float(offsets[column[i]]) if i in column else None for i in range(len(overviews))])


def _ratio_stops(first: Overview, second: Overview, shift: tuple[int, int]) -> float | None:
    """Light of the first photo over that of the second, where they overlap and neither is clipped."""
    (a, b), (c, d) = (_overlap(size, move) for size, move in zip(first.light.shape, shift, strict=True))
    light, other = first.light[a, c], second.light[b, d]
    both = np.isfinite(light) & np.isfinite(other)
    if both.sum() < _LEAST_OVERLAP * first.light.size:
        return None
    return float(np.median(np.log2(light[both] / other[both])))


def _overlap(size: int, move: int) -> tuple[slice, slice]:
    """The places along one axis where the first photo, and the second moved by `move`, overlap."""
    return slice(max(0, move), size + min(0, move)), slice(max(0, -move), size - max(0, move))


def _largest_connected(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    first, second = np.array(pairs).T
    _, label = connected_components(coo_array((np.ones(len(pairs)), (first, second)), shape=(count, count)), False)
    return np.flatnonzero(label == np.bincount(label).argmax()).tolist()


def _about_the_middle(stops: Sequence[float | None]) -> tuple[float | None, ...]:
    known = [value for value in stops if value is not None]
    middle = float(np.median(known)) if known else 0.0
    return tuple(None if value is None else value - middle for value in stops)


def _spread(stops: Sequence[float | None]) -> float | None:
    known = [value for value in stops if value is not None]
    return max(known) - min(known) if len(known) > 1 else None
