# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo loss with its gradient in one go, for processors: sRGB curve, absolute difference, structural similarity.

Notation: e = curve(linear rendering), b the photo, k the mask, a = k e + (1 - k) b what is compared with the photo,
w the weights times the mask. G* is smoothing with the window, which is its own transpose; with m = G*a, n = G*b,
P = G*(a^2 + b^2), X = G*(a b) the map of similarity is

    S = (2 m n + C1) / (m^2 + n^2 + C1) * (2 (X - m n) + C2) / (P - m^2 - n^2 + C2)

and the gradient of its weighted sum to a is  G*(w dS/dm) + 2 a G*(w dS/dP) + b G*(w dS/dX).

Each thread takes a stripe of rows, and goes down it once: as soon as a row is encoded, the map can be had five rows
above, and the gradient five rows above that. Only the latest rows are kept, so that nothing leaves the cache; the few
rows that a stripe needs of its neighbours are computed twice. The three colours of a pixel stay side by side, as they
are in an image: what is next to a value along the row is three numbers away.
"""

import numpy as np
import torch
from torch import Tensor

from solver.kernels import threads
from solver.kernels.compilation import helper, kernel
from solver.kernels.powers import exp2, log2
from solver.kernels.vector import LANES, load, maximum, splat, store, total, where
from solver.training.windows import C1, C2, WINDOW, window

_HALF = WINDOW // 2  # px
_COLOURS = 3
_MARGIN = 16  # zeros at both ends of a line, for the window: _HALF pixels in whole vectors
_KEPT = 16  # lines kept of each kind: more than a window, and a power of two

_IMAGE, _PHOTO, _SQUARES, _PRODUCT, _SLOPE, _WEIGHT = range(6)  # kinds of lines: a, b, a^2 + b^2, a b, da/dlinear, w
_KINDS = 6

_ZERO, _ONE, _TWO, _HALF_ = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
_DARK, _DARK_SLOPE = np.float32(0.0031308), np.float32(12.92)  # the sRGB curve, as in `solver.optics.colour`
_SCALE, _OFFSET, _POWER = np.float32(1.055), np.float32(0.055), np.float32(1 / 2.4)


@helper
def _encode(linear):
    """The sRGB curve of a vector, and its slope; NaN stays so."""
    bright = linear > _DARK
    clipped = maximum(linear, _DARK)
    power = _SCALE * exp2(_POWER * log2(clipped))
    value = where(bright, power - _OFFSET, _DARK_SLOPE * linear)
    return value, where(bright, _POWER * power / clipped, splat(_DARK_SLOPE))


@helper
def _read(row, rendering, photo, mask, weights, lines, mask_line):
    """Fill the lines of one row, with zeros if there is no such row; returns the sum of its weights."""
    height, width = rendering.shape[0], rendering.shape[1] // _COLOURS
    kept = lines[row % _KEPT]
    if row < 0 or row >= height:
        kept[:] = _ZERO
        return _ZERO
    row_total = _ZERO
    mask_row, weight_row = min(row, len(mask) - 1), min(row, len(weights) - 1)
    for column in range(width):
        share = mask[mask_row, column]
        weight = share * weights[weight_row, column]
        row_total += weight
        for x in range(_MARGIN + _COLOURS * column, _MARGIN + _COLOURS * (column + 1)):
            mask_line[x] = share
            kept[_WEIGHT, x] = weight
    for x in range(_COLOURS * width):
        kept[_IMAGE, _MARGIN + x] = rendering[row, x]
        kept[_PHOTO, _MARGIN + x] = photo[row, x]
    padded = kept.shape[1]
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        value, slope = _encode(load(kept, _IMAGE * padded + x))
        share, b = load(mask_line, x), load(kept, _PHOTO * padded + x)
        a = share * value + (_ONE - share) * b
        store(kept, _IMAGE * padded + x, a)
        store(kept, _SQUARES * padded + x, a * a + b * b)
        store(kept, _PRODUCT * padded + x, a * b)
        store(kept, _SLOPE * padded + x, share * slope)
    return row_total


@helper
def _compare(row, lines, smooth, derivatives, weights, c1, c2):
    """The derivatives of the map of one row; returns the weighted sums of |a - b| and of 1 - S."""
    padded = lines.shape[2]
    size = _KINDS * padded
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        m, n, p, q = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
        for k in range(WINDOW):
            place = ((row + k - _HALF) % _KEPT) * size + x
            m += weights[k] * load(lines, place)
            n += weights[k] * load(lines, place + padded)
            p += weights[k] * load(lines, place + 2 * padded)
            q += weights[k] * load(lines, place + 3 * padded)
        store(smooth, x, m)
        store(smooth, padded + x, n)
        store(smooth, 2 * padded + x, p)
        store(smooth, 3 * padded + x, q)
    differences, dissimilarities = splat(_ZERO), splat(_ZERO)
    here = (row % _KEPT) * size
    there = (row % _KEPT) * 3 * padded
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        m, n, p, q = splat(_ZERO), splat(_ZERO), splat(_ZERO), splat(_ZERO)
        for k in range(WINDOW):
            place = x + _COLOURS * (k - _HALF)
            m += weights[k] * load(smooth, place)
            n += weights[k] * load(smooth, place + padded)
            p += weights[k] * load(smooth, place + 2 * padded)
            q += weights[k] * load(smooth, place + 3 * padded)
        mn, squares = m * n, m * m + n * n
        below_l, below_c = squares + c1, p - squares + c2
        inverse = _ONE / (below_l * below_c)
        inverse_l, inverse_c = inverse * below_c, inverse * below_l
        luminance = (_TWO * mn + c1) * inverse_l
        contrast = (_TWO * (q - mn) + c2) * inverse_c
        weight = load(lines, here + _WEIGHT * padded + x)
        a, b = load(lines, here + x), load(lines, here + padded + x)
        differences += weight * maximum(a - b, b - a)
        dissimilarities += weight * (_ONE - luminance * contrast)
        to_m = contrast * (n - m * luminance) * inverse_l + luminance * (m * contrast - n) * inverse_c
        to_q = weight * _TWO * luminance * inverse_c
        store(derivatives, there + x, _TWO * weight * to_m)
        store(derivatives, there + padded + x, -_HALF_ * to_q * contrast)
        store(derivatives, there + 2 * padded + x, to_q)
    return total(differences), total(dissimilarities)


@helper
def _differentiate(row, lines, derivatives, smooth, weights, share, gradient):
    """The gradient of one row."""
    padded = lines.shape[2]
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        m, p, q = splat(_ZERO), splat(_ZERO), splat(_ZERO)
        for k in range(WINDOW):
            place = ((row + k - _HALF) % _KEPT) * 3 * padded + x
            m += weights[k] * load(derivatives, place)
            p += weights[k] * load(derivatives, place + padded)
            q += weights[k] * load(derivatives, place + 2 * padded)
        store(smooth, x, m)
        store(smooth, padded + x, p)
        store(smooth, 2 * padded + x, q)
    here = (row % _KEPT) * _KINDS * padded
    line = 3 * padded
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        m, p, q = splat(_ZERO), splat(_ZERO), splat(_ZERO)
        for k in range(WINDOW):
            place = x + _COLOURS * (k - _HALF)
            m += weights[k] * load(smooth, place)
            p += weights[k] * load(smooth, place + padded)
            q += weights[k] * load(smooth, place + 2 * padded)
        a, b = load(lines, here + x), load(lines, here + padded + x)
        weight, slope = load(lines, here + _WEIGHT * padded + x), load(lines, here + _SLOPE * padded + x)
        sign = where(a > b, splat(_ONE), where(b > a, splat(-_ONE), splat(_ZERO)))
        similarity = m + _TWO * a * p + b * q
        result = ((_ONE - share) * weight * sign - _HALF_ * share * similarity) * slope
        store(smooth, line + x, result)
    for x in range(gradient.shape[1]):
        gradient[row, x] = smooth[3, _MARGIN + x]


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1], float32, float32[::1], float32, float32,"
    "float32[:,::1], float64[:,::1], int64, int64)",
)
def _photo_loss(
    rendering,  # [H, 3 W], linear
    photo,  # [H, 3 W], sRGB
    mask,  # [H or 1, W]
    weights,  # [H or 1, W]
    ssim_weight,
    smoothing,  # [11]
    c1,
    c2,
    gradient,  # [H, 3 W], written
    totals,  # [H, 3], written: of each row the weighted sums of |a - b| and of 1 - S, and the sum of weights
    part,
    parts,
):
    """The sums, and the gradient of their mixture to the rendering, for the `part`-th stripe of rows."""
    height, width = rendering.shape
    padded = -(-width // LANES) * LANES + 2 * _MARGIN
    lines = np.zeros((_KEPT, _KINDS, padded), np.float32)
    derivatives = np.zeros((_KEPT, 3, padded), np.float32)
    smooth = np.zeros((4, padded), np.float32)
    mask_line = np.zeros(padded, np.float32)
    first, last = part * height // parts, (part + 1) * height // parts
    if first == last:
        return
    for row in range(first - 2 * _HALF, last + 2 * _HALF):
        weight = _read(row, rendering, photo, mask, weights, lines, mask_line)
        if first <= row < last:
            totals[row, 2] = weight
        centre = row - _HALF
        if centre >= first - _HALF:
            difference, dissimilarity = _compare(centre, lines, smooth, derivatives, smoothing, c1, c2)
            if first <= centre < last:
                totals[centre, 0], totals[centre, 1] = difference, dissimilarity
        if centre - _HALF >= first:
            _differentiate(centre - _HALF, lines, derivatives, smooth, smoothing, ssim_weight, gradient)


class _PhotoLoss(torch.autograd.Function):
    @staticmethod
    def forward(context, rendering: Tensor, photo: Tensor, mask: Tensor, weights: Tensor, ssim_weight: float) -> Tensor:
        image, target, inside, pixels = (
            tensor.detach().contiguous().numpy() for tensor in (rendering, photo, mask, weights)
        )
        height = len(image)
        gradient, totals = np.empty_like(image), np.empty((height, 3))
        smoothing, share = window(), np.float32(ssim_weight)
        image, target, flat = (array.reshape(height, -1) for array in (image, target, gradient))
        threads.run(
            lambda *part: _photo_loss(image, target, inside, pixels, share, smoothing, C1, C2, flat, totals, *part)
        )
        difference, dissimilarity, weight = totals.sum(0)
        context.scale = 1 / (_COLOURS * max(weight, 1.0))
        context.save_for_backward(torch.from_numpy(gradient))
        loss = context.scale * ((1 - ssim_weight) * difference + ssim_weight / 2 * dissimilarity)
        return torch.tensor(loss, dtype=rendering.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, output_gradient: Tensor):
        (gradient,) = context.saved_tensors
        return (context.scale * output_gradient) * gradient, None, None, None, None


def photo_loss(
    rendering: Tensor,  # [H, W, 3], linear light
    photo: Tensor,  # [H, W, 3], sRGB
    mask: Tensor | None,  # [H, W]
    weights: Tensor | None,  # [H, W]
    ssim_weight: float,
) -> Tensor:  # []
    """`losses.photo_loss` of float32 images on the processor; the gradient goes to the rendering only."""
    ones = torch.ones(1, rendering.shape[1])
    return _PhotoLoss.apply(
        rendering, photo, ones if mask is None else mask, ones if weights is None else weights, ssim_weight
    )
