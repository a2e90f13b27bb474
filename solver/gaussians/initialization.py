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


def scene_centre(photos: tuple[Photo, ...]) -> np.ndarray:
    """The point nearest to all optical axes in the least-squares sense, [3], world.

    Falls back to a point ahead of the mean camera where the axes are parallel.
    """
    centres = np.stack([photo.centre for photo in photos])
    axes = np.stack([photo.world_to_camera[2, :3] for photo in photos])
    projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    system = projectors.sum(0)
    if np.linalg.cond(system) > 1e6:
        spread = np.linalg.norm(centres - centres.mean(0), axis=1).max()
        return centres.mean(0) + axes.mean(0) * max(spread, 1.0) * 2
    return np.linalg.solve(system, np.einsum("nij,nj->i", projectors, centres))


def scene_size(capture: Capture) -> float:
    """Half the width of what a typical camera sees at the scene's centre, scene unit."""
    centre = scene_centre(capture.photos)
    widths = []
    for photo in capture.photos:
        depth = abs(float(photo.world_to_camera[2, :3] @ centre + photo.world_to_camera[2, 3]))
        widths.append(0.5 * depth * photo.camera.width / photo.camera.fx)
    return float(np.median(widths))


def initialize(capture: Capture, count: int, sh_degree: int, generator: np.random.Generator) -> Gaussians:
    """Round grey-to-coloured Gaussians at the sparse points and at random places, each as wide as its gaps.

    Raises:
        SolverError: the cameras look at no common space.
    """
    positions, colours = _sparse(capture)
    missing = count - len(positions)
    if missing > 0:
        random = _random_positions(capture, positions, missing, generator)
        positions = np.concatenate([positions, random])
        colours = np.concatenate([colours, np.full((len(random), 3), 0.2)])
    if len(positions) < 4:
        raise SolverError(
            "the cameras look at no common space", where=capture.root, remedy="check the poses of the photos"
        )
    gaps = KDTree(positions).query(positions, k=4)[0][:, 1:]
    widths = np.clip(np.sqrt((gaps**2).mean(1)), 1e-4 * scene_size(capture), 0.1 * scene_size(capture))

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
    for _ in range(50):
        candidates = generator.uniform(low, high, size=(2 * count, 3))
        kept.append(candidates[_share_of_views(capture.photos, candidates) >= 1 / 3])
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
