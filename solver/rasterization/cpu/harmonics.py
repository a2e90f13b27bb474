# SPDX-License-Identifier: GPL-3.0-or-later
"""`solver.rasterization.spherical_harmonics` for eight directions at a time, and its gradient."""

from solver.kernels.compilation import helper
from solver.kernels.vector import LANES, as_doubles, as_floats, load, splat, store
from solver.rasterization.spherical_harmonics import (
    C0,
    C1,
    C2_0,
    C2_XX,
    C2_XY,
    C2_Z,
    C3_X,
    C3_XXX,
    C3_XXZ,
    C3_XYZ,
    C3_XZZ,
    C3_Z,
    C3_ZZZ,
)


@helper
def _put(basis, s, value):
    store(basis, s * LANES, as_floats(value))


@helper
def _get(basis, s):
    return as_doubles(load(basis, s * LANES))


@helper
def fill_basis(degree, x, y, z, basis):
    """Write the basis functions in the unit directions (x, y, z) into `basis` [16, lanes]."""
    _put(basis, 0, splat(C0))
    if degree >= 1:
        _put(basis, 1, -C1 * y)
        _put(basis, 2, C1 * z)
        _put(basis, 3, -C1 * x)
    if degree >= 2:
        _put(basis, 4, C2_XY * x * y)
        _put(basis, 5, -C2_XY * y * z)
        _put(basis, 6, C2_Z * z * z - C2_0)
        _put(basis, 7, -C2_XY * x * z)
        _put(basis, 8, C2_XX * (x * x - y * y))
    if degree >= 3:
        _put(basis, 9, -C3_XXX * y * (3.0 * x * x - y * y))
        _put(basis, 10, C3_XYZ * x * y * z)
        _put(basis, 11, y * (C3_X - C3_XZZ * z * z))
        _put(basis, 12, z * (C3_ZZZ * z * z - C3_Z))
        _put(basis, 13, x * (C3_X - C3_XZZ * z * z))
        _put(basis, 14, C3_XXZ * z * (x * x - y * y))
        _put(basis, 15, -C3_XXX * x * (x * x - 3.0 * y * y))


@helper
def direction_gradient(degree, x, y, z, v_basis):
    """Gradient for the directions, given that of the basis functions, `v_basis` [16, lanes]; not yet projected on the
    sphere.
    """
    v_x, v_y, v_z = splat(0.0), splat(0.0), splat(0.0)
    if degree >= 1:
        v_x = -C1 * _get(v_basis, 3)
        v_y = -C1 * _get(v_basis, 1)
        v_z = C1 * _get(v_basis, 2)
    if degree >= 2:
        v_4, v_5, v_7, v_8 = _get(v_basis, 4), _get(v_basis, 5), _get(v_basis, 7), _get(v_basis, 8)
        v_x += C2_XY * (y * v_4 - z * v_7) + 2.0 * C2_XX * x * v_8
        v_y += C2_XY * (x * v_4 - z * v_5) - 2.0 * C2_XX * y * v_8
        v_z += 2.0 * C2_Z * z * _get(v_basis, 6) - C2_XY * (y * v_5 + x * v_7)
    if degree >= 3:
        v_9, v_10, v_11 = _get(v_basis, 9), _get(v_basis, 10), _get(v_basis, 11)
        v_13, v_14, v_15 = _get(v_basis, 13), _get(v_basis, 14), _get(v_basis, 15)
        across = x * x - y * y
        ring = C3_X - C3_XZZ * z * z
        v_x += C3_XYZ * y * z * v_10 + ring * v_13 + 2.0 * C3_XXZ * x * z * v_14
        v_x -= C3_XXX * (6.0 * x * y * v_9 + 3.0 * across * v_15)
        v_y += C3_XYZ * x * z * v_10 + ring * v_11 - 2.0 * C3_XXZ * y * z * v_14
        v_y += C3_XXX * (6.0 * x * y * v_15 - 3.0 * across * v_9)
        v_z += C3_XYZ * x * y * v_10 - 2.0 * C3_XZZ * z * (y * v_11 + x * v_13)
        v_z += (3.0 * C3_ZZZ * z * z - C3_Z) * _get(v_basis, 12) + C3_XXZ * across * v_14
    return v_x, v_y, v_z
