# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernels agree on: tiles, columns of arrays, constants.

Notation: a projected Gaussian has its centre at (u, v) px and covariance (Sxx, Sxy, Syy). At a pixel centre
(x, y), with dy = y - v, shear k = Sxy / Syy and w = (x - u) - k dy,

    d^T Sigma^-1 d = dy^2 / Syy + (Syy / det) w^2,

a sum of squares: nothing cancels, and along a row of pixels only w changes.
Exponents are to base 2: log2(alpha) = log2(opacity) - i dy^2 - a w^2.
"""

import math

import numpy as np

TILE = 16  # px, width and height
LANES = 8  # pixels that one vector holds
BLOCKS = TILE * TILE // LANES  # vectors in a tile; block b is in row b // 2, at its left or right half

# Columns of `geometry` [N, 8]. Centres are split into integer and fraction to keep float32 exact far from 0.
U_CELL, U_FRACTION, V_CELL, V_FRACTION, SHEAR, DECAY_I, DECAY_A, LOG2_OPACITY = range(8)

# Columns of `features` [N, 4 + E]: colour 0 to 2, then
DEPTH, EXTRAS = 3, 4

# Columns of `moments` [P, 6 + 4 + E], sums over a tile's pixels of v = d loss / d log(alpha):
# v, v w, v w^2, v dy, v dy^2, v w dy; then the gradient of each feature.
MOMENT_COUNT = 6

# Entries of `camera` [21]: world_to_camera's rotation row by row and translation, K, camera centre, aperture.
ROTATION, TRANSLATION, FX, FY, CX, CY, CENTRE, PUPIL, INVERSE_FOCUS = 0, 9, 12, 13, 14, 15, 16, 19, 20
CAMERA_SIZE = 21

LOG2_255 = math.log2(255)  # alpha below 1/255 is skipped

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
LOWEST_LOG2_ALPHA = np.float32(-LOG2_255)
MAX_ALPHA = np.float32(0.999)
MIN_TRANSMITTANCE = np.float32(1e-4)
LANE_OFFSETS = np.arange(LANES, dtype=np.float32)

# 2^x on [-1, 0] by the polynomial of degree 5 with the smallest relative error (7.5e-8, Remez' algorithm).
# Its eighth power is 2^(8 x) on [-8, 0], which is where log2(alpha) lies, within 6e-7.
EXP2_0 = np.float32(0.9999999250635297)
EXP2_1 = np.float32(0.693142252593277 / 8)
EXP2_2 = np.float32(0.24017218924871156 / 8**2)
EXP2_3 = np.float32(0.055279722581306416 / 8**3)
EXP2_4 = np.float32(0.009188611730800652 / 8**4)
EXP2_5 = np.float32(0.0009387883366936227 / 8**5)
LOWEST_EXPONENT = np.float32(-8)
