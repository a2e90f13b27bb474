# SPDX-License-Identifier: GPL-3.0-or-later
"""`gather.gather` for processors, with its gradient.

A Gaussian is the product of its weights across and down, which a pixel computes once. With W the sum of the weights
and r^2 = |x - y|^2, the derivative of equation (1) of `gather` to the variance is

    d out / d v = (sum w r^2 I - out sum w r^2) / (2 v^2 W),

gathered beside the image. The gradient to the image is scattered, in strips of rows with sums of their own, so that
it is the same for any number of threads.
"""

import math

import numpy as np
import torch
from torch import Tensor

from solver.defocus.gather import LARGEST_RADIUS, SHARP_VARIANCE
from solver.kernels import threads
from solver.kernels.compilation import helper, kernel
from solver.kernels.vector import LANES, load, splat, store, total

_MARGIN = 32  # zeros left of each row of a plane, and at least as many right of it, so that windows need no bounds
_STRIP = 32  # rows whose gradient is scattered together
_SPAN = 56  # a window's width in whole vectors, at most

assert _MARGIN >= LARGEST_RADIUS + LANES
assert _SPAN >= 2 * LARGEST_RADIUS + 1


@helper
def _window(
    variance,  # px^2
    row,
    column,
    height,
    width,
    weights,  # [LARGEST_RADIUS + 1], written: of the distances 0 to radius
    across,  # [_SPAN], written: of the columns from column - radius on, 0 outside of the image
    moments,  # [_SPAN], written: the same times the squared distance
):
    """Radius, whole vectors of columns, the window's sum of weights, and that of weights times squared distance."""
    radius = 0
    if variance >= SHARP_VARIANCE:
        radius = min(math.ceil(np.float32(3) * np.sqrt(variance)), LARGEST_RADIUS)
    weights[0] = 1.0
    if radius > 0:
        step = math.exp(-0.5 / variance)  # the weights' ratios are its odd powers
        square, weight = step * step, 1.0
        for i in range(1, radius + 1):
            weight *= step
            step *= square
            weights[i] = weight
    vectors = (2 * radius + LANES) // LANES
    for i in range(vectors * LANES):
        across[i] = moments[i] = 0
    sum_across, spread_across, sum_down, spread_down = 0.0, 0.0, 0.0, 0.0
    for x in range(max(column - radius, 0), min(column + radius, width - 1) + 1):
        distance = abs(x - column)
        i = x - column + radius
        across[i] = weights[distance]
        moments[i] = weights[distance] * distance * distance
        sum_across += across[i]
        spread_across += moments[i]
    for y in range(max(row - radius, 0), min(row + radius, height - 1) + 1):
        distance = abs(y - row)
        sum_down += weights[distance]
        spread_down += weights[distance] * distance * distance
    return radius, vectors, sum_across * sum_down, spread_across * sum_down + sum_across * spread_down


@kernel(
    "void(float32[:,:,::1], float32[:,::1], float32[:,:,::1], float32[:,:,::1], int64, int64)",
    fast=True,
)
def _gather(
    planes,  # [3, H, padded], zeros in the margins
    variance,  # [H, W]
    gathered,  # [H, W, 3], written
    slopes,  # [H, W, 3], written: d gathered / d variance
    part,
    parts,
):
    """Every `parts`-th row of the blurred image."""
    height, width = variance.shape
    padded = planes.shape[2]
    plane = height * padded
    weights, across, moments = np.empty(LARGEST_RADIUS + 1), np.empty(_SPAN, np.float32), np.empty(_SPAN, np.float32)
    zero = splat(np.float32(0))
    for row in range(part, height, parts):
        for column in range(width):
            v = variance[row, column]
            radius, vectors, mass, spread = _window(v, row, column, height, width, weights, across, moments)
            if radius == 0:
                for c in range(3):
                    gathered[row, column, c] = planes[c, row, _MARGIN + column]
                    slopes[row, column, c] = 0
                continue
            red, green, blue = zero, zero, zero
            red_moment, green_moment, blue_moment = zero, zero, zero
            for y in range(max(row - radius, 0), min(row + radius, height - 1) + 1):
                distance = abs(y - row)
                down = np.float32(weights[distance])
                squared = np.float32(distance * distance)
                start = y * padded + _MARGIN + column - radius
                for i in range(0, vectors * LANES, LANES):
                    weight = down * load(across, i)
                    moment = down * load(moments, i) + squared * weight
                    place = start + i
                    light = load(planes, place)
                    red += weight * light
                    red_moment += moment * light
                    light = load(planes, place + plane)
                    green += weight * light
                    green_moment += moment * light
                    light = load(planes, place + 2 * plane)
                    blue += weight * light
                    blue_moment += moment * light
            scale = 1 / (2 * v * v * mass)
            r, g, b = total(red) / mass, total(green) / mass, total(blue) / mass
            gathered[row, column, 0], slopes[row, column, 0] = r, (total(red_moment) - r * spread) * scale
            gathered[row, column, 1], slopes[row, column, 1] = g, (total(green_moment) - g * spread) * scale
            gathered[row, column, 2], slopes[row, column, 2] = b, (total(blue_moment) - b * spread) * scale


