# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step minimizes beside the photo loss: what photos do not tell, and what one of them cannot know alone."""

from torch import Tensor

from solver.rasterization import Aperture, View
from solver.training.depth_spread import depth_spread, squared_depths
from solver.training.outside_masks import alpha_outside_mask
from solver.training.photos import TrainingPhoto
from solver.training.pixel_weights import focus_weights
from solver.training.reconstruction import Photograph, Reconstruction


def extras_to_regularize(scene: Reconstruction, view: View) -> Tensor | None:  # [N, 1]
    """What has to be composited beside the colour for `regularization`, if anything."""
    if scene.settings.depth_spread_weight <= 0:
        return None
    return squared_depths(scene.gaussians.means, view, scene.centre_depth(view.world_to_camera), scene.scene_size)


def regularization(
    scene: Reconstruction,
    index: int,
    target: TrainingPhoto,
    view: View,
    aperture: Aperture | None,
    photograph: Photograph,
) -> Tensor:  # []
    """The weighted sum of all terms.

    Args:
        scene: as it is.
        index: of the photo of this step.
        target: its pixels.
        view: its camera.
        aperture: its lens, or None for a pinhole.
        photograph: what it shows of the scene, with `extras_to_regularize`.
    """
    settings, rendering = scene.settings, photograph.rendering
    principal_distance_px = float(view.K[0, 0].detach())
    total = (
        settings.opacity_regularization * scene.gaussians.opacities.mean()
        + settings.scale_regularization * scene.gaussians.scales.mean() / scene.scene_size
    )
    if rendering.extras is not None:
        spread = depth_spread(rendering, scene.centre_depth(view.world_to_camera), scene.scene_size)
        if aperture is not None:  # edges that are blurred mix depths, and rightly
            spread = spread * focus_weights(rendering, aperture, principal_distance_px, settings.focus_weight_coc)
        total = total + settings.depth_spread_weight * spread.mean()
    if photograph.log_factor is not None:
        total = total + settings.blurnet_regularization * photograph.log_factor.square().mean()
    if scene.exposures is not None:
        total = total + settings.exposure_regularization * scene.exposures.penalty(index)
    if target.beside is not None:
        spread_by = aperture if photograph.log_factor is None else None  # BlurNet's alpha is a sharp rendering's
        spill = alpha_outside_mask(rendering, target.beside, spread_by, principal_distance_px)
        total = total + settings.outside_mask_weight * spill
    return total
