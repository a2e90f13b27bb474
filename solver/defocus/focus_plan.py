# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the photos' focus distances let anything be recovered, as far as the lens is known at the time."""

from collections.abc import Sequence

import numpy as np

from solver.capture.types import Capture
from solver.defocus.lens import DepthSamples, Lens
from solver.optics.circle_of_confusion import SHARP_COC_PX, circle_of_confusion_px

EQUAL_FOCUS = "All photos focus at about the same distance"  # how every sentence about that begins

_ADVICE = "take more photos with focus stepped through the depth of the subject"
_EQUAL_PX = 2.0  # circle of confusion that the focus distances make of each other, up to which they count as equal
_LEAST_KNOWN = 0.5  # of the photos, whose focus a file states or sparse points tell, for the plan to be judged
_HOPELESS_SHARE = 0.5  # of the sparse points: if more are never in focus, the plan misses the subject
_LEAST_POINTS = 20  # for such a share to mean something
_ONE_SIDE = 0.75  # of the missed points, on one side of the focus planes: the advice names that side


def focus_plan_warning(
    capture: Capture,
    lens: Lens,
    samples: Sequence[DepthSamples],
    used: Sequence[int],
) -> str | None:
    """One sentence about a hopeless focus plan, with what to do about it; None where nothing speaks against it.

    It is hopeless where all photos focus at the same distance, since then blur does not tell the pupil, and where more
    than half of the sparse points are in focus in no photo. The latter is asked only where the pupil is known in the
    scene's unit, and leniently: a photo counts for every point inside its frame, since what hides it is not known yet.

    Args:
        capture: photos and sparse points.
        lens: at the start of training.
        samples: of each photo, that the lens's focus distances started from.
        used: indices of the photos that training will see.
    """
    known = [i for i in used if capture.photos[i].focus_distance or len(samples[i].depths) > 1]
    if len(known) < max(2, _LEAST_KNOWN * len(used)):
        return None
    equal = equal_focus_warning(capture, lens, known)
    missed, farther = _missed_share(capture, lens, known)
    if missed > _HOPELESS_SHARE:
        told = (
            f"{100 * missed:.0f} % of the subject's sparse points are in focus in no photo, "
            "by the focus distances known before training"
        )
        if equal:
            return f"{EQUAL_FOCUS}, and {told}: expect little detail there and an uncertain pupil diameter; {_ADVICE}"
        side = "farther back" if farther >= _ONE_SIDE else "nearer to the camera"
        where = side if farther >= _ONE_SIDE or farther <= 1 - _ONE_SIDE else "on those parts"
        return f"{told}: expect little detail there; take more photos with focus {where}"
    return equal


def equal_focus_warning(capture: Capture, lens: Lens, used: Sequence[int]) -> str | None:
    """One sentence where the `used` photos of a capture all focus at about the same distance; else None.

    Where no file states the distances and few sparse points tell them, only training can find this out.
    """
    if len(used) < 2 or _spread_px(capture, lens, used) > _EQUAL_PX:
        return None
    return f"{EQUAL_FOCUS}, from which the pupil diameter cannot be learned well; {_ADVICE}"


def _spread_px(capture: Capture, lens: Lens, photos: Sequence[int]) -> float:
    """The circle of confusion that a typical photo's focus plane has in one focused elsewhere, px."""
    focus = np.array([lens.inverse_focus_distance(i) for i in photos])
    blur = [lens.pupil_diameter(i) * capture.photos[i].camera.fx for i in photos]
    return float(np.subtract(*np.percentile(focus, [90, 10])) * np.median(blur))


def _missed_share(capture: Capture, lens: Lens, photos: Sequence[int]) -> tuple[float, float]:
    """The share of the sparse points that are never in focus, and of those the share beyond their sharpest photo's
    focus plane; zeros where pupils or points are not known.
    """
    pupils_known = capture.unit_mm is not None and all(
        capture.photos[i].nominal_pupil_diameter_mm is not None for i in photos
    )
    if capture.points is None or not pupils_known:
        return 0.0, 0.0
    points = capture.points.positions
    smallest, beyond = np.full(len(points), np.inf), np.zeros(len(points), bool)
    for i in photos:
        photo, inverse_focus = capture.photos[i], lens.inverse_focus_distance(i)
        _, depths, inside = photo.project(points)
        coc = np.full(len(points), np.inf)
        coc[inside] = circle_of_confusion_px(depths[inside], lens.pupil_diameter(i), inverse_focus, photo.camera.fx)
        sharper = coc < smallest
        smallest[sharper], beyond[sharper] = coc[sharper], depths[sharper] * inverse_focus > 1
    seen = np.isfinite(smallest)
    if seen.sum() < _LEAST_POINTS:
        return 0.0, 0.0
    missed = seen & (smallest > SHARP_COC_PX)
    return float(missed.sum() / seen.sum()), float(beyond[missed].mean()) if missed.any() else 0.0
