# SPDX-License-Identifier: GPL-3.0-or-later
"""Texels and faces, one by one, in compiled loops; `tests/solver/test_texture.py` has each in plain NumPy."""

import math

import numpy as np

from solver.kernels.compilation import helper, kernel


@helper
def _left(a, b, x, y):
    side = (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
    if side == 0:
        return b[1] < a[1] or (b[1] == a[1] and b[0] > a[0])
    return side > 0


@helper
def _inside(a, b, c, x, y):
    """Whether a point lies in a triangle with positive area; of a shared edge only one side has it."""
    return _left(a, b, x, y) and _left(b, c, x, y) and _left(c, a, x, y)


def hidden_faces(
    places: np.ndarray,  # [F, 3, 2]
    charts: np.ndarray,  # [F]
    heights: np.ndarray,  # [F]: of faces over one another, the highest is the front
    checked: np.ndarray,  # [F] bool: the others are in front wherever they are
    cell: float,  # of the grid in which faces are compared, unit of the places
) -> np.ndarray:  # [F] bool
    """Which faces lie, in the middle of some cell, behind another face of their chart."""
    hidden = np.zeros(len(places), np.bool_)
    chosen = np.flatnonzero(checked)
    order = chosen[np.lexsort((-heights[chosen], charts[chosen]))]
    _hide(np.ascontiguousarray(places[order]), charts[order], order, float(cell), hidden)
    return hidden


@kernel("void(float64[:,:,::1], int64[::1], int64[::1], float64, boolean[::1])")
def _hide(
    places,  # [C, 3, 2], chart by chart, the front first
    charts,  # [C]
    faces,  # [C], index of the face in hidden
    cell,
    hidden,  # [F], changed
):
    start = 0
    while start < len(charts):
        end = start
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        while end < len(charts) and charts[end] == charts[start]:
            for corner in range(3):
                low_x, high_x = min(low_x, places[end, corner, 0]), max(high_x, places[end, corner, 0])
                low_y, high_y = min(low_y, places[end, corner, 1]), max(high_y, places[end, corner, 1])
            end += 1
        if end - start > 1:
            width, height = int((high_x - low_x) / cell) + 1, int((high_y - low_y) / cell) + 1
            taken = np.zeros((height, width), np.bool_)
            for index in range(start, end):
                a, b, c = places[index, 0], places[index, 1], places[index, 2]
                area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
                if area <= 0:  # it covers nothing
                    continue
                first = int((min(a[0], b[0], c[0]) - low_x) / cell)
                last = min(int((max(a[0], b[0], c[0]) - low_x) / cell), width - 1)
                top = int((min(a[1], b[1], c[1]) - low_y) / cell)
                bottom = min(int((max(a[1], b[1], c[1]) - low_y) / cell), height - 1)
                for mark in range(2):  # looks first, so that a face hides no cell when it is taken off itself
                    if mark == 1 and hidden[faces[index]]:
                        break
                    for row in range(top, bottom + 1):
                        y = low_y + (row + 0.5) * cell
                        for column in range(first, last + 1):
                            x = low_x + (column + 0.5) * cell
                            if _inside(a, b, c, x, y):
                                if mark == 1:
                                    taken[row, column] = True
                                elif taken[row, column]:
                                    hidden[faces[index]] = True
        start = end


@kernel("void(float64[:,:,::1], int32[:,::1], int64, int64)")
def find_faces(
    corners,  # [F, 3, 2], texels
    owners,  # [S, S], changed: the face in which a texel's centre lies
    part,
    parts,
):
    """Which face each texel shows."""
    size = owners.shape[0]
    top, bottom = part * size // parts, (part + 1) * size // parts
    for face in range(len(corners)):
        a, b, c = corners[face, 0], corners[face, 1], corners[face, 2]
        low, high = min(a[1], b[1], c[1]), max(a[1], b[1], c[1])
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if high < top or low > bottom or area == 0:
            continue
        if area < 0:
            b, c = c, b
        first = max(int(min(a[0], b[0], c[0])), 0)
        last = min(int(max(a[0], b[0], c[0])), size - 1)
        for row in range(max(int(low), top), min(int(high) + 1, bottom)):
            for column in range(first, last + 1):
                if _inside(a, b, c, column + 0.5, row + 0.5):
                    owners[row, column] = face


@kernel("void(int32[:,::1], int32[:,::1], int64, int64)")
def grow(
    owners,  # [S, S], -1 where there is no face
    grown,  # [S, S], changed
    part,
    parts,
):
    """Give texels beside a chart the face of a neighbour, one of the four nearest where there is one."""
    size = owners.shape[0]
    for row in range(part * size // parts, (part + 1) * size // parts):
        for column in range(size):
            found = owners[row, column]
            for distance in range(1, 3):  # squared
                for y in range(max(row - 1, 0), min(row + 2, size)):
                    for x in range(max(column - 1, 0), min(column + 2, size)):
                        if found < 0 and (y - row) ** 2 + (x - column) ** 2 == distance:
                            found = owners[y, x]
            grown[row, column] = found


@kernel("void(float64[:,:,::1], int64[::1], int32[::1], float64[:,:,::1], int64, float64[:,::1], int64, int64)")
def place_texels(
    corners,  # [F, 3, 2], texels
    texels,  # [P], of the flattened image
    owners,  # [P], their faces
    values,  # [F, 3, N], at the corners
    size,  # of the image
    placed,  # [P, N], changed
    part,
    parts,
):
    """What each texel has of values that are linear on its face, also a little outside of it."""
    for index in range(part * len(texels) // parts, (part + 1) * len(texels) // parts):
        x, y = texels[index] % size + 0.5, texels[index] // size + 0.5
        face = owners[index]
        a, b, c = corners[face, 0], corners[face, 1], corners[face, 2]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        u = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
        v = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
        w = 1 - u - v
        for channel in range(values.shape[2]):
            placed[index, channel] = (
                u * values[face, 0, channel] + v * values[face, 1, channel] + w * values[face, 2, channel]
            )


@helper
def _cubic(t, weights):  # [4], changed
    """What four samples in a row count at `t` (0 to 1) between the middle ones (Catmull and Rom 1974)."""
    weights[0] = ((2 - t) * t - 1) * t / 2
    weights[1] = ((3 * t - 5) * t * t + 2) / 2
    weights[2] = ((4 - 3 * t) * t + 1) * t / 2
    weights[3] = (t - 1) * t * t / 2


@kernel(
    "void(float64[:,::1], float64[:,::1], float64[::1], float32[:,:,::1], float32[:,::1], float32[:,::1],"
    " float64, float64, float64, float64, float64, float64, float64[:,::1], int64, int64)"
)
def add_view(
    points,  # [P, 6 or more], world: position, and normal of any length
    world_to_camera,  # [4, 4]
    intrinsics,  # [4]: fx, fy, cx, cy
    colour,  # [H, W, 3], linear light
    depth,  # [H, W], scene unit
    trust,  # [H, W], 0 to 1: how far a pixel is from the edge of what it shows
    pupil_px,  # pupil diameter in scene units times the principal distance, px
    inverse_focus,  # 1 / scene unit
    soft_coc,  # px: a circle of confusion that halves the score
    tolerance,  # scene unit: behind or before the surface that the view shows
    reference,  # px a scene unit: a resolution with which the score is as it is
    power,  # of the score
    sums,  # [P, 4], changed: weighted colours, and weights
    part,
    parts,
):
    """Add what one view shows of the points, by how well it shows them."""
    height, width = depth.shape
    across, down = np.empty(4), np.empty(4)
    R = world_to_camera
    for index in range(part * len(points) // parts, (part + 1) * len(points) // parts):
        px, py, pz = points[index, 0], points[index, 1], points[index, 2]
        z = R[2, 0] * px + R[2, 1] * py + R[2, 2] * pz + R[2, 3]
        if z <= 0:
            continue
        x = R[0, 0] * px + R[0, 1] * py + R[0, 2] * pz + R[0, 3]
        y = R[1, 0] * px + R[1, 1] * py + R[1, 2] * pz + R[1, 3]
        column, row = intrinsics[0] * x / z + intrinsics[2], intrinsics[1] * y / z + intrinsics[3]
        if not (0 <= column < width and 0 <= row < height):
            continue
        away = abs(depth[int(row), int(column)] - z) / tolerance
        if away >= 1:
            continue
        nx, ny, nz = points[index, 3], points[index, 4], points[index, 5]
        facing = 0.0
        for axis in range(3):
            turned = R[axis, 0] * nx + R[axis, 1] * ny + R[axis, 2] * nz
            facing -= turned * (x if axis == 0 else y if axis == 1 else z)
        facing /= math.sqrt((x * x + y * y + z * z) * (nx * nx + ny * ny + nz * nz)) + 1e-300
        if facing <= 0:
            continue
        coc = pupil_px * abs(1 / z - inverse_focus) / soft_coc
        score = facing * intrinsics[0] / (z * reference) / (1 + coc * coc)

        left, top = math.floor(column - 0.5), math.floor(row - 0.5)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        x, y = column - 0.5 - left, row - 0.5 - top
        trusted = (1 - y) * ((1 - x) * trust[max(top, 0), max(left, 0)] + x * trust[max(top, 0), right])
        trusted += y * ((1 - x) * trust[bottom, max(left, 0)] + x * trust[bottom, right])
        weight = trusted * min(1.0, 2 - 2 * away) * score**power
        _cubic(x, across)
        _cubic(y, down)
        sums[index, 3] += weight
        for channel in range(3):
            value = 0.0
            for i in range(4):
                line = min(max(top - 1 + i, 0), height - 1)
                for j in range(4):
                    value += down[i] * across[j] * colour[line, min(max(left - 1 + j, 0), width - 1), channel]
            sums[index, channel] += weight * max(value, 0.0)


@kernel("void(float32[:,:,::1], boolean[:,::1], float32[:,:,::1], boolean[:,::1])")
def shrink(
    image,  # [H, W, 3]
    known,  # [H, W]
    half,  # [ceil(H/2), ceil(W/2), 3], changed
    half_known,  # [ceil(H/2), ceil(W/2)], changed
):
    """The mean of the known ones of every four texels."""
    for row in range(half.shape[0]):
        for column in range(half.shape[1]):
            count = 0
            red = green = blue = np.float32(0)
            for y in range(2 * row, min(2 * row + 2, image.shape[0])):
                for x in range(2 * column, min(2 * column + 2, image.shape[1])):
                    if known[y, x]:
                        count += 1
                        red, green, blue = red + image[y, x, 0], green + image[y, x, 1], blue + image[y, x, 2]
            half_known[row, column] = count > 0
            if count > 0:
                half[row, column, 0], half[row, column, 1] = red / np.float32(count), green / np.float32(count)
                half[row, column, 2] = blue / np.float32(count)


@kernel("void(float32[:,:,::1], boolean[:,::1], float32[:,:,::1])")
def spread(
    image,  # [H, W, 3], changed where it is not known
    known,  # [H, W]
    half,  # [ceil(H/2), ceil(W/2), 3]
):
    """What is missing, from an image of half the size."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if not known[row, column]:
                for channel in range(3):
                    image[row, column, channel] = half[row // 2, column // 2, channel]
