# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the camera stands. Poses are camera-to-world with OpenGL axes (x right, y up, z backward), in millimetres."""

import math

import numpy as np

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The pose [4, 4] of an upright camera at `position` [3] that looks at `target` [3]; never straight down or up."""
    backward = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    pose[:3, 3] = position
    return pose


def hemisphere(
    count: int,
    target: np.ndarray,  # [3], mm
    distance: float,  # mm
    rng: np.random.Generator,
    elevations: tuple[float, float] = (20.0, 65.0),  # degrees above the horizon
) -> list[np.ndarray]:  # poses [4, 4]
    """Views spread evenly over a band of the upper hemisphere: a golden-angle spiral from a random azimuth.

    As by hand, no two views aim at exactly the same point or from the same distance: 2 % of it either way.
    """
    low, high = (math.sin(math.radians(angle)) for angle in elevations)
    start = rng.uniform(0, 2 * math.pi)
    poses = []
    for index in range(count):
        height = low + (high - low) * (index + 0.5) / count  # equal steps of the sine are equal areas
        azimuth = start + index * _GOLDEN_ANGLE
        flat = math.sqrt(1 - height * height)
        direction = np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), height])
        aim = target + rng.uniform(-0.01, 0.01, 3) * distance
        poses.append(look_at(aim + direction * distance * rng.uniform(0.98, 1.02), aim))
    return poses
