# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing a tile, front to back; `layout` has the notation.

A tile lives in `planes` [planes, pixels]: one plane of transmittance, then one of each feature, a vector for every
block of eight pixels. A pixel that has stopped has its transmittance negated, so that every later Gaussian fails the
test by itself. What transmittance is left at the end lets the background through. The planes stay as they are for
`backward`; the image is their mean over the samples, whose tiles at one place a thread has one after the other.
"""

import numpy as np

from solver.kernels.board import next_piece
from solver.kernels.compilation import kernel, lowest_bit
from solver.kernels.vector import LANES, load, minimum, prefetch, splat, store, where
from solver.rasterization.cpu.exponential import power_of_two
from solver.rasterization.cpu.layout import (
    AHEAD,
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
    PLACES,
    PLANE,
    SHEAR,
    TILE,
    U_CELL,
    U_FRACTION,
    V_CELL,
    V_FRACTION,
    ZERO,
)
from solver.rasterization.cpu.tiles import PAIRS_BETWEEN_CHECKS, absolute, fill_inside, has_stopped, lane_offsets

TRANSMITTANCE, FEATURES = 0, 1  # planes


@kernel(
    "void(float32[:,:,::1], float32[:,::1], uint32[:,::1], int64[::1], float32[::1],"
    "float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,:,::1], float32[:,:,:,::1], int64[::1])",
    fast=True,
)
def composite(
    geometry,  # [N, M, 8]
    features,  # [N, 4 + E]
    pairs,  # [P, 2], Gaussian and mask
    tile_offsets,  # [M tiles + 1]
    background,  # [3]
    colour_image,  # [H, W, 3], written
    depth_image,  # [H, W], written
    alpha_image,  # [H, W], written
    extras_image,  # [H, W, E], written
    tile_planes,  # [M, tiles, 5 + E, 256], written: what becomes of `planes`, the transmittance no longer negated
    board,
):
    """Composite tiles as long as there are any."""
    height, width = alpha_image.shape
    samples, tiles = geometry.shape[1], tile_planes.shape[1]
    channels = features.shape[1]
    tiles_across = (width + TILE - 1) // TILE
    inside = np.empty((1, PLANE), np.float32)
    mean = np.empty((FEATURES + channels, PLANE), np.float32)
    offsets = lane_offsets()
    spent, top_alpha, none = splat(MIN_TRANSMITTANCE), splat(MAX_ALPHA), splat(ZERO)
    share = ONE / np.float32(samples)
    tile = next_piece(board, PLACES)
    while tile < tiles:
        left, top = tile % tiles_across * TILE, tile // tiles_across * TILE
        fill_inside(inside, offsets, width - left, height - top)
        mean[:] = ZERO
        for m in range(samples):
            planes = tile_planes[m, tile]
            planes[FEATURES:] = ZERO
            planes[TRANSMITTANCE] = inside[0]
            first_pair, end_pair = tile_offsets[m * tiles + tile], tile_offsets[m * tiles + tile + 1]
            for pair in range(first_pair, end_pair):
                if (pair - first_pair) % PAIRS_BETWEEN_CHECKS == 0 and has_stopped(planes):
                    break
                if pair + AHEAD < end_pair:
                    later = np.int64(pairs[pair + AHEAD, 0])
                    prefetch(geometry, (later * samples + m) * 8)
                    prefetch(features, later * channels)
                n = np.int64(pairs[pair, 0])
                dx_0 = np.float32(left) - geometry[n, m, U_CELL] + HALF - geometry[n, m, U_FRACTION]
                dy_0 = np.float32(top) - geometry[n, m, V_CELL] + HALF - geometry[n, m, V_FRACTION]
                a, i, k = geometry[n, m, DECAY_A], geometry[n, m, DECAY_I], geometry[n, m, SHEAR]
                log2_opacity = geometry[n, m, LOG2_OPACITY]
                f_0, f_1, f_2, f_3 = features[n, 0], features[n, 1], features[n, 2], features[n, 3]
                mask = pairs[pair, 1]
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
                    red, green, blue = (
                        FEATURES * PLANE + place,
                        (FEATURES + 1) * PLANE + place,
                        (FEATURES + 2) * PLANE + place,
                    )
                    depth = (FEATURES + DEPTH) * PLANE + place
                    store(planes, red, load(planes, red) + weight * f_0)
                    store(planes, green, load(planes, green) + weight * f_1)
                    store(planes, blue, load(planes, blue) + weight * f_2)
                    store(planes, depth, load(planes, depth) + weight * f_3)
                    for e in range(EXTRAS, channels):
                        extra = (FEATURES + e) * PLANE + place
                        store(planes, extra, load(planes, extra) + weight * features[n, e])
            for place in range(0, PLANE, LANES):
                store(planes, place, absolute(load(planes, place)))
            for place in range(0, planes.size, LANES):
                store(mean, place, load(mean, place) + share * load(planes, place))

        for row in range(min(TILE, height - top)):
            for column in range(min(TILE, width - left)):
                y, x, place = top + row, left + column, TILE * row + column
                rest = mean[TRANSMITTANCE, place]
                for c in range(3):
                    colour_image[y, x, c] = mean[FEATURES + c, place] + rest * background[c]
                depth_image[y, x] = mean[FEATURES + DEPTH, place]
                alpha_image[y, x] = ONE - rest
                for e in range(EXTRAS, channels):
                    extras_image[y, x, e - EXTRAS] = mean[FEATURES + e, place]
        tile = next_piece(board, PLACES)
