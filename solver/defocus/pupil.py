# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of the entrance pupil to look through, so that few of them stand for all of it.

M points each stand for a disc of an M-th of the pupil's area, which dilation adds to what is seen from the point.
Points and discs together have the pupil's variance if the points' own spread is that of a disc shrunk by
sqrt(1 - 1/M).
"""

import math

import torch
from torch import Tensor

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def pupil_samples(count: int, turn: float) -> Tensor:  # [count, 2] float64, pupil diameters
    """`count` points of a round pupil on a golden-angle spiral (Vogel 1979), turned by `turn` radians.

    Their centroid is the pupil's centre and their variance on each axis (1 - 1/count) / 16, together with that of the
    dilation by 1 / sqrt(count) of the pupil just that of a disc.
    """
    if count == 1:
        return torch.zeros(1, 2, dtype=torch.float64)
    index = torch.arange(count, dtype=torch.float64)
    radius = 0.5 * torch.sqrt((index + 0.5) / count)
    angle = index * _GOLDEN_ANGLE + turn
    points = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)
    points = points - points.mean(0)
    return points * math.sqrt((1 - 1 / count) / 8 / float((points**2).sum(1).mean()))
