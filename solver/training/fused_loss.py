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
from solver.kernels.vector import LANES, load, maximum, splat, store, store_thrice, total, where
from solver.training.windows import C1, C2, WINDOW, window

_HALF = WINDOW // 2  # px
_COLOURS = 3
_MARGIN = 16  # zeros at both ends of a line, for the window: _HALF pixels in whole vectors
_KEPT = 16  # lines kept of each kind: enough for a window and a row, and a power of two
_LATEST = _KEPT - 1  # row & _LATEST is where a row's line is kept

_IMAGE, _PHOTO, _SQUARES, _PRODUCT, _SLOPE, _WEIGHT = range(6)  # kinds of lines: a, b, a^2 + b^2, a b, da/dlinear, w
_KINDS, _SMOOTHED_KINDS = 6, 4

_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_WINDOW = (_ZERO, *window(), _ZERO)
_DARK, _DARK_SLOPE = np.float32(0.0031308), np.float32(12.92)  # the sRGB curve, as in `solver.optics.colour`
_BRIGHTEST = np.float32(1e30)  # so bright are only renderings that have diverged
_SCALE, _OFFSET, _POWER = np.float32(1.055), np.float32(0.055), np.float32(1 / 2.4)


@helper
def _encode(linear):
    """The sRGB curve of a vector, and its slope; what is not a finite number stays so, as all beyond the brightest is
    taken for a straight line.
    """
    bright = (linear > _DARK) & (linear < _BRIGHTEST)
    clipped = maximum(linear, _DARK)
    power = _SCALE * exp2(_POWER * log2(clipped))
    encoded = where(bright, power - _OFFSET, _DARK_SLOPE * linear)
    return encoded, where(bright, _POWER * power / clipped, splat(_DARK_SLOPE))


@helper
def _smooth_columns(kept, kind, row, smooth):
    """Smooth `row` and the next, of one kind of lines, down the columns: two rows share what they read."""
    padded = kept.shape[2]
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        upper, lower = splat(_ZERO), splat(_ZERO)
        for k in range(WINDOW + 1):
            value = load(kept, (kind * _KEPT + (row + k - _HALF & _LATEST)) * padded + x)
            upper += _WINDOW[k + 1] * value
            lower += _WINDOW[k] * value
        store(smooth, kind * padded + x, upper)
        store(smooth, (_SMOOTHED_KINDS + kind) * padded + x, lower)


@helper
def _smooth_row(smooth, place):
    """Smooth along the row."""
    smoothed = splat(_ZERO)
    for k in range(WINDOW):
        smoothed += _WINDOW[k + 1] * load(smooth, place + _COLOURS * (k - _HALF))
    return smoothed


@helper
def _read(row, rendering, photo, mask, weights, scale, lines, scratch):
    """Make the lines of one row, of zeros if there is no such row."""
    height, width = rendering.shape[0], rendering.shape[1] // _COLOURS
    kept, padded = row & _LATEST, lines.shape[2]
    if row < 0 or row >= height:
        lines[:, kept] = _ZERO
        return
    mask_row, weight_row = min(row, len(mask) - 1), min(row, len(weights) - 1)
    for column in range(width):
        scratch[0, column] = mask[mask_row, column]
        scratch[1, column] = scale * mask[mask_row, column] * weights[weight_row, column]
    for column in range(0, width, LANES):
        x = _MARGIN + _COLOURS * column
        store_thrice(lines, (_WEIGHT * _KEPT + kept) * padded + x, load(scratch, padded + column))
        store_thrice(scratch, 2 * padded + x, load(scratch, column))
    for x in range(_COLOURS * width):
        lines[_IMAGE, kept, _MARGIN + x] = rendering[row, x]
        lines[_PHOTO, kept, _MARGIN + x] = photo[row, x]
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        place, kind = kept * padded + x, _KEPT * padded
        encoded, slope = _encode(load(lines, place + _IMAGE * kind))
        share, b = load(scratch, 2 * padded + x), load(lines, place + _PHOTO * kind)
        a = share * encoded + (_ONE - share) * b
        store(lines, place + _IMAGE * kind, a)
        store(lines, place + _SQUARES * kind, a * a + b * b)
        store(lines, place + _PRODUCT * kind, a * b)
        store(lines, place + _SLOPE * kind, share * slope)


@helper
def _compare(row, lines, smooth, derivatives):
    """The derivatives of the map at one row; returns the weighted sums of |a - b| and of 1 - S."""
    padded = lines.shape[2]
    differences, dissimilarities = splat(_ZERO), splat(_ZERO)
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        place, kind = (row & _LATEST) * padded + x, _KEPT * padded
        a, b = load(lines, place + _IMAGE * kind), load(lines, place + _PHOTO * kind)
        weight = load(lines, place + _WEIGHT * kind)
        m, n = _smooth_row(smooth, _IMAGE * padded + x), _smooth_row(smooth, _PHOTO * padded + x)
        squares, product = _smooth_row(smooth, _SQUARES * padded + x), _smooth_row(smooth, _PRODUCT * padded + x)
        below_luminance = m * m + n * n + C1
        below_contrast = squares - m * m - n * n + C2
        inverse = _ONE / (below_luminance * below_contrast)  # one division for both
        per_luminance, per_contrast = inverse * below_contrast, inverse * below_luminance
        luminance = (_TWO * m * n + C1) * per_luminance
        contrast = (_TWO * (product - m * n) + C2) * per_contrast
        differences += weight * maximum(a - b, b - a)
        dissimilarities += weight * (_ONE - luminance * contrast)
        to_mean = contrast * (n - m * luminance) * per_luminance + luminance * (m * contrast - n) * per_contrast
        to_product = _TWO * weight * luminance * per_contrast
        to_squares = np.float32(-0.5) * to_product * contrast
        store(derivatives, place, _TWO * weight * to_mean)
        store(derivatives, place + kind, to_squares)
        store(derivatives, place + 2 * kind, to_product)
    return total(differences), total(dissimilarities)


