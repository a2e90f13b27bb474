# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing a tile, front to back; `layout` has the notation.

A tile lives in `planes` [planes, blocks, lanes]: one plane of transmittance, then one of each feature, a vector for
every block of eight pixels. A pixel that has stopped has its transmittance negated, so that every later Gaussian fails
the test by itself. What transmittance is left at the end lets the background through.
"""

import numpy as np

from solver.kernels.compilation import kernel, lowest_bit
from solver.kernels.vector import LANES, load, minimum, splat, store, where
from solver.rasterization.cpu.exponential import power_of_two
from solver.rasterization.cpu.layout import (
    BLOCKS,
    DECAY_A,
    DECAY_I,
    DEPTH,
    EXTRAS,
    HALF,
    LOG2_OPACITY,
    LOWEST_LOG2_ALPHA,
    MAX_ALPHA,
    MIN_TRANSMITTANCE,
    ONE,
    PLANE,
    SHEAR,
    TILE,
    U_CELL,
    U_FRACTION,
    V_CELL,
    V_FRACTION,
    ZERO,
)
from solver.rasterization.cpu.tiles import PAIRS_BETWEEN_CHECKS, has_stopped, lane_offsets, part_of

TRANSMITTANCE, FEATURES = 0, 1  # planes


@kernel(
    "void(float32[:,::1], float32[:,::1], int32[::1], uint32[::1], int64[::1], float32[::1],"
    "float32[:,:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[:,:,:,::1], int64, int64)",
    fast=True,
)
def composite(
    geometry,  # [M N, 8]
    features,  # [N, 4 + E]
    pair_rows,  # [P], of `geometry`
    pair_masks,  # [P]
    tile_offsets,  # [M tiles + 1]
    background,  # [3]
    colour_image,  # [M, H, W, 3], written
    depth_image,  # [M, H, W], written
    alpha_image,  # [M, H, W], written
    extras_image,  # [M, H, W, E], written
    part,
    parts,
):
    """Composite this part's tiles of all samples."""
    _, height, width = alpha_image.shape
    count, channels = features.shape
    tiles_across = (width + TILE - 1) // TILE
    tiles_in_image = tiles_across * ((height + TILE - 1) // TILE)
    planes = np.empty((FEATURES + channels, BLOCKS, LANES), np.float32)
    offsets = lane_offsets()
    spent, top_alpha, none = splat(MIN_TRANSMITTANCE), splat(MAX_ALPHA), splat(ZERO)
    for tile in range(len(tile_offsets) - 1):
        m, place_in_image = tile // tiles_in_image, tile % tiles_in_image
        tile_x, tile_y = place_in_image % tiles_across, place_in_image // tiles_across
        if part_of(m, tile_x, tile_y, parts) != part:
            continue
        left, top = tile_x * TILE, tile_y * TILE
        planes[:] = ZERO
        for row in range(min(TILE, height - top)):
            for column in range(min(TILE, width - left)):
                planes[TRANSMITTANCE, 2 * row + column // LANES, column % LANES] = ONE

        first_pair = tile_offsets[tile]
        for pair in range(first_pair, tile_offsets[tile + 1]):
            if (pair - first_pair) % PAIRS_BETWEEN_CHECKS == 0 and has_stopped(planes):
                break
            n = pair_rows[pair]
            dx_0 = np.float32(left) - geometry[n, U_CELL] + HALF - geometry[n, U_FRACTION]
            dy_0 = np.float32(top) - geometry[n, V_CELL] + HALF - geometry[n, V_FRACTION]
            a, i, k = geometry[n, DECAY_A], geometry[n, DECAY_I], geometry[n, SHEAR]
            log2_opacity = geometry[n, LOG2_OPACITY]
            n -= m * count  # its row of `features`
            f_0, f_1, f_2, f_3 = features[n, 0], features[n, 1], features[n, 2], features[n, 3]
            mask = pair_masks[pair]
            while mask != 0:
                b = lowest_bit(mask)
                mask &= mask - np.uint32(1)
                place = b * LANES
                dy = dy_0 + np.float32(b >> 1)
                w_0 = dx_0 + np.float32((b & 1) * LANES) - k * dy
                level = log2_opacity - i * dy * dy
                w = w_0 + offsets
                q = level - a * w * w
                alpha = where(q >= LOWEST_LOG2_ALPHA, minimum(power_of_two(q), top_alpha), none)
                before = load(planes, place)
                weight = alpha * before
                after = before - weight
                goes_on = after > spent
                weight = where(goes_on, weight, none)
                store(planes, place, where(goes_on, after, minimum(before, none - before)))
                store(planes, FEATURES * PLANE + place, load(planes, FEATURES * PLANE + place) + weight * f_0)
                store(
                    planes, (FEATURES + 1) * PLANE + place, load(planes, (FEATURES + 1) * PLANE + place) + weight * f_1
                )
                store(
                    planes, (FEATURES + 2) * PLANE + place, load(planes, (FEATURES + 2) * PLANE + place) + weight * f_2
                )
                store(
                    planes, (FEATURES + 3) * PLANE + place, load(planes, (FEATURES + 3) * PLANE + place) + weight * f_3
                )
                for e in range(EXTRAS, channels):
                    extra = (FEATURES + e) * PLANE + place
                    store(planes, extra, load(planes, extra) + weight * features[n, e])

        for b in range(BLOCKS):
            y, first_x = top + b // 2, left + b % 2 * LANES
            if y >= height:
                break
            for lane in range(min(LANES, width - first_x)):
                x = first_x + lane
                rest = abs(planes[TRANSMITTANCE, b, lane])
                for c in range(3):
                    colour_image[m, y, x, c] = planes[FEATURES + c, b, lane] + rest * background[c]
                depth_image[m, y, x] = planes[FEATURES + DEPTH, b, lane]
                alpha_image[m, y, x] = ONE - rest
                for e in range(EXTRAS, channels):
                    extras_image[m, y, x, e - EXTRAS] = planes[FEATURES + e, b, lane]
