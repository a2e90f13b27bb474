# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of the Gaussians, as the optimizer sees them and as the rasterizer needs them.

Notation: N Gaussians, S = (degree + 1)^2 spherical-harmonics coefficients. A colour is 0.5 plus the sum of the
coefficients times the basis, in linear light.
"""

from dataclasses import dataclass, fields
from typing import cast

import torch
from torch import Tensor

SH_C0 = 0.28209479177387814  # the constant basis function, 1 / (2 sqrt(pi))


@dataclass
class Gaussians:
    """Unconstrained parameters; the properties give the constrained ones."""

    means: Tensor  # [N, 3], world
    log_scales: Tensor  # [N, 3]
    quaternions: Tensor  # [N, 4], w x y z, any length
    opacity_logits: Tensor  # [N]
    sh_constant: Tensor  # [N, 1, 3]
    sh_rest: Tensor  # [N, S - 1, 3]

    @property
    def scales(self) -> Tensor:
        """Standard deviations along the own axes, [N, 3], scene unit."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """[N], in (0, 1)."""
        return self.opacity_logits.sigmoid()

    @property
    def sh_coefficients(self) -> Tensor:
        """[N, S, 3]."""
        return torch.cat([self.sh_constant, self.sh_rest], dim=1)

    @property
    def sh_degree(self) -> int:
        """The degree that the coefficients reach."""
        return round((self.sh_rest.shape[1] + 1) ** 0.5) - 1

    def __len__(self) -> int:
        return self.means.shape[0]

    def tensors(self) -> dict[str, Tensor]:
        """The parameters by name, in the order of their declaration."""
        return {f.name: cast(Tensor, getattr(self, f.name)) for f in fields(self)}

    def map(self, function) -> "Gaussians":
        """A new set with `function` applied to each parameter tensor."""
        return Gaussians(**{name: function(tensor) for name, tensor in self.tensors().items()})

    def detached(self) -> "Gaussians":
        """The same values without gradients; memory is shared."""
        return self.map(lambda tensor: tensor.detach())


def rotation_matrices(quaternions: Tensor) -> Tensor:  # [N, 4] -> [N, 3, 3]
    """Rotation matrices of w x y z quaternions of any length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        dim=-1,
    ).reshape(-1, 3, 3)  # fmt: skip
