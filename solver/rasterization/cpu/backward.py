# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradients of a tile, front to back like `forward`; `layout` has the notation.

With g_j = sum_c f_jc v_c + v_alpha, what Gaussian j's weight is worth to the loss at a pixel (v_c and
v_alpha are the image's gradients there), the loss moves with alpha_j by

    T_j g_j - R_j / (1 - alpha_j),    R_j = sum of weight_k g_k over k behind j.

R starts as sum_c v_c image_c + v_alpha alpha, from the planes that forward has left behind, and loses weight_j g_j as
each is passed: one scalar a pixel, no second pass and no division of transmittances. What a Gaussian gets is a few
moments over its pixels; `projection_backward` turns them into gradients.

A background adds (1 - alpha) background_c to colour, so that v_alpha falls by sum_c v_c background_c; what forward has
left is without it.
"""

import numpy as np

from solver.kernels.board import next_piece
from solver.kernels.compilation import helper, kernel, lowest_bit
from solver.kernels.vector import LANES, load, minimum, prefetch, splat, store, total, totals, where
from solver.rasterization.cpu.exponential import power_of_two
from solver.rasterization.cpu.forward import FEATURES, TRANSMITTANCE
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
    MOMENT_COUNT,
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
from solver.rasterization.cpu.tiles import PAIRS_BETWEEN_CHECKS, fill_inside, has_stopped, lane_offsets

BEHIND = 1  # plane of R, beside TRANSMITTANCE
V_ALPHA, V_FEATURES = 0, 1  # planes of the image's gradient


@helper
def _read_gradient(
    v_colour_image, v_depth_image, v_alpha_image, v_extras_image, background, share, left, top, v_planes
):
    """Fill one tile's planes of gradient, of which each sample has its share."""
    v_planes[:] = ZERO
    for image_row in range(top, min(top + TILE, len(v_colour_image))):
        for x in range(left, min(left + TILE, v_colour_image.shape[1])):
            place = TILE * (image_row - top) + x - left
            for c in range(3):
                v = share * v_colour_image[image_row, x, c]
                v_planes[V_FEATURES + c, place] = v
                v_planes[V_ALPHA, place] -= v * background[c]
    for image_row in range(top, min(top + TILE, len(v_depth_image))):
        for x in range(left, min(left + TILE, v_depth_image.shape[1])):
            place = TILE * (image_row - top) + x - left
            v_planes[V_FEATURES + DEPTH, place] = share * v_depth_image[image_row, x]
    for image_row in range(top, min(top + TILE, len(v_alpha_image))):
        for x in range(left, min(left + TILE, v_alpha_image.shape[1])):
            place = TILE * (image_row - top) + x - left
            v_planes[V_ALPHA, place] += share * v_alpha_image[image_row, x]
    for image_row in range(top, min(top + TILE, len(v_extras_image))):
        for x in range(left, min(left + TILE, v_extras_image.shape[1])):
            place = TILE * (image_row - top) + x - left
            for e in range(v_extras_image.shape[2]):
                v_planes[V_FEATURES + EXTRAS + e, place] = share * v_extras_image[image_row, x, e]


