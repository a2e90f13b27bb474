# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as the camera sees them, and the gradient of that: the fused form of
`solver.rasterization.projection`.

Notation as there: W, t the camera's rotation and translation, (x, y, z) = W mean + t, a_ij the entries of W
R S, b_x and b_y the rows of J W R S, n = b_x cross b_y, so that |n|^2 is the projected determinant. `v_`
marks a gradient. Subscripts of the covariance: 0 projected, 1 with eps2d, 2 dilated by the aperture.
Arithmetic is in float64, which costs nothing in code that is not vectorized.
"""

import math

import numpy as np

from solver.kernels.compilation import helper, kernel
from solver.rasterization.cpu.harmonics import direction_gradient, fill_basis
from solver.rasterization.cpu.layout import (
    CENTRE,
    CX,
    CY,
    DECAY_A,
    DECAY_I,
    DEPTH,
    EXTRAS,
    FX,
    FY,
    INVERSE_FOCUS,
    LOG2_255,
    LOG2_OPACITY,
    MOMENT_COUNT,
    PUPIL,
    ROTATION,
    SHEAR,
    TRANSLATION,
    U_CELL,
    U_FRACTION,
    V_CELL,
    V_FRACTION,
)
from solver.rasterization.projection import FIELD_OF_VIEW_MARGIN

CHUNK = 2048  # Gaussians whose gradients to the camera are summed together, whatever the number of threads
HALF_LOG2_E = 0.5 / math.log(2)


@helper
def _camera_point(camera, means, n):
    x = camera[0] * means[n, 0] + camera[1] * means[n, 1] + camera[2] * means[n, 2] + camera[TRANSLATION]
    y = camera[3] * means[n, 0] + camera[4] * means[n, 1] + camera[5] * means[n, 2] + camera[TRANSLATION + 1]
    z = camera[6] * means[n, 0] + camera[7] * means[n, 1] + camera[8] * means[n, 2] + camera[TRANSLATION + 2]
    return x, y, z


@helper
def _slope_limits(size, focal, centre):
    margin = FIELD_OF_VIEW_MARGIN * 0.5 * size
    return -(centre + margin) / focal, (size - centre + margin) / focal


@helper
def _rotate(camera, quaternions, n, R, WR):
    """Write the Gaussian's rotation R and W R, both [3, 3]; return the unit quaternion and the length it
    had.
    """
    w = np.float64(quaternions[n, 0])
    x = np.float64(quaternions[n, 1])
    y = np.float64(quaternions[n, 2])
    z = np.float64(quaternions[n, 3])
    length = max(math.sqrt(w * w + x * x + y * y + z * z), 1e-12)
    w, x, y, z = w / length, x / length, y / length, z / length
    R[0, 0] = 1.0 - 2.0 * (y * y + z * z)
    R[0, 1] = 2.0 * (x * y - w * z)
    R[0, 2] = 2.0 * (x * z + w * y)
    R[1, 0] = 2.0 * (x * y + w * z)
    R[1, 1] = 1.0 - 2.0 * (x * x + z * z)
    R[1, 2] = 2.0 * (y * z - w * x)
    R[2, 0] = 2.0 * (x * z - w * y)
    R[2, 1] = 2.0 * (y * z + w * x)
    R[2, 2] = 1.0 - 2.0 * (x * x + y * y)
    for i in range(3):
        for j in range(3):
            WR[i, j] = camera[3 * i] * R[0, j] + camera[3 * i + 1] * R[1, j] + camera[3 * i + 2] * R[2, j]
    return w, x, y, z, length


@helper
def _affine_rows(scales, n, WR, slope_x, slope_y, gain_x, gain_y, b):
    """Write b_x and b_y, the rows of J W R S, into `b` [2, 3]."""
    for j in range(3):
        scale = np.float64(scales[n, j])
        b[0, j] = gain_x * scale * (WR[0, j] - slope_x * WR[2, j])
        b[1, j] = gain_y * scale * (WR[1, j] - slope_y * WR[2, j])


@helper
def _cross(a, b):
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


@helper
def _covariance(b, eps2d):
    """Of the affine rows: xx_1, xy, yy_1, the determinant with eps2d, and n."""
    xx = b[0, 0] * b[0, 0] + b[0, 1] * b[0, 1] + b[0, 2] * b[0, 2]
    xy = b[0, 0] * b[1, 0] + b[0, 1] * b[1, 1] + b[0, 2] * b[1, 2]
    yy = b[1, 0] * b[1, 0] + b[1, 1] * b[1, 1] + b[1, 2] * b[1, 2]
    n = _cross(b[0], b[1])
    determinant = n[0] * n[0] + n[1] * n[1] + n[2] * n[2] + eps2d * (xx + yy) + eps2d * eps2d
    return xx + eps2d, xy, yy + eps2d, determinant, n


@helper
def _direction(camera, means, n):
    """Unit direction from the camera to the Gaussian, and the distance."""
    dx = means[n, 0] - camera[CENTRE]
    dy = means[n, 1] - camera[CENTRE + 1]
    dz = means[n, 2] - camera[CENTRE + 2]
    distance = max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-12)
    return dx / distance, dy / distance, dz / distance, distance


@helper
def _ellipse(x, y, z, opacity, blur, fx, fy, cx, cy, width, height, scales, n, WR, b, eps2d, antialiased, geometry):
    """Write the projected Gaussian into `geometry` [8]; False where it does not touch the image."""
    low_x, high_x = _slope_limits(width, fx, cx)
    low_y, high_y = _slope_limits(height, fy, cy)
    slope_x = min(max(x / z, low_x), high_x)
    slope_y = min(max(y / z, low_y), high_y)
    _affine_rows(scales, n, WR, slope_x, slope_y, fx / z, fy / z, b)
    xx, xy, yy, determinant, normal = _covariance(b, eps2d)
    if antialiased:
        area = math.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
        opacity *= area / math.sqrt(determinant)
    blur_x, blur_y = blur * fx * fx, blur * fy * fy
    dilated = determinant + blur_x * yy + blur_y * xx + blur_x * blur_y
    opacity *= math.sqrt(determinant / dilated)
    xx += blur_x
    yy += blur_y
    if not (opacity * 255.0 >= 1.0 and xx < math.inf and yy < math.inf and dilated < math.inf):
        return False

    u = fx * x / z + cx
    v = fy * y / z + cy
    log2_opacity = math.log2(opacity)
    squared_sigmas = (log2_opacity + LOG2_255) / HALF_LOG2_E
    extent_x = math.sqrt(squared_sigmas * xx)
    extent_y = math.sqrt(squared_sigmas * yy)
    if not (u + extent_x > 0.0 and u - extent_x < width and v + extent_y > 0.0 and v - extent_y < height):
        return False
    geometry[U_CELL] = math.floor(u)
    geometry[U_FRACTION] = u - math.floor(u)
    geometry[V_CELL] = math.floor(v)
    geometry[V_FRACTION] = v - math.floor(v)
    geometry[SHEAR] = xy / yy
    geometry[DECAY_I] = HALF_LOG2_E / yy
    geometry[DECAY_A] = HALF_LOG2_E * yy / dilated
    geometry[LOG2_OPACITY] = log2_opacity
    return True


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float32[:,::1], float64[::1], float64[:,::1], float64, int64, int64, int64, float64, float64, float64, boolean,"
    "float32[:,:,::1], float32[:,::1], boolean[:,::1], int64, int64)"
)
def project(
    means,  # [N, 3]
    quaternions,  # [N, 4]
    scales,  # [N, 3]
    opacities,  # [N]
    sh_constant,  # [N, 1, 3]
    sh_rest,  # [N, S - 1, 3]
    extras,  # [N, E]
    camera,  # [21]
    samples,  # [M, 2], points of the pupil in its diameters
    residual,
    width,
    height,
    sh_degree,
    eps2d,
    near_plane,
    far_plane,
    antialiased,
    geometry,  # [M, N, 8], written for visible Gaussians
    features,  # [N, 4 + E], written for Gaussians that any sample sees
    visible,  # [M, N], written
    part,
    parts,
):
    """Ellipse and opacity of every Gaussian from every point of the pupil, colour and depth from its centre.

    NaN and infinity make a Gaussian invisible.
    """
    fx, fy = camera[FX], camera[FY]
    pupil, inverse_focus = camera[PUPIL], camera[INVERSE_FOCUS]
    R = np.empty((3, 3))
    WR = np.empty((3, 3))
    b = np.empty((2, 3))
    basis = np.empty(16)
    for n in range(part * len(means) // parts, (part + 1) * len(means) // parts):
        visible[:, n] = False
        x, y, z = _camera_point(camera, means, n)
        if not (near_plane <= z <= far_plane):
            continue
        _rotate(camera, quaternions, n, R, WR)
        opacity = np.float64(opacities[n])
        blur = (0.25 * residual * pupil * (1.0 / z - inverse_focus)) ** 2
        seen = False
        for m in range(len(samples)):
            shift_x, shift_y = pupil * samples[m, 0], pupil * samples[m, 1]
            cx = camera[CX] + fx * shift_x * inverse_focus
            cy = camera[CY] + fy * shift_y * inverse_focus
            visible[m, n] = _ellipse(
                x - shift_x,
                y - shift_y,
                z,
                opacity,
                blur,
                fx,
                fy,
                cx,
                cy,
                width,
                height,
                scales,
                n,
                WR,
                b,
                eps2d,
                antialiased,
                geometry[m, n],
            )
            seen |= visible[m, n]
        if not seen:
            continue

        dx, dy, dz, _ = _direction(camera, means, n)
        fill_basis(sh_degree, dx, dy, dz, basis)
        red = 0.5 + basis[0] * sh_constant[n, 0, 0]
        green = 0.5 + basis[0] * sh_constant[n, 0, 1]
        blue = 0.5 + basis[0] * sh_constant[n, 0, 2]
        for s in range((sh_degree + 1) ** 2 - 1):
            red += basis[s + 1] * sh_rest[n, s, 0]
            green += basis[s + 1] * sh_rest[n, s, 1]
            blue += basis[s + 1] * sh_rest[n, s, 2]
        features[n, 0] = max(red, 0.0)
        features[n, 1] = max(green, 0.0)
        features[n, 2] = max(blue, 0.0)
        features[n, DEPTH] = z
        for e in range(extras.shape[1]):
            features[n, EXTRAS + e] = extras[n, e]


@helper
def _quaternion_gradient(w, x, y, z, length, v_R, v_quaternions, n):
    """Write the gradient of the quaternion (unit, once of this length) whose rotation matrix has gradient
    v_R.
    """
    v_w = 2.0 * (x * (v_R[2, 1] - v_R[1, 2]) + y * (v_R[0, 2] - v_R[2, 0]) + z * (v_R[1, 0] - v_R[0, 1]))
    v_x = 2.0 * (
        y * (v_R[0, 1] + v_R[1, 0])
        + z * (v_R[0, 2] + v_R[2, 0])
        + w * (v_R[2, 1] - v_R[1, 2])
        - 2.0 * x * (v_R[1, 1] + v_R[2, 2])
    )
    v_y = 2.0 * (
        x * (v_R[0, 1] + v_R[1, 0])
        + z * (v_R[1, 2] + v_R[2, 1])
        + w * (v_R[0, 2] - v_R[2, 0])
        - 2.0 * y * (v_R[0, 0] + v_R[2, 2])
    )
    v_z = 2.0 * (
        x * (v_R[0, 2] + v_R[2, 0])
        + y * (v_R[1, 2] + v_R[2, 1])
        + w * (v_R[1, 0] - v_R[0, 1])
        - 2.0 * z * (v_R[0, 0] + v_R[1, 1])
    )
    radial = v_w * w + v_x * x + v_y * y + v_z * z
    v_quaternions[n, 0] = (v_w - radial * w) / length
    v_quaternions[n, 1] = (v_x - radial * x) / length
    v_quaternions[n, 2] = (v_y - radial * y) / length
    v_quaternions[n, 3] = (v_z - radial * z) / length


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float64[::1], float64[:,::1], float64, int64, int64, int64, float64, boolean,"
    "float32[:,::1], boolean[:,::1], float32[:,::1], int64[::1], int64[::1], int32[::1],"
    "float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float32[:,::1], float64[:,::1], int64, int64)"
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
    visible,  # [M, N]
    moments,  # [P, 10 + E], gradients by Gaussian and tile
    slot_offsets,  # [M N + 1], where the entries in `slots` of a Gaussian seen by a sample start
    slot_ends,  # [M N], and end
    slots,  # rows of `moments`
    v_means,  # [N, 3], written
    v_quaternions,  # [N, 4], written
    v_scales,  # [N, 3], written
    v_opacities,  # [N], written
    v_sh_constant,  # [N, 1, 3], written
    v_sh_rest,  # [N, S - 1, 3], written
    v_extras,  # [N, E], written
    v_camera,  # [chunks, 21], written
    part,
    parts,
):
    """Gradients to all that `project` reads, from the moments that the tiles have left."""
    count = len(means)
    used = (sh_degree + 1) ** 2
    R = np.empty((3, 3))
    WR = np.empty((3, 3))
    b = np.empty((2, 3))
    v_b = np.empty((2, 3))
    v_a = np.empty((3, 3))
    v_R = np.empty((3, 3))
    basis = np.empty(16)
    v_basis = np.empty(16)
    v_a_sum = np.empty((3, 3))
    v = np.empty(moments.shape[1])
    v_features = np.empty(features.shape[1])
    v_point = np.empty(3)
    fx, fy = camera[FX], camera[FY]
    pupil, inverse_focus = camera[PUPIL], camera[INVERSE_FOCUS]
    for chunk in range(part, len(v_camera), parts):
        vc = v_camera[chunk]
        vc[:] = 0.0
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            v_opacities[n] = 0.0
            v_features[:] = 0.0
            v_point[:] = 0.0
            v_a_sum[:] = 0.0
            seen = False
            for m in range(len(samples)):
                seen |= visible[m, n]
            if not seen:
                v_means[n] = 0.0
                v_quaternions[n] = 0.0
                v_scales[n] = 0.0
                v_sh_constant[n] = 0.0
                v_sh_rest[n] = 0.0
                v_extras[n] = 0.0
                continue
            x, y, z = _camera_point(camera, means, n)
            inverse_z = 1.0 / z
            qw, qx, qy, qz, length = _rotate(camera, quaternions, n, R, WR)
            defocus = inverse_z - inverse_focus
            spread = 0.25 * residual * pupil
            blur = (spread * defocus) ** 2
            blur_x, blur_y = blur * fx * fx, blur * fy * fy
            v_inverse_z = 0.0
            v_fx, v_fy = 0.0, 0.0
            for m in range(len(samples)):
                if not visible[m, n]:
                    continue
                v[:] = 0.0
                for slot in range(slot_offsets[m * count + n], slot_ends[m * count + n]):
                    row = slots[slot]
                    for i in range(len(v)):
                        v[i] += moments[row, i]
                for i in range(len(v_features)):
                    v_features[i] += v[MOMENT_COUNT + i]

                # The forward pass again.
                shift_x, shift_y = pupil * samples[m, 0], pupil * samples[m, 1]
                low_x, high_x = _slope_limits(width, fx, camera[CX] + fx * shift_x * inverse_focus)
                low_y, high_y = _slope_limits(height, fy, camera[CY] + fy * shift_y * inverse_focus)
                raw_x, raw_y = (x - shift_x) * inverse_z, (y - shift_y) * inverse_z
                slope_x = min(max(raw_x, low_x), high_x)
                slope_y = min(max(raw_y, low_y), high_y)
                _affine_rows(scales, n, WR, slope_x, slope_y, fx * inverse_z, fy * inverse_z, b)
                xx_1, xy, yy_1, det_1, normal = _covariance(b, eps2d)
                det_2 = det_1 + blur_x * yy_1 + blur_y * xx_1 + blur_x * blur_y
                yy_2 = yy_1 + blur_y
                area = math.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])

                # From moments to the ellipse: log(alpha) = log(opacity) - dy^2 / (2 yy) - yy w^2 / (2 det).
                across = yy_2 / det_2
                shear = xy / yy_2
                v_u = across * v[1]
                v_v = v[3] / yy_2 - across * shear * v[1]
                v_shear = across * v[5]
                v_across = -0.5 * v[2]
                v_yy = (0.5 * v[4] / yy_2 - v_shear * shear) / yy_2 + v_across / det_2
                v_xy = v_shear / yy_2
                v_log_opacity = v[0]

                # Opacity: times |n| / sqrt(det_1) if antialiased, times sqrt(det_1 / det_2).
                v_opacities[n] += v_log_opacity / np.float64(opacities[n])
                v_det_2 = -v_across * across / det_2 - 0.5 * v_log_opacity / det_2
                v_det_1 = v_det_2
                v_area = 0.0
                if antialiased:
                    v_area = v_log_opacity / area
                else:
                    v_det_1 += 0.5 * v_log_opacity / det_1

                # Dilation.
                v_blur_x = v_det_2 * yy_2
                v_blur_y = v_det_2 * (xx_1 + blur_x) + v_yy
                v_xx = v_det_2 * blur_y
                v_yy += v_det_2 * blur_x
                v_blur = v_blur_x * fx * fx + v_blur_y * fy * fy
                v_defocus = 2.0 * v_blur * spread * spread * defocus
                vc[PUPIL] += 0.5 * v_blur * residual * spread * defocus * defocus
                vc[INVERSE_FOCUS] -= v_defocus
                v_fx += 2.0 * v_blur_x * blur * fx
                v_fy += 2.0 * v_blur_y * blur * fy
                v_inverse_z += v_defocus

                # Covariance with eps2d, from b.
                v_xx += eps2d * v_det_1
                v_yy += eps2d * v_det_1
                factor = 2.0 * v_det_1
                if antialiased:
                    factor += v_area / area
                v_normal = (factor * normal[0], factor * normal[1], factor * normal[2])
                from_x = _cross(b[1], v_normal)
                from_y = _cross(v_normal, b[0])
                for j in range(3):
                    v_b[0, j] = from_x[j] + 2.0 * v_xx * b[0, j] + v_xy * b[1, j]
                    v_b[1, j] = from_y[j] + 2.0 * v_yy * b[1, j] + v_xy * b[0, j]

                # Affine approximation.
                v_slope_x, v_slope_y = 0.0, 0.0
                gain_x, gain_y = fx * inverse_z, fy * inverse_z
                v_gain_x, v_gain_y = 0.0, 0.0
                for j in range(3):
                    scale = np.float64(scales[n, j])
                    v_gain_x += v_b[0, j] * scale * (WR[0, j] - slope_x * WR[2, j])
                    v_gain_y += v_b[1, j] * scale * (WR[1, j] - slope_y * WR[2, j])
                    v_a[0, j] = gain_x * v_b[0, j]
                    v_a[1, j] = gain_y * v_b[1, j]
                    v_a[2, j] = -slope_x * v_a[0, j] - slope_y * v_a[1, j]
                    v_slope_x -= v_a[0, j] * scale * WR[2, j]
                    v_slope_y -= v_a[1, j] * scale * WR[2, j]
                    for i in range(3):
                        v_a_sum[i, j] += v_a[i, j]
                v_fx += v_gain_x * inverse_z
                v_fy += v_gain_y * inverse_z
                v_inverse_z += v_gain_x * fx + v_gain_y * fy

                # The centre, and the principal point of this sample.
                v_raw_x, v_raw_y = v_u * fx, v_v * fy
                v_fx += v_u * raw_x
                v_fy += v_v * raw_y
                v_cx, v_cy = v_u, v_v
                if low_x <= raw_x <= high_x:
                    v_raw_x += v_slope_x
                else:
                    v_cx -= v_slope_x / fx
                    v_fx -= v_slope_x * slope_x / fx
                if low_y <= raw_y <= high_y:
                    v_raw_y += v_slope_y
                else:
                    v_cy -= v_slope_y / fy
                    v_fy -= v_slope_y * slope_y / fy
                v_inverse_z += v_raw_x * (x - shift_x) + v_raw_y * (y - shift_y)
                v_point[0] += v_raw_x * inverse_z
                v_point[1] += v_raw_y * inverse_z

                # The point of the pupil.
                vc[CX] += v_cx
                vc[CY] += v_cy
                v_fx += v_cx * shift_x * inverse_focus
                v_fy += v_cy * shift_y * inverse_focus
                vc[INVERSE_FOCUS] += v_cx * fx * shift_x + v_cy * fy * shift_y
                vc[PUPIL] += samples[m, 0] * (v_cx * fx * inverse_focus - v_raw_x * inverse_z)
                vc[PUPIL] += samples[m, 1] * (v_cy * fy * inverse_focus - v_raw_y * inverse_z)
            vc[FX] += v_fx
            vc[FY] += v_fy
            v_point[2] = v_features[DEPTH] - v_inverse_z * inverse_z * inverse_z

            # Rotation and scales: a_ij = s_j (W R)_ij.
            for j in range(3):
                v_scales[n, j] = v_a_sum[0, j] * WR[0, j] + v_a_sum[1, j] * WR[1, j] + v_a_sum[2, j] * WR[2, j]
                scale = np.float64(scales[n, j])
                for i in range(3):
                    v_a_sum[i, j] *= scale
            for i in range(3):
                vc[TRANSLATION + i] += v_point[i]
                for k in range(3):
                    v_R[i, k] = (
                        camera[i] * v_a_sum[0, k] + camera[3 + i] * v_a_sum[1, k] + camera[6 + i] * v_a_sum[2, k]
                    )
                    vc[ROTATION + 3 * i + k] += (
                        v_point[i] * means[n, k]
                        + v_a_sum[i, 0] * R[k, 0]
                        + v_a_sum[i, 1] * R[k, 1]
                        + v_a_sum[i, 2] * R[k, 2]
                    )
            _quaternion_gradient(qw, qx, qy, qz, length, v_R, v_quaternions, n)

            # Colour.
            dx, dy, dz, distance = _direction(camera, means, n)
            fill_basis(sh_degree, dx, dy, dz, basis)
            v_red = v_features[0] if features[n, 0] > 0.0 else 0.0
            v_green = v_features[1] if features[n, 1] > 0.0 else 0.0
            v_blue = v_features[2] if features[n, 2] > 0.0 else 0.0
            v_sh_constant[n, 0, 0] = v_red * basis[0]
            v_sh_constant[n, 0, 1] = v_green * basis[0]
            v_sh_constant[n, 0, 2] = v_blue * basis[0]
            for s in range(used - 1):
                v_sh_rest[n, s, 0] = v_red * basis[s + 1]
                v_sh_rest[n, s, 1] = v_green * basis[s + 1]
                v_sh_rest[n, s, 2] = v_blue * basis[s + 1]
                v_basis[s + 1] = v_red * sh_rest[n, s, 0] + v_green * sh_rest[n, s, 1] + v_blue * sh_rest[n, s, 2]
            for s in range(used - 1, sh_rest.shape[1]):
                v_sh_rest[n, s] = 0.0
            v_dx, v_dy, v_dz = direction_gradient(sh_degree, dx, dy, dz, v_basis)
            radial = v_dx * dx + v_dy * dy + v_dz * dz
            v_dx = (v_dx - radial * dx) / distance
            v_dy = (v_dy - radial * dy) / distance
            v_dz = (v_dz - radial * dz) / distance
            vc[CENTRE] -= v_dx
            vc[CENTRE + 1] -= v_dy
            vc[CENTRE + 2] -= v_dz
            for e in range(v_extras.shape[1]):
                v_extras[n, e] = v_features[EXTRAS + e]

            for k in range(3):
                v_means[n, k] = camera[k] * v_point[0] + camera[3 + k] * v_point[1] + camera[6 + k] * v_point[2]
            v_means[n, 0] += v_dx
            v_means[n, 1] += v_dy
            v_means[n, 2] += v_dz
