# SPDX-License-Identifier: GPL-3.0-or-later
"""Single-image deconvolution that is told the true circle of confusion of every pixel."""

import numpy as np
from skimage.restoration import wiener


def deconvolve(
    photo: np.ndarray,  # [H, W, 3] linear light
    circle_of_confusion: np.ndarray,  # [H, W] px, true
) -> np.ndarray:  # [H, W, 3] linear light, 0 to 1
    """The photo deconvolved at each pixel with the disc of its own circle of confusion."""
    result = np.array(photo, dtype=np.float64)
    for low, high in ((1, 2), (2, 4), (4, 8), (8, np.inf)):
        chosen = (circle_of_confusion >= low) & (circle_of_confusion < high)
        kernel = np.hypot(*np.mgrid[-15:16, -15:16]) <= 0.7 * low
        for channel in range(3):
            restored = wiener(photo[..., channel].astype(np.float64), kernel / kernel.sum(), 0.02, clip=False)
            result[chosen, channel] = restored[chosen]
    return result.clip(0, 1)
