# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasterizer for CUDA: gsplat 1.5's spherical harmonics, tiles and pixels on this project's own projection.

gsplat's fused projection cannot be used for a lens: it drops Gaussians whose box misses the image before the dilation
has widened them, which would darken the borders of every blurred image. `projection.project` is the same mathematics
in PyTorch, with an accurate determinant for needles and with gradients to K, which gsplat's has not.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import torch

from solver.errors import SolverError
from solver.rasterization.projection import Projection, camera_centre, project
from solver.rasterization.types import Aperture, RasterizationSettings, View

if TYPE_CHECKING:
    from torch import Tensor

TILE = 16  # px
MAX_RADIUS = 1e6  # px, what gsplat is told at most


def render(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor,  # [N, S, 3]
    extras: Tensor | None,  # [N, E]
    view: View,
    aperture: Aperture | None,
    sh_degree: int,
    settings: RasterizationSettings,
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W, 4 + E], [H, W], [N] bool
    """Composite colour, depth and extras in float32; see `interface.rasterize` for the arguments.

    All tensors, the camera's and the aperture's too, live on one CUDA device.
    """
    from gsplat import spherical_harmonics

    means, quaternions, scales, opacities = means.float(), quaternions.float(), scales.float(), opacities.float()
    view = View(view.world_to_camera.float(), view.K.float(), view.width, view.height)
    if aperture is not None:
        aperture = Aperture(aperture.pupil_diameter.float(), aperture.inverse_focus_distance.float())
    projection = project(means, quaternions, scales, opacities, view, aperture, settings)

    kept = projection.visible.nonzero().squeeze(-1)  # [M]
    directions = means[kept] - camera_centre(view.world_to_camera)
    colours = spherical_harmonics(sh_degree, directions, sh_coefficients[kept].float())
    parts = [torch.clamp(colours + 0.5, min=0), projection.depths[kept, None]]
    if extras is not None:
        parts.append(extras[kept].float())
    features = torch.cat(parts, -1)  # [M, 4 + E]

    if len(kept) == 0:
        projected = (features, projection.means2d[kept], projection.conics[kept], projection.opacities[kept])
        nothing = torch.stack([tensor.sum() for tensor in projected]).sum()  # zero, and still part of the graph
        image = nothing.expand(view.height, view.width, features.shape[1])
        return image, image[..., 0], projection.visible
    image, alpha = _composite(projection, kept, features, view)
    return image, alpha, projection.visible


def prepare() -> None:
    """Load gsplat's kernels, compiling them first where no wheel brought them, by rendering one Gaussian.

    Raises:
        SolverError: the kernels can neither be loaded nor compiled.
    """
    row = torch.zeros(1, 4, device="cuda")
    row[:, 2] = 1
    world_to_camera, K = torch.eye(4, device="cuda"), torch.eye(3, device="cuda")
    half = torch.full((1, 3), 0.5, device="cuda")
    view, settings = View(world_to_camera, K, TILE, TILE), RasterizationSettings()
    try:
        with redirect_stdout(sys.stderr):  # gsplat tells of compiling on stdout, where only events belong
            render(row[:, :3], row, half, half[:, 0], half[:, None], None, view, None, 0, settings)
    except (ImportError, AttributeError, OSError, RuntimeError) as error:  # gsplat has no error of its own
        reason = str(error).strip().partition("\n")[0]
        raise SolverError(
            f"gsplat cannot load its CUDA kernels ({reason})",
            remedy="install the CUDA toolkit or a gsplat wheel made for this PyTorch, or use --device cpu",
        ) from error


def _composite(
    projection: Projection,
    kept: Tensor,  # [M], the visible Gaussians
    features: Tensor,  # [M, 4 + E]
    view: View,
) -> tuple[Tensor, Tensor]:  # [H, W, 4 + E], [H, W]
    from gsplat import isect_offset_encode, isect_tiles, rasterize_to_pixels

    # gsplat wants a leading axis of images.
    means2d = projection.means2d[None, kept]
    radii = projection.half_extents[None, kept].ceil().clamp(1, MAX_RADIUS).int()
    tiles_across, tiles_down = -(-view.width // TILE), -(-view.height // TILE)
    _, pair_ids, pair_gaussians = isect_tiles(
        means2d, radii, projection.depths[None, kept], TILE, tiles_across, tiles_down
    )
    tile_offsets = isect_offset_encode(pair_ids, 1, tiles_across, tiles_down)
    image, alpha = rasterize_to_pixels(
        means2d,
        projection.conics[None, kept],
        features[None],
        projection.opacities[None, kept],
        view.width,
        view.height,
        TILE,
        tile_offsets,
        pair_gaussians,
    )
    return image[0], alpha[0, ..., 0]
