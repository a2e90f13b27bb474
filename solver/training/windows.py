# SPDX-License-Identifier: GPL-3.0-or-later
"""The constants of structural similarity (Wang et al. 2004, section III-B), for images in [0, 1]."""

import numpy as np

WINDOW, SIGMA = 11, 1.5  # px
C1, C2 = np.float32(0.01**2), np.float32(0.03**2)


def window() -> np.ndarray:
    """The one-dimensional Gaussian window, [11] float32, of sum 1."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-0.5 * (offsets / SIGMA) ** 2)
    return (weights / weights.sum()).astype(np.float32)
