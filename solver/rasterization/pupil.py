# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through many points of the pupil with a rasterizer that knows one: the mean of its images.

From the point (u, v) of the pupil the camera is moved by (u, v, 0) in its own axes, and the principal point by
(f_x u / d0, f_y v / d0), so that what lies in the focus plane d0 does not move in the image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from solver.rasterization import spherical_harmonics
from solver.rasterization.projection import camera_centre
from solver.rasterization.types import Aperture, RasterizationSettings, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def render(
    render_one: Callable[..., tuple[Tensor, Tensor, Tensor]],
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor,  # [N, S, 3]
    extras: Tensor | None,  # [N, E]
    view: View,
    aperture: Aperture | None,
    sh_degree: int,
    settings: RasterizationSettings,
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W, 4 + E], [H, W], [N] bool
    """What `render_one`, a backend's own `render`, gives for the samples of the aperture; all else as there."""
    if aperture is None or aperture.samples is None:
        return render_one(
            means, quaternions, scales, opacities, sh_coefficients, extras, view, aperture, sh_degree, settings
        )
    directions = means - camera_centre(view.world_to_camera)
    colours = torch.clamp(spherical_harmonics.evaluate(sh_degree, directions, sh_coefficients) + 0.5, min=0)
    constant = ((colours - 0.5) / spherical_harmonics.C0)[:, None]
    dilation = replace(aperture, pupil_diameter=aperture.pupil_diameter * aperture.residual, samples=None, residual=1.0)
    images, alphas, visible = zip(
        *(
            render_one(
                means,
                quaternions,
                scales,
                opacities,
                constant,
                extras,
                _seen_from(sample.to(view.K) * aperture.pupil_diameter, view, aperture.inverse_focus_distance),
                dilation,
                0,
                settings,
            )
            for sample in aperture.samples
        ),
        strict=True,
    )
    return torch.stack(images).mean(0), torch.stack(alphas).mean(0), torch.stack(visible).any(0)


def _seen_from(point: Tensor, view: View, inverse_focus_distance: Tensor) -> View:  # [2], scene unit
    """The view from a point of the pupil."""
    motion = torch.nn.functional.pad(point, (0, 2))  # [4]
    shift = torch.stack([view.K[0, 0], view.K[1, 1]]) * point * inverse_focus_distance
    return replace(
        view,
        world_to_camera=view.world_to_camera - torch.nn.functional.pad(motion[:, None], (3, 0)),
        K=view.K + torch.nn.functional.pad(shift[:, None], (2, 0, 0, 1)),
    )
