# SPDX-License-Identifier: GPL-3.0-or-later
"""How much each pixel of a photo counts in its loss: those in focus more than those that blur explains."""

import torch
from torch import Tensor

from solver.config import ReconstructionSettings
from solver.optics.circle_of_confusion import circle_of_confusion_px
from solver.rasterization import Aperture, Rendering

UNCLEAR_WEIGHT = 0.1  # of pixels where a photo is blurred, while geometry comes from its sharp parts


def pixel_weights(
    rendering: Rendering,
    aperture: Aperture | None,
    clarity: Tensor | None,  # [H, W], 0 to 1
    principal_distance_px: float,
    settings: ReconstructionSettings,
    part: float,
) -> Tensor | None:  # [H, W]
    """Weights of the photo loss in one step; None where all pixels count alike.

    Args:
        rendering: of the photo.
        aperture: it was rendered through, or None for a pinhole.
        clarity: how sharp the photo looks, where kernels of pixels are to blur.
        principal_distance_px: of the photo's camera.
        settings: of the run.
        part: of the run that is done, 0 to 1.
    """
    if aperture is None:
        return None if clarity is None else clarity + UNCLEAR_WEIGHT
    if part < settings.focus_weighting_from:
        return None
    return focus_weights(rendering, aperture, principal_distance_px, settings.focus_weight_coc)


def focus_weights(
    rendering: Rendering, aperture: Aperture, principal_distance_px: float, half_weight_coc_px: float
) -> Tensor:  # [H, W]
    """How much each pixel counts, falling with its circle of confusion; 1 on average.

    Detail reaches a point from the few photos that hold it in focus; without weights the many others outvote them.
    Where no surface is rendered, and so no circle is known, a pixel counts as the others do on average.
    """
    if has_fused_kernels(rendering):
        from solver.training import fused_focus

        return fused_focus.focus_weights(rendering, aperture, principal_distance_px, half_weight_coc_px)
    with torch.no_grad():
        alpha = rendering.alpha
        coc = rendered_coc_px(rendering, aperture, principal_distance_px)
        weights = alpha / (1 + (coc / half_weight_coc_px) ** 2)
        surface, total = alpha.sum(), weights.sum()
        if total < 1e-6 * alpha.numel():
            return torch.ones_like(alpha)
        return weights * (surface / total) + (1 - alpha)


def rendered_coc_px(rendering: Rendering, aperture: Aperture, principal_distance_px: float) -> Tensor:  # [H, W]
    """The circle of confusion of what each pixel shows, by its mean depth, px."""
    depth = rendering.depth / rendering.alpha.clamp(min=1e-3)
    return circle_of_confusion_px(
        depth.clamp(min=1e-6), aperture.pupil_diameter, aperture.inverse_focus_distance, principal_distance_px
    )


def has_fused_kernels(rendering: Rendering) -> bool:
    """Whether `fused_focus` can do it: for float32 on the processor."""
    return rendering.alpha.device.type == "cpu" and rendering.alpha.dtype == torch.float32