@helper
def _differentiate(row, ssim_weight, lines, smooth, scratch, gradient):
    """The gradient at one row."""
    padded = lines.shape[2]
    for x in range(_MARGIN, padded - _MARGIN, LANES):
        place, kind = (row & _LATEST) * padded + x, _KEPT * padded
        a, b = load(lines, place + _IMAGE * kind), load(lines, place + _PHOTO * kind)
        weight, slope = load(lines, place + _WEIGHT * kind), load(lines, place + _SLOPE * kind)
        to_mean, to_squares = _smooth_row(smooth, x), _smooth_row(smooth, padded + x)
        similarity = to_mean + _TWO * a * to_squares + b * _smooth_row(smooth, 2 * padded + x)
        sign = where(a > b, splat(_ONE), where(b > a, splat(-_ONE), splat(_ZERO)))
        to_image = (_ONE - ssim_weight) * weight * sign - ssim_weight / _TWO * similarity
        store(scratch, 3 * padded + x, to_image * slope)
    for x in range(gradient.shape[1]):
        gradient[row, x] = scratch[3, _MARGIN + x]


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[:,::1], float32, float32, float32[:,::1],"
    "float64[:,::1], int64, int64)"
)
def _photo_loss(
    rendering,  # [H, 3 W], linear
    photo,  # [H, 3 W], sRGB
    mask,  # [H or 1, W]
    weights,  # [H or 1, W]
    scale,  # of the weights
    ssim_weight,
    gradient,  # [H, 3 W], written: of the weighted sum of (1 - ssim_weight) |a - b| + ssim_weight (1 - S) / 2
    totals,  # [H, 2], written: of each row the weighted sums of |a - b| and of 1 - S
    part,
    parts,
):
    """Go down the `part`-th stripe, two rows at a time."""
    height, width = rendering.shape
    first, last = part * height // parts, (part + 1) * height // parts
    padded = -(-width // LANES) * LANES + 2 * _MARGIN
    lines = np.zeros((_KINDS, _KEPT, padded), np.float32)
    derivatives = np.zeros((3, _KEPT, padded), np.float32)
    smooth = np.zeros((2, _SMOOTHED_KINDS, padded), np.float32)
    scratch = np.zeros((4, padded), np.float32)
    for newest in range(first - 2 * _HALF, last + 2 * _HALF, 2):
        for row in range(newest, newest + 2):
            _read(row, rendering, photo, mask, weights, scale, lines, scratch)
        compared = newest - _HALF
        if compared >= first - _HALF:
            for kind in range(_SMOOTHED_KINDS):
                _smooth_columns(lines, kind, compared, smooth)
            for row in range(compared, compared + 2):
                difference, dissimilarity = _compare(row, lines, smooth[row - compared], derivatives)
                if first <= row < last:
                    totals[row, 0], totals[row, 1] = difference, dissimilarity
        differentiated = compared - _HALF
        if differentiated >= first:
            for kind in range(3):
                _smooth_columns(derivatives, kind, differentiated, smooth)
            for row in range(differentiated, min(differentiated + 2, last)):
                _differentiate(row, ssim_weight, lines, smooth[row - differentiated], scratch, gradient)


class _PhotoLoss(torch.autograd.Function):
    @staticmethod
    def forward(context, rendering: Tensor, photo: Tensor, mask: Tensor, weights: Tensor, ssim_weight: float) -> Tensor:
        image, target, inside, pixels = (
            tensor.detach().contiguous().numpy() for tensor in (rendering, photo, mask, weights)
        )
        height = len(image)
        count = float((mask * weights).expand(height, -1).sum())
        scale, share = np.float32(1 / (_COLOURS * max(count, 1.0))), np.float32(ssim_weight)
        gradient, totals = np.empty_like(image), np.empty((height, 2))
        image, target, flat = (array.reshape(height, -1) for array in (image, target, gradient))
        threads.run(lambda *part: _photo_loss(image, target, inside, pixels, scale, share, flat, totals, *part))
        context.save_for_backward(torch.from_numpy(gradient))
        difference, dissimilarity = totals.sum(0).tolist()
        return torch.tensor((1 - ssim_weight) * difference + ssim_weight / 2 * dissimilarity, dtype=rendering.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, output_gradient: Tensor):
        (gradient,) = context.saved_tensors
        if output_gradient != 1:  # as it is where the loss is what is minimized
            gradient = output_gradient * gradient
        return gradient, None, None, None, None


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
