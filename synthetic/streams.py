# SPDX-License-Identifier: GPL-3.0-or-later
"""Random numbers by purpose, so that drawing more of one kind changes no other.

The held-out views of a seed are the same whatever the number of photos, their focus or their imperfections.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for. The values decide what a seed renders: they stay as they are."""

    POSES = 0
    FOCUS = 1
    SAMPLING = 2
    IMPERFECTIONS = 3
    POSE_NOISE = 4
    HELD_OUT_POSES = 5
    HELD_OUT_FOCUS = 6
    HELD_OUT_SAMPLING = 7
    SENSOR = 8


def generator(seed: int, stream: Stream, index: int = 0) -> np.random.Generator:
    """The source of random numbers of one purpose, of the frame `index` where they are drawn a frame at a time."""
    return np.random.default_rng([seed, stream, index])
