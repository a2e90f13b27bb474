# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring on photos: those trained on, and those kept out, whose focus distance nobody knows yet.

Where poses and exposures learn, those of photos kept out are found in the same way as their focus.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from solver.config import ReconstructionSettings
from solver.optics.colour import srgb_to_linear
from solver.training.camera_refinement import CameraRefinement, adopt_cameras
from solver.training.exposures import Exposures
from solver.training.losses import photo_loss, psnr
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo
from solver.training.stages import uses_defocus
from solver.training.torch_threads import single_threaded_torch

_POSE_STEPS = 60  # to find the pose of a photo
_POSE_RATES = (5e-3, 2e-4)  # learning rate at their beginning and end, in the units of `CameraRefinement`
_CLIPPED = 0.98  # sRGB value from which a pixel does not tell its light
_GRID = 9  # focus distances tried before the search is refined between the best one's neighbours


def is_held_out(index: int, settings: ReconstructionSettings) -> bool:
    """Whether the photo at `index` is kept for measuring."""
    return settings.hold_out > 0 and index % settings.hold_out == 0


def fit_held_out(
    scene: Reconstruction,
    photos: list[TrainingPhoto],
    cameras: CameraRefinement | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[TrainingPhoto]:
    """Find the focus of the photos that were not trained on and, where they learn, their exposures and poses.

    What was found before is forgotten first, so that a finished run that is resumed finds the same again.

    Args:
        scene: which they show; its lens, exposures and cameras take what is found.
        photos: all of the capture.
        cameras: of the capture, where they learn.
        progress: called with (photos done, photos held out).

    Returns:
        The photos with their cameras as they were found.
    """
    held_out = [index for index in range(len(photos)) if is_held_out(index, scene.settings)]
    if cameras is not None:
        for index in held_out:
            cameras.forget(index)
        photos = adopt_cameras(scene, photos, cameras)
    with single_threaded_torch(scene.device):
        for done, index in enumerate(held_out):
            _fit_light(scene, index, photos[index])
            if cameras is not None:
                fit_pose(scene, cameras, index, photos[index], uses_defocus(scene.settings))
                photos = adopt_cameras(scene, photos, cameras)
                _fit_light(scene, index, photos[index])
            progress(done + 1, len(held_out))
    return photos


def _fit_light(scene: Reconstruction, index: int, target: TrainingPhoto) -> None:
    """What can be found without moving the camera."""
    if scene.exposures is not None:
        fit_exposure(scene, scene.exposures, index, target)
    if uses_defocus(scene.settings):
        fit_focus(scene, index, target)


def psnr_of_photo(scene: Reconstruction, index: int, target: TrainingPhoto, *, defocused: bool) -> float | None:
    """PSNR of the rendering against the photo in sRGB, dB, over its mask; None where the mask is empty."""
    with torch.no_grad():
        aperture = scene.aperture(index) if defocused else None
        rendering = scene.photograph(index, view_of_photo(target.photo, scene.device), aperture).rendering
    return psnr(rendering.colour, target.image, target.mask)


def fit_focus(scene: Reconstruction, index: int, target: TrainingPhoto) -> None:
    """Find the focus distance of a photo that was not trained on, by what blurs the scene most like it.

    One number is fitted to a whole photo; everything else stays. The pupil is that of the photos of its f-number.
    """
    with torch.no_grad():
        depth = expected_depth(scene.render(view_of_photo(target.photo, scene.device)))
        if target.mask is not None:
            depth = depth * (target.mask > 0.5)
        depths = depth[depth > 0].cpu().numpy()
    if len(depths) == 0:
        return
    low, high = np.percentile(1 / depths, [1, 99])

    def error(inverse_focus: float) -> float:
        scene.lens.inverse_focus_distances[index] = torch.tensor(
            inverse_focus, dtype=torch.float32, device=scene.device
        )
        return -(psnr_of_photo(scene, index, target, defocused=True) or 0.0)

    grid = np.linspace(low, high, _GRID)
    best = int(np.argmin([error(value) for value in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)])
    found = minimize_scalar(error, bounds=bounds, method="bounded", options={"maxiter": 12})
    error(float(found.x))


def fit_exposure(scene: Reconstruction, exposures: Exposures, index: int, target: TrainingPhoto) -> None:
    """Find the exposure of a photo that was not trained on: its light over that of the scene, for each colour.

    Blur and small errors of a pose move light about and leave its sum alone, so that they need not be known.
    """
    with torch.no_grad():
        colour = scene.render(view_of_photo(target.photo, scene.device)).colour.clamp(min=0)
        tells = (target.image < _CLIPPED).all(-1, keepdim=True)
        if target.mask is not None:
            tells = tells * target.mask[..., None]
        shown, seen = ((tells * light).sum((0, 1)) for light in (srgb_to_linear(target.image), colour))
        if float(shown.min()) > 0 and float(seen.min()) > 0:
            exposures.log_gains[index].copy_((shown / seen).log())


def fit_pose(
    scene: Reconstruction, cameras: CameraRefinement, index: int, target: TrainingPhoto, defocused: bool
) -> None:
    """Find the pose of a photo that was not trained on, by what makes the scene look most like it.

    Six numbers, `cameras.increments[index]`, are fitted to a whole photo; everything else stays.

    Args:
        scene: which the photo shows.
        cameras: of the capture.
        index: the photo's.
        target: its pixels.
        defocused: whether to look through its lens.
    """
    increment = cameras.increments[index]
    optimizer = torch.optim.Adam([increment])
    first, last = _POSE_RATES
    for step in range(_POSE_STEPS):
        optimizer.param_groups[0]["lr"] = first * (last / first) ** (step / _POSE_STEPS)
        aperture = scene.lens.aperture(index) if defocused else None
        rendering = scene.photograph(index, cameras.view(index), aperture).rendering
        loss = photo_loss(rendering.colour, target.image, target.mask, None, scene.settings.ssim_weight)
        (increment.grad,) = torch.autograd.grad(loss, increment)
        optimizer.step()