@kernel(
    "void(float32[:,:,::1], float32[:,::1], uint32[:,::1], int64[::1], float32[::1], float32[:,:,:,::1],"
    "float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,:,::1], int64, int64, float32[:,::1], float64[:,::1],"
    "int64[::1])",
    fast=True,
)
def composite_backward(
    geometry,  # [N, M, 8]
    features,  # [N, 4 + E]
    pairs,  # [P, 2], Gaussian and mask
    tile_offsets,  # [M tiles + 1]
    background,  # [3]
    tile_planes,  # [M, tiles, 5 + E, 256], from `forward`
    v_colour_image,  # [H, W, 3]; of this and the next three, an empty one stands for zeros
    v_depth_image,  # [H, W]
    v_alpha_image,  # [H, W]
    v_extras_image,  # [H, W, E]
    width,
    height,
    moments,  # [P, 10 + E], written
    v_background,  # [tiles, 3], written
    board,
):
    """Moments of the pairs, and what each tile adds to the background's gradient, as long as there are tiles."""
    samples, tiles = geometry.shape[1], tile_planes.shape[1]
    channels = features.shape[1]
    tiles_across = (width + TILE - 1) // TILE
    inside = np.empty((1, PLANE), np.float32)
    planes = np.empty((2, PLANE), np.float32)
    v_planes = np.empty((V_FEATURES + channels, PLANE), np.float32)
    extra_sums = np.empty((max(channels - EXTRAS, 1), LANES), np.float32)
    offsets = lane_offsets()
    spent, top_alpha, none, one = splat(MIN_TRANSMITTANCE), splat(MAX_ALPHA), splat(ZERO), splat(ONE)
    share = ONE / np.float32(samples)
    tile = next_piece(board, PLACES)
    while tile < tiles:
        left, top = tile % tiles_across * TILE, tile // tiles_across * TILE
        fill_inside(inside, offsets, width - left, height - top)
        _read_gradient(
            v_colour_image, v_depth_image, v_alpha_image, v_extras_image, background, share, left, top, v_planes
        )
        passed_0 = passed_1 = passed_2 = none
        for m in range(samples):
            composited = tile_planes[m, tile]
            for place in range(0, PLANE, LANES):
                rest = load(composited, TRANSMITTANCE * PLANE + place)
                behind = load(v_planes, V_ALPHA * PLANE + place) * (one - rest)
                for c in range(channels):
                    v_c = load(v_planes, (V_FEATURES + c) * PLANE + place)
                    behind += v_c * load(composited, (FEATURES + c) * PLANE + place)
                store(planes, TRANSMITTANCE * PLANE + place, load(inside, place))
                store(planes, BEHIND * PLANE + place, behind)
                passed_0 += rest * load(v_planes, V_FEATURES * PLANE + place)
                passed_1 += rest * load(v_planes, (V_FEATURES + 1) * PLANE + place)
                passed_2 += rest * load(v_planes, (V_FEATURES + 2) * PLANE + place)

            first_pair, end_pair = tile_offsets[m * tiles + tile], tile_offsets[m * tiles + tile + 1]
            for pair in range(first_pair, end_pair):
                if (pair - first_pair) % PAIRS_BETWEEN_CHECKS == 0 and has_stopped(planes):
                    moments[pair:end_pair] = ZERO
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
                sum_v = sum_vw = sum_vww = sum_vy = sum_vyy = sum_vwy = none
                sum_0 = sum_1 = sum_2 = sum_3 = none
                extra_sums[:] = ZERO
                mask = pairs[pair, 1]
                while mask != 0:
                    b = lowest_bit(mask)
                    mask &= mask - np.uint32(1)
                    place = b * LANES
                    dy = dy_0 + np.float32(b >> 1)
                    w_0 = dx_0 + np.float32((b & 1) * LANES) - k * dy
                    w = w_0 + offsets
                    q = log2_opacity - i * dy * dy - a * w * w
                    p = power_of_two(q)
                    alpha = where(q >= LOWEST_LOG2_ALPHA, minimum(p, top_alpha), none)
                    v_0 = load(v_planes, V_FEATURES * PLANE + place)
                    v_1 = load(v_planes, (V_FEATURES + 1) * PLANE + place)
                    v_2 = load(v_planes, (V_FEATURES + 2) * PLANE + place)
                    v_3 = load(v_planes, (V_FEATURES + 3) * PLANE + place)
                    worth = load(v_planes, V_ALPHA * PLANE + place) + f_0 * v_0 + f_1 * v_1 + f_2 * v_2 + f_3 * v_3
                    for e in range(EXTRAS, channels):
                        worth += features[n, e] * load(v_planes, (V_FEATURES + e) * PLANE + place)
                    before = load(planes, place)
                    weight = alpha * before
                    after = before - weight
                    goes_on = after > spent
                    weight = where(goes_on, weight, none)
                    store(planes, place, where(goes_on, after, minimum(before, none - before)))
                    gain = weight * worth
                    behind = load(planes, BEHIND * PLANE + place) - gain
                    store(planes, BEHIND * PLANE + place, behind)
                    v = gain - behind * (alpha / (one - alpha))
                    v = where(goes_on & (p <= top_alpha), v, none)
                    vw = v * w
                    sum_v += v
                    sum_vw += vw
                    sum_vww += vw * w
                    sum_vy += v * dy
                    sum_vyy += v * dy * dy
                    sum_vwy += vw * dy
                    sum_0 += weight * v_0
                    sum_1 += weight * v_1
                    sum_2 += weight * v_2
                    sum_3 += weight * v_3
                    for e in range(EXTRAS, channels):
                        v_e = load(v_planes, (V_FEATURES + e) * PLANE + place)
                        store(extra_sums, (e - EXTRAS) * LANES, load(extra_sums, (e - EXTRAS) * LANES) + weight * v_e)
                sums = totals((sum_v, sum_vw, sum_vww, sum_vy, sum_vyy, sum_vwy, sum_0, sum_1))
                store(moments, pair * moments.shape[1], sums)
                moments[pair, MOMENT_COUNT + 2] = total(sum_2)
                moments[pair, MOMENT_COUNT + 3] = total(sum_3)
                for e in range(EXTRAS, channels):
                    moments[pair, MOMENT_COUNT + e] = total(load(extra_sums, (e - EXTRAS) * LANES))
        v_background[tile, 0], v_background[tile, 1] = total(passed_0), total(passed_1)
        v_background[tile, 2] = total(passed_2)
        tile = next_piece(board, PLACES)
