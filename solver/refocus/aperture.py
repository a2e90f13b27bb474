# SPDX-License-Identifier: GPL-3.0-or-later
"""A lens to look through that no photo was taken with, and the points of its pupil.

Each of M points is dilated by a disc of somewhat more than an M-th of the pupil's area, so that between neighbours no
gap shows: a Gaussian of standard deviation s on a grid of spacing a leaves exp(-8 pi^2 s^2 / 3 a^2) of the grid's first
harmonic, a hundredth where the disc has 1.5 times its share's diameter. Points and discs together have the variance of
the pupil.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from solver.defocus.pupil import spiral

_SPREAD = 1.5  # diameter that a point's dilation spans over that of its share of the pupil
_SPACING_PX = 2.0  # between neighbouring points, as they are seen in the widest blur of a picture
_FEWEST, _MOST = 16, 320  # points, where nobody asked for a number; the latter are a twentieth of the blur apart


@dataclass(frozen=True)
class Lens:
    """What a picture is taken through."""

    pupil_diameter: float  # scene unit; with blades that of the circle round the polygon
    inverse_focus_distance: float  # 1 / scene unit; 0 is infinity
    blades: int = 0  # of the aperture, 3 or more; 0 is a round one
    blade_rotation_degrees: float = 0.0  # of the middle of an edge, anticlockwise from the right, seen by the camera

    @property
    def variance(self) -> float:
        """Of the pupil on each axis, in squared diameters: 1/16 of a disc (docs/formats.md for the polygon)."""
        return (2 + math.cos(2 * math.pi / self.blades)) / 48 if self.blades else 1 / 16

    @property
    def area_share(self) -> float:
        """Of the polygon in the circle round it."""
        turn = 2 * math.pi / self.blades if self.blades else 0.0
        return math.sin(turn) / turn if self.blades else 1.0


def sample_count(lens: Lens, largest_coc_px: float) -> int:
    """How many points of the pupil it takes for none to be seen apart in a blur of `largest_coc_px`."""
    wanted = math.ceil(math.pi / 4 * lens.area_share * (largest_coc_px / _SPACING_PX) ** 2)
    return min(max(wanted, _FEWEST), _MOST)


def sampled(lens: Lens, count: int) -> tuple[Tensor, float]:  # [count, 2] float64, pupil diameters
    """Points spread evenly over the pupil, camera axes, and the diameter of each one's dilation in pupil diameters."""
    residual = min(_SPREAD * math.sqrt(lens.area_share / count), 4 * math.sqrt(lens.variance))
    points = spiral(count, 0.0)
    if lens.blades:
        points = _into_polygon(points, lens.blades, math.radians(lens.blade_rotation_degrees))
        points = points - points.mean(0)
    spread = float((points**2).sum(1).mean()) / 2
    wanted = lens.variance - residual**2 / 16
    return points * (math.sqrt(max(wanted, 0.0) / spread) if spread > 0 else 0.0), residual


def _into_polygon(points: Tensor, blades: int, rotation: float) -> Tensor:  # [M, 2] of the disc round it
    """The disc squeezed into the regular polygon, areas kept in proportion.

    In each of the wedges the angle t from the edge's middle, of at most w = pi / n, becomes atan(t/w tan w), since the
    triangle below it has the area of its tangent, and the radius shrinks to reach cos w / cos of it.
    """
    half = math.pi / blades
    angle = torch.atan2(-points[:, 1], points[:, 0]) - rotation  # anticlockwise: y points down
    middle = torch.round(angle / (2 * half)) * (2 * half)
    inside = torch.atan((angle - middle) / half * math.tan(half))
    radius = points.norm(dim=1) * math.cos(half) / torch.cos(inside)
    angle = inside + middle + rotation
    return torch.stack([radius * torch.cos(angle), -radius * torch.sin(angle)], 1)
