# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing two worlds together whose cameras correspond: photogrammetry knows its world up to a similarity."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Similarity:
    """The map x -> scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray  # [3, 3]
    translation: np.ndarray  # [3]

    def apply(self, points: np.ndarray) -> np.ndarray:  # [P, 3] -> [P, 3]
        """Map points."""
        return self.scale * points @ self.rotation.T + self.translation

    def inverse(self) -> "Similarity":
        """The map back."""
        rotation = self.rotation.T
        return Similarity(1 / self.scale, rotation, -rotation @ self.translation / self.scale)

    def camera(self, world_to_camera: np.ndarray) -> np.ndarray:  # [4, 4] -> [4, 4]
        """The same camera in the mapped world; depths become `scale` times as large."""
        rotation = world_to_camera[:3, :3] @ self.rotation.T
        result = np.eye(4)
        result[:3, :3] = rotation
        result[:3, 3] = self.scale * world_to_camera[:3, 3] - rotation @ self.translation
        return result


def align_cameras(source: list[np.ndarray], target: list[np.ndarray]) -> Similarity:
    """The similarity that takes the cameras `source` ([4, 4] world_to_camera each) nearest to `target`.

    Rotation from the mean of the cameras' relative rotations, scale and translation from their centres (Umeyama
    1991), so that few or collinear cameras are no obstacle. Cameras in one place leave the scale at 1; cameras that
    have nothing to do with each other can give one below 0.
    """
    rotations = np.sum([t[:3, :3].T @ s[:3, :3] for s, t in zip(source, target, strict=True)], axis=0)
    u, _, vt = np.linalg.svd(rotations)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    a = np.stack([-s[:3, :3].T @ s[:3, 3] for s in source])
    b = np.stack([-t[:3, :3].T @ t[:3, 3] for t in target])
    a_mean, b_mean = a.mean(0), b.mean(0)
    turned = (a - a_mean) @ rotation.T
    spread = (turned**2).sum()
    if spread <= 1e-12 * (a**2).sum():
        return Similarity(1.0, rotation, b_mean - rotation @ a_mean)
    scale = float((turned * (b - b_mean)).sum() / spread)
    return Similarity(scale, rotation, b_mean - scale * rotation @ a_mean)
