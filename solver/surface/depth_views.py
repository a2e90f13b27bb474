# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scene looks like, sharp, from each photo: the raw material of mesh and images."""

import torch

from solver.capture.types import Photo
from solver.fusion.views import SharpView
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo


def render_sharp(scene: Reconstruction, photo: Photo) -> SharpView:
    """Render what the photo would show with everything in focus."""
    with torch.no_grad():
        rendering = scene.render(view_of_photo(photo, scene.device))
        return SharpView(
            photo=photo,
            colour=rendering.colour.cpu().numpy(),
            depth=expected_depth(rendering).cpu().numpy(),
        )
