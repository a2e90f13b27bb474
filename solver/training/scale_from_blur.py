# SPDX-License-Identifier: GPL-3.0-or-later
"""The length of the scene's unit from the blur of a finished reconstruction, where photos tell their lens."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from solver.capture.types import Scale
from solver.defocus.pupil import pupil_samples
from solver.optics.circle_of_confusion import circle_of_confusion_px
from solver.optics.colour import linear_to_srgb
from solver.optics.scale import CIRCLES_PX, LOG_FACTORS, Estimate, PupilErrors, combined, pupil_factor
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo

_MOST_PHOTOS = 12  # of each f-number that are looked at
_SAMPLES = 6  # of the pupil


def scale_from_blur(scene: Reconstruction, photos: Sequence[TrainingPhoto], trained: Sequence[int]) -> Scale | None:
    """What blur says of the scene's unit, whatever else is known of it; None where it says nothing.

    Each f-number's pupil, f/N in millimetres, is compared with that which its photos show in scene units.

    Args:
        scene: whose lens has learned.
        photos: all of the capture.
        trained: indices of those to look at.
    """
    estimates = []
    for group, nominal in enumerate(scene.lens.nominal_pupil_diameters_mm):
        members = [index for index in trained if scene.lens.pupil_of_photo[index] == group]
        if nominal is None or not members:
            continue
        chosen = members[:: -(-len(members) // _MOST_PHOTOS)]
        factor = pupil_factor([pupil_errors(scene, photos[index], index) for index in chosen])
        if factor is not None:
            diameter = scene.lens.pupil_diameter(members[0]) * factor.value
            estimates.append(Estimate(nominal / diameter, factor.relative_uncertainty))
    best = combined(estimates)
    return None if best is None else Scale(best.value, "blur", best.relative_uncertainty)


def pupil_errors(scene: Reconstruction, target: TrainingPhoto, index: int) -> PupilErrors:
    """How the photo at `index` differs from renderings through pupils of several diameters."""
    view, aperture = view_of_photo(target.photo, scene.device), scene.lens.aperture(index)
    with torch.no_grad():
        depth = expected_depth(scene.render(view))
        coc = circle_of_confusion_px(
            depth.clamp(min=1e-6), aperture.pupil_diameter, aperture.inverse_focus_distance, target.photo.camera.fx
        )
        shown = depth > 0 if target.mask is None else (depth > 0) & (target.mask > 0.5)
        small, large = CIRCLES_PX
        kinds = torch.stack([shown & (coc >= small) & (coc < large), shown & (coc >= large)])
        squared = []
        for log_factor in LOG_FACTORS:
            changed = replace(
                aperture,
                pupil_diameter=aperture.pupil_diameter * float(np.exp(log_factor)),
                samples=pupil_samples(_SAMPLES, float(index)),  # turned otherwise in each photo
                residual=_SAMPLES**-0.5,
            )
            colour = linear_to_srgb(scene.render(view, changed).colour).clamp(0, 1)
            errors = (colour - target.image).square().mean(-1)
            squared.append((kinds * errors).sum((1, 2)))
        return PupilErrors(
            squared=torch.stack(squared, 1).double().cpu().numpy(),
            pixels=kinds.sum((1, 2)).cpu().numpy(),
            squared_circles=(kinds * coc.square()).sum((1, 2)).cpu().numpy(),
        )
