# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong when a person takes photos: exposure, white balance, noise, and poses that are not quite known.

Each function takes the same numbers from its generator whatever the strength, so that turning one imperfection up or
off leaves the others as they were. No bpy here.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Imperfections:
    """How strong they are; by default there are none."""

    exposure_stops: float = 0.0  # standard deviation of a photo's exposure, in factors of two
    white_balance: float = 0.0  # relative standard deviation of the gains on red and on blue
    full_well_electrons: float | None = None  # at which a pixel saturates; None for a sensor without noise
    read_noise_electrons: float = 0.0  # standard deviation; without effect where the sensor has no noise
    pose_translation_mm: float = 0.0  # standard deviation on each axis of the camera centres that are told
    pose_rotation_degrees: float = 0.0  # standard deviation about each axis of the camera's turn that is told

    @property
    def develops(self) -> bool:
        """Whether a photo is something else than the render."""
        return bool(self.exposure_stops or self.white_balance or self.full_well_electrons is not None)

    @property
    def moves_poses(self) -> bool:
        """Whether the poses that the capture tells are not the true ones."""
        return bool(self.pose_translation_mm or self.pose_rotation_degrees)


def random_exposure(stops: float, rng: np.random.Generator) -> float:
    """A factor on the light: 2 to the power of a normal number of mean 0 and standard deviation `stops`."""
    return float(2.0 ** (stops * rng.standard_normal()))


def random_white_balance(strength: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Gains on red, green and blue: green is 1, the logarithms of the others are normal.

    Args:
        strength: standard deviation of the logarithm, so of the gain, relative, where it is small.
        rng: where the numbers come from.
    """
    red, blue = np.exp(strength * rng.standard_normal(2))
    return float(red), 1.0, float(blue)


def noisy_pose(
    camera_to_world: np.ndarray,  # [4, 4]
    translation: float,  # scene units
    rotation_degrees: float,
    rng: np.random.Generator,
) -> np.ndarray:  # [4, 4]
    """The pose, moved and turned about the camera's centre, alike in all directions.

    The offset and the rotation vector are normal with mean 0 on each of three axes, with standard deviations
    `translation` and `rotation_degrees`: neither has a preferred direction, and the mean rotation is none.
    """
    offset, turn = rng.standard_normal((2, 3))
    pose = camera_to_world.astype(np.float64)
    pose[:3, :3] = pose[:3, :3] @ _rotation(np.radians(rotation_degrees) * turn)
    pose[:3, 3] += translation * offset
    return pose


def _rotation(vector: np.ndarray) -> np.ndarray:
    """The matrix [3, 3] of a rotation vector [3]: its direction is the axis, its length the angle (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    # sin(a) / a and (1 - cos(a)) / a^2, both finite at 0
    first, second = np.sinc(angle / np.pi), np.sinc(angle / (2 * np.pi)) ** 2 / 2
    return np.eye(3) + first * cross + second * cross @ cross
