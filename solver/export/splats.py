# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians as viewers take them, and as a PLY file in the layout of the original 3DGS code, which every viewer reads.

Viewers take the colours as sRGB and blend them so; ours are linear light. Each Gaussian's colour as a function of
direction is therefore encoded with the sRGB curve at many directions and fitted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.errors import SolverError
from solver.files import written_aside
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb
from solver.ply import read_ply
from solver.rasterization.spherical_harmonics import basis as sh_basis

if TYPE_CHECKING:
    from torch import Tensor

_DIRECTIONS = 64  # of the fits; degree 3 has 16 unknowns
_COEFFICIENTS = (1, 4, 9, 16)  # of a colour channel, by degree


@dataclass(frozen=True)
class Splats:
    """N Gaussians with colours as viewers take them: 0.5 plus coefficients times basis is an sRGB value."""

    means: np.ndarray  # [N, 3] float32
    log_scales: np.ndarray  # [N, 3] float32
    quaternions: np.ndarray  # [N, 4] float32, w x y z, unit
    opacity_logits: np.ndarray  # [N] float32
    coefficients: np.ndarray  # [N, S, 3] float32, S = (degree + 1)^2
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)  # [N] each, by name

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """Of the spherical harmonics."""
        return _COEFFICIENTS.index(self.coefficients.shape[1])

    @property
    def scales(self) -> np.ndarray:
        """Standard deviations along the own axes, [N, 3], scene unit."""
        return np.exp(self.log_scales)

    @property
    def opacities(self) -> np.ndarray:
        """[N], 0 to 1."""
        return (1 + np.tanh(self.opacity_logits / 2)) / 2

    @property
    def base_colours(self) -> np.ndarray:
        """What they show on the mean over all directions, sRGB values of 0 to 1, [N, 3]."""
        constant = sh_basis(0, _torch_directions())[0, 0].item()
        return (0.5 + constant * self.coefficients[:, 0]).clip(0, 1)

    def subset(self, which: np.ndarray) -> Splats:  # [N] bool, or [*] indices
        """Only those of `which`."""
        return Splats(
            self.means[which],
            self.log_scales[which],
            self.quaternions[which],
            self.opacity_logits[which],
            self.coefficients[which],
            {name: values[which] for name, values in self.attributes.items()},
        )

    def of_degree(self, degree: int) -> Splats:
        """The same without the coefficients above `degree`; their colour then depends less on direction."""
        return replace(self, coefficients=self.coefficients[:, : (degree + 1) ** 2])

    def moved(self, rotation: np.ndarray, scale: float) -> Splats:  # [3, 3]
        """The same in another frame: points go to `scale` times `rotation` times themselves."""
        from scipy.spatial.transform import Rotation

        turn = Rotation.from_matrix(rotation)
        own = Rotation.from_quat(np.roll(self.quaternions, -1, axis=1))  # SciPy has w last
        return Splats(
            means=(scale * self.means @ rotation.T).astype(np.float32),
            log_scales=(self.log_scales + np.log(scale)).astype(np.float32),
            quaternions=np.roll((turn * own).as_quat(), 1, axis=1).astype(np.float32),
            opacity_logits=self.opacity_logits,
            coefficients=np.einsum("st,ntc->nsc", _turned_harmonics(self.degree, rotation), self.coefficients),
            attributes=self.attributes,
        )


def splats_of(
    gaussians: Gaussians,
    attributes: Mapping[str, np.ndarray] | None = None,  # [N] each
) -> Splats:
    """The Gaussians with colours in sRGB."""
    g = gaussians.map(lambda tensor: tensor.detach().cpu())
    quaternions = g.quaternions.numpy()
    return Splats(
        means=g.means.numpy(),
        log_scales=g.log_scales.numpy(),
        quaternions=quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True),
        opacity_logits=g.opacity_logits.numpy(),
        coefficients=srgb_coefficients(g.sh_coefficients.numpy(), g.sh_degree),
        attributes=attributes or {},
    )


def write_splats(
    path: Path,
    gaussians: Gaussians,
    attributes: Mapping[str, np.ndarray] | None = None,  # [N] each
) -> None:
    """Write Gaussians of a reconstruction; further `attributes` follow as `write_splat_file` has it."""
    write_splat_file(path, splats_of(gaussians, attributes))


