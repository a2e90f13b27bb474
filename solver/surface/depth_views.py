# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scene looks like, sharp, from each photo: the raw material of mesh, texture and images."""

import torch

from solver.capture.types import Photo
from solver.fusion.views import SharpView
from solver.training.reconstruction import Reconstruction, view_of_photo
from solver.training.surface_depth import surface_depth


def render_sharp(scene: Reconstruction, photo: Photo) -> SharpView:
    """Render what the photo would show with everything in focus, and how deep its surface lies."""
    view = view_of_photo(photo, scene.device)
    with torch.no_grad():
        return SharpView(
            photo=photo,
            colour=scene.render(view).colour.cpu().numpy(),
            depth=surface_depth(scene, view).cpu().numpy(),
        )
