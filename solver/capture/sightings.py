# SPDX-License-Identifier: GPL-3.0-or-later
"""A point in space from where photos with known cameras show it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from solver.capture.types import Photo


@dataclass(frozen=True)
class Sighted:
    """A point found from several photos."""

    position: np.ndarray  # [3], world
    residuals: np.ndarray  # [N, 2], px: where it projects less where it was seen
    information: np.ndarray  # [3, 3]: inverse of the covariance of `position` if pixels are known to 1 px


def sight(photos: Sequence[Photo], pixels: np.ndarray) -> Sighted | None:
    """The point with the least squares of distances, px, to where the photos show it.

    Args:
        photos: at least two, from different places.
        pixels: [N, 2], in the photos at their cameras' size.

    Returns:
        None where the rays meet nowhere in front of the cameras.
    """
    if len(photos) < 2:
        return None
    projections = np.array([photo.camera.K @ photo.world_to_camera[:3] for photo in photos])
    # Linear start: each photo gives two planes that the point lies in; rows to unit length balance them.
    rows = pixels[:, :, None] * projections[:, 2:3] - projections[:, :2]
    rows = rows.reshape(-1, 4)
    rows = rows / np.linalg.norm(rows[:, :3], axis=1, keepdims=True)
    centre = np.mean([photo.centre for photo in photos], axis=0)
    # Measured from the cameras' middle, so that a world far from its origin loses no digits.
    solution, _, rank, _ = np.linalg.lstsq(rows[:, :3], -(rows[:, 3] + rows[:, :3] @ centre), rcond=1e-9)
    if rank < 3:
        return None
    position = solution + centre
    for _ in range(20):
        local = np.einsum("nij,j->ni", projections[:, :, :3], position) + projections[:, :, 3]
        depth = local[:, 2]
        if (depth <= 0).any():
            return None
        residuals = local[:, :2] / depth[:, None] - pixels
        jacobian = (projections[:, :2, :3] - (local[:, :2] / depth[:, None])[:, :, None] * projections[:, 2:3, :3]) / (
            depth[:, None, None]
        )
        flat = jacobian.reshape(-1, 3)
        step, _, rank, _ = np.linalg.lstsq(flat, -residuals.ravel(), rcond=1e-9)
        if rank < 3 or not np.isfinite(step).all():
            return None
        position = position + step
        if np.linalg.norm(step) < 1e-12 * np.linalg.norm(position - centre):
            break
    local = np.einsum("nij,j->ni", projections[:, :, :3], position) + projections[:, :, 3]
    if (local[:, 2] <= 0).any():
        return None
    return Sighted(position, local[:, :2] / local[:, 2:] - pixels, flat.T @ flat)


def noise_px(sighted: Sequence[Sighted], least: float) -> float:
    """Standard deviation of a pixel coordinate, from what all points' residuals leave over; at least `least`."""
    square = sum(float((point.residuals**2).sum()) for point in sighted)
    freedom = sum(point.residuals.size - 3 for point in sighted)
    return max(least, float(np.sqrt(square / freedom)) if freedom > 0 else 0.0)


def distance(first: Sighted, second: Sighted, noise: float) -> tuple[float, float]:
    """How far two points lie apart, scene unit, and the standard deviation of that if pixels have that of `noise`."""
    along = second.position - first.position
    length = float(np.linalg.norm(along))
    if length == 0:
        return 0.0, 0.0
    direction = along / length
    variance = sum(float(direction @ np.linalg.pinv(point.information) @ direction) for point in (first, second))
    return length, noise * float(np.sqrt(variance))
