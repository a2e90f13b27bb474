# SPDX-License-Identifier: GPL-3.0-or-later
"""The length of the scene's unit from blur: the entrance pupil is known in millimetres, and seen in scene units.

How large a pupil the photos show is read from how their difference from renderings changes with the pupil, apart for
pixels of small and of large circles of confusion. A rendered scene is never as sharp as the real one, and what it lacks
in sharpness a smaller pupil makes up for: with a softness of variance s^2 px^2, equal blur asks for a pupil that is
too small by about 8 s^2 / c^2 where the circle is c px, since a disc's variance is c^2 / 16. So the larger circles tell
better, and the gap between both tells how far they can be trusted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CIRCLES_PX = (2.0, 6.0)  # from here on circles of confusion count as small, and as large
LOG_FACTORS = tuple(math.log(f) for f in (0.7, 0.84, 1.0, 1.2, 1.44))  # of the pupil, to compare

_EXTRAPOLATION = 0.5  # of the gap between small and large circles, beyond the large ones
_GAP_SHARE = 1.5  # of that gap, which is one standard deviation
_SOFTNESS_PX2 = 0.3  # typical variance, where there are no two kinds of circles to tell it
_FLOOR = 0.05  # relative: what remains where everything agrees, found on generated captures
_LEAST_PIXELS = 1000  # of a kind, in all photos
_WORST = 0.5  # an uncertainty beyond this is no knowledge


@dataclass(frozen=True)
class Estimate:
    """A length or a factor, and one standard deviation as a part of it."""

    value: float
    relative_uncertainty: float


@dataclass(frozen=True)
class PupilErrors:
    """How one photo differs from its rendering, for pupils of exp(LOG_FACTORS) times the learned one."""

    squared: np.ndarray  # [2, F], sum over the pixels of small and of large circles
    pixels: np.ndarray  # [2], their number
    squared_circles: np.ndarray  # [2], px^2, sum of theirs


def pupil_factor(photos: Sequence[PupilErrors]) -> Estimate | None:
    """By which the pupil that the photos show differs from the learned one; None where they do not tell.

    The uncertainty joins three parts: the spread over photos (jackknife), the gap between small and large circles, and
    a floor. It leaves out how far f-number and engraved focal length are from what the lens does at close focus.
    """
    best = _log_factor(photos) if len(photos) > 1 else None
    if best is None:
        return None
    others = [_log_factor([*photos[:i], *photos[i + 1 :]]) for i in range(len(photos))]
    known = np.array([other[0] for other in others if other is not None])
    if len(known) < 2:
        return None
    spread = math.sqrt((len(known) - 1) * float(known.var()))
    uncertainty = math.sqrt(spread**2 + best[1] ** 2 + _FLOOR**2)
    return Estimate(math.exp(best[0]), uncertainty) if uncertainty <= _WORST else None


def combined(estimates: Sequence[Estimate]) -> Estimate | None:
    """The weighted mean of estimates of one length, as from several f-numbers; None where there are none.

    Their errors have the same causes, so that more of them make it no surer than its best; but where they disagree, it
    is less sure.
    """
    if not estimates:
        return None
    logs = np.log([estimate.value for estimate in estimates])
    weights = np.array([estimate.relative_uncertainty**-2 for estimate in estimates])
    mean = float((weights * logs).sum() / weights.sum())
    disagreement = float((weights * (logs - mean) ** 2).sum() / weights.sum())
    least = min(estimate.relative_uncertainty for estimate in estimates)
    return Estimate(math.exp(mean), math.sqrt(least**2 + disagreement))


def _log_factor(photos: Sequence[PupilErrors]) -> tuple[float, float] | None:
    """The factor's logarithm, and what softness makes of it at one standard deviation."""
    squared, pixels, circles = (
        sum(getattr(photo, name) for photo in photos) for name in ("squared", "pixels", "squared_circles")
    )
    found = [
        (place, _SOFTNESS_PX2 * 8 * count / circle)
        for curve, count, circle in zip(squared, pixels, circles, strict=True)
        if count >= _LEAST_PIXELS and (place := _minimum(curve)) is not None
    ]
    if len(found) < 2:
        return found[0] if found else None
    (small, _), (large, _) = found
    return large + _EXTRAPOLATION * (large - small), _GAP_SHARE * abs(large - small)


def _minimum(curve: np.ndarray) -> float | None:  # [F]
    """Where a parabola through the least value and its neighbours has its vertex; None at the ends."""
    least = int(np.argmin(curve))
    if not 0 < least < len(curve) - 1 or not np.isfinite(curve).all():
        return None
    square, slope, _ = np.polyfit(LOG_FACTORS[least - 1 : least + 2], curve[least - 1 : least + 2], 2)
    return float(-slope / (2 * square)) if square > 0 else None
