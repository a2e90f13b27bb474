# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a rendering is from a photo.

Images are compared as people and metrics see them: both are encoded with the sRGB curve after blur and compositing
have happened in linear light.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from solver.optics.colour import linear_to_srgb
from solver.training.windows import C1, C2, WINDOW, window


def photo_loss(
    rendering: Tensor,  # [H, W, 3], linear light
    photo: Tensor,  # [H, W, 3], sRGB
    mask: Tensor | None,  # [H, W], 1 where the photo counts
    weights: Tensor | None,  # [H, W], how much each pixel counts where it does
    ssim_weight: float,
) -> Tensor:  # []
    """The weighted mean over the pixels that count of (1 - w) L1 + w (1 - SSIM) / 2, in sRGB.

    The gradient goes to the rendering only. What does not count is taken from the photo, so that it is equal in both,
    also in the windows of pixels that do.
    """
    if rendering.device.type == "cpu" and rendering.dtype == torch.float32:
        from solver.training import fused_loss

        return fused_loss.photo_loss(rendering, photo, mask, weights, ssim_weight)
    encoded = linear_to_srgb(rendering)
    if weights is None:
        weights = torch.ones_like(photo[..., 0])
    if mask is not None:
        encoded = torch.lerp(photo, encoded, mask[..., None])
        weights = weights * mask
    difference = (weights[..., None] * (encoded - photo).abs()).sum()
    dissimilarity = (weights * (1 - ssim_map(encoded, photo))).sum()
    return ((1 - ssim_weight) * difference + ssim_weight / 2 * dissimilarity) / (3 * weights.sum().clamp(min=1))


def psnr(
    rendering: Tensor,  # [H, W, 3], linear light
    photo: Tensor,  # [H, W, 3], sRGB
    mask: Tensor | None,  # [H, W], 1 where the photo counts
) -> float | None:
    """Of a rendering against a photo, in sRGB, dB, over the mask; None where that is empty."""
    with torch.no_grad():
        squared = (linear_to_srgb(rendering).clamp(0, 1) - photo).square()
        if mask is None:
            error = float(squared.mean())
        elif float(mask.sum()) == 0:
            return None
        else:
            error = float((squared * mask[..., None]).sum() / (3 * mask.sum()))
    return -10 * math.log10(max(error, 1e-10))


def ssim_map(a: Tensor, b: Tensor) -> Tensor:  # [H, W, C], [H, W, C] -> [C, H, W]
    """Structural similarity of each pixel's 11 x 11 Gaussian window (Wang et al. 2004, eq. 13), zero padded."""
    a, b = a.permute(2, 0, 1), b.permute(2, 0, 1)
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = _smooth(torch.stack([a, b, a * a, b * b, a * b]))
    variance_a, variance_b = mean_aa - mean_a**2, mean_bb - mean_b**2
    covariance = mean_ab - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + float(C1)) / (mean_a**2 + mean_b**2 + float(C1))
    return luminance * (2 * covariance + float(C2)) / (variance_a + variance_b + float(C2))


def _smooth(images: Tensor) -> Tensor:  # [M, C, H, W] -> the same
    kernel = torch.as_tensor(window(), dtype=images.dtype, device=images.device)
    shape = images.shape
    flat = images.reshape(-1, 1, *shape[2:])
    flat = conv2d(flat, kernel.view(1, 1, -1, 1), padding=(WINDOW // 2, 0))
    flat = conv2d(flat, kernel.view(1, 1, 1, -1), padding=(0, WINDOW // 2))
    return flat.reshape(shape)
