# SPDX-License-Identifier: GPL-3.0-or-later
"""Image measures. All compare sRGB values in [0, 1], as the literature does."""

import numpy as np
from skimage.metrics import structural_similarity


def psnr(error_sum: float, count: int) -> float | None:
    """Peak signal-to-noise ratio in dB of `count` squared errors that sum up to `error_sum`."""
    if count == 0:
        return None
    return float(-10 * np.log10(max(error_sum / count, 1e-10)))


def squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [H, W, 3], [H, W, 3] -> [H, W]
    """Mean squared difference of each pixel."""
    return ((a.astype(np.float64) - b) ** 2).mean(-1)


def ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # [H, W, 3], [H, W, 3] -> [H, W]
    """Structural similarity of each pixel's neighbourhood, with the window of Wang et al. 2004."""
    _, full = structural_similarity(
        a, b, channel_axis=2, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return full.mean(-1)
