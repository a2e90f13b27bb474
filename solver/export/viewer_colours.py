# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours with which viewers show what was trained, though they blend sRGB values and the run blends linear light.

Where splats are opaque the two are one. Where many faint ones overlap, as they do after training, they differ; then
coefficients are fitted to the photos' views, everything else of the splats being as it is.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from solver.export.splats import Splats
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb
from solver.training.reconstruction import Reconstruction, view_of_photo

_PASSES = 5  # over the photos
_MOST_STEPS = 300  # a step takes about as long as one of training
_CONSTANT_RATE, _REST_RATE = 0.02, 0.002  # of Adam, falling to a tenth


def fitted_to_viewers(
    splats: Splats, scene: Reconstruction, progress: Callable[[int, int], None] = lambda done, total: None
) -> Splats:
    """The same splats with coefficients that, blended in sRGB, look like the scene from the places of its photos.

    Args:
        splats: all those of the scene, in its order; their colours are where the fit begins.
        scene: what they are to look like.
        progress: called with (steps done, steps).
    """
    constant, rest = (
        torch.tensor(part, device=scene.device).requires_grad_()
        for part in (splats.coefficients[:, :1], splats.coefficients[:, 1:])
    )
    shown = replace(
        scene,
        gaussians=Gaussians(**{**scene.gaussians.detached().tensors(), "sh_constant": constant, "sh_rest": rest}),
        background=linear_to_srgb(scene.background.detach().clamp(min=0)),
        active_sh_degree=splats.degree,
    )
    views = [view_of_photo(photo, scene.device) for photo in scene.capture.photos]
    optimizer = torch.optim.Adam([{"params": [constant], "lr": _CONSTANT_RATE}, {"params": [rest], "lr": _REST_RATE}])
    generator = torch.Generator().manual_seed(0)
    order = torch.cat([torch.randperm(len(views), generator=generator) for _ in range(_PASSES)])[:_MOST_STEPS].tolist()
    steps = len(order)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / steps))
    for done, index in enumerate(order, start=1):
        with torch.no_grad():
            wanted = linear_to_srgb(scene.render(views[index]).colour.clamp(0, 1))
        optimizer.zero_grad()
        (shown.render(views[index]).colour - wanted).square().mean().backward()
        optimizer.step()
        schedule.step()
        progress(done, steps)
    return replace(splats, coefficients=torch.cat([constant, rest], dim=1).detach().cpu().numpy())
