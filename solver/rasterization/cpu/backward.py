# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradients of a tile, front to back like `forward`; `layout` has the notation.

With g_j = sum_c f_jc v_c + v_alpha, what Gaussian j's weight is worth to the loss at a pixel (v_c and
v_alpha are the image's gradients there), the loss moves with alpha_j by

    T_j g_j - R_j / (1 - alpha_j),    R_j = sum of weight_k g_k over k behind j.

R starts as sum_c v_c image_c + v_alpha alpha, which forward has left behind, and loses weight_j g_j as each
is passed: one scalar a pixel, no second pass and no division of transmittances. What a Gaussian gets is a
few moments over its pixels; `projection_backward` turns them into gradients.

A background adds (1 - alpha) background_c to colour: v_alpha in g_j falls by sum_c v_c background_c, and R starts as
sum_c v_c (image_c - background_c) + v_alpha alpha, with the image over the background and v_alpha as it was.
"""

import numpy as np

from solver.kernels.compilation import kernel, lowest_bit
from solver.kernels.vector import LANES, load, minimum, splat, store, total, where
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
    MOMENT_COUNT,
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

TRANSMITTANCE, BEHIND, V_ALPHA, V_FEATURES = 0, 1, 2, 3  # planes


@kernel(
    "void(float32[:,::1], float32[:,::1], int32[::1], uint32[::1], int64[::1], float32[::1],"
    "float32[:,:,:,::1], float32[:,:,::1], float32[:,:,::1], float32[:,:,:,::1],"
    "float32[:,:,::1], float32[:,::1], float32[:,::1], float32[:,:,::1],"
    "float32, float32[:,::1], float64[:,::1], int64, int64)",
    fast=True,
)
def composite_backward(
    geometry,  # [M N, 8]
    features,  # [N, 4 + E]
    pair_rows,  # [P], of `geometry`
    pair_masks,  # [P]
    tile_offsets,  # [M tiles + 1]
    background,  # [3]
    colour_image,  # [M, H, W, 3], over the background
    depth_image,  # [M, H, W]
    alpha_image,  # [M, H, W]
    extras_image,  # [M, H, W, E]
    v_colour_image,  # [H, W, 3]; of this and the next three, an empty one stands for zeros
    v_depth_image,  # [H, W]
    v_alpha_image,  # [H, W]
    v_extras_image,  # [H, W, E]
    share,  # of each sample in the image, 1 / M
    moments,  # [P, 10 + E], written
    v_background,  # [M tiles, 3], written
    part,
    parts,
):
    """Moments of the pairs in this part's tiles, and what each tile adds to the background's gradient."""
    _, height, width = alpha_image.shape
    count, channels = features.shape
    tiles_across = (width + TILE - 1) // TILE
    tiles_in_image = tiles_across * ((height + TILE - 1) // TILE)
    planes = np.empty((V_FEATURES + channels, BLOCKS, LANES), np.float32)
    extra_sums = np.empty((max(channels - EXTRAS, 1), LANES), np.float32)
    offsets = lane_offsets()
    background_0, background_1, background_2 = background[0], background[1], background[2]
    spent, top_alpha, none, one = splat(MIN_TRANSMITTANCE), splat(MAX_ALPHA), splat(ZERO), splat(ONE)
    for tile in range(len(tile_offsets) - 1):
        m, place_in_image = tile // tiles_in_image, tile % tiles_in_image
        tile_x, tile_y = place_in_image % tiles_across, place_in_image // tiles_across
        if part_of(m, tile_x, tile_y, parts) != part:
            continue
        left, top = tile_x * TILE, tile_y * TILE
        planes[:] = ZERO
        v_background_0 = v_background_1 = v_background_2 = ZERO
        for b in range(BLOCKS):
            y, first_x = top + b // 2, left + b % 2 * LANES
            if y >= height:
                break
            for lane in range(min(LANES, width - first_x)):
                x = first_x + lane
                alpha = alpha_image[m, y, x]
                v_alpha = rest = ZERO
                if len(v_alpha_image) > 0:
                    v_alpha = share * v_alpha_image[y, x]
                    rest = v_alpha * alpha
                if len(v_colour_image) > 0:
                    v_0, v_1, v_2 = v_colour_image[y, x, 0], v_colour_image[y, x, 1], v_colour_image[y, x, 2]
                    v_0, v_1, v_2 = share * v_0, share * v_1, share * v_2
                    rest += v_0 * (colour_image[m, y, x, 0] - background_0)
                    rest += v_1 * (colour_image[m, y, x, 1] - background_1)
                    rest += v_2 * (colour_image[m, y, x, 2] - background_2)
                    v_alpha -= v_0 * background_0 + v_1 * background_1 + v_2 * background_2
                    v_background_0 += v_0 * (ONE - alpha)
                    v_background_1 += v_1 * (ONE - alpha)
                    v_background_2 += v_2 * (ONE - alpha)
                    planes[V_FEATURES, b, lane] = v_0
                    planes[V_FEATURES + 1, b, lane] = v_1
                    planes[V_FEATURES + 2, b, lane] = v_2
                if len(v_depth_image) > 0:
                    v = share * v_depth_image[y, x]
                    rest += v * depth_image[m, y, x]
                    planes[V_FEATURES + DEPTH, b, lane] = v
                if len(v_extras_image) > 0:
                    for e in range(EXTRAS, channels):
                        v = share * v_extras_image[y, x, e - EXTRAS]
                        rest += v * extras_image[m, y, x, e - EXTRAS]
                        planes[V_FEATURES + e, b, lane] = v
                planes[TRANSMITTANCE, b, lane] = ONE
                planes[BEHIND, b, lane] = rest
                planes[V_ALPHA, b, lane] = v_alpha
        v_background[tile, 0] = v_background_0
        v_background[tile, 1] = v_background_1
        v_background[tile, 2] = v_background_2

        first_pair, end_pair = tile_offsets[tile], tile_offsets[tile + 1]
        for pair in range(first_pair, end_pair):
            if (pair - first_pair) % PAIRS_BETWEEN_CHECKS == 0 and has_stopped(planes):
                moments[pair:end_pair] = ZERO
                break
            n = pair_rows[pair]
            dx_0 = np.float32(left) - geometry[n, U_CELL] + HALF - geometry[n, U_FRACTION]
            dy_0 = np.float32(top) - geometry[n, V_CELL] + HALF - geometry[n, V_FRACTION]
            a, i, k = geometry[n, DECAY_A], geometry[n, DECAY_I], geometry[n, SHEAR]
            log2_opacity = geometry[n, LOG2_OPACITY]
            n -= m * count  # its row of `features`
            f_0, f_1, f_2, f_3 = features[n, 0], features[n, 1], features[n, 2], features[n, 3]
            sum_v = sum_vw = sum_vww = sum_vy = sum_vyy = sum_vwy = none
            sum_0 = sum_1 = sum_2 = sum_3 = none
            extra_sums[:] = ZERO
            mask = pair_masks[pair]
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
                v_0 = load(planes, V_FEATURES * PLANE + place)
                v_1 = load(planes, (V_FEATURES + 1) * PLANE + place)
                v_2 = load(planes, (V_FEATURES + 2) * PLANE + place)
                v_3 = load(planes, (V_FEATURES + 3) * PLANE + place)
                worth = load(planes, V_ALPHA * PLANE + place) + f_0 * v_0 + f_1 * v_1 + f_2 * v_2 + f_3 * v_3
                for e in range(EXTRAS, channels):
                    worth += features[n, e] * load(planes, (V_FEATURES + e) * PLANE + place)
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
                    v_e = load(planes, (V_FEATURES + e) * PLANE + place)
                    store(extra_sums, (e - EXTRAS) * LANES, load(extra_sums, (e - EXTRAS) * LANES) + weight * v_e)
            moments[pair, 0] = total(sum_v)
            moments[pair, 1] = total(sum_vw)
            moments[pair, 2] = total(sum_vww)
            moments[pair, 3] = total(sum_vy)
            moments[pair, 4] = total(sum_vyy)
            moments[pair, 5] = total(sum_vwy)
            moments[pair, MOMENT_COUNT] = total(sum_0)
            moments[pair, MOMENT_COUNT + 1] = total(sum_1)
            moments[pair, MOMENT_COUNT + 2] = total(sum_2)
            moments[pair, MOMENT_COUNT + 3] = total(sum_3)
            for e in range(EXTRAS, channels):
                moments[pair, MOMENT_COUNT + e] = total(load(extra_sums, (e - EXTRAS) * LANES))
