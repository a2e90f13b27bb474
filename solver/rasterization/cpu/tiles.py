# SPDX-License-Identifier: GPL-3.0-or-later
"""What forward and backward share of walking through a tile; `layout` has the notation."""

import numpy as np

from solver.kernels.compilation import helper
from solver.kernels.vector import LANES, largest, load, maximum, splat, store, where
from solver.rasterization.cpu.layout import BLOCKS, ONE, ZERO

PAIRS_BETWEEN_CHECKS = 8  # of whether the whole tile has stopped


@helper
def lane_offsets():
    """The vector 0, 1, ... 7: the columns of a block's pixels."""
    columns = np.empty(LANES, np.float32)
    for lane in range(LANES):
        columns[lane] = np.float32(lane)
    return load(columns, 0)


@helper
def fill_inside(inside, offsets, columns, rows):
    """Write into `inside` [1, 256] a 1 for the tile's pixels in the image, which goes on for so many, else 0."""
    for b in range(BLOCKS):
        end = np.float32(columns - b % 2 * LANES) if b // 2 < rows else ZERO
        store(inside, b * LANES, where(offsets < end, splat(ONE), splat(ZERO)))


@helper
def absolute(a):
    """A vector without its signs."""
    return maximum(a, ZERO - a)


@helper
def has_stopped(planes):
    """Whether no pixel's transmittance, the first of the planes, is positive any more."""
    most = load(planes, 0)
    for b in range(1, BLOCKS):
        most = maximum(most, load(planes, b * LANES))
    return largest(most) <= ZERO
