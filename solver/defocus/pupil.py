# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of the entrance pupil to look through, so that few of them stand for all of it.

Dilation adds to what is seen from a point, so that each point stands for a blob of the pupil. What a photo shows of
blur are edges: behind a straight edge a disc of radius 1 rises as  1/2 + (x sqrt(1 - x^2) + asin x) / pi,  and blobs as
the mean of  Phi((x - p_i) / sigma)  over their distances p_i from the middle. From three points to six, a ring is where
the two differ least in L1, in the mean over all directions of the edge: by 0.013 radii for six points. Blobs of a
spiral, whose spread and dilation have the disc's variance, differ by 0.050 radii then, and come to 0.013 with 32. One
Gaussian of the disc's variance differs by 0.055.
"""

import math

import torch
from torch import Tensor

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_RINGS = {3: (0.267, 0.742), 4: (0.296, 0.610), 5: (0.302, 0.571), 6: (0.306, 0.552)}
"""Radius, and the diameter that each point's dilation spans, in pupil diameters, by the number of points."""


def pupil_samples(count: int, turn: float) -> Tensor:  # [count, 2] float64, pupil diameters
    """`count` points of a round pupil about its centre, turned by `turn` radians.

    Three to six make a ring, others a `spiral`. With each goes a dilation by `sample_dilation`.
    """
    if count not in _RINGS:
        return spiral(count, turn)
    angle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count) + turn
    return _RINGS[count][0] * torch.stack([torch.cos(angle), torch.sin(angle)], -1)


def sample_dilation(count: int) -> float:
    """The diameter that the dilation of each of `count` points spans, in pupil diameters."""
    return _RINGS[count][1] if count in _RINGS else count**-0.5


def spiral(count: int, turn: float) -> Tensor:  # [count, 2] float64, pupil diameters
    """`count` points spread evenly over a round pupil, on a golden-angle spiral (Vogel 1979) turned by `turn` radians.

    Their centroid is the pupil's centre and their variance on each axis (1 - 1/count) / 16, together with that of a
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
