# SPDX-License-Identifier: GPL-3.0-or-later
"""How pixels count by their circle of confusion, each in one pass over a rendering, for processors.

The circle is equation (1) of `solver.optics.circle_of_confusion`, of the depth that is seen: its weighted sum over
alpha. No gradient goes through these weights.
"""

import numpy as np
import torch
from torch import Tensor

from solver.kernels.compilation import helper, kernel
from solver.rasterization.types import Aperture, Rendering
from solver.training.photos import Beside

_ONE = np.float32(1)
_LEAST_ALPHA, _LEAST_DEPTH = np.float32(1e-3), np.float32(1e-6)


@helper
def _circle_of_confusion(depth, alpha, spread, inverse_focus_distance):
    seen = max(depth / max(alpha, _LEAST_ALPHA), _LEAST_DEPTH)
    return spread * abs(_ONE / seen - inverse_focus_distance)


@kernel("void(float32[:,::1], float32[:,::1], float32, float32, float32[:,::1])", fast=True)
def _focus_weights(
    depth,  # [H, W]
    alpha,  # [H, W]
    spread,  # pupil diameter times principal distance over the circle that halves
    inverse_focus_distance,
    weights,  # [H, W], written
):
    height, width = alpha.shape
    surface, total = np.float64(0), np.float64(0)
    for row in range(height):
        row_surface, row_total = np.float32(0), np.float32(0)
        for x in range(width):
            halves = _circle_of_confusion(depth[row, x], alpha[row, x], spread, inverse_focus_distance)
            weight = alpha[row, x] / (_ONE + halves * halves)
            row_surface += alpha[row, x]
            row_total += weight
            weights[row, x] = weight
        surface += row_surface
        total += row_total
    if total < 1e-6 * alpha.size:
        weights[:] = _ONE
        return
    scale = np.float32(surface / total)
    for row in range(height):
        for x in range(width):
            weights[row, x] = weights[row, x] * scale + (_ONE - alpha[row, x])


@kernel(
    "int64(float32[::1], float32[::1], float32[::1], int64[::1], float32, float32, float32[::1])",
    fast=True,
)
def _beyond_reach(
    depth,  # [H W]
    alpha,  # [H W]
    distance,  # [H W], of `Beside`
    nearest,  # [H W], of `Beside`
    spread,  # half of pupil diameter times principal distance; 0 without blur
    inverse_focus_distance,
    beyond,  # [H W], written: 1 where the subject's blur does not reach, else 0
):
    """Returns the pixels of the subject."""
    subject = 0
    for i in range(len(distance)):
        subject += distance[i] == 0
        counts = distance[i] > _ONE
        if counts and spread > 0:
            edge = nearest[i]
            reach = _ONE + _circle_of_confusion(depth[edge], alpha[edge], spread, inverse_focus_distance)
            counts = distance[i] > reach
        beyond[i] = counts
    return subject


def focus_weights(
    rendering: Rendering, aperture: Aperture, principal_distance_px: float, half_weight_coc_px: float
) -> Tensor:  # [H, W]
    """`pixel_weights.focus_weights` of a float32 rendering on the processor."""
    depth, alpha = _array(rendering.depth), _array(rendering.alpha)
    weights = np.empty_like(alpha)
    spread, inverse_focus_distance = _lens(aperture, principal_distance_px / half_weight_coc_px)
    _focus_weights(depth, alpha, spread, inverse_focus_distance, weights)
    return torch.from_numpy(weights)


def alpha_outside_mask(
    rendering: Rendering, beside: Beside, aperture: Aperture | None, principal_distance_px: float
) -> Tensor:  # []
    """`outside_masks.alpha_outside_mask` of a float32 rendering on the processor."""
    images = (rendering.depth, rendering.alpha, beside.distance, beside.nearest)
    depth, alpha, distance, nearest = (_array(image).reshape(-1) for image in images)
    beyond = np.empty_like(alpha)
    subject = _beyond_reach(depth, alpha, distance, nearest, *_lens(aperture, principal_distance_px / 2), beyond)
    return torch.dot(rendering.alpha.flatten(), torch.from_numpy(beyond)) / max(subject, 1)


def _lens(aperture: Aperture | None, principal_distance: float) -> tuple[np.float32, np.float32]:
    if aperture is None:
        return np.float32(0), np.float32(0)
    spread = float(aperture.pupil_diameter.detach()) * principal_distance
    return np.float32(spread), np.float32(float(aperture.inverse_focus_distance.detach()))


def _array(image: Tensor) -> np.ndarray:
    return image.detach().contiguous().numpy()
