# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the surface is that a pixel shows: not in the middle of the cloud of Gaussians, but at its near side."""

import numpy as np
import torch
from torch import Tensor

from solver.rasterization import View
from solver.training.reconstruction import Reconstruction, expected_depth
from solver.training.torch_threads import single_threaded_torch

SURFACE_SHARE = 0.2  # of what makes a pixel lies before the surface; see `surface_depth`
_LEAST_ALPHA = 0.5  # of a pixel that shows a surface
_BINS = 24  # of depth
_BINS_AT_ONCE = 4  # with three features each
_DEVIATIONS = 2.0  # standard ones of a pixel's depths, that the bins reach to on either side
_OUTLIERS = 0.5  # per cent of the pixels on either side whose depth the bins need not reach


def surface_depth(scene: Reconstruction, view: View, share: float = SURFACE_SHARE) -> Tensor:  # [H, W]
    """How deep each pixel's surface lies, scene unit: where `share` of what makes it is passed; 0 where there is none.

    Blur hides layers behind each other but not in front of the surface, where they would show against what other photos
    see. So the cloud that training finds reaches from the surface backwards, its mean lies behind the surface, and it
    floats between two surfaces at an edge; a quantile does neither.

    Weights are gathered in bins of depth with their mean and variance, and spread evenly over as much depth within
    a bin as these tell: exact for a thin surface wherever in its bin it lies.
    """
    with torch.no_grad(), single_threaded_torch(scene.device):
        places = scene.gaussians.means @ view.world_to_camera[2, :3] + view.world_to_camera[2, 3]
        centre = places.median()  # squares of what is left keep their digits in single precision
        rendering = scene.render(view, extras=(places - centre).square()[:, None])
        assert rendering.extras is not None
        mean = expected_depth(rendering, _LEAST_ALPHA)
        known = mean > 0
        if not known.any():
            return torch.zeros_like(mean)
        square = rendering.extras[..., 0] / rendering.alpha.clamp(min=1e-6)
        reach = _DEVIATIONS * (square - (mean - centre).square()).clamp(min=0).sqrt()
        low = np.percentile((mean - reach)[known].cpu().numpy(), _OUTLIERS)
        high = np.percentile((mean + reach)[known].cpu().numpy(), 100 - _OUTLIERS)
        margin = 1e-3 * high
        edges = torch.linspace(float(low - margin), float(high + margin), _BINS + 1, device=scene.device)
        places = places.clamp(edges[0], edges[-1] - 1e-6 * edges[-1])  # what lies outside is in the outermost bins
        depth, passed = torch.zeros_like(mean), torch.zeros_like(mean)
        wanted = share * rendering.alpha
        for first in range(0, _BINS, _BINS_AT_ONCE):
            for middle, weight, offset, square in _binned(
                scene, view, places, edges[first : first + _BINS_AT_ONCE + 1]
            ):
                here = (passed < wanted) & (passed + weight >= wanted)
                part = weight.clamp(min=1e-12)
                deviation = (square / part - (offset / part).square()).clamp(min=0).sqrt()
                place = (wanted - passed) / part - 0.5  # within the bin's weight, from its middle
                found = middle + offset / part + 12**0.5 * place * deviation
                depth = torch.where(here, found, depth)
                passed = passed + weight
        return torch.where(known & (depth > 0), depth, torch.where(known, mean, 0))


def _binned(
    scene: Reconstruction,
    view: View,
    depths: Tensor,  # [N], of the Gaussians, scene unit
    edges: Tensor,  # [B + 1], scene unit
) -> list[tuple[float, Tensor, Tensor, Tensor]]:
    """For each bin its middle, and of each pixel the weight in it, that times distance from the middle, and squared."""
    middles = (edges[1:] + edges[:-1]) / 2
    offset = depths[:, None] - middles
    inside = ((depths[:, None] >= edges[:-1]) & (depths[:, None] < edges[1:])).float()
    features = torch.stack([inside, inside * offset, inside * offset.square()], dim=-1)  # [N, B, 3]
    extras = scene.render(view, extras=features.flatten(1)).extras
    assert extras is not None
    sums = [extras[..., 3 * i : 3 * i + 3].unbind(-1) for i in range(len(middles))]
    return [
        (float(middle), weight, first, second) for middle, (weight, first, second) in zip(middles, sums, strict=True)
    ]
