# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians set anew on the surface that a run has found so far, in the colours of the photos that are in focus there.

Detail reaches a Gaussian slowly where one photo in ten holds it in focus. The pixels in focus have it already: each
becomes a Gaussian at the depth that is rendered there. The strongest of the old ones stay, for what no photo holds in
focus and for what lies behind.
"""

from collections.abc import Sequence

import numpy as np
import torch

from solver.gaussians.initialization import round_gaussians
from solver.gaussians.model import Gaussians
from solver.optics.circle_of_confusion import SHARP_COC_PX, circle_of_confusion_px
from solver.optics.colour import srgb_to_linear
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction, view_of_photo

_LEAST_ALPHA = 0.8  # a pixel that shows less surface has no depth to go by
_LEAST_POINTS = 100  # fewer make no surface


def resurface(
    scene: Reconstruction,
    photos: Sequence[TrainingPhoto],
    indices: Sequence[int],
    budget: int,
    share: float,
    generator: np.random.Generator,
    *,
    focus_known: bool,
) -> Gaussians | None:
    """New Gaussians for `share` of the budget, and the strongest of the old ones for the rest.

    Args:
        scene: as it is.
        photos: all of the capture.
        indices: of the photos to take pixels from.
        budget: of Gaussians altogether.
        share: of the budget for new ones.
        generator: of the choice of pixels.
        focus_known: whether the scene's lens says where photos are in focus; else all pixels count alike.

    Returns:
        The set, on the scene's device; None where too little of the photos shows a surface.
    """
    positions, colours = points_in_focus(scene, photos, indices, int(share * budget), generator, focus_known)
    if len(positions) < _LEAST_POINTS:
        return None
    old = scene.gaussians.detached()
    new = round_gaussians(positions, colours, old.sh_degree, scene.scene_size, generator)
    strength = old.opacities * old.log_scales.mean(1).mul(1.5).exp()  # between what it covers and what it fills
    kept = strength.topk(min(budget - len(new), len(old))).indices
    return Gaussians(
        **{
            name: torch.cat([tensor.to(scene.device), getattr(old, name)[kept]])
            for name, tensor in new.tensors().items()
        }
    )


def points_in_focus(
    scene: Reconstruction,
    photos: Sequence[TrainingPhoto],
    indices: Sequence[int],
    count: int,
    generator: np.random.Generator,
    focus_known: bool,
) -> tuple[np.ndarray, np.ndarray]:  # [<= count, 3] world, [<= count, 3] linear light
    """Random pixels of the photos as points in the world, most of them where a photo is in focus.

    A pixel with a circle of confusion of `SHARP_COC_PX` is half as likely as one in perfect focus.
    """
    drawn, totals = [], []
    for index in indices:
        weights, depth = (map_.ravel() for map_ in _focus_and_depth(scene, photos[index], index, focus_known))
        places = np.flatnonzero(weights)
        totals.append(float(weights.sum()))
        if len(places):
            chances = weights[places] / totals[-1]
            places = generator.choice(places, min(count, len(places)), replace=False, p=chances)
        drawn.append((places.astype(np.int32), depth[places].astype(np.float32)))  # small: count of them for each photo
    positions, colours = [np.zeros((0, 3))], [np.zeros((0, 3))]
    for index, total, (places, depths) in zip(indices, totals, drawn, strict=True):
        taken = int(count * total / max(sum(totals), 1e-12))
        entry = photos[index]
        rows, columns = np.divmod(places[:taken], entry.photo.camera.width)
        positions.append(entry.photo.unproject(rows, columns, depths[:taken]))
        colours.append(srgb_to_linear(entry.image.cpu().numpy()[rows, columns]))
    return np.concatenate(positions), np.concatenate(colours)


def _focus_and_depth(
    scene: Reconstruction, entry: TrainingPhoto, index: int, focus_known: bool
) -> tuple[np.ndarray, np.ndarray]:  # [H, W], [H, W]
    """How likely each pixel of a photo is, 0 where it shows no surface of the subject; and the depth there."""
    with torch.no_grad():
        rendering = scene.render(view_of_photo(entry.photo, scene.device))
        depth = (rendering.depth / rendering.alpha.clamp(min=1e-6)).clamp(min=1e-6)
        weights = ((rendering.alpha >= _LEAST_ALPHA) & depth.isfinite()).double()
        if entry.mask is not None:
            weights = weights * (entry.mask >= 0.5)
        if focus_known:
            coc = circle_of_confusion_px(
                depth, scene.lens.pupil_diameter(index), scene.lens.inverse_focus_distance(index), entry.photo.camera.fx
            )
            weights = weights / (1 + (coc / SHARP_COC_PX) ** 2)
        return weights.cpu().numpy(), depth.cpu().numpy()
