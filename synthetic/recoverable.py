# SPDX-License-Identifier: GPL-3.0-or-later
"""What the photos hold in focus: all that any method could recover of a view. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .lens import Lens

LEAST_PHOTOS = 3
SHARP_PX = 1.5  # circle of confusion up to which a surface point is recoverable
NOT_SEEN = -1.0
_DEPTH_TOLERANCE = 0.005  # relative: a photo sees a point if its surface there is not nearer by more than this
_ROWS = 32  # of the view at a time: what is computed on the way stays in the processor's cache


@dataclass(frozen=True)
class Taken:
    """The true photos from one pose."""

    camera_to_world: np.ndarray  # [4, 4], OpenGL axes, mm
    depth: np.ndarray  # [H, W], float32, mm, 0 where nothing is
    focus_distances: tuple[float, ...]  # mm, one a photo


def smallest_circle_of_confusion(
    camera_to_world: np.ndarray,  # [4, 4], OpenGL axes, mm
    depth: np.ndarray,  # [H, W], mm, 0 where nothing is or counts
    taken: Sequence[Taken],  # depth maps of [H, W], too
    lens: Lens,
) -> np.ndarray:  # [H, W], float32, px
    """Per pixel of a view, the smallest blur with which any photo shows the surface point that the pixel's centre sees.

    -1 where fewer than three photos see it, and where there is none. A photo sees a point that projects inside it and
    does not lie behind the surface that the photo has there, by more than 0.5 % of the depth.
    """
    result = np.empty(depth.shape, np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):  # points beside or behind a camera, which does not see them
        for first in range(0, len(depth), _ROWS):
            rows = slice(first, first + _ROWS)
            result[rows] = _of_rows(camera_to_world, depth[rows].astype(np.float32), first, taken, lens, len(depth))
    return result


def is_recoverable(smallest_coc: np.ndarray) -> np.ndarray:
    """Where [H, W] a view's smallest circle of confusion is that of a point that the photos hold in focus."""
    return (smallest_coc >= 0) & (smallest_coc <= SHARP_PX)


def _of_rows(
    camera_to_world: np.ndarray,
    depth: np.ndarray,  # [R, W], float32
    first: int,
    taken: Sequence[Taken],
    lens: Lens,
    height: int,
) -> np.ndarray:  # [R, W]
    width = depth.shape[1]
    principal_distance = lens.principal_distance_px(width)
    ray_x = (np.arange(width) + 0.5 - width / 2) / principal_distance  # [W]
    ray_y = -(np.arange(first, first + len(depth))[:, None] + 0.5 - height / 2) / principal_distance  # [R, 1]
    photos = np.zeros(depth.shape, np.int32)
    defocus = np.full(depth.shape, np.inf, np.float32)  # |1/d - 1/d0|
    for pose in taken:
        relative = np.linalg.inv(pose.camera_to_world) @ camera_to_world
        x, y, backward = (
            depth * (row[0] * ray_x + (row[1] * ray_y - row[2])).astype(np.float32) + np.float32(row[3])
            for row in relative[:3]
        )
        inverse = -1 / backward  # of the depth, below 0 behind the camera
        columns = x * inverse * np.float32(principal_distance) + np.float32(width / 2)
        lines = y * inverse * np.float32(-principal_distance) + np.float32(height / 2)
        inside = (inverse > 0) & (columns >= 0) & (columns < width) & (lines >= 0) & (lines < height)
        pixel = np.where(inside, lines, 0).astype(np.int32) * width + np.where(inside, columns, 0).astype(np.int32)
        surface = pose.depth.ravel().take(pixel) * np.float32(1 + _DEPTH_TOLERANCE)
        visible = inside & (-backward <= surface)
        photos += len(pose.focus_distances) * visible
        for distance in pose.focus_distances:
            np.minimum(defocus, abs(inverse - np.float32(1 / distance)), out=defocus, where=visible)
    coc = np.float32(lens.pupil_diameter_mm * principal_distance) * defocus
    return np.where((photos >= LEAST_PHOTOS) & (depth > 0), coc, np.float32(NOT_SEEN))
