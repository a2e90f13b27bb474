# SPDX-License-Identifier: GPL-3.0-or-later
"""The random walk of faint Gaussians in one go, for processors; `densification.shaped_noise` is the mathematics.

With R the rotation of the unit quaternion and S the scales, a centre moves by amount * R S^2 R^T white.
"""

import math

import numpy as np
from torch import Tensor

from solver.gaussians.model import Gaussians
from solver.kernels import threads
from solver.kernels.compilation import kernel


def step(
    gaussians: Gaussians,  # float32, contiguous; means are changed
    chosen: Tensor,  # [K] int64, different from each other
    white: Tensor,  # [K, 3]
    amounts: Tensor,  # [K]
) -> None:
    """Move the Gaussians `chosen`."""
    tensors = (gaussians.means, gaussians.log_scales, gaussians.quaternions, chosen, white, amounts)
    arrays = [tensor.detach().numpy() for tensor in tensors]
    threads.run(lambda *share: _walk(*arrays, *share))


@kernel(
    "void(float32[:,::1], float32[:,::1], float32[:,::1], int64[::1], float32[:,::1], float32[::1], int64, int64)",
    fast=True,
)
def _walk(
    means,  # [N, 3], changed
    log_scales,  # [N, 3]
    quaternions,  # [N, 4]
    chosen,  # [K]
    white,  # [K, 3]
    amounts,  # [K]
    part,
    parts,
):
    one, two = np.float32(1), np.float32(2)
    R = np.empty((3, 3), np.float32)
    for k in range(part * len(chosen) // parts, (part + 1) * len(chosen) // parts):
        n = chosen[k]
        w, x, y, z = quaternions[n, 0], quaternions[n, 1], quaternions[n, 2], quaternions[n, 3]
        length = np.float32(math.sqrt(w * w + x * x + y * y + z * z))
        inverse = one / max(length, np.float32(1e-12))
        w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
        R[0, 0], R[0, 1], R[0, 2] = one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y)
        R[1, 0], R[1, 1], R[1, 2] = two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x)
        R[2, 0], R[2, 1], R[2, 2] = two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y)
        for j in range(3):
            variance = math.exp(two * log_scales[n, j])
            along = R[0, j] * white[k, 0] + R[1, j] * white[k, 1] + R[2, j] * white[k, 2]
            reach = amounts[k] * variance * along
            for i in range(3):
                means[n, i] += reach * R[i, j]
