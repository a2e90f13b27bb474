# SPDX-License-Identifier: GPL-3.0-or-later
"""What forward and backward share of walking through a tile; `layout` has the notation."""

import numpy as np

from solver.kernels.compilation import helper
from solver.kernels.vector import LANES, largest, load, maximum
from solver.rasterization.cpu.layout import BLOCKS, ZERO

PAIRS_BETWEEN_CHECKS = 8  # of whether the whole tile has stopped


@helper
def part_of(sample, tile_x, tile_y, parts):
    """Whose a tile is: dealt like cards along each row of tiles, each row three parts on from the last, or one where
    three divides the number of parts.

    That step has no divisor in common with `parts`, so that along columns too every part has its turn: all get about
    as many of a small subject's tiles, whatever its shape and the image's width.
    """
    return (sample + tile_x + (1 if parts % 3 == 0 else 3) * tile_y) % parts


@helper
def lane_offsets():
    """The vector 0, 1, ... 7: the columns of a block's pixels."""
    columns = np.empty(LANES, np.float32)
    for lane in range(LANES):
        columns[lane] = np.float32(lane)
    return load(columns, 0)


@helper
def has_stopped(planes):
    """Whether no pixel's transmittance, the first of the planes, is positive any more."""
    most = load(planes, 0)
    for b in range(1, BLOCKS):
        most = maximum(most, load(planes, b * LANES))
    return largest(most) <= ZERO
