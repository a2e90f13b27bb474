# SPDX-License-Identifier: GPL-3.0-or-later
"""The weighted sum of an SSIM map and its gradient in one go, for processors.

PyTorch's convolution and its backward cost several times the rasterizer. Here both are separable, and the gradient is
written out. Notation: G* is smoothing with the window, which is its own transpose; with m = G*a, n = G*b,
A = G*a^2, B = G*b^2, X = G*ab the map is

    S = (2 m n + C1) / (m^2 + n^2 + C1) * (2 (X - m n) + C2) / (A - m^2 + B - n^2 + C2)

and the gradient of its sum with weights w to a is  G*(w dS/dm) + 2 a G*(w dS/dA) + b G*(w dS/dX).
"""

import numpy as np
import torch
from torch import Tensor

from solver.rasterization.cpu.compilation import kernel
from solver.training.windows import C1, C2, window

_HALF = 5  # px, of the window


@kernel("void(float32[:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[::1])", fast=True)
def _smooth(
    images,  # [M, H, W]
    scratch,  # [M, H, W], written
    result,  # [M, H, W], written
    weights,  # [11]
):
    """Smooth each image with zeros round it, columns first."""
    count, height, width = images.shape
    for m in range(count):
        for row in range(height):
            line = scratch[m, row]
            line[:] = np.float32(0)
            for k in range(max(0, _HALF - row), min(2 * _HALF + 1, height + _HALF - row)):
                source = images[m, row + k - _HALF]
                weight = weights[k]
                for column in range(width):
                    line[column] += weight * source[column]
        for row in range(height):
            source = scratch[m, row]
            line = result[m, row]
            line[:] = np.float32(0)
            for k in range(2 * _HALF + 1):
                weight = weights[k]
                shift = k - _HALF
                for column in range(max(0, -shift), min(width, width - shift)):
                    line[column] += weight * source[column + shift]


@kernel("float64(float32[:,:,:,::1], float32[:,::1], float32[:,:,:,::1], float32, float32)", fast=True)
def _map_and_derivatives(
    moments,  # [5, C, H, W]: m, n, A, B, X
    weights,  # [H, W]
    derivatives,  # [3, C, H, W], written: dS/dm, dS/dA, dS/dX
    c1,
    c2,
):
    """The weighted sum of the map, and its derivatives to the moments that depend on a."""
    _, channels, height, width = moments.shape
    two = np.float32(2)
    total = 0.0
    for channel in range(channels):
        for row in range(height):
            line_total = np.float32(0)
            for x in range(width):
                m, n = moments[0, channel, row, x], moments[1, channel, row, x]
                squares = moments[2, channel, row, x] + moments[3, channel, row, x]
                mixed = moments[4, channel, row, x]
                below_l = m * m + n * n + c1
                below_c = squares - m * m - n * n + c2
                luminance = (two * m * n + c1) / below_l
                contrast = (two * (mixed - m * n) + c2) / below_c
                weight = weights[row, x]
                line_total += weight * luminance * contrast
                to_luminance = (two * n - two * m * luminance) / below_l
                to_contrast = (two * m * contrast - two * n) / below_c
                derivatives[0, channel, row, x] = weight * (contrast * to_luminance + luminance * to_contrast)
                derivatives[1, channel, row, x] = -weight * luminance * contrast / below_c
                derivatives[2, channel, row, x] = weight * two * luminance / below_c
            total += float(line_total)
    return total


class _SumOfSsim(torch.autograd.Function):
    @staticmethod
    def forward(context, a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
        planes_a, planes_b = (np.ascontiguousarray(t.detach().numpy().transpose(2, 0, 1)) for t in (a, b))
        channels, height, width = planes_a.shape
        products = np.stack([planes_a, planes_b, planes_a**2, planes_b**2, planes_a * planes_b])
        moments, scratch = np.empty_like(products), np.empty_like(products)
        smoothing = window()
        shape = (5 * channels, height, width)
        _smooth(products.reshape(shape), scratch.reshape(shape), moments.reshape(shape), smoothing)
        derivatives = np.empty((3, channels, height, width), np.float32)
        total = _map_and_derivatives(moments, weights.detach().contiguous().numpy(), derivatives, C1, C2)
        smoothed = moments[:3]  # no longer needed: its memory serves the gradient
        shape = (3 * channels, height, width)
        _smooth(derivatives.reshape(shape), scratch[:3].reshape(shape), smoothed.reshape(shape), smoothing)
        gradient = smoothed[0] + 2 * planes_a * smoothed[1] + planes_b * smoothed[2]
        context.save_for_backward(torch.from_numpy(np.ascontiguousarray(gradient.transpose(1, 2, 0))))
        return torch.tensor(total, dtype=a.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, output_gradient: Tensor):
        (gradient,) = context.saved_tensors
        return output_gradient * gradient, None, None


def sum_of_ssim(
    a: Tensor,  # [H, W, C]
    b: Tensor,  # [H, W, C]
    weights: Tensor,  # [H, W]
) -> Tensor:  # []
    """The weighted sum of the SSIM map of float32 images on the processor; the gradient goes to `a` only."""
    return _SumOfSsim.apply(a, b, weights)
