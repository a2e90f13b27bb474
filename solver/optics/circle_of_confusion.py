# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a lens spreads a point that is out of focus.

Notation: D entrance pupil diameter, d depth, d0 depth of the focus plane, all in the scene unit; f_px the principal
distance in pixels. The camera centre is the centre of the entrance pupil, which is what structure from motion finds.
A point at d sends a cone of light through the pupil; the rays meet the focus plane in a disc of diameter
D |d - d0| / d, which is seen from the centre at f_px / d0 pixels a unit. Their product,

    c = D f_px |1/d - 1/d0|                                                              (1)

is exact for a thick lens at any magnification, because only object space enters.
"""

from typing import TypeVar

import numpy as np
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)

SIGMAS_PER_DIAMETER = 0.25
"""Standard deviation over diameter of a uniform disc: its variance on each axis is c^2 / 16."""

SHARP_COC_PX = 1.5
"""Diameter up to which a photo holds a point in focus: what it shows there could still be recovered by any method."""


def circle_of_confusion_px(
    depth: Array,  # [...], scene unit, > 0
    pupil_diameter: float | Array,  # [] or broadcastable, scene unit
    inverse_focus_distance: float | Array,  # [] or broadcastable, 1 / scene unit
    principal_distance_px: float | Array,  # []
) -> Array:  # [...], px
    """The diameter of the blur disc by equation (1)."""
    return abs(1 / depth - inverse_focus_distance) * (pupil_diameter * principal_distance_px)


def depth_of_field(
    focus_distance: float, pupil_diameter: float, principal_distance_px: float, limit_px: float = 1.0
) -> tuple[float, float]:
    """Nearest and farthest depth whose circle of confusion is at most `limit_px`; the far end can be infinite."""
    spread = limit_px / (pupil_diameter * principal_distance_px)
    near = 1 / (1 / focus_distance + spread)
    inverse_far = 1 / focus_distance - spread
    return near, 1 / inverse_far if inverse_far > 0 else float("inf")
