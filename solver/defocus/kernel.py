# SPDX-License-Identifier: GPL-3.0-or-later
"""The defocus kernel of a pixel as an image: how a point that is seen there spreads its light over its neighbours."""

from typing import get_args

import numpy as np
import torch
from scipy.special import ndtr

from solver.config import KernelShape
from solver.defocus.gather import window_radius
from solver.optics.circle_of_confusion import SIGMAS_PER_DIAMETER

_LARGEST_PX = 2000.0  # diameter, wider than photos at working size: beyond it memory would go to a stray depth
_GAUSSIAN_REACH = 6.0  # standard deviations, so that what is cut off is not missed in the variance


def kernel_at(
    coc_px: np.ndarray,  # [H, W], diameter; of `coc/NAME.exr`
    x: int,
    y: int,
    shape: KernelShape = "disc",
) -> np.ndarray:  # [K, K] float64
    """The defocus kernel of pixel (x, y), counted from the top left one, (0, 0); see `kernel`.

    Raises:
        ValueError: the pixel lies outside the image.
    """
    height, width = coc_px.shape
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f"pixel ({x}, {y}) lies outside the {width} x {height} pixels of the image")
    return kernel(float(coc_px[y, x]), shape)


def kernel(diameter_px: float, shape: KernelShape = "disc") -> np.ndarray:  # [K, K] float64
    """What a point in the middle of the central pixel lights up, K odd and as small as will do, with a sum of 1.

    `disc` is the uniform disc of the thin lens: each pixel has exactly the part of it that falls inside. `gaussian` is
    the Gaussian of equal variance, diameter^2 / 16 on each axis, that stands in for it in a dilated rendering. Counted
    at the pixels' centres the variance is larger by about 1/12 px^2, a pixel's own; a kernel of one pixel has none.
    `gathered` are the weights with which `solver.defocus.gather` blurs: that Gaussian at the pixels' centres, up to the
    edge of its window.

    Raises:
        ValueError: the diameter is negative, not finite or absurdly large, or the shape has another name.
    """
    if not 0 <= diameter_px <= _LARGEST_PX:
        raise ValueError(f"a circle of confusion of {diameter_px} px has no kernel")
    if shape not in get_args(KernelShape):
        raise ValueError(f"a kernel is {' or '.join(get_args(KernelShape))}, not {shape}")
    if diameter_px == 0:
        return np.ones((1, 1))
    sigma = SIGMAS_PER_DIAMETER * diameter_px
    if shape == "gathered":
        radius = int(window_radius(torch.tensor(sigma**2, dtype=torch.float64)))
        line = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        return np.outer(line, line) / line.sum() ** 2
    reach = diameter_px / 2 if shape == "disc" else _GAUSSIAN_REACH * sigma
    side = max(0, int(np.ceil(reach - 0.5)))
    edges = np.arange(-side, side + 2) - 0.5  # [K + 1], of the pixels
    if shape == "disc":
        within = _disc_area(edges[None, :], edges[:, None], diameter_px / 2)
        light = np.diff(np.diff(within, axis=0), axis=1).clip(min=0)
    else:
        line = np.diff(ndtr(edges / sigma))
        light = line[:, None] * line
    return light / light.sum()


def _disc_area(x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """Signed area of the part of a disc round the origin that lies in the rectangle between the origin and (x, y).

    The rectangle is whole up to the abscissa where the circle has sunk to its height; from there on the circle bounds
    it, whose antiderivative is (t sqrt(r^2 - t^2) + r^2 asin(t / r)) / 2.
    """
    width, height = np.minimum(np.abs(x), radius), np.minimum(np.abs(y), radius)
    whole = np.minimum(width, np.sqrt(radius**2 - height**2))
    area = height * whole + _under_circle(width, radius) - _under_circle(whole, radius)
    return np.sign(x) * np.sign(y) * area


def _under_circle(t: np.ndarray, radius: float) -> np.ndarray:
    return (t * np.sqrt(radius**2 - t**2) + radius**2 * np.arcsin(t / radius)) / 2
