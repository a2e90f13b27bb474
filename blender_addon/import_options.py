# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a result is imported. Nothing here needs Blender."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from .result_files import Result, Splats

CROP_MARGIN = 0.05  # of the subject's box, on each side
BULK = 0.98  # share of the splats along each axis that make the box where there is no mesh


@dataclass(frozen=True)
class ImportOptions:
    """The user's choice; the default is everything."""

    mesh: bool = True
    splats: bool = True
    cameras: bool = True
    splat_budget: int = 0  # so many splats at most, those that cover most; 0 takes all
    crop: bool = False  # leave out the splats outside the subject's box


def chosen(result: Result, options: ImportOptions) -> Result:
    """The part of a result that is wanted."""
    splats = result.splats if options.splats else None
    if splats is not None and options.crop:
        splats = _taken(splats, np.nonzero(inside(splats.means, *subject_box(result)))[0])
    if splats is not None and 0 < options.splat_budget < len(splats.means):
        splats = _taken(splats, most_important(splats, options.splat_budget))
    return dataclasses.replace(
        result,
        surface=result.surface if options.mesh else None,
        splats=splats,
        photos=result.photos if options.cameras else (),
    )


def subject_box(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest corner, [3] each, scene unit, of the subject with a margin: the mesh, else the splats."""
    if result.surface is not None and len(result.surface.vertices):
        low, high = result.surface.vertices.min(axis=0), result.surface.vertices.max(axis=0)
    elif result.splats is not None and len(result.splats.means):
        low, high = np.quantile(result.splats.means, [(1 - BULK) / 2, (1 + BULK) / 2], axis=0)
    else:
        return np.full(3, -np.inf), np.full(3, np.inf)
    margin = CROP_MARGIN * (high - low)
    return low - margin, high + margin


def inside(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:  # [N, 3], [3], [3] -> [N] bool
    """Which points lie in a box."""
    return ((points >= low) & (points <= high)).all(axis=1)


def most_important(splats: Splats, count: int) -> np.ndarray:  # [count]
    """The indices, in their old order, of the splats that cover the largest area, weighted by opacity."""
    two_largest = np.sort(splats.scales, axis=1)[:, 1:].astype(np.float64)
    importance = splats.opacities * two_largest.prod(axis=1)
    return np.sort(np.argpartition(-importance, count - 1)[:count])


def _taken(splats: Splats, indices: np.ndarray) -> Splats:  # [K]
    return Splats(
        means=splats.means[indices],
        rgb=splats.rgb[indices],
        opacities=splats.opacities[indices],
        scales=splats.scales[indices],
        quaternions=splats.quaternions[indices],
        coverage={name: values[indices] for name, values in splats.coverage.items()},
    )
