# SPDX-License-Identifier: GPL-3.0-or-later
"""Gradients of a tile, front to back like `forward`; `layout` has the notation.

With g_j = sum_c f_jc v_c + v_alpha, what Gaussian j's weight is worth to the loss at a pixel (v_c and
v_alpha are the image's gradients there), the loss moves with alpha_j by

    T_j g_j - R_j / (1 - alpha_j),    R_j = sum of weight_k g_k over k behind j.

R starts as sum_c v_c image_c + v_alpha alpha, which forward has left behind, and loses weight_j g_j as each
is passed: one scalar a pixel, no second pass and no division of transmittances. What a Gaussian gets is a
few moments over its pixels; `projection.project_backward` turns them into gradients.
"""

import numpy as np

from solver.rasterization.cpu.compilation import kernel, lowest_bit, select
from solver.rasterization.cpu.exponential import power_of_two
from solver.rasterization.cpu.layout import (
    BLOCKS,
    DECAY_A,
    DECAY_I,
    EXTRAS,
    HALF,
    LANE_OFFSETS,
    LANES,
    LOG2_OPACITY,
    LOWEST_LOG2_ALPHA,
    MAX_ALPHA,
    MIN_TRANSMITTANCE,
    MOMENT_COUNT,
    ONE,
    SHEAR,
    TILE,
    U_CELL,
    U_FRACTION,
    V_CELL,
    V_FRACTION,
    ZERO,
)

TRANSMITTANCE, BEHIND, V_ALPHA, V_FEATURES = 0, 1, 2, 3  # planes
_PAIRS_BETWEEN_CHECKS = 8  # of whether the whole tile has stopped


@kernel(
    "void(float32[:,::1], float32[:,::1], int32[::1], uint32[::1], int64[::1],"
    "float32[:,:,::1], float32[:,::1], float32[:,:,::1], float32[:,::1], float32[:,::1], int64, int64, int64)",
    fast=True,
)
def composite_backward(
    geometry,  # [N, 8]
    features,  # [N, 4 + E]
    pair_gaussians,  # [P]
    pair_masks,  # [P]
    tile_offsets,  # [tiles + 1]
    image,  # [H, W, 4 + E]
    alpha_image,  # [H, W]
    v_image,  # [H, W, 4 + E]
    v_alpha_image,  # [H, W]
    moments,  # [P, 10 + E], written
    lanes,  # always LANES
    part,
    parts,
):
    """Moments of the pairs in every `parts`-th tile."""
    height, width, channels = image.shape
    tiles_across = (width + TILE - 1) // TILE
    planes = np.empty((V_FEATURES + channels, BLOCKS, LANES), np.float32)
    sums = np.empty((MOMENT_COUNT + channels, LANES), np.float32)
    worth = np.empty(LANES, np.float32)
    weights = np.empty(LANES, np.float32)
    for tile in range(part, len(tile_offsets) - 1, parts):
        left, top = tile % tiles_across * TILE, tile // tiles_across * TILE
        planes[:] = ZERO
        for row in range(min(TILE, height - top)):
            for column in range(min(TILE, width - left)):
                b, lane = 2 * row + column // LANES, column % LANES
                v_alpha = v_alpha_image[top + row, left + column]
                total = v_alpha * alpha_image[top + row, left + column]
                for c in range(channels):
                    v = v_image[top + row, left + column, c]
                    total += v * image[top + row, left + column, c]
                    planes[V_FEATURES + c, b, lane] = v
                planes[TRANSMITTANCE, b, lane] = ONE
                planes[BEHIND, b, lane] = total
                planes[V_ALPHA, b, lane] = v_alpha

        first_pair, end_pair = tile_offsets[tile], tile_offsets[tile + 1]
        for pair in range(first_pair, end_pair):
            if (pair - first_pair) % _PAIRS_BETWEEN_CHECKS == 0 and planes[TRANSMITTANCE].max() <= ZERO:
                moments[pair:end_pair] = ZERO
                break
            n = pair_gaussians[pair]
            dx_0 = np.float32(left) - geometry[n, U_CELL] + HALF - geometry[n, U_FRACTION]
            dy_0 = np.float32(top) - geometry[n, V_CELL] + HALF - geometry[n, V_FRACTION]
            a, i, k = geometry[n, DECAY_A], geometry[n, DECAY_I], geometry[n, SHEAR]
            log2_opacity = geometry[n, LOG2_OPACITY]
            f_0, f_1, f_2, f_3 = features[n, 0], features[n, 1], features[n, 2], features[n, 3]
            sums[:] = ZERO
            mask = pair_masks[pair]
            while mask != 0:
                b = lowest_bit(mask)
                mask &= mask - np.uint32(1)
                dy = dy_0 + np.float32(b >> 1)
                w_0 = dx_0 + np.float32((b & 1) * LANES) - k * dy
                level = log2_opacity - i * dy * dy
                for lane in range(lanes):
                    worth[lane] = (
                        planes[V_ALPHA, b, lane]
                        + f_0 * planes[V_FEATURES, b, lane]
                        + f_1 * planes[V_FEATURES + 1, b, lane]
                        + f_2 * planes[V_FEATURES + 2, b, lane]
                        + f_3 * planes[V_FEATURES + 3, b, lane]
                    )
                for e in range(EXTRAS, channels):
                    f = features[n, e]
                    for lane in range(lanes):
                        worth[lane] += f * planes[V_FEATURES + e, b, lane]
                for lane in range(lanes):
                    w = w_0 + LANE_OFFSETS[lane]
                    q = level - a * w * w
                    p = power_of_two(q)
                    alpha = select(q >= LOWEST_LOG2_ALPHA, min(p, MAX_ALPHA), ZERO)
                    before = planes[TRANSMITTANCE, b, lane]
                    weight = alpha * before
                    after = before - weight
                    goes_on = after > MIN_TRANSMITTANCE
                    weight = select(goes_on, weight, ZERO)
                    planes[TRANSMITTANCE, b, lane] = select(goes_on, after, -abs(before))
                    gain = weight * worth[lane]
                    behind = planes[BEHIND, b, lane] - gain
                    planes[BEHIND, b, lane] = behind
                    v = gain - behind * (alpha / (ONE - alpha))
                    v = select(goes_on & (p <= MAX_ALPHA), v, ZERO)
                    v_w = v * w
                    sums[0, lane] += v
                    sums[1, lane] += v_w
                    sums[2, lane] += v_w * w
                    sums[3, lane] += v * dy
                    sums[4, lane] += v * dy * dy
                    sums[5, lane] += v_w * dy
                    sums[MOMENT_COUNT, lane] += weight * planes[V_FEATURES, b, lane]
                    sums[MOMENT_COUNT + 1, lane] += weight * planes[V_FEATURES + 1, b, lane]
                    sums[MOMENT_COUNT + 2, lane] += weight * planes[V_FEATURES + 2, b, lane]
                    sums[MOMENT_COUNT + 3, lane] += weight * planes[V_FEATURES + 3, b, lane]
                    weights[lane] = weight
                for e in range(EXTRAS, channels):
                    for lane in range(lanes):
                        sums[MOMENT_COUNT + e, lane] += weights[lane] * planes[V_FEATURES + e, b, lane]
            for m in range(len(sums)):
                total = ZERO
                for lane in range(lanes):
                    total += sums[m, lane]
                moments[pair, m] = total
