# SPDX-License-Identifier: GPL-3.0-or-later
"""The gradient of `projection`, with its notation; `v_` marks a gradient.

What each point of the pupil adds is summed at W R S, the colour and the camera's (x, y, z); the chain from there to
rotation, scales, harmonics and centre is gone through once.
"""

import numpy as np

from solver.kernels.board import next_piece
from solver.kernels.compilation import helper, kernel
from solver.kernels.vector import (
    LANES,
    as_doubles,
    gather,
    load,
    mask_bits,
    maximum,
    minimum,
    prefetch,
    splat,
    store,
    total,
    where,
)
from solver.rasterization.cpu.harmonics import direction_gradient, fill_basis
from solver.rasterization.cpu.layout import (
    AHEAD,
    CAMERA_SIZE,
    CENTRE,
    CHUNK,
    CHUNKS,
    CX,
    CY,
    DEPTH,
    EXTRAS,
    FX,
    FY,
    INVERSE_FOCUS,
    MOMENT_COUNT,
    PUPIL,
    ROTATION,
    TRANSLATION,
    ZERO,
)
from solver.rasterization.cpu.projection import (
    HIGH_X,
    HIGH_Y,
    LOW_X,
    LOW_Y,
    SHIFT_X,
    SHIFT_Y,
    by_axis,
    camera_point,
    camera_row,
    cross,
    direction,
    dot,
    gather_three,
    plus,
    rotation,
    sample_views,
    times,
    turned,
    unit_quaternion,
)

_ALL_LANES = np.uint32((1 << LANES) - 1)
_TINY = 1e-300  # instead of what is zero only for Gaussians whose moments are


@helper
def _add(sums, entry, value):
    """Add a vector to an entry of `sums` [21, lanes]."""
    store(sums, entry * LANES, load(sums, entry * LANES) + value)


@helper
def _quaternion_gradient(w, x, y, z, inverse_length, v_R):
    """Gradient of the quaternion, of length one now, whose rotation matrix has gradient v_R."""
    v_w = 2.0 * (x * (v_R[2][1] - v_R[1][2]) + y * (v_R[0][2] - v_R[2][0]) + z * (v_R[1][0] - v_R[0][1]))
    v_x = 2.0 * (
        y * (v_R[0][1] + v_R[1][0])
        + z * (v_R[0][2] + v_R[2][0])
        + w * (v_R[2][1] - v_R[1][2])
        - 2.0 * x * (v_R[1][1] + v_R[2][2])
    )
    v_y = 2.0 * (
        x * (v_R[0][1] + v_R[1][0])
        + z * (v_R[1][2] + v_R[2][1])
        + w * (v_R[0][2] - v_R[2][0])
        - 2.0 * y * (v_R[0][0] + v_R[2][2])
    )
    v_z = 2.0 * (
        x * (v_R[0][2] + v_R[2][0])
        + y * (v_R[1][2] + v_R[2][1])
        + w * (v_R[1][0] - v_R[0][1])
        - 2.0 * z * (v_R[0][0] + v_R[1][1])
    )
    radial = v_w * w + v_x * x + v_y * y + v_z * z
    return (
        (v_w - radial * w) * inverse_length,
        (v_x - radial * x) * inverse_length,
        (v_y - radial * y) * inverse_length,
        (v_z - radial * z) * inverse_length,
    )


