# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth random fields for shapes, after K. Perlin, "Improving Noise" (2002). The same numbers on every machine."""

import numpy as np

_GRADIENTS = np.array(  # to the middles of a cube's edges
    [direction for direction in np.ndindex(3, 3, 3) if sum(step == 1 for step in direction) == 1],
    dtype=np.float64,
)
_GRADIENTS -= 1


def gradient_noise(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Perlin noise of about [-1, 1] and unit wavelength at `points` [..., 3]; returns [...]."""
    cell = np.floor(points).astype(np.int64)
    offset = points - cell
    fade = offset**3 * (offset * (offset * 6 - 15) + 10)
    total = np.zeros(points.shape[:-1])
    for corner in np.ndindex(2, 2, 2):
        gradient = _GRADIENTS[_hash(cell + corner, seed) % len(_GRADIENTS)]
        weight = np.where(np.array(corner, bool), fade, 1 - fade).prod(-1)
        total += weight * (gradient * (offset - corner)).sum(-1)
    return total


def fractal_noise(points: np.ndarray, octaves: int, seed: int = 0, gain: float = 0.5) -> np.ndarray:
    """A sum of `octaves` of noise at `points` [..., 3], each of half the wavelength and `gain` times the height."""
    return sum(
        (gain**octave * gradient_noise(points * 2**octave, seed + octave) for octave in range(octaves)),
        start=np.zeros(points.shape[:-1]),
    )


def _hash(cell: np.ndarray, seed: int) -> np.ndarray:
    """A well-mixed 32-bit integer for each integer cell [..., 3]."""
    x, y, z = (cell[..., axis].astype(np.uint32) for axis in range(3))
    with np.errstate(over="ignore"):  # arithmetic modulo 2^32 is what is meant
        value = x * np.uint32(0x9E3779B1) ^ y * np.uint32(0x85EBCA77) ^ z * np.uint32(0xC2B2AE3D)
        value = value ^ np.uint32((seed * 0x27D4EB2F + 0x165667B1) & 0xFFFFFFFF)
        for shift, factor in [(15, 0x2C1B3C6D), (12, 0x297A2D39)]:
            value = (value ^ (value >> np.uint32(shift))) * np.uint32(factor)
    return value ^ (value >> np.uint32(15))
