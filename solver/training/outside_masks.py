# SPDX-License-Identifier: GPL-3.0-or-later
"""What masks say of the scene: that nothing of it is outside them, and which light the background has."""

import torch
from torch import Tensor

from solver.optics.colour import srgb_to_linear
from solver.rasterization import Aperture, Rendering
from solver.training.photos import Beside, TrainingPhoto
from solver.training.pixel_weights import has_fused_kernels, rendered_coc_px

_OUTSIDE_SHARE = 0.25  # of the photos that see a Gaussian: if so many masks exclude it, it is not the subject


def alpha_outside_mask(
    rendering: Rendering,
    beside: Beside,
    aperture: Aperture | None,
    principal_distance_px: float,
) -> Tensor:  # []
    """What is rendered farther outside the mask than the subject's blur reaches, over the subject's size.

    No photo says anything of such pixels, so that what is there would never be seen in training, but in every result.
    """
    if has_fused_kernels(rendering):
        from solver.training import fused_focus

        return fused_focus.alpha_outside_mask(rendering, beside, aperture, principal_distance_px)
    reach = torch.ones_like(beside.distance)  # the mask's edge runs somewhere through its pixels
    if aperture is not None:
        with torch.no_grad():  # the blur of the subject's nearest edge, not of whatever floats there
            coc = rendered_coc_px(rendering, aperture, principal_distance_px)
            reach = reach + coc.flatten()[beside.nearest] / 2
    return (rendering.alpha * (beside.distance > reach)).sum() / (beside.distance == 0).sum().clamp(min=1)


def outside_masks(means: Tensor, photos: list[TrainingPhoto]) -> Tensor:  # [N, 3] -> [N] bool
    """Gaussians that the masks say are not the subject; none where there are no masks.

    A photo without a mask shows the subject everywhere; one whose mask is empty shows none of it, and says nothing.
    """
    seen = torch.zeros(len(means), device=means.device)
    outside = torch.zeros_like(seen)
    if all(entry.mask is None for entry in photos):
        return outside.bool()
    for entry in photos:
        if entry.mask is not None and not entry.mask.any():
            continue
        camera = entry.photo.camera
        pose = torch.as_tensor(entry.photo.world_to_camera, dtype=means.dtype, device=means.device)
        local = means @ pose[:3, :3].T + pose[:3, 3]
        depth = local[:, 2].clamp(min=1e-9)
        column = (camera.fx * local[:, 0] / depth + camera.cx).floor().long()
        row = (camera.fy * local[:, 1] / depth + camera.cy).floor().long()
        inside = (local[:, 2] > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
        seen += inside
        if entry.mask is not None:
            masked_out = torch.zeros_like(inside)
            masked_out[inside] = entry.mask[row[inside], column[inside]] < 0.5
            outside += masked_out
    return outside > _OUTSIDE_SHARE * seen.clamp(min=1)


def initial_background(photos: list[TrainingPhoto]) -> Tensor:
    """The photos' mean colour in linear light, [3]; where there are masks, that of what they leave out."""
    total, count = torch.zeros(3), torch.zeros(1)
    for entry in photos:
        weights = torch.ones_like(entry.image[..., :1]) if entry.mask is None else 1 - entry.mask[..., None]
        total += (weights * srgb_to_linear(entry.image)).sum((0, 1)).cpu()
        count += weights.sum().cpu()
    return total / count.clamp(min=1)
