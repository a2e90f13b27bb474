# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a surface from one photo's place."""

from dataclasses import dataclass

import numpy as np

from solver.capture.types import Photo


@dataclass(frozen=True)
class SharpView:
    """A photo's view, rendered through a pinhole."""

    photo: Photo
    colour: np.ndarray  # [H, W, 3] float32, linear light
    depth: np.ndarray  # [H, W] float32, scene unit, 0 where there is no surface
