# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo loss with its gradient in one go, for processors: absolute difference and structural similarity.

PyTorch's convolution and its backward cost several times the rasterizer. Here smoothing is separable, and the gradient
is written out. Notation: G* is smoothing with the window, which is its own transpose; with m = G*a, n = G*b,
A = G*a^2, B = G*b^2, X = G*ab the map is

    S = (2 m n + C1) / (m^2 + n^2 + C1) * (2 (X - m n) + C2) / (A - m^2 + B - n^2 + C2)

and the gradient of its sum with weights w to a is  G*(w dS/dm) + 2 a G*(w dS/dA) + b G*(w dS/dX).
"""

import numpy as np
import torch
from torch import Tensor

from solver.kernels import threads
from solver.kernels.compilation import kernel
from solver.kernels.vector import LANES, load, splat, store
from solver.training.windows import C1, C2, window

_HALF = 5  # px, of the window
_MARGIN = 8  # zeros left of each row of a plane, and at least _HALF right of it, so that windows need no bounds


def _padded(width: int) -> int:
    """Length of a plane's row: whole vectors between the margins."""
    return -(-width // LANES) * LANES + 2 * _MARGIN


@kernel(
    "void(float32[:,:,::1], float32[:,:,::1], float32[:,::1], float32[:,:,:,::1], float64[::1], int64, int64)",
    fast=True,
)
def _fill_products(
    a,  # [H, W, C]
    b,  # [H, W, C]
    weights,  # [H, W]
    planes,  # [5, C, H, padded]: a, b, a^2, b^2, ab; written between the margins
    totals,  # [H], written: the weighted sum of |a - b|
    part,
    parts,
):
    """The images whose smoothings are the moments, for every `parts`-th row."""
    height, width, channels = a.shape
    for row in range(part, height, parts):
        row_total = np.float32(0)
        for x in range(width):
            for c in range(channels):
                u, v = a[row, x, c], b[row, x, c]
                row_total += weights[row, x] * abs(u - v)
                planes[0, c, row, _MARGIN + x] = u
                planes[1, c, row, _MARGIN + x] = v
                planes[2, c, row, _MARGIN + x] = u * u
                planes[3, c, row, _MARGIN + x] = v * v
                planes[4, c, row, _MARGIN + x] = u * v
        totals[row] = row_total


@kernel("void(float32[:,:,::1], float32[:,:,::1], float32[::1], int64, int64)", fast=True)
def _smooth(
    planes,  # [M, H, padded], zeros in the margins
    result,  # [M, H, padded], written between the margins
    weights,  # [11]
    part,
    parts,
):
    """Smooth every `parts`-th plane with zeros round it, down the columns and then along the rows."""
    count, height, padded = planes.shape
    line = np.zeros(padded, np.float32)
    for m in range(part, count, parts):
        for row in range(height):
            first, last = max(row - _HALF, 0), min(row + _HALF, height - 1)
            for x in range(_MARGIN, padded - _MARGIN, LANES):
                smoothed = splat(np.float32(0))
                place = (m * height + first) * padded + x
                for source in range(first, last + 1):
                    smoothed += weights[source - row + _HALF] * load(planes, place)
                    place += padded
                store(line, x, smoothed)
            for x in range(_MARGIN, padded - _MARGIN, LANES):
                smoothed = splat(np.float32(0))
                for k in range(2 * _HALF + 1):
                    smoothed += weights[k] * load(line, x + k - _HALF)
                store(result, (m * height + row) * padded + x, smoothed)


@kernel(
    "void(float32[:,:,:,::1], float32[:,::1], float32[:,:,:,::1], float64[:,::1], float32, float32, int64, int64)",
    fast=True,
)
def _map_and_derivatives(
    moments,  # [5, C, H, padded]: m, n, A, B, X
    weights,  # [H, W]
    derivatives,  # [3, C, H, padded], written between the margins: dS/dm, dS/dA, dS/dX
    totals,  # [C, H], written: the weighted sum of the map
    c1,
    c2,
    part,
    parts,
):
    """The map, and its derivatives to the moments that depend on a, for every `parts`-th row."""
    channels = moments.shape[1]
    height, width = weights.shape
    two = np.float32(2)
    for channel in range(channels):
        for row in range(part, height, parts):
            line_total = np.float32(0)
            for column in range(width):
                x = _MARGIN + column
                m, n = moments[0, channel, row, x], moments[1, channel, row, x]
                squares = moments[2, channel, row, x] + moments[3, channel, row, x]
                mixed = moments[4, channel, row, x]
                below_l = m * m + n * n + c1
                below_c = squares - m * m - n * n + c2
                luminance = (two * m * n + c1) / below_l
                contrast = (two * (mixed - m * n) + c2) / below_c
                weight = weights[row, column]
                line_total += weight * luminance * contrast
                to_luminance = (two * n - two * m * luminance) / below_l
                to_contrast = (two * m * contrast - two * n) / below_c
                derivatives[0, channel, row, x] = weight * (contrast * to_luminance + luminance * to_contrast)
                derivatives[1, channel, row, x] = -weight * luminance * contrast / below_c
                derivatives[2, channel, row, x] = weight * two * luminance / below_c
            totals[channel, row] = line_total


@kernel(
    "void(float32[:,:,::1], float32[:,:,::1], float32[:,::1], float32, float32[:,:,:,::1], float32[:,:,::1],"
    "int64, int64)",
    fast=True,
)
def _gather_gradient(
    a,  # [H, W, C]
    b,  # [H, W, C]
    weights,  # [H, W]
    ssim_weight,
    smoothed,  # [3, C, H, padded], smoothed derivatives
    gradient,  # [H, W, C], written
    part,
    parts,
):
    """The gradient of the loss to a, for every `parts`-th row."""
    height, width, channels = a.shape
    one, two = np.float32(1), np.float32(2)
    similarity = -ssim_weight / two
    for row in range(part, height, parts):
        for column in range(width):
            x = _MARGIN + column
            for c in range(channels):
                u, v = a[row, column, c], b[row, column, c]
                rest = two * u * smoothed[1, c, row, x] + v * smoothed[2, c, row, x]
                slope = (one - ssim_weight) * weights[row, column] * np.sign(u - v)
                gradient[row, column, c] = slope + similarity * (smoothed[0, c, row, x] + rest)


class _SumOfDissimilarity(torch.autograd.Function):
    @staticmethod
    def forward(context, a: Tensor, b: Tensor, weights: Tensor, ssim_weight: float) -> Tensor:
        image, photo, pixels = (tensor.detach().contiguous().numpy() for tensor in (a, b, weights))
        height, width, channels = image.shape
        products = np.zeros((5, channels, height, _padded(width)), np.float32)
        moments = np.empty_like(products)
        derivatives = np.zeros_like(products[:3])
        differences, similarities = np.empty(height), np.empty((channels, height))
        gradient = np.empty_like(image)
        smoothing, share = window(), np.float32(ssim_weight)

        def smooth(planes: np.ndarray, result: np.ndarray) -> None:
            flat = (planes.shape[0] * channels, height, planes.shape[-1])
            threads.run(lambda *part: _smooth(planes.reshape(flat), result.reshape(flat), smoothing, *part))

        threads.run(lambda *part: _fill_products(image, photo, pixels, products, differences, *part))
        smooth(products, moments)
        threads.run(lambda *part: _map_and_derivatives(moments, pixels, derivatives, similarities, C1, C2, *part))
        smoothed = moments[:3]  # no longer needed: its memory serves the gradient
        smooth(derivatives, smoothed)
        threads.run(lambda *part: _gather_gradient(image, photo, pixels, share, smoothed, gradient, *part))
        context.save_for_backward(torch.from_numpy(gradient))
        dissimilarity = (channels * pixels.sum(dtype=np.float64) - similarities.sum()) / 2
        return torch.tensor((1 - ssim_weight) * differences.sum() + ssim_weight * dissimilarity, dtype=a.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, output_gradient: Tensor):
        (gradient,) = context.saved_tensors
        return output_gradient * gradient, None, None, None


def sum_of_dissimilarity(
    a: Tensor,  # [H, W, C]
    b: Tensor,  # [H, W, C]
    weights: Tensor,  # [H, W]
    ssim_weight: float,
) -> Tensor:  # []
    """`losses.sum_of_dissimilarity` of float32 images on the processor; the gradient goes to `a` only."""
    return _SumOfDissimilarity.apply(a, b, weights, ssim_weight)
