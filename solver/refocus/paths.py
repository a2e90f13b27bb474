# SPDX-License-Identifier: GPL-3.0-or-later
"""How focus and camera move in a film. All paths close, so that the film can be played over and over."""

import math

import numpy as np

_WHOLE_TURN_GAP = math.radians(120)  # widest stretch without a photo that a walk round the subject crosses
_STRAY = 0.01  # part of the pixels, at each end of the depths, that focus does not go to


def focus_sweep(depths: np.ndarray, frames: int) -> np.ndarray:  # [P] scene unit -> [frames], 1 / scene unit
    """Inverse focus distances from the nearest to the farthest of `depths` and back, slow at both ends.

    Evenly in inverse distance, because blur is linear in it.
    """
    near, far = (1 / np.quantile(depths, share) for share in (_STRAY, 1 - _STRAY))
    return near + (far - near) * (1 - np.cos(2 * np.pi * np.arange(frames) / frames)) / 2


def orbit(
    world_to_camera: np.ndarray,  # [4, 4], where it begins
    centre: np.ndarray,  # [3], world
    positions: np.ndarray,  # [P, 3], world, of the photos' cameras
    frames: int,
) -> list[np.ndarray]:  # [4, 4] each
    """World-to-camera on a path round the vertical axis through `centre`, at one distance and height.

    Once round where photos stand all round the subject; else to and fro between the outermost of them, so that nothing
    comes into view that no photo saw.
    """
    begin = _azimuth(-world_to_camera[:3, :3].T @ world_to_camera[:3, 3] - centre)
    middle, half = _arc(np.array([_azimuth(position - centre) for position in positions]))
    phase = 2 * np.pi * np.arange(frames) / frames
    if half >= math.pi:
        angles = phase
    else:
        offset = _wrapped(begin - middle)
        half = max(half, abs(offset))
        start = math.asin(offset / half) if half > 0 else 0.0
        angles = half * (np.sin(phase + start) - math.sin(start))
    return [world_to_camera @ _turned(-float(angle), centre) for angle in angles]


def _arc(azimuths: np.ndarray) -> tuple[float, float]:  # [P]
    """Middle and half width of the arc in which the photos stand; a half width of pi is all round."""
    ordered = np.sort(azimuths % (2 * math.pi))
    gaps = np.diff(ordered, append=ordered[0] + 2 * math.pi)
    widest = int(np.argmax(gaps))
    if gaps[widest] < _WHOLE_TURN_GAP:
        return 0.0, math.pi
    half = (2 * math.pi - float(gaps[widest])) / 2
    return float(ordered[widest]) - half, half


def _azimuth(direction: np.ndarray) -> float:  # [3]
    return math.atan2(direction[1], direction[0])


def _wrapped(angle: float) -> float:
    return math.remainder(angle, 2 * math.pi)


def _turned(angle: float, centre: np.ndarray) -> np.ndarray:  # [3] -> [4, 4]
    """The motion that turns the world anticlockwise, seen from above, about the vertical axis through `centre`."""
    motion = np.eye(4)
    motion[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    motion[:3, 3] = centre - motion[:3, :3] @ centre
    return motion
