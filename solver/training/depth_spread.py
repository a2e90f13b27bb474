# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the Gaussians that make a pixel lie apart along its ray.

Blur through a lens hides layers behind each other: a thick cloud looks in every photo like the surface in its middle,
and comes apart where a view is sharp. Notation: w_i the weight of Gaussian i at a pixel (alpha times transmittance),
z_i its depth. The spread is  sum w z^2 - (sum w z)^2 / sum w,  the variance of depth times the pixel's alpha. Times 2
alpha it is the sum of w_i w_j (z_i - z_j)^2: the depth distortion of Huang et al. 2024, "2D Gaussian Splatting", with
squares.
"""

from torch import Tensor

from solver.rasterization import Rendering, View


def squared_depths(
    means: Tensor,  # [N, 3]
    view: View,
    centre_depth: float,
    size: float,
) -> Tensor:  # [N, 1]
    """Squares of the Gaussians' depths, from `centre_depth` on, in units of `size`, to be composited as extras."""
    row = view.world_to_camera[2]
    return (((means @ row[:3] + row[3] - centre_depth) / size) ** 2)[:, None]


def depth_spread(
    rendering: Rendering,  # with `squared_depths` as its extras
    centre_depth: float,
    size: float,
) -> Tensor:  # [H, W], in squares of `size`
    """The spread of each pixel."""
    assert rendering.extras is not None
    first = (rendering.depth - centre_depth * rendering.alpha) / size
    return rendering.extras[..., 0] - first.square() / rendering.alpha.clamp(min=1e-3)
