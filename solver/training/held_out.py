# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring on photos: those trained on, and those kept out, whose focus distance nobody knows yet.

Where poses learn, those of photos kept out are as far off as all were, and are found in the same way as their focus.
"""

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from solver.optics.colour import linear_to_srgb
from solver.training.camera_refinement import CameraRefinement
from solver.training.losses import photo_loss
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo

_POSE_STEPS = 60  # to find the pose of a photo
_POSE_RATES = (5e-3, 2e-4)  # learning rate at their beginning and end, in the units of `CameraRefinement`
_GRID = 9  # focus distances tried before the search is refined between the best one's neighbours


def psnr_of_photo(scene: Reconstruction, index: int, target: TrainingPhoto, *, defocused: bool) -> float | None:
    """PSNR of the rendering against the photo in sRGB, dB, over its mask; None where the mask is empty."""
    with torch.no_grad():
        aperture = scene.aperture(index) if defocused else None
        rendering = scene.photograph(index, view_of_photo(target.photo, scene.device), aperture).rendering
        squared = (linear_to_srgb(rendering.colour).clamp(0, 1) - target.image).square()
        if target.mask is None:
            error = float(squared.mean())
        elif float(target.mask.sum()) == 0:
            return None
        else:
            error = float((squared * target.mask[..., None]).sum() / (3 * target.mask.sum()))
    return -10 * float(np.log10(max(error, 1e-10)))


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