def write_splat_file(path: Path, splats: Splats) -> None:
    """Write splats; opacities stay logits and scales logarithms, as viewers expect.

    Their attributes follow as float properties, which readers that go by names pass over.
    """
    from plyfile import PlyData, PlyElement

    count = len(splats)
    rest = (
        splats.coefficients[:, 1:].transpose(0, 2, 1).reshape(count, 3 * (splats.coefficients.shape[1] - 1))
    )  # by channel
    columns = {
        **_named(("x", "y", "z"), splats.means),
        **_named(("nx", "ny", "nz"), np.zeros((count, 3))),
        **_named([f"f_dc_{i}" for i in range(3)], splats.coefficients[:, 0]),
        **_named([f"f_rest_{i}" for i in range(rest.shape[1])], rest),
        "opacity": splats.opacity_logits,
        **_named([f"scale_{i}" for i in range(3)], splats.log_scales),
        **_named([f"rot_{i}" for i in range(4)], splats.quaternions),
        **splats.attributes,
    }
    table = np.empty(count, dtype=[(name, "<f4") for name in columns])
    for name, column in columns.items():
        table[name] = column
    with written_aside(path) as temporary:
        PlyData([PlyElement.describe(table, "vertex")], byte_order="<").write(str(temporary))


def read_splat_file(path: Path) -> Splats:
    """Read splats that `write_splat_file` wrote.

    Raises:
        SolverError: the file is absent, damaged, or of another layout.
    """
    from plyfile import PlyParseError

    try:
        table = read_ply(path)["vertex"].data

        def columns(names: Sequence[str]) -> np.ndarray:
            return np.stack([table[name] for name in names], axis=1).astype(np.float32)

        rest = sum(name.startswith("f_rest_") for name in table.dtype.names)
        if 1 + rest // 3 not in _COEFFICIENTS or rest % 3:
            raise ValueError(f"{rest} colour coefficients")
        by_channel = columns([f"f_rest_{i}" for i in range(rest)]).reshape(len(table), 3, -1) if rest else None
        constant = columns([f"f_dc_{i}" for i in range(3)])[:, None]
        layout = [*("x", "y", "z", "nx", "ny", "nz", "opacity"), *(f"f_dc_{i}" for i in range(3))]
        layout += [*(f"f_rest_{i}" for i in range(rest)), *(f"scale_{i}" for i in range(3))]
        layout += [f"rot_{i}" for i in range(4)]
        return Splats(
            means=columns(("x", "y", "z")),
            log_scales=columns([f"scale_{i}" for i in range(3)]),
            quaternions=columns([f"rot_{i}" for i in range(4)]),
            opacity_logits=np.array(table["opacity"], np.float32),
            coefficients=constant
            if by_channel is None
            else np.concatenate([constant, by_channel.transpose(0, 2, 1)], axis=1),
            attributes={name: np.array(table[name]) for name in table.dtype.names if name not in layout},
        )
    except FileNotFoundError:
        raise SolverError("the result's splats are missing", where=path, remedy="reconstruct again") from None
    except (PlyParseError, ValueError, KeyError, OSError) as error:
        raise SolverError(
            f"the result's splats are damaged ({error})", where=path, remedy="reconstruct again"
        ) from None


def srgb_coefficients(coefficients: np.ndarray, degree: int) -> np.ndarray:  # [N, S, 3] -> [N, S, 3]
    """Spherical harmonics whose colours are the sRGB values of the given linear ones, in the least-squares sense."""
    basis = sh_basis(degree, _torch_directions()).numpy()  # [D, S]
    fit = np.linalg.pinv(basis)  # [S, D]
    result = np.empty(coefficients.shape, np.float32)
    for start in range(0, len(coefficients), 10_000):  # bounds the memory of N x D colours
        part = coefficients[start : start + 10_000]
        linear = np.maximum(np.einsum("ds,nsc->ndc", basis, part) + 0.5, 0)
        result[start : start + 10_000] = np.einsum("sd,ndc->nsc", fit, linear_to_srgb(linear) - 0.5)
    return result


def _turned_harmonics(degree: int, rotation: np.ndarray) -> np.ndarray:  # [3, 3] -> [S, S]
    """The matrix that turns coefficients with the scene: exact, since each degree's functions are closed under it."""
    import torch

    directions = _sphere(_DIRECTIONS)
    ahead = sh_basis(degree, torch.from_numpy(directions)).numpy()
    back = sh_basis(degree, torch.from_numpy(directions @ rotation)).numpy()
    return (np.linalg.pinv(ahead) @ back).astype(np.float32)


def _torch_directions() -> Tensor:  # [D, 3]
    import torch

    return torch.from_numpy(_sphere(_DIRECTIONS))


def _sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors, [count, 3]: a Fibonacci lattice."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `values`, [N, len(names)], by name."""
    return {name: values[:, i] for i, name in enumerate(names)}