@helper
def _sum_moments(moments, slots, first, last, sums):
    """Write into a row of `sums` what the tiles have left of a Gaussian; True where any of it is not zero,
    NaN among it.
    """
    width = moments.shape[1]
    start = splat(0.0)
    sums[LANES:] = 0.0
    for slot in range(first, last):
        row = np.int64(slots[slot, 0])
        start += as_doubles(load(moments, row * width))
        for i in range(LANES, width):
            sums[i] += moments[row, i]
    store(sums, 0, start)
    moved = mask_bits((start >= 0.0) & (start <= 0.0)) != _ALL_LANES
    for i in range(LANES, width):
        moved |= sums[i] != 0.0
    return moved


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float64[::1], float64[:,::1], float64, int64, int64, int64, float64, boolean,"
    "float32[:,::1], float32[:,::1], int64[:,::1], int64[:,::1], uint32[:,::1],"
    "float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float32[:,::1], float64[:,::1], int64[::1])"
)
def project_backward(
    means,  # [N, 3]
    quaternions,  # [N, 4]
    scales,  # [N, 3]
    opacities,  # [N]
    sh_constant,  # [N, 1, 3]
    sh_rest,  # [N, S - 1, 3]
    camera,  # [21]
    samples,  # [M, 2], points of the pupil in its diameters
    residual,
    width,
    height,
    sh_degree,
    eps2d,
    antialiased,
    features,  # [N, 4 + E]
    moments,  # [P, 10 + E], gradients by Gaussian and tile
    slot_offsets,  # [N, M], where the entries in `slots` of a Gaussian seen by a sample start
    slot_ends,  # [N, M], and end
    slots,  # [slots, 2], first a row of `moments`
    v_means,  # [N, 3], written
    v_quaternions,  # [N, 4], written
    v_scales,  # [N, 3], written
    v_opacities,  # [N], written
    v_sh_constant,  # [N, 1, 3], written
    v_sh_rest,  # [N, S - 1, 3], written
    v_extras,  # [N, E], written
    v_camera,  # [chunks, 21], written
    board,
):
    """Gradients to all that `project` reads, from the moments that the tiles have left."""
    count = len(means)
    used = (sh_degree + 1) ** 2
    fx, fy = camera[FX], camera[FY]
    pupil, inverse_focus = camera[PUPIL], camera[INVERSE_FOCUS]
    spread = 0.25 * residual * pupil
    views = sample_views(camera, samples, width, height)
    places = np.arange(LANES)
    rows = np.empty(LANES, np.int64)
    sums = np.zeros((len(samples), LANES, moments.shape[1]))
    v_features = np.empty((LANES, features.shape[1]))
    camera_sums = np.empty((CAMERA_SIZE, LANES))
    basis = np.empty((16, LANES), np.float32)
    v_basis = np.empty((16, LANES), np.float32)
    written = np.empty((11, LANES))
    chunk = next_piece(board, CHUNKS)
    while chunk < len(v_camera):
        camera_sums[:] = 0.0
        n, end = chunk * CHUNK, min((chunk + 1) * CHUNK, count)
        while n < end:
            # The next Gaussians whose moments are not all zero.
            lanes = 0
            while n < end and lanes < LANES:
                moved = False
                if n + AHEAD < end:
                    for m in range(len(samples)):
                        for slot in range(slot_offsets[n + AHEAD, m], slot_ends[n + AHEAD, m]):
                            row = np.int64(slots[slot, 0])
                            prefetch(moments, row * moments.shape[1])
                            prefetch(moments, (row + 1) * moments.shape[1] - 1)
                for m in range(len(samples)):
                    moved |= _sum_moments(moments, slots, slot_offsets[n, m], slot_ends[n, m], sums[m, lanes])
                if moved:
                    rows[lanes] = n
                    lanes += 1
                else:
                    v_opacities[n] = ZERO
                    for i in range(3):
                        v_means[n, i] = ZERO
                        v_scales[n, i] = ZERO
                        v_sh_constant[n, 0, i] = ZERO
                    for i in range(4):
                        v_quaternions[n, i] = ZERO
                    for s in range(sh_rest.shape[1]):
                        for i in range(3):
                            v_sh_rest[n, s, i] = ZERO
                    for e in range(v_extras.shape[1]):
                        v_extras[n, e] = ZERO
                n += 1
            if lanes == 0:
                break
            for lane in range(lanes, LANES):  # idle: zero moments have zero gradients
                rows[lane] = rows[0]
                sums[:, lane] = 0.0
            v_features[:] = 0.0
            for m in range(len(samples)):
                for lane in range(lanes):
                    for i in range(v_features.shape[1]):
                        v_features[lane, i] += sums[m, lane, MOMENT_COUNT + i]

            # The forward pass again.
            mean = gather_three(means, rows)
            x, y, z = camera_point(camera, mean)
            w_q, x_q, y_q, z_q, inverse_length = unit_quaternion(quaternions, rows)
            R = rotation(w_q, x_q, y_q, z_q)
            scale = gather_three(scales, rows)
            WR_x, WR_y, WR_z = (
                turned(camera_row(camera, 0), R),
                turned(camera_row(camera, 1), R),
                turned(camera_row(camera, 2), R),
            )
            axes_x, axes_y, axes_z = by_axis(scale, WR_x), by_axis(scale, WR_y), by_axis(scale, WR_z)
            inverse_z = 1.0 / z
            gain_x, gain_y = fx * inverse_z, fy * inverse_z
            defocus = inverse_z - inverse_focus
            blur = spread * spread * defocus * defocus
            blur_x, blur_y = blur * (fx * fx), blur * (fy * fy)

            nothing = splat(0.0)
            v_x, v_y, v_inverse_z, v_fx, v_fy = nothing, nothing, nothing, nothing, nothing
            v_log_opacity_sum = nothing
            v_axes_x, v_axes_y, v_axes_z = (
                (nothing, nothing, nothing),
                (nothing, nothing, nothing),
                (nothing, nothing, nothing),
            )
            for m in range(len(samples)):
                view = views[m]
                x_m, y_m = x - view[SHIFT_X], y - view[SHIFT_Y]
                raw_x, raw_y = x_m * inverse_z, y_m * inverse_z
                slope_x = minimum(maximum(raw_x, view[LOW_X]), view[HIGH_X])
                slope_y = minimum(maximum(raw_y, view[LOW_Y]), view[HIGH_Y])
                rise_x = plus(axes_x, times(-1.0 * slope_x, axes_z))
                rise_y = plus(axes_y, times(-1.0 * slope_y, axes_z))
                b_x, b_y = times(gain_x, rise_x), times(gain_y, rise_y)
                normal = cross(b_x, b_y)
                xx, xy, yy, squared_area = dot(b_x, b_x), dot(b_x, b_y), dot(b_y, b_y), dot(normal, normal)
                det_1 = squared_area + eps2d * (xx + yy) + eps2d * eps2d
                xx_1, yy_1 = xx + eps2d, yy + eps2d
                det_2 = det_1 + blur_x * yy_1 + blur_y * xx_1 + blur_x * blur_y
                yy_2 = yy_1 + blur_y
                inverse_det, inverse_yy = 1.0 / maximum(det_2, _TINY), 1.0 / maximum(yy_2, _TINY)

                # From moments to the ellipse: log(alpha) = log(opacity) - dy^2 / (2 yy) - yy w^2 / (2 det).
                stride = moments.shape[1]
                moment = sums[m]
                v_log_opacity = gather(moment, places, stride, 0)
                v_w = gather(moment, places, stride, 1)
                v_across = -0.5 * gather(moment, places, stride, 2)
                across = yy_2 * inverse_det
                shear = xy * inverse_yy
                v_u = across * v_w
                v_v = gather(moment, places, stride, 3) * inverse_yy - shear * v_u
                v_shear = across * gather(moment, places, stride, 5)
                v_yy = (0.5 * gather(moment, places, stride, 4) * inverse_yy - v_shear * shear) * inverse_yy
                v_yy += v_across * inverse_det
                v_xy = v_shear * inverse_yy

                # Opacity: times |n| / sqrt(det_1) if antialiased, times sqrt(det_1 / det_2).
                v_log_opacity_sum += v_log_opacity
                v_det_2 = -1.0 * inverse_det * (v_across * across + 0.5 * v_log_opacity)
                v_det_1, v_squared_area = v_det_2, nothing
                if antialiased:
                    v_squared_area = 0.5 * v_log_opacity / maximum(squared_area, _TINY)
                else:
                    v_det_1 += 0.5 * v_log_opacity / maximum(det_1, _TINY)

                # Dilation.
                v_blur_x = v_det_2 * yy_2
                v_blur_y = v_det_2 * (xx_1 + blur_x) + v_yy
                v_xx = v_det_2 * blur_y
                v_yy += v_det_2 * blur_x
                v_blur = v_blur_x * (fx * fx) + v_blur_y * (fy * fy)
                v_defocus = 2.0 * spread * spread * v_blur * defocus
                v_fx += 2.0 * v_blur_x * blur * fx
                v_fy += 2.0 * v_blur_y * blur * fy
                v_inverse_z += v_defocus

                # Covariance with eps2d, from b.
                v_xx += eps2d * v_det_1
                v_yy += eps2d * v_det_1
                v_normal = times(2.0 * (v_det_1 + v_squared_area), normal)
                v_b_x = plus(cross(b_y, v_normal), plus(times(2.0 * v_xx, b_x), times(v_xy, b_y)))
                v_b_y = plus(cross(v_normal, b_x), plus(times(2.0 * v_yy, b_y), times(v_xy, b_x)))

                # Affine approximation.
                v_gain_x, v_gain_y = dot(v_b_x, rise_x), dot(v_b_y, rise_y)
                v_rise_x, v_rise_y = times(gain_x, v_b_x), times(gain_y, v_b_y)
                v_axes_x, v_axes_y = plus(v_axes_x, v_rise_x), plus(v_axes_y, v_rise_y)
                v_axes_z = plus(v_axes_z, plus(times(-1.0 * slope_x, v_rise_x), times(-1.0 * slope_y, v_rise_y)))
                v_slope_x, v_slope_y = -1.0 * dot(v_rise_x, axes_z), -1.0 * dot(v_rise_y, axes_z)
                v_inverse_z += v_gain_x * fx + v_gain_y * fy

                # The centre, and the principal point of this sample; beyond the limits slopes are that point's.
                within_x = (raw_x >= view[LOW_X]) & (raw_x <= view[HIGH_X])
                within_y = (raw_y >= view[LOW_Y]) & (raw_y <= view[HIGH_Y])
                v_raw_x = v_u * fx + where(within_x, v_slope_x, 0.0)
                v_raw_y = v_v * fy + where(within_y, v_slope_y, 0.0)
                limit_x, limit_y = where(within_x, 0.0 * slope_x, v_slope_x), where(within_y, 0.0 * slope_y, v_slope_y)
                v_cx, v_cy = v_u - limit_x * (1.0 / fx), v_v - limit_y * (1.0 / fy)
                v_fx += v_gain_x * inverse_z + v_u * raw_x - limit_x * slope_x * (1.0 / fx)
                v_fy += v_gain_y * inverse_z + v_v * raw_y - limit_y * slope_y * (1.0 / fy)
                v_inverse_z += v_raw_x * x_m + v_raw_y * y_m
                v_x_m, v_y_m = v_raw_x * inverse_z, v_raw_y * inverse_z
                v_x += v_x_m
                v_y += v_y_m

                # The point of the pupil.
                _add(camera_sums, CX, v_cx)
                _add(camera_sums, CY, v_cy)
                v_fx += v_cx * (view[SHIFT_X] * inverse_focus)
                v_fy += v_cy * (view[SHIFT_Y] * inverse_focus)
                _add(
                    camera_sums,
                    INVERSE_FOCUS,
                    v_cx * (fx * view[SHIFT_X]) + v_cy * (fy * view[SHIFT_Y]) - v_defocus,
                )
                v_shift_x, v_shift_y = v_cx * (fx * inverse_focus) - v_x_m, v_cy * (fy * inverse_focus) - v_y_m
                v_spread = 2.0 * spread * v_blur * defocus * defocus
                _add(
                    camera_sums,
                    PUPIL,
                    v_shift_x * samples[m, 0] + v_shift_y * samples[m, 1] + v_spread * (0.25 * residual),
                )
            _add(camera_sums, FX, v_fx)
            _add(camera_sums, FY, v_fy)
            v_opacity = v_log_opacity_sum / as_doubles(gather(opacities, rows, 1, 0))
            v_depth = gather(v_features, places, v_features.shape[1], DEPTH)
            v_point = (v_x, v_y, v_depth - v_inverse_z * inverse_z * inverse_z)

            # Rotation and scales: the axes are W R by column times scale.
            v_scale = plus(plus(by_axis(v_axes_x, WR_x), by_axis(v_axes_y, WR_y)), by_axis(v_axes_z, WR_z))
            v_WR = (by_axis(v_axes_x, scale), by_axis(v_axes_y, scale), by_axis(v_axes_z, scale))
            v_R = (
                turned((camera[0], camera[3], camera[6]), v_WR),
                turned((camera[1], camera[4], camera[7]), v_WR),
                turned((camera[2], camera[5], camera[8]), v_WR),
            )
            for i in range(3):
                _add(camera_sums, TRANSLATION + i, v_point[i])
                for k in range(3):
                    _add(camera_sums, ROTATION + 3 * i + k, v_point[i] * mean[k] + dot(v_WR[i], R[k]))
            v_w_q, v_x_q, v_y_q, v_z_q = _quaternion_gradient(w_q, x_q, y_q, z_q, inverse_length, v_R)

            # Colour.
            dx, dy, dz, inverse_distance = direction(camera, mean)
            fill_basis(sh_degree, dx, dy, dz, basis)
            for lane in range(lanes):
                g = rows[lane]
                v_red = np.float32(v_features[lane, 0]) if features[g, 0] > ZERO else ZERO
                v_green = np.float32(v_features[lane, 1]) if features[g, 1] > ZERO else ZERO
                v_blue = np.float32(v_features[lane, 2]) if features[g, 2] > ZERO else ZERO
                v_sh_constant[g, 0, 0] = v_red * basis[0, lane]
                v_sh_constant[g, 0, 1] = v_green * basis[0, lane]
                v_sh_constant[g, 0, 2] = v_blue * basis[0, lane]
                for s in range(used - 1):
                    v_sh_rest[g, s, 0] = v_red * basis[s + 1, lane]
                    v_sh_rest[g, s, 1] = v_green * basis[s + 1, lane]
                    v_sh_rest[g, s, 2] = v_blue * basis[s + 1, lane]
                    v_basis[s + 1, lane] = (
                        v_red * sh_rest[g, s, 0] + v_green * sh_rest[g, s, 1] + v_blue * sh_rest[g, s, 2]
                    )
                for s in range(used - 1, sh_rest.shape[1]):
                    v_sh_rest[g, s] = ZERO
                for e in range(v_extras.shape[1]):
                    v_extras[g, e] = v_features[lane, EXTRAS + e]
            for lane in range(lanes, LANES):
                v_basis[:, lane] = ZERO
            v_d = direction_gradient(sh_degree, dx, dy, dz, v_basis)
            radial = v_d[0] * dx + v_d[1] * dy + v_d[2] * dz
            v_d = times(inverse_distance, plus(v_d, times(-1.0 * radial, (dx, dy, dz))))
            _add(camera_sums, CENTRE, -1.0 * v_d[0])
            _add(camera_sums, CENTRE + 1, -1.0 * v_d[1])
            _add(camera_sums, CENTRE + 2, -1.0 * v_d[2])
            v_mean = plus(v_d, turned(v_point, (camera_row(camera, 0), camera_row(camera, 1), camera_row(camera, 2))))

            store(written, 0, v_mean[0])
            store(written, LANES, v_mean[1])
            store(written, 2 * LANES, v_mean[2])
            store(written, 3 * LANES, v_w_q)
            store(written, 4 * LANES, v_x_q)
            store(written, 5 * LANES, v_y_q)
            store(written, 6 * LANES, v_z_q)
            store(written, 7 * LANES, v_scale[0])
            store(written, 8 * LANES, v_scale[1])
            store(written, 9 * LANES, v_scale[2])
            store(written, 10 * LANES, v_opacity)
            for lane in range(lanes):
                g = rows[lane]
                for i in range(3):
                    v_means[g, i] = written[i, lane]
                    v_scales[g, i] = written[7 + i, lane]
                for i in range(4):
                    v_quaternions[g, i] = written[3 + i, lane]
                v_opacities[g] = written[10, lane]
        for i in range(CAMERA_SIZE):
            v_camera[chunk, i] = total(load(camera_sums, i * LANES))
        chunk = next_piece(board, CHUNKS)
