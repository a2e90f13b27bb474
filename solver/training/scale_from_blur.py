# SPDX-License-Identifier: GPL-3.0-or-later
"""The length of the scene's unit from the blur of a finished reconstruction, where photos tell their lens."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from solver.capture.types import Scale
from solver.defocus.pupil import pupil_samples, sample_dilation
from solver.optics.circle_of_confusion import circle_of_confusion_px
from solver.optics.colour import linear_to_srgb
from solver.optics.scale import CIRCLES_PX, LOG_FACTORS, Estimate, PupilErrors, combined, pupil_factor
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo
from solver.training.torch_threads import single_threaded_torch

_MOST_PHOTOS = 12  # of each f-number that are looked at
_SAMPLES = 6  # of the pupil
_SURE = 3.0  # standard deviations beyond which two scales contradict each other
_SOURCES = {"distance": "the distance given says", "markers": "the markers say", "file": "the file of cameras says"}


def scale_from_blur(
    scene: Reconstruction,
    photos: Sequence[TrainingPhoto],
    trained: Sequence[int],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Scale | None:
    """What blur says of the scene's unit, whatever else is known of it; None where it says nothing.

    Each f-number's pupil, f/N in millimetres, is compared with that which its photos show in scene units.

    Args:
        scene: whose lens has learned.
        photos: all of the capture.
        trained: indices of those to look at.
        progress: called with (photos done, photos looked at).
    """
    chosen = {}
    for group, nominal in enumerate(scene.lens.nominal_pupil_diameters_mm):
        members = [index for index in trained if scene.lens.pupil_of_photo[index] == group]
        if nominal is not None and members:
            chosen[group] = _spread(members, _MOST_PHOTOS)
    done, total = 0, sum(map(len, chosen.values()))
    estimates = []
    for group, members in chosen.items():
        errors = []
        with single_threaded_torch(scene.device):
            for index in members:
                errors.append(pupil_errors(scene, photos[index], index))
                done += 1
                progress(done, total)
        factor = pupil_factor(errors)
        if factor is not None:
            diameter = scene.lens.pupil_diameter(members[0]) * factor.value
            nominal = scene.lens.nominal_pupil_diameters_mm[group]
            assert nominal is not None
            estimates.append(Estimate(nominal / diameter, factor.relative_uncertainty))
    best = combined(estimates)
    return None if best is None else Scale(best.value, "blur", best.relative_uncertainty)


def contradiction(known: Scale, blur: Scale) -> str | None:
    """A warning where blur tells another unit than `known` does, by more than both leave open; else None."""
    log_ratio = math.log(blur.unit_mm / known.unit_mm)
    uncertainty = math.hypot(known.relative_uncertainty or 0.0, blur.relative_uncertainty or 0.0)
    if abs(log_ratio) <= _SURE * uncertainty:
        return None
    percent, direction = 100 * abs(math.expm1(log_ratio)), "larger" if log_ratio > 0 else "smaller"
    return (
        f"By the photos' blur the model is {percent:.0f} % {direction} than {_SOURCES[known.source]}, though both "
        f"together are sure to {100 * uncertainty:.0f} %: check that, and the focal length and f-number"
    )


def _spread(members: Sequence[int], most: int) -> list[int]:
    """At most `most` of them, one by chance of each run of neighbours: a fixed step could meet the same shot of each
    focus bracket.
    """
    if len(members) <= most:
        return list(members)
    generator = np.random.default_rng(0)
    edges = np.linspace(0, len(members), most + 1).astype(int)
    return [members[generator.integers(first, last)] for first, last in pairwise(edges)]


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
                residual=sample_dilation(_SAMPLES),
            )
            rendering = scene.exposed(scene.render(view, changed), index)
            colour = linear_to_srgb(rendering.colour).clamp(0, 1)
            errors = (colour - target.image).square().mean(-1)
            squared.append((kinds * errors).sum((1, 2)))
        return PupilErrors(
            squared=torch.stack(squared, 1).double().cpu().numpy(),
            pixels=kinds.sum((1, 2)).cpu().numpy(),
            squared_circles=(kinds * coc.square()).sum((1, 2)).cpu().numpy(),
        )
