# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour by direction: real spherical harmonics to degree 3, with 3D Gaussian Splatting's order and signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Normalization constants by degree (Sloan, "Efficient Spherical Harmonic Evaluation", JCGT 2013).
C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2_XY, C2_Z, C2_0, C2_XX = 1.0925484305920792, 0.9461746957575601, 0.3153915652525201, 0.5462742152960396
C3_XXX, C3_XYZ, C3_XXZ = 0.5900435899266435, 2.890611442640554, 1.445305721320277
C3_XZZ, C3_X, C3_ZZZ, C3_Z = 2.285228997322329, 0.4570457994644658, 1.865881662950577, 1.119528997770346


def evaluate(
    degree: int,
    directions: Tensor,  # [N, 3], need not be unit
    coefficients: Tensor,  # [N, S, 3]
) -> Tensor:  # [N, 3]
    """The function with these coefficients in these directions; coefficients above `degree` are not used."""
    bases = basis(degree, torch.nn.functional.normalize(directions, dim=-1))
    return (bases[..., None] * coefficients[:, : bases.shape[1]]).sum(1)


def basis(degree: int, directions: Tensor) -> Tensor:  # [N, 3] unit -> [N, (degree + 1)^2]
    """The basis functions in unit directions."""
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, C0)]
    if degree >= 1:
        values += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        values += [
            C2_XY * x * y,
            -C2_XY * y * z,
            C2_Z * z * z - C2_0,
            -C2_XY * x * z,
            C2_XX * (x * x - y * y),
        ]
    if degree >= 3:
        values += [
            -C3_XXX * y * (3 * x * x - y * y),
            C3_XYZ * x * y * z,
            y * (C3_X - C3_XZZ * z * z),
            z * (C3_ZZZ * z * z - C3_Z),
            x * (C3_X - C3_XZZ * z * z),
            C3_XXZ * z * (x * x - y * y),
            -C3_XXX * x * (x * x - 3 * y * y),
        ]
    return torch.stack(values, -1)
