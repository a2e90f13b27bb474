# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a photo holds fine detail."""

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_laplace


def local_sharpness(image: np.ndarray, window_px: float = 3.0) -> np.ndarray:  # [H, W, 3] -> [H, W]
    """Energy of the Laplacian of Gaussian of the luminance, averaged over a window ("sum of modified Laplacian",
    Nayar and Nakagawa 1994, with a smooth kernel).
    """
    luminance = image @ np.array([0.2126, 0.7152, 0.0722], dtype=image.dtype)
    return gaussian_filter(np.abs(gaussian_laplace(luminance, 1.0)), window_px)
