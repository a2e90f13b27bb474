# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the camera stands. Poses are camera-to-world with OpenGL axes (x right, y up, z backward), in millimetres.

They are poses in the subject's frame. Where the subject is turned on a turntable, the camera's pose in the room is
`turn(degrees, centre) @ camera_to_world`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_CONE = math.radians(15)  # half angle of `forward`


@dataclass(frozen=True)
class Stand:
    """Where one photo is taken from."""

    camera_to_world: np.ndarray  # [4, 4], in the subject's frame
    turn_degrees: float = 0.0  # of the subject about the vertical axis through its centre


Plan = Callable[[int, np.ndarray, float, np.random.Generator, tuple[float, float]], list[Stand]]


def look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The pose [4, 4] of an upright camera at `position` [3] that looks at `target` [3]; never straight down or up."""
    backward = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    pose[:3, 3] = position
    return pose


def turn(degrees: float, centre: np.ndarray) -> np.ndarray:
    """The motion [4, 4] that turns the world about the vertical axis through `centre` [3]."""
    angle = math.radians(degrees)
    motion = np.eye(4)
    motion[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    motion[:3, 3] = centre - motion[:3, :3] @ centre
    return motion


def hemisphere(
    count: int,
    target: np.ndarray,  # [3], mm
    distance: float,  # mm
    rng: np.random.Generator,
    elevations: tuple[float, float] = (20.0, 65.0),  # degrees above the horizon
) -> list[Stand]:
    """Views spread evenly over a band of the upper hemisphere: a golden-angle spiral from a random azimuth."""
    low, high = (math.sin(math.radians(angle)) for angle in elevations)
    start = rng.uniform(0, 2 * math.pi)
    stands = []
    for index in range(count):
        height = low + (high - low) * (index + 0.5) / count  # equal steps of the sine are equal areas
        direction = _direction(start + index * _GOLDEN_ANGLE, math.asin(height))
        stands.append(_by_hand(target, direction, distance, rng))
    return stands


def orbit(
    count: int,
    target: np.ndarray,  # [3], mm
    distance: float,  # mm
    rng: np.random.Generator,
    elevations: tuple[float, float],  # degrees above the horizon
) -> list[Stand]:
    """Once round the subject at the middle elevation, as evenly as by hand: 15 % of a step and 3 degrees of height."""
    start = rng.uniform(0, 2 * math.pi)
    stands = []
    for index in range(count):
        azimuth = start + 2 * math.pi * (index + rng.uniform(-0.15, 0.15)) / count
        elevation = _middle(elevations) + math.radians(rng.uniform(-3.0, 3.0))
        stands.append(_by_hand(target, _direction(azimuth, elevation), distance, rng))
    return stands


def turntable(
    count: int,
    target: np.ndarray,  # [3], mm
    distance: float,  # mm
    rng: np.random.Generator,
    elevations: tuple[float, float],  # degrees above the horizon
) -> list[Stand]:
    """A camera on a tripod before a turntable that is turned by hand: 15 % of a step more or less."""
    tripod = look_at(target + _front(elevations) * distance, target)
    start = rng.uniform(0, 360)
    turns = [start + 360 * (index + rng.uniform(-0.15, 0.15)) / count for index in range(count)]
    return [Stand(turn(-degrees, target) @ tripod, degrees) for degrees in turns]


def forward(
    count: int,
    target: np.ndarray,  # [3], mm
    distance: float,  # mm
    rng: np.random.Generator,
    elevations: tuple[float, float],  # degrees above the horizon
) -> list[Stand]:
    """From the front (-Y) only, within 15 degrees of the middle elevation: a sunflower's seeds from a random one."""
    ahead = _front(elevations)
    axes = look_at(ahead, np.zeros(3))[:3, :3]
    start = rng.uniform(0, 2 * math.pi)
    stands = []
    for index in range(count):
        aside, angle = math.tan(_CONE * math.sqrt((index + 0.5) / count)), start + index * _GOLDEN_ANGLE
        direction = ahead + aside * (math.cos(angle) * axes[:, 0] + math.sin(angle) * axes[:, 1])
        stands.append(_by_hand(target, direction / np.linalg.norm(direction), distance, rng))
    return stands


PLANS: dict[str, Plan] = {
    "hemisphere": hemisphere,
    "orbit": orbit,
    "turntable": turntable,
    "forward": forward,
}


def _by_hand(target: np.ndarray, direction: np.ndarray, distance: float, rng: np.random.Generator) -> Stand:
    """No two views aim at exactly the same point or from the same distance: 1 % and 2 % of it either way.

    Args:
        target: [3], mm.
        direction: [3], of unit length, from it to the camera.
        distance: mm.
        rng: draws the deviations.
    """
    aim = target + rng.uniform(-0.01, 0.01, 3) * distance
    return Stand(look_at(aim + direction * distance * rng.uniform(0.98, 1.02), aim))


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    flat = math.cos(elevation)
    return np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])


def _front(elevations: tuple[float, float]) -> np.ndarray:
    return _direction(-math.pi / 2, _middle(elevations))


def _middle(elevations: tuple[float, float]) -> float:
    return math.radians(sum(elevations) / 2)
