# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera and lens as the kernels read them, 21 numbers in float64, and the gradient's way back.

Notation: R and t are the rotation and translation of world_to_camera, c = -R^-1 t is the camera's centre. With r_j the
rows of R, the columns of R^-1 are (r_1 x r_2, r_2 x r_0, r_0 x r_1) / det R.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from solver.kernels.compilation import helper, kernel
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
    """The numbers in the order of `layout`."""
    camera = np.zeros(CAMERA_SIZE)
    if pupil_diameter is not None and inverse_focus_distance is not None:
        camera[PUPIL], camera[INVERSE_FOCUS] = float(pupil_diameter), float(inverse_focus_distance)
    fill_camera(*(np.ascontiguousarray(matrix.detach().numpy(), np.float64) for matrix in (world_to_camera, K)), camera)
    return camera


def unpack_gradient(
    camera: np.ndarray,  # [21]
    v_camera: np.ndarray,  # [21]
) -> tuple[np.ndarray, ...]:  # [4, 4], [3, 3], [], []
    """Gradients for what `pack_camera` has read."""
    v_pose, v_K = np.zeros((4, 4)), np.zeros((3, 3))
    fill_gradients(camera, v_camera, v_pose, v_K)
    return v_pose, v_K, v_camera[PUPIL : PUPIL + 1].reshape(()), v_camera[INVERSE_FOCUS:].reshape(())


@helper
def _inverse(R, result):
    """Write the inverse of R [3, 3] into `result` [3, 3]."""
    for j in range(3):
        a, b = R[(j + 1) % 3], R[(j + 2) % 3]
        for i in range(3):
            result[i, j] = a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3]
    result /= R[0, 0] * result[0, 0] + R[0, 1] * result[1, 0] + R[0, 2] * result[2, 0]


@kernel("void(float64[:,::1], float64[:,::1], float64[::1])")
def fill_camera(
    pose,  # [4, 4], world to camera
    K,  # [3, 3]
    camera,  # [21], written but for the lens
):
    """Rotation, translation, K's four parameters and the centre."""
    inverse = np.empty((3, 3))
    _inverse(pose[:3, :3], inverse)
    for i in range(3):
        for j in range(3):
            camera[ROTATION + 3 * i + j] = pose[i, j]
        camera[TRANSLATION + i] = pose[i, 3]
        camera[CENTRE + i] = -(inverse[i, 0] * pose[0, 3] + inverse[i, 1] * pose[1, 3] + inverse[i, 2] * pose[2, 3])
    camera[FX], camera[FY], camera[CX], camera[CY] = K[0, 0], K[1, 1], K[0, 2], K[1, 2]


@kernel("void(float64[::1], float64[::1], float64[:,::1], float64[:,::1])")
def fill_gradients(
    camera,  # [21]
    v_camera,  # [21]
    v_pose,  # [4, 4], written but for the last row
    v_K,  # [3, 3], written where K has parameters
):
    """From R c = -t: with g = R^-T v_c, the centre adds -g c^T to R's gradient and -g to t's."""
    inverse = np.empty((3, 3))
    _inverse(camera[ROTATION:TRANSLATION].reshape(3, 3), inverse)
    for i in range(3):
        g = 0.0
        for j in range(3):
            g += inverse[j, i] * v_camera[CENTRE + j]
        for j in range(3):
            v_pose[i, j] = v_camera[ROTATION + 3 * i + j] - g * camera[CENTRE + j]
        v_pose[i, 3] = v_camera[TRANSLATION + i] - g
    v_K[0, 0], v_K[1, 1], v_K[0, 2], v_K[1, 2] = v_camera[FX], v_camera[FY], v_camera[CX], v_camera[CY]
