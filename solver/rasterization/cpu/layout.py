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

from solver.kernels.vector import LANES

TILE = 16  # px, width and height
BLOCKS = TILE * TILE // LANES  # vectors in a tile; block b is in row b // 2, at its left or right half
PLANE = TILE * TILE  # pixels of a tile, block after block

CHUNK = 256  # Gaussians that a thread takes at once, and whose gradients to the camera are summed together
CHUNKS, PLACES = 0, 1  # counters of a region's board: of chunks, and of tiles with all samples

AHEAD = 16  # Gaussians; what lies anywhere in memory is asked for so long before its turn

# Columns of `geometry` [N, M, 8]. Centres are split into integer and fraction to keep float32 exact far from 0.
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
