# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of a finished scene through a lens: the mean of sharp views from many points of its pupil."""

from collections.abc import Callable

import numpy as np
import torch

from solver.optics.circle_of_confusion import circle_of_confusion_px
from solver.rasterization import Aperture, View
from solver.refocus.aperture import Lens, sample_count, sampled
from solver.training.reconstruction import Reconstruction, expected_depth

_AT_ONCE = 16  # points of the pupil, for the memory that each takes
_FAINT = 0.05  # alpha from which something counts that gaps between points of the pupil would show in
_LARGEST_SHARE = 0.005  # of the surface that may be blurred more than what counts as the largest blur


def photograph(
    scene: Reconstruction,
    view: View,
    lens: Lens | None,
    samples: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:  # [H, W, 3] float32, linear light
    """Take a picture.

    Args:
        scene: what of.
        view: from where.
        lens: through what; None is a pinhole, with all in focus.
        samples: points of the pupil; None is as many as the largest circle of confusion needs.
        progress: called with (points done, points).
    """
    with torch.no_grad():
        if lens is None:
            return scene.render(view).colour.cpu().numpy()
        if samples is None:
            depth = sharp_depth(scene, view, _FAINT)
            samples = sample_count(lens, largest_coc_px(depth, lens, float(view.K[0, 0])))
        points, residual = sampled(lens, samples)
        pupil, inverse_focus = (
            torch.tensor(value, dtype=torch.float32, device=scene.device)
            for value in (lens.pupil_diameter, lens.inverse_focus_distance)
        )
        total = torch.zeros(view.height, view.width, 3, device=scene.device)
        for start in range(0, samples, _AT_ONCE):
            some = points[start : start + _AT_ONCE]
            total += len(some) * scene.render(view, Aperture(pupil, inverse_focus, some, residual)).colour
            progress(min(start + _AT_ONCE, samples), samples)
        return (total / samples).cpu().numpy()


def sharp_depth(scene: Reconstruction, view: View, least_alpha: float = 0.5) -> np.ndarray:  # [H, W]
    """Depth of what a view shows, scene unit, 0 where less than `least_alpha` of a pixel is surface."""
    with torch.no_grad():
        return expected_depth(scene.render(view), least_alpha).cpu().numpy()


def largest_coc_px(depth: np.ndarray, lens: Lens, principal_distance_px: float) -> float:  # [H, W]
    """The circle of confusion, px, that all but a stray part of the surface keeps below; 0 without surface."""
    seen = depth[depth > 0]
    if not len(seen):
        return 0.0
    circles = circle_of_confusion_px(seen, lens.pupil_diameter, lens.inverse_focus_distance, principal_distance_px)
    return float(np.quantile(circles, 1 - _LARGEST_SHARE))
