# SPDX-License-Identifier: GPL-3.0-or-later
"""From Gaussians in the world to ellipses in the image, in plain PyTorch: the written-out mathematics.

Used by the `reference` and `gsplat` backends; the `cpu` backend has the same in one fused kernel with its
gradient by hand. Works in any floating-point type on any device.

Notation: W, t are world_to_camera's rotation and translation; R, S a Gaussian's rotation and diagonal of
scales; B = J W R S is 2 x 3 with rows b_x, b_y, so that the projected covariance is B B^T and its
determinant |b_x cross b_y|^2: a sum of squares, which unlike Sxx Syy - Sxy^2 stays accurate for needles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from solver.rasterization.types import Aperture, RasterizationSettings, View

MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4
FIELD_OF_VIEW_MARGIN = 0.3  # of half an image, how far outside the image the Jacobian is evaluated


@dataclass(frozen=True)
class Projection:
    """Gaussians as one image sees them. Rows of invisible Gaussians are finite and without meaning."""

    means2d: Tensor  # [N, 2], px
    depths: Tensor  # [N], z in the camera, scene unit
    conics: Tensor  # [N, 3], inverse of the final covariance: xx, xy, yy
    opacities: Tensor  # [N], after antialiasing and dilation
    half_extents: Tensor  # [N, 2], px; half the box round where alpha reaches 1/255, without gradient
    visible: Tensor  # [N] bool: between the planes, opaque enough, and the box touches the image


def project(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    view: View,
    aperture: Aperture | None,
    settings: RasterizationSettings,
) -> Projection:
    """Project Gaussians by the local affine approximation, widen them, and blur them by the aperture.

    The chain of the covariance: projected, plus eps2d (and opacity compensated where antialiasing is asked
    for), plus the aperture's (D/4)^2 (1/z - 1/d0)^2 diag(fx^2, fy^2) with energy kept.
    """
    W, t = view.world_to_camera[:3, :3], view.world_to_camera[:3, 3]
    fx, fy, cx, cy = view.K[0, 0], view.K[1, 1], view.K[0, 2], view.K[1, 2]

    points = means @ W.T + t
    in_depth = (points[:, 2] >= settings.near_plane) & (points[:, 2] <= settings.far_plane)
    # A stand-in on the axis keeps culled Gaussians, and with them the gradient's zeros, finite.
    on_axis = torch.tensor([0, 0, 1], dtype=points.dtype, device=points.device)
    x, y, z = torch.where(in_depth[:, None], points, on_axis).unbind(-1)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)

    margin_x = FIELD_OF_VIEW_MARGIN * view.width / 2
    margin_y = FIELD_OF_VIEW_MARGIN * view.height / 2
    slope_x = torch.clamp(x / z, min=-(cx + margin_x) / fx, max=(view.width - cx + margin_x) / fx)
    slope_y = torch.clamp(y / z, min=-(cy + margin_y) / fy, max=(view.height - cy + margin_y) / fy)
    axes = W @ rotation_matrices(quaternions) * scales[:, None, :]  # W R S, [N, 3, 3]
    b_x = (fx / z)[:, None] * (axes[:, 0] - slope_x[:, None] * axes[:, 2])
    b_y = (fy / z)[:, None] * (axes[:, 1] - slope_y[:, None] * axes[:, 2])

    xx, xy, yy = (b_x * b_x).sum(-1), (b_x * b_y).sum(-1), (b_y * b_y).sum(-1)
    area = torch.linalg.vector_norm(torch.linalg.cross(b_x, b_y), dim=-1)  # root of the determinant
    determinant = area**2 + settings.eps2d * (xx + yy) + settings.eps2d**2
    xx, yy = xx + settings.eps2d, yy + settings.eps2d
    if settings.antialiased:
        opacities = opacities * area / determinant.sqrt()
    if aperture is not None:
        blur = (aperture.pupil_diameter / 4 * (1 / z - aperture.inverse_focus_distance)) ** 2
        blur_x, blur_y = blur * fx**2, blur * fy**2
        dilated = determinant + blur_x * yy + blur_y * xx + blur_x * blur_y
        opacities = opacities * (determinant / dilated).sqrt()
        xx, yy, determinant = xx + blur_x, yy + blur_y, dilated

    conics = torch.stack([yy / determinant, -xy / determinant, xx / determinant], -1)
    with torch.no_grad():
        squared_sigmas = 2 * torch.log((opacities / MIN_ALPHA).clamp(min=1))
        half_extents = torch.stack([(squared_sigmas * xx).sqrt(), (squared_sigmas * yy).sqrt()], -1)
        size = torch.tensor([view.width, view.height], dtype=means2d.dtype, device=means2d.device)
        on_image = ((means2d + half_extents > 0) & (means2d - half_extents < size)).all(-1)
        visible = in_depth & on_image & (opacities >= MIN_ALPHA)
    return Projection(means2d, z, conics, opacities, half_extents, visible)


def rotation_matrices(quaternions: Tensor) -> Tensor:  # [N, 4] -> [N, 3, 3]
    """Rotation matrices of quaternions (w, x, y, z), which are normalized first."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def camera_centre(world_to_camera: Tensor) -> Tensor:  # [4, 4] -> [3]
    """Where the camera stands in the world."""
    return -torch.linalg.solve(world_to_camera[:3, :3], world_to_camera[:3, 3])