@kernel(
    "void(float32[:,:,::1], float32[:,::1], float32[:,:,:,::1], int64, int64)",
    fast=True,
)
def _scatter(
    gradient,  # [H, W, 3], to the blurred image
    variance,  # [H, W]
    strips,  # [S, 3, _STRIP + 2 LARGEST_RADIUS, padded], zeros; written: each strip's gradient to the image
    part,
    parts,
):
    """What every `parts`-th strip of the blurred image says about the image, from LARGEST_RADIUS rows above it on."""
    height, width = variance.shape
    count, _, rows, padded = strips.shape
    plane = rows * padded
    weights, across, moments = np.empty(LARGEST_RADIUS + 1), np.empty(_SPAN, np.float32), np.empty(_SPAN, np.float32)
    for strip in range(part, count, parts):
        top = strip * _STRIP - LARGEST_RADIUS
        for row in range(strip * _STRIP, min((strip + 1) * _STRIP, height)):
            for column in range(width):
                v = variance[row, column]
                radius, vectors, mass, _ = _window(v, row, column, height, width, weights, across, moments)
                red = np.float32(gradient[row, column, 0] / mass)
                green = np.float32(gradient[row, column, 1] / mass)
                blue = np.float32(gradient[row, column, 2] / mass)
                for y in range(max(row - radius, 0), min(row + radius, height - 1) + 1):
                    down = np.float32(weights[abs(y - row)])
                    start = strip * 3 * plane + (y - top) * padded + _MARGIN + column - radius
                    for i in range(0, vectors * LANES, LANES):
                        weight = down * load(across, i)
                        place = start + i
                        store(strips, place, load(strips, place) + red * weight)
                        place += plane
                        store(strips, place, load(strips, place) + green * weight)
                        place += plane
                        store(strips, place, load(strips, place) + blue * weight)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context, image: Tensor, variance: Tensor) -> Tensor:
        light, squares = (tensor.detach().contiguous().numpy() for tensor in (image, variance))
        height, width = squares.shape
        planes = np.zeros((3, height, _padded(width)), np.float32)
        planes[:, :, _MARGIN : _MARGIN + width] = light.transpose(2, 0, 1)
        gathered, slopes = np.empty_like(light), np.empty_like(light)
        threads.run(lambda *part: _gather(planes, squares, gathered, slopes, *part))
        context.save_for_backward(variance, torch.from_numpy(slopes))
        return torch.from_numpy(gathered)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, output_gradient: Tensor):
        variance, slopes = context.saved_tensors
        to_variance = (output_gradient * slopes).sum(-1)
        if not context.needs_input_grad[0]:
            return None, to_variance
        squares = variance.detach().contiguous().numpy()
        height, width = squares.shape
        count, margin = -(-height // _STRIP), LARGEST_RADIUS
        strips = np.zeros((count, 3, _STRIP + 2 * margin, _padded(width)), np.float32)
        gradient = output_gradient.contiguous().numpy()
        threads.run(lambda *part: _scatter(gradient, squares, strips, *part))
        summed = np.zeros((3, count * _STRIP + 2 * margin, width), np.float32)
        for index, strip in enumerate(strips):
            summed[:, index * _STRIP : (index + 1) * _STRIP + 2 * margin] += strip[..., _MARGIN : _MARGIN + width]
        to_image = np.ascontiguousarray(summed[:, margin : margin + height].transpose(1, 2, 0))
        return torch.from_numpy(to_image), to_variance


def gather(image: Tensor, variance: Tensor) -> Tensor:  # [H, W, 3], [H, W] -> [H, W, 3]
    """`gather.gather` of float32 tensors on the processor."""
    return _Gather.apply(image, variance)


def _padded(width: int) -> int:
    """Length of a plane's row: whole vectors between the margins."""
    return -(-width // LANES) * LANES + 2 * _MARGIN
