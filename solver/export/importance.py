# SPDX-License-Identifier: GPL-3.0-or-later
"""Which splats a result can best do without: how much of its photos each of them makes up."""

from collections.abc import Callable

import numpy as np
import torch

from solver.training.reconstruction import Reconstruction, view_of_photo


def importance(
    scene: Reconstruction, progress: Callable[[int, int], None] = lambda done, total: None
) -> np.ndarray:  # [N] float64, px
    """The pixels that each Gaussian makes up, over all photos seen through a pinhole.

    A pixel is a sum of Gaussians with weights (alpha times transmittance). The sum of a Gaussian's weights is the
    derivative of the sum of all pixels by a feature that is composited like its colour.

    Args:
        scene: N Gaussians.
        progress: called with (photos done, photos).
    """
    photos = scene.capture.photos
    total = np.zeros(len(scene.gaussians))
    for done, photo in enumerate(photos):
        feature = torch.ones(len(scene.gaussians), 1, device=scene.device, requires_grad=True)
        rendering = scene.render(view_of_photo(photo, scene.device), extras=feature)
        assert rendering.extras is not None
        rendering.extras.sum().backward()
        assert feature.grad is not None
        total += feature.grad[:, 0].double().cpu().numpy()
        progress(done + 1, len(photos))
    return total
