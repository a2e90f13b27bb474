# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as a PLY file in the layout of the original 3DGS code, which every viewer reads.

Viewers take the colours as sRGB and blend them so; ours are linear light. Each Gaussian's colour as a function of
direction is therefore encoded with the sRGB curve at many directions and fitted again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from solver.files import written_aside
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb
from solver.rasterization.spherical_harmonics import basis as sh_basis

_DIRECTIONS = 64  # of the fit; degree 3 has 16 unknowns


def write_splats(
    path: Path,
    gaussians: Gaussians,
    attributes: Mapping[str, np.ndarray] | None = None,  # [N] each
) -> None:
    """Write the Gaussians; opacities stay logits and scales logarithms, as viewers expect.

    Further `attributes` follow as float properties, which readers that go by names pass over.
    """
    from plyfile import PlyData, PlyElement

    g = gaussians.map(lambda tensor: tensor.detach().cpu())
    coefficients = srgb_coefficients(g.sh_coefficients.numpy(), g.sh_degree)
    rest = coefficients[:, 1:].transpose(0, 2, 1).reshape(len(g), 3 * (coefficients.shape[1] - 1))  # by channel
    quaternions = g.quaternions.numpy()
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    columns = {
        **_named(("x", "y", "z"), g.means.numpy()),
        **_named(("nx", "ny", "nz"), np.zeros((len(g), 3))),
        **_named([f"f_dc_{i}" for i in range(3)], coefficients[:, 0]),
        **_named([f"f_rest_{i}" for i in range(rest.shape[1])], rest),
        "opacity": g.opacity_logits.numpy(),
        **_named([f"scale_{i}" for i in range(3)], g.log_scales.numpy()),
        **_named([f"rot_{i}" for i in range(4)], quaternions),
        **(attributes or {}),
    }
    table = np.empty(len(g), dtype=[(name, "<f4") for name in columns])
    for name, column in columns.items():
        table[name] = column
    with written_aside(path) as temporary:
        PlyData([PlyElement.describe(table, "vertex")], byte_order="<").write(str(temporary))


def srgb_coefficients(coefficients: np.ndarray, degree: int) -> np.ndarray:  # [N, S, 3] -> [N, S, 3]
    """Spherical harmonics whose colours are the sRGB values of the given linear ones, in the least-squares sense."""
    import torch

    basis = sh_basis(degree, torch.from_numpy(_sphere(_DIRECTIONS))).numpy()  # [D, S]
    fit = np.linalg.pinv(basis)  # [S, D]
    result = np.empty(coefficients.shape, np.float32)
    for start in range(0, len(coefficients), 10_000):  # bounds the memory of N x D colours
        part = coefficients[start : start + 10_000]
        linear = np.maximum(np.einsum("ds,nsc->ndc", basis, part) + 0.5, 0)
        result[start : start + 10_000] = np.einsum("sd,ndc->nsc", fit, linear_to_srgb(linear) - 0.5)
    return result


def _sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors, [count, 3]: a Fibonacci lattice."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `values`, [N, len(names)], by name."""
    return {name: values[:, i] for i, name in enumerate(names)}
