# SPDX-License-Identifier: GPL-3.0-or-later
"""What every rasterizer takes and gives.

Notation: N Gaussians, S = (sh_degree + 1)^2 spherical-harmonics coefficients, E extra channels, an image of
H x W pixels whose centres are at +0.5. World and camera axes are OpenCV's (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["cpu", "reference", "gsplat"]


@dataclass(frozen=True)
class View:
    """A pinhole camera."""

    world_to_camera: Tensor  # [4, 4]
    K: Tensor  # [3, 3], px
    width: int  # px
    height: int  # px


@dataclass(frozen=True)
class Aperture:
    """What turns a pinhole into a lens: where its light comes from and where it is focused
    (docs/how_it_works.md).
    """

    pupil_diameter: Tensor  # [], entrance pupil, scene unit
    inverse_focus_distance: Tensor  # [], 1 / scene unit; 0 is focus at infinity
    samples: Tensor | None = None  # [M, 2], points of the pupil, in its diameters from its centre; None is the centre
    residual: float = 1.0  # diameter that each sample's dilation spans, in pupil diameters


@dataclass(frozen=True)
class Rendering:
    """A rasterized image. Colour, depth and extras are sums weighted by alpha times transmittance."""

    colour: Tensor  # [H, W, 3], linear light, over the background where one was given
    depth: Tensor  # [H, W], weighted sum of z; divide by alpha for the expected depth
    alpha: Tensor  # [H, W]
    extras: Tensor | None  # [H, W, E]
    visible: Tensor  # [N] bool, the Gaussian touches the image


@dataclass(frozen=True)
class RasterizationSettings:
    """Constants of the rasterizer; the defaults are gsplat 1.5's."""

    eps2d: float = 0.3  # variance added to every projected Gaussian, px^2
    antialiased: bool = False  # scale opacity so that eps2d keeps a Gaussian's energy
    near_plane: float = 0.01  # scene unit
    far_plane: float = 1e10  # scene unit
