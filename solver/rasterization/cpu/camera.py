# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera and lens as the kernels read them, 21 numbers in float64, and the gradient's way back.

Done by hand in NumPy: as PyTorch's operations with autograd it takes 0.3 ms, as long as binning 10,000 Gaussians.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from solver.rasterization.cpu.layout import (
    CAMERA_SIZE,
    CENTRE,
    CX,
    CY,
    FX,
    FY,
    INVERSE_FOCUS,
    PUPIL,
    ROTATION,
    TRANSLATION,
)


def pack_camera(
    world_to_camera: Tensor,  # [4, 4]
    K: Tensor,  # [3, 3]
    pupil_diameter: Tensor | None,  # [], None is a pinhole, a pupil of diameter 0
    inverse_focus_distance: Tensor | None,  # []
) -> np.ndarray:  # [21]
    """The camera's numbers in the order of `layout`; its centre in the world is -R^-1 t."""
    pose, intrinsics = _array(world_to_camera), _array(K)
    camera = np.zeros(CAMERA_SIZE)
    camera[ROTATION:TRANSLATION] = pose[:3, :3].ravel()
    camera[TRANSLATION:FX] = pose[:3, 3]
    camera[[FX, FY, CX, CY]] = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    camera[CENTRE:PUPIL] = -np.linalg.solve(pose[:3, :3], pose[:3, 3])
    if pupil_diameter is not None and inverse_focus_distance is not None:
        camera[PUPIL], camera[INVERSE_FOCUS] = float(pupil_diameter), float(inverse_focus_distance)
    return camera


def unpack_gradient(
    camera: np.ndarray,  # [21]
    v_camera: np.ndarray,  # [21]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # [4, 4], [3, 3], [], []
    """Gradients for what `pack_camera` has read.

    From R centre = -t: with g = R^-T v_centre, the centre adds -g centre^T to R's gradient and -g to t's.
    """
    R, centre = camera[ROTATION:TRANSLATION].reshape(3, 3), camera[CENTRE:PUPIL]
    g = np.linalg.solve(R.T, v_camera[CENTRE:PUPIL])
    v_pose = np.zeros((4, 4))
    v_pose[:3, :3] = v_camera[ROTATION:TRANSLATION].reshape(3, 3) - np.outer(g, centre)
    v_pose[:3, 3] = v_camera[TRANSLATION:FX] - g
    v_K = np.zeros((3, 3))
    v_K[[0, 1, 0, 1], [0, 1, 2, 2]] = v_camera[[FX, FY, CX, CY]]
    v_lens = torch.from_numpy(v_camera[PUPIL:])
    return torch.from_numpy(v_pose), torch.from_numpy(v_K), v_lens[0], v_lens[1]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()
