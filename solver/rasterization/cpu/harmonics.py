# SPDX-License-Identifier: GPL-3.0-or-later
"""`solver.rasterization.spherical_harmonics` for one direction at a time, and its gradient."""

from solver.kernels.compilation import helper
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
def fill_basis(degree, x, y, z, basis):
    """Write the basis functions in the unit direction (x, y, z) into `basis` [16]."""
    basis[0] = C0
    if degree >= 1:
        basis[1] = -C1 * y
        basis[2] = C1 * z
        basis[3] = -C1 * x
    if degree >= 2:
        basis[4] = C2_XY * x * y
        basis[5] = -C2_XY * y * z
        basis[6] = C2_Z * z * z - C2_0
        basis[7] = -C2_XY * x * z
        basis[8] = C2_XX * (x * x - y * y)
    if degree >= 3:
        basis[9] = -C3_XXX * y * (3.0 * x * x - y * y)
        basis[10] = C3_XYZ * x * y * z
        basis[11] = y * (C3_X - C3_XZZ * z * z)
        basis[12] = z * (C3_ZZZ * z * z - C3_Z)
        basis[13] = x * (C3_X - C3_XZZ * z * z)
        basis[14] = C3_XXZ * z * (x * x - y * y)
        basis[15] = -C3_XXX * x * (x * x - 3.0 * y * y)


@helper
def direction_gradient(degree, x, y, z, v):
    """Gradient for the direction, given that of the basis functions, `v` [16]; not yet projected on the
    sphere.
    """
    v_x = 0.0
    v_y = 0.0
    v_z = 0.0
    if degree >= 1:
        v_y -= C1 * v[1]
        v_z += C1 * v[2]
        v_x -= C1 * v[3]
    if degree >= 2:
        v_x += C2_XY * (y * v[4] - z * v[7]) + 2.0 * C2_XX * x * v[8]
        v_y += C2_XY * (x * v[4] - z * v[5]) - 2.0 * C2_XX * y * v[8]
        v_z += 2.0 * C2_Z * z * v[6] - C2_XY * (y * v[5] + x * v[7])
    if degree >= 3:
        across = x * x - y * y
        ring = C3_X - C3_XZZ * z * z
        v_x += C3_XYZ * y * z * v[10] + ring * v[13] + 2.0 * C3_XXZ * x * z * v[14]
        v_x -= C3_XXX * (6.0 * x * y * v[9] + 3.0 * across * v[15])
        v_y += C3_XYZ * x * z * v[10] + ring * v[11] - 2.0 * C3_XXZ * y * z * v[14]
        v_y += C3_XXX * (6.0 * x * y * v[15] - 3.0 * across * v[9])
        v_z += C3_XYZ * x * y * v[10] - 2.0 * C3_XZZ * z * (y * v[11] + x * v[13])
        v_z += (3.0 * C3_ZZZ * z * z - C3_Z) * v[12] + C3_XXZ * across * v[14]
    return v_x, v_y, v_z
