# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as the camera sees them: the fused form of `solver.rasterization.projection`, eight at a time.

Notation as there: W, t the camera's rotation and translation, (x, y, z) = W mean + t, `axes` the rows of W
R S, b_x and b_y the rows of J W R S, n = b_x cross b_y, so that |n|^2 is the projected determinant.
Subscripts of the covariance: 1 with eps2d, 2 dilated by the aperture. From the point (p, q) of the pupil x, y and
the principal point differ, and with them J; all that W R S takes is done once.

Vectors hold float64: needles far from the axis leave little of the digits. What a Gaussian's lane holds never
depends on its neighbours, so results do not depend on how Gaussians are grouped.
"""

import math

import numpy as np

from solver.kernels.board import next_piece
from solver.kernels.compilation import helper, kernel
from solver.kernels.powers import log2
from solver.kernels.vector import (
    LANES,
    as_doubles,
    as_floats,
    floor,
    gather,
    load,
    mask_bits,
    maximum,
    minimum,
    square_root,
    store,
    transposed,
)
from solver.rasterization.cpu.harmonics import fill_basis
from solver.rasterization.cpu.layout import (
    CENTRE,
    CHUNK,
    CHUNKS,
    CX,
    DEPTH,
    EXTRAS,
    FX,
    FY,
    HALF,
    INVERSE_FOCUS,
    LOG2_255,
    PUPIL,
    TILE,
    TRANSLATION,
    ZERO,
)
from solver.rasterization.projection import FIELD_OF_VIEW_MARGIN

HALF_LOG2_E = 0.5 / math.log(2)

# Columns of what is the same for all Gaussians seen from a point of the pupil: the point in scene units, the principal
# point in px, and the slopes x / z and y / z beyond which the Jacobian does not change.
SHIFT_X, SHIFT_Y, SAMPLE_CX, SAMPLE_CY, LOW_X, HIGH_X, LOW_Y, HIGH_Y = range(8)


@helper
def sample_views(camera, samples, width, height):
    """What the eight columns above name, for every point of the pupil, [M, 8]."""
    views = np.empty((len(samples), 8))
    for m in range(len(samples)):
        for axis, size in ((0, width), (1, height)):
            focal = camera[FX + axis]
            shift = camera[PUPIL] * samples[m, axis]
            centre = camera[CX + axis] + focal * shift * camera[INVERSE_FOCUS]
            margin = FIELD_OF_VIEW_MARGIN * 0.5 * size
            views[m, SHIFT_X + axis] = shift
            views[m, SAMPLE_CX + axis] = centre
            views[m, LOW_X + 2 * axis] = -(centre + margin) / focal
            views[m, HIGH_X + 2 * axis] = (size - centre + margin) / focal
    return views


@helper
def dot(a, b):
    """Of two vectors in space, as are all below: tuples of three."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@helper
def cross(a, b):
    """The cross product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@helper
def times(factor, a):
    """A vector that many times as long."""
    return factor * a[0], factor * a[1], factor * a[2]


@helper
def plus(a, b):
    """The sum."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@helper
