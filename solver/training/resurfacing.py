# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians set anew on the surface that a run has found so far, in the colours of the photos that are in focus there.

Blur hides layers behind each other, so what training on blurred photos finds is a thick cloud; and detail reaches a
Gaussian slowly where one photo in ten holds it in focus. The depth maps of all photos agree on one thin surface in
the middle of the cloud (`solver.fusion.volume`), and the pixels in focus have the detail already. What lies away from
that surface (thin parts, which fusion loses) stays as it is.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import KDTree

from solver.fusion.volume import Surface, surface_of
from solver.gaussians.densification import finite
from solver.gaussians.initialization import round_gaussians
from solver.gaussians.model import Gaussians
from solver.optics.circle_of_confusion import circle_of_confusion_px
from solver.optics.colour import srgb_to_linear
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo

_RESOLUTION = 192  # voxels along the longest side
_MOST_VIEWS = 60  # that the surface is fused from; more do not make it better, and take memory
_LEAST_VIEWS = 2  # that must see a point of the surface
_LEAST_POINTS = 100  # fewer make no surface
_OPACITY = 0.8  # of new Gaussians: they are known to be on the surface, not to hide what may be behind it


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
    """New Gaussians for `share` of the budget, and for the rest the strongest of the old ones that lie elsewhere.

    Args:
        scene: as it is.
        photos: all of the capture.
        indices: of the photos to take depth and colours from.
        budget: of Gaussians altogether.
        share: of the budget for new ones.
        generator: of the choice of points.
        focus_known: whether the scene's lens says where photos are in focus; else a point has the colour that the
            nearest camera sees.

    Returns:
        The set, on the scene's device; None where the photos show no common surface.
    """
    chosen = list(indices)
    if len(chosen) > _MOST_VIEWS:  # at random: every second one could be the same step of each focus bracket
        chosen = sorted(generator.choice(chosen, _MOST_VIEWS, replace=False).tolist())
    depths = [_depth(scene, photos[index]) for index in chosen]
    surface = surface_of([photos[index].photo for index in chosen], depths, _RESOLUTION)
    if surface is None:
        return None
    positions = points_of(surface, int(share * budget), generator)
    seen, colours = colours_in_focus(scene, photos, chosen, surface, positions, focus_known)
    positions, colours = positions[seen], colours[seen]
    if len(positions) < _LEAST_POINTS:
        return None
    old = scene.gaussians.detached()
    usable = finite(old)
    old = old.map(lambda tensor: tensor[usable])
    new = round_gaussians(positions, colours, old.sh_degree, scene.scene_size, generator)
    new.opacity_logits.fill_(float(np.log(_OPACITY / (1 - _OPACITY))))
    strength = old.opacities * old.log_scales.mean(1).mul(1.5).exp()  # between what it covers and what it fills
    away = KDTree(surface.vertices).query(old.means.cpu().numpy())[0] > surface.tolerance
    strength = strength * torch.from_numpy(away).to(strength.device)
    kept = strength.topk(min(budget - len(new), int(away.sum()))).indices
    return Gaussians(
        **{
            name: torch.cat([tensor.to(scene.device), getattr(old, name)[kept]])
            for name, tensor in new.tensors().items()
        }
    )


def points_of(surface: Surface, count: int, generator: np.random.Generator) -> np.ndarray:  # [count, 3], world
    """Random points of a surface, as many on each patch as its area is large."""
    corners = surface.vertices[surface.faces]  # [F, 3, 3]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(first, second), axis=1)
    faces = generator.choice(len(areas), count, p=areas / areas.sum())
    along = generator.random((2, count, 1))
    along = np.where(along.sum(0) > 1, 1 - along, along)  # the other half of the parallelogram, folded back
    return corners[faces, 0] + along[0] * first[faces] + along[1] * second[faces]


def colours_in_focus(
    scene: Reconstruction,
    photos: Sequence[TrainingPhoto],
    indices: Sequence[int],
    surface: Surface,
    positions: np.ndarray,  # [P, 3], world
    focus_known: bool,
) -> tuple[np.ndarray, np.ndarray]:  # [P] bool, [P, 3] linear light
    """Which points at least two photos see, and each point's colour where the smallest circle of confusion shows it.

    Args:
        scene: whose lens is asked.
        photos: all of the capture.
        indices: of the photos that `surface` was fused from, in its order.
        surface: says what hides what.
        positions: of the points.
        focus_known: whether to ask the lens; else the photo from the nearest place is taken.
    """
    colours, smallest, views = np.zeros((len(positions), 3)), np.full(len(positions), np.inf), np.zeros(len(positions))
    for index, depth in zip(indices, surface.trusted_depths, strict=True):
        entry = photos[index]
        pixels, distances, inside = entry.photo.project(positions)
        points = np.flatnonzero(inside)
        columns, rows = pixels[points].astype(int).T
        sees = np.abs(depth[rows, columns] - distances[points]) <= surface.tolerance
        points, rows, columns = points[sees], rows[sees], columns[sees]
        views[points] += 1
        blur = distances[points]
        if focus_known:
            with torch.no_grad():
                blur = circle_of_confusion_px(
                    torch.from_numpy(distances[points]).to(scene.device),
                    scene.lens.pupil_diameter(index),
                    scene.lens.inverse_focus_distance(index),
                    entry.photo.camera.fx,
                ).cpu()
            blur = np.asarray(blur)
        better = blur < smallest[points]
        points, rows, columns = points[better], rows[better], columns[better]
        smallest[points] = blur[better]
        light = srgb_to_linear(entry.image.cpu().numpy()[rows, columns])
        colours[points] = light if scene.exposures is None else light / scene.exposures.gains(index)
    return views >= _LEAST_VIEWS, colours


def _depth(scene: Reconstruction, entry: TrainingPhoto) -> np.ndarray:  # [H, W] float32, 0 where nothing is
    with torch.no_grad():
        depth = expected_depth(scene.render(view_of_photo(entry.photo, scene.device)))
        if entry.mask is not None:
            depth = depth * (entry.mask > 0.5)
        return depth.cpu().numpy()
