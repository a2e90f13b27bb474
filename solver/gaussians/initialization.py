# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the Gaussians start: at the sparse points, topped up with random ones in the space that the cameras share."""

import numpy as np
import torch
from scipy.spatial import KDTree

from solver.capture.types import Capture, Photo
from solver.errors import SolverError
from solver.gaussians.model import SH_C0, Gaussians
from solver.optics.colour import srgb_to_linear

INITIAL_OPACITY = 0.5
_RANDOM_COLOUR = 0.2  # linear light
_LEAST_SHARE_OF_VIEWS = 1 / 3  # that must see a random point
_MOST_DRAWS = 50  # of random points, each twice as many as are wanted


def scene_centre(photos: tuple[Photo, ...]) -> np.ndarray:
    """The point nearest to all optical axes in the least-squares sense, [3], world.

    Falls back to a point ahead of the mean camera, twice as far as the cameras are spread, where the axes are
    parallel or meet behind the cameras.
    """
    centres = np.stack([photo.centre for photo in photos])
    axes = np.stack([photo.world_to_camera[2, :3] for photo in photos])
    projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = projectors.sum(0)
    if np.linalg.cond(system) <= 1e6:
        nearest = np.linalg.solve(system, np.einsum("nij,nj->i", projectors, centres))
        if np.median(((nearest - centres) * axes).sum(1)) > 0:
            return nearest
    spread = np.linalg.norm(centres - centres.mean(0), axis=1).max()
    return centres.mean(0) + 2 * (spread or 1.0) * axes.mean(0)


def scene_size(capture: Capture) -> float:
    """Half the width of what a typical camera sees at the scene's centre, scene unit."""
    centre = scene_centre(capture.photos)
    widths = []
    for photo in capture.photos:
        depth = abs(float(photo.world_to_camera[2, :3] @ centre + photo.world_to_camera[2, 3]))
        widths.append(0.5 * depth * photo.camera.width / photo.camera.fx)
    return float(np.median(widths))


def initialize(
    capture: Capture, count: int, sh_degree: int, generator: np.random.Generator, *, most: int | None = None
) -> Gaussians:
    """Round Gaussians at the sparse points, in their colours, and dark grey ones at random places.

    Each is as wide as the mean gap to its three nearest neighbours.

    Args:
        capture: cameras and sparse points.
        count: how many Gaussians to start with, unless there are more sparse points or less common space.
        sh_degree: of the colour coefficients, which are all zero but the constant one.
        generator: of the random places and turns.
        most: a random choice of so many is taken of the sparse points if there are more.

    Raises:
        SolverError: the cameras look at no common space.
    """
    positions, colours = _sparse(capture)
    if most is not None and len(positions) > most:
        chosen = np.sort(generator.choice(len(positions), most, replace=False))
        positions, colours = positions[chosen], colours[chosen]
    missing = count - len(positions)
    if missing > 0:
        random = _random_positions(capture, positions, missing, generator)
        positions = np.concatenate([positions, random])
        colours = np.concatenate([colours, np.full((len(random), 3), _RANDOM_COLOUR)])
    if len(positions) < 4:
        raise SolverError(
            "the cameras look at no common space", where=capture.root, remedy="check the poses of the photos"
        )
    return round_gaussians(positions, colours, sh_degree, scene_size(capture), generator)


def round_gaussians(
    positions: np.ndarray,  # [N, 3], world, N >= 4
    colours: np.ndarray,  # [N, 3], linear light
    sh_degree: int,
    size: float,
    generator: np.random.Generator,
) -> Gaussians:
    """Round Gaussians, each as wide as the mean gap to its three nearest neighbours, of the same colour from all sides.

    Args:
        positions: of their centres.
        colours: of all of each Gaussian.
        sh_degree: of the colour coefficients, which are all zero but the constant one.
        size: of the scene, which bounds the widths.
        generator: of the random turns.
    """
    gaps = KDTree(positions).query(positions, k=4)[0][:, 1:]
    widths = np.clip(np.sqrt((gaps**2).mean(1)), 1e-4 * size, 0.1 * size)
    n, coefficients = len(positions), (sh_degree + 1) ** 2
    return Gaussians(
        means=_tensor(positions),
        log_scales=_tensor(np.log(widths))[:, None].repeat(1, 3),
        quaternions=_tensor(generator.normal(size=(n, 4))),
        opacity_logits=torch.full((n,), INITIAL_OPACITY).logit(),
        sh_constant=_tensor((colours - 0.5) / SH_C0)[:, None, :],
        sh_rest=torch.zeros(n, coefficients - 1, 3),
    )


def _sparse(capture: Capture) -> tuple[np.ndarray, np.ndarray]:
    """Positions, [P, 3], world, and colours, [P, 3], linear light, of the sparse points."""
    if capture.points is None or len(capture.points.positions) == 0:
        return np.zeros((0, 3)), np.zeros((0, 3))
    return capture.points.positions, srgb_to_linear(capture.points.colours / 255.0)


def _random_positions(
    capture: Capture, sparse: np.ndarray, count: int, generator: np.random.Generator
) -> np.ndarray:  # [<= count, 3]
    """Uniform points of a box round the scene, kept where at least a third of the cameras see them."""
    if len(sparse) >= 100:
        low, high = np.percentile(sparse, [2, 98], axis=0)
        margin = 0.25 * (high - low).max()
        low, high = low - margin, high + margin
    else:
        centre, size = scene_centre(capture.photos), scene_size(capture)
        low, high = centre - size, centre + size
    kept: list[np.ndarray] = []
    for _ in range(_MOST_DRAWS):
        candidates = generator.uniform(low, high, size=(2 * count, 3))
        kept.append(candidates[_share_of_views(capture.photos, candidates) >= _LEAST_SHARE_OF_VIEWS])
        if sum(map(len, kept)) >= count:
            break
    return np.concatenate(kept)[:count]


def _share_of_views(photos: tuple[Photo, ...], points: np.ndarray) -> np.ndarray:  # [P, 3] -> [P]
    seen = np.zeros(len(points))
    for photo in photos:
        seen += photo.project(points)[2]
    return seen / len(photos)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