def by_axis(a, b):
    """The product of each component."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


@helper
def gather_three(array, rows):
    """The rows of an array [N, 3]."""
    return (
        as_doubles(gather(array, rows, 3, 0)),
        as_doubles(gather(array, rows, 3, 1)),
        as_doubles(gather(array, rows, 3, 2)),
    )


@helper
def camera_row(camera, i):
    """A row of W."""
    return camera[3 * i], camera[3 * i + 1], camera[3 * i + 2]


@helper
def camera_point(camera, mean):
    """x, y, z in the camera."""
    return (
        dot(camera_row(camera, 0), mean) + camera[TRANSLATION],
        dot(camera_row(camera, 1), mean) + camera[TRANSLATION + 1],
        dot(camera_row(camera, 2), mean) + camera[TRANSLATION + 2],
    )


@helper
def unit_quaternion(quaternions, rows):
    """w, x, y, z of length one, and the inverse of the length they had."""
    w = as_doubles(gather(quaternions, rows, 4, 0))
    x = as_doubles(gather(quaternions, rows, 4, 1))
    y = as_doubles(gather(quaternions, rows, 4, 2))
    z = as_doubles(gather(quaternions, rows, 4, 3))
    inverse = 1.0 / square_root(maximum(w * w + x * x + y * y + z * z, 1e-24))
    return w * inverse, x * inverse, y * inverse, z * inverse, inverse


@helper
def rotation(w, x, y, z):
    """R of a unit quaternion, three rows."""
    return (
        (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)),
        (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)),
        (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)),
    )


@helper
def turned(row, R):
    """A row times R."""
    return plus(plus(times(row[0], R[0]), times(row[1], R[1])), times(row[2], R[2]))


@helper
def direction(camera, mean):
    """Unit direction from the camera to the Gaussian, and the inverse of the distance."""
    dx, dy, dz = mean[0] - camera[CENTRE], mean[1] - camera[CENTRE + 1], mean[2] - camera[CENTRE + 2]
    inverse = 1.0 / square_root(maximum(dx * dx + dy * dy + dz * dz, 1e-24))
    return dx * inverse, dy * inverse, dz * inverse, inverse


@helper
def _tiles(centre, extent, last_tile):
    """First and last tile that centre +- extent touches."""
    first = maximum(floor((centre - extent) * (1.0 / TILE)), 0.0)
    return first, minimum(floor((centre + extent) * (1.0 / TILE)), last_tile)


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], float32[::1], float32[:,:,::1], float32[:,:,::1],"
    "float32[:,::1], float64[::1], float64[:,::1], float64, int64, int64, int64, float64, float64, float64, boolean,"
    "float32[:,:,::1], float32[:,::1], boolean[::1], int32[:,::1], int32[:,:,::1], int64[::1], int64[::1])"
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
    geometry,  # [N, M, 8], written for visible Gaussians
    features,  # [N, 4 + E], written for Gaussians that any sample sees
    seen,  # [N], written: by any sample
    slot_counts,  # [N, M], written: tiles of the box, 0 where invisible
    boxes,  # [N, M, 4], written for visible Gaussians: first and last tile across, first and last down
    chunk_slots,  # [chunks], written: sums of slot_counts
    board,
):
    """Ellipse and opacity of every Gaussian from every point of the pupil, colour and depth from its centre.

    NaN and infinity in anything of a Gaussian's that is used make it invisible.
    """
    count = len(means)
    fx, fy, inverse_focus = camera[FX], camera[FY], camera[INVERSE_FOCUS]
    views = sample_views(camera, samples, width, height)
    last_across, last_down = float((width - 1) // TILE), float((height - 1) // TILE)
    candidates = np.empty(CHUNK, np.int64)
    rows = np.empty(LANES, np.int64)
    ellipses = np.empty((LANES, 8), np.float32)
    box = np.empty((4, LANES))
    basis = np.empty((16, LANES), np.float32)
    chunk = next_piece(board, CHUNKS)
    while chunk < len(chunk_slots):
        found = 0
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            z = dot(camera_row(camera, 2), (means[n, 0], means[n, 1], means[n, 2])) + camera[TRANSLATION + 2]
            candidates[found] = n
            # Antialiasing and dilation only lower opacities.
            found += near_plane <= z and z <= far_plane and opacities[n] * 255.0 >= 1.0
            for m in range(len(samples)):
                slot_counts[n, m] = 0
        for start in range(0, found, LANES):
            lanes = min(LANES, found - start)
            for lane in range(LANES):
                rows[lane] = candidates[start + min(lane, lanes - 1)]
            mean = gather_three(means, rows)
            x, y, z = camera_point(camera, mean)
            w_q, x_q, y_q, z_q, _ = unit_quaternion(quaternions, rows)
            R = rotation(w_q, x_q, y_q, z_q)
            scale = gather_three(scales, rows)
            axes_x = by_axis(scale, turned(camera_row(camera, 0), R))
            axes_y = by_axis(scale, turned(camera_row(camera, 1), R))
            axes_z = by_axis(scale, turned(camera_row(camera, 2), R))
            opacity = as_doubles(gather(opacities, rows, 1, 0))
            inverse_z = 1.0 / z
            gain_x, gain_y = fx * inverse_z, fy * inverse_z
            defocus = (0.25 * residual * camera[PUPIL]) * (inverse_z - inverse_focus)
            blur_x, blur_y = defocus * defocus * (fx * fx), defocus * defocus * (fy * fy)
            seen_lanes = np.uint32(0)
            for m in range(len(samples)):
                view = views[m]
                raw_x, raw_y = (x - view[SHIFT_X]) * inverse_z, (y - view[SHIFT_Y]) * inverse_z
                slope_x = minimum(maximum(raw_x, view[LOW_X]), view[HIGH_X])
                slope_y = minimum(maximum(raw_y, view[LOW_Y]), view[HIGH_Y])
                b_x = times(gain_x, plus(axes_x, times(-1.0 * slope_x, axes_z)))
                b_y = times(gain_y, plus(axes_y, times(-1.0 * slope_y, axes_z)))
                normal = cross(b_x, b_y)
                xx, xy, yy, squared_area = dot(b_x, b_x), dot(b_x, b_y), dot(b_y, b_y), dot(normal, normal)
                det_1 = squared_area + eps2d * (xx + yy) + eps2d * eps2d
                xx, yy = xx + eps2d, yy + eps2d
                det_2 = det_1 + blur_x * yy + blur_y * xx + blur_x * blur_y
                xx, yy = xx + blur_x, yy + blur_y
                inverse_det, inverse_yy = 1.0 / det_2, 1.0 / yy
                kept = opacity * square_root((squared_area if antialiased else det_1) * inverse_det)

                u, v = fx * raw_x + view[SAMPLE_CX], fy * raw_y + view[SAMPLE_CY]
                log2_opacity = log2(as_floats(kept))
                squared_sigmas = maximum(as_doubles(log2_opacity) + LOG2_255, 0.0) * (1.0 / HALF_LOG2_E)
                extent_x, extent_y = square_root(squared_sigmas * xx), square_root(squared_sigmas * yy)
                lies = (u + extent_x > 0.0) & (u - extent_x < width * 1.0)
                lies = lies & (v + extent_y > 0.0) & (v - extent_y < height * 1.0)
                finite = (kept < np.inf) & (xx < np.inf) & (yy < np.inf) & (det_2 < np.inf)
                bits = mask_bits(lies & (kept * 255.0 >= 1.0) & finite)
                bits &= np.uint32((1 << lanes) - 1)
                seen_lanes |= bits
                if bits == 0:
                    continue

                u_cell, v_cell = floor(u), floor(v)
                ellipse = transposed(
                    (
                        as_floats(u_cell),
                        as_floats(u - u_cell),
                        as_floats(v_cell),
                        as_floats(v - v_cell),
                        as_floats(xy * inverse_yy),
                        as_floats(HALF_LOG2_E * inverse_yy),
                        as_floats(HALF_LOG2_E * yy * inverse_det),
                        log2_opacity,
                    )
                )
                store(ellipses, 0, ellipse[0])
                store(ellipses, LANES, ellipse[1])
                store(ellipses, 2 * LANES, ellipse[2])
                store(ellipses, 3 * LANES, ellipse[3])
                store(ellipses, 4 * LANES, ellipse[4])
                store(ellipses, 5 * LANES, ellipse[5])
                store(ellipses, 6 * LANES, ellipse[6])
                store(ellipses, 7 * LANES, ellipse[7])
                # Wider than the ellipse of `binning`, which looks nowhere else.
                first, last = _tiles(u, 1.001 * extent_x + 0.1, last_across)
                store(box, 0, first)
                store(box, LANES, last)
                first, last = _tiles(v, 1.001 * extent_y + 0.1, last_down)
                store(box, 2 * LANES, first)
                store(box, 3 * LANES, last)
                for lane in range(lanes):
                    if bits >> np.uint32(lane) & np.uint32(1):
                        n = rows[lane]
                        store(geometry, 8 * (n * len(samples) + m), load(ellipses, lane * 8))
                        for i in range(4):
                            boxes[n, m, i] = np.int32(box[i, lane])
                        across, down = boxes[n, m, 1] - boxes[n, m, 0] + 1, boxes[n, m, 3] - boxes[n, m, 2] + 1
                        slot_counts[n, m] = across * down
            if seen_lanes == 0:
                continue

            dx, dy, dz, _ = direction(camera, mean)
            fill_basis(sh_degree, dx, dy, dz, basis)
            store(box, 0, z)
            for lane in range(lanes):
                if not seen_lanes >> np.uint32(lane) & np.uint32(1):
                    continue
                n = rows[lane]
                red = HALF + basis[0, lane] * sh_constant[n, 0, 0]
                green = HALF + basis[0, lane] * sh_constant[n, 0, 1]
                blue = HALF + basis[0, lane] * sh_constant[n, 0, 2]
                for s in range((sh_degree + 1) ** 2 - 1):
                    red += basis[s + 1, lane] * sh_rest[n, s, 0]
                    green += basis[s + 1, lane] * sh_rest[n, s, 1]
                    blue += basis[s + 1, lane] * sh_rest[n, s, 2]
                sum_of_features = red + green + blue
                for e in range(extras.shape[1]):
                    sum_of_features += extras[n, e]
                if not abs(sum_of_features) < np.inf:
                    for m in range(len(samples)):
                        slot_counts[n, m] = 0
                features[n, 0] = max(red, ZERO)
                features[n, 1] = max(green, ZERO)
                features[n, 2] = max(blue, ZERO)
                features[n, DEPTH] = box[0, lane]
                for e in range(extras.shape[1]):
                    features[n, EXTRAS + e] = extras[n, e]
        total = 0
        for n in range(chunk * CHUNK, min((chunk + 1) * CHUNK, count)):
            slots = 0
            for m in range(len(samples)):
                slots += slot_counts[n, m]
            seen[n] = slots > 0
            total += slots
        chunk_slots[chunk] = total
        chunk = next_piece(board, CHUNKS)
