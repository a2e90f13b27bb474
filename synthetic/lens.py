# SPDX-License-Identifier: GPL-3.0-or-later
"""The thin lens that Cycles renders with, and the blur it makes.

Notation: f focal length, N f-number, D = f / N diameter of the entrance pupil, d depth, d0 depth of the focus plane;
f_px the principal distance in pixels. Cycles has no focus breathing: f_px is f over the sensor's width at any focus.
A point at depth d is spread over a uniform disc of diameter

    c = D f_px |1/d - 1/d0|

(equation (1) of solver/optics/circle_of_confusion.py; Cycles follows it). With aperture blades the disc is replaced by
the regular polygon that is inscribed in it: as the camera's own view of its aperture behind the focus plane, and turned
by half a turn before it.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lens:
    """A lens with its sensor, as engraved."""

    focal_length_mm: float
    f_number: float
    sensor_width_mm: float  # along the image's width
    blades: int = 0  # of the aperture, 3 or more; 0 is a round one
    blade_rotation_degrees: float = 0.0  # of the middle of an edge, anticlockwise from the right, seen by the camera

    @property
    def pupil_diameter_mm(self) -> float:
        """Diameter of the entrance pupil."""
        return self.focal_length_mm / self.f_number

    def principal_distance_px(self, width: int) -> float:
        """Distance from the pupil's centre to the image, in pixels of an image `width` pixels wide."""
        return self.focal_length_mm / self.sensor_width_mm * width

    def distance_mm(self, field_width_mm: float) -> float:
        """The depth at which the frame is `field_width_mm` wide."""
        return field_width_mm * self.focal_length_mm / self.sensor_width_mm

    @property
    def kernel_variance(self) -> float:
        """Variance of the blur kernel on each axis, px^2, over the square of the circle of confusion's diameter.

        A uniform disc of radius R has R^2/4 on each axis. A regular polygon of n corners in it consists of isosceles
        triangles of height a = R cos(pi/n) and half base s = R sin(pi/n); over one, seen from its apex, the mean of
        x^2 + y^2 is a^2/2 + s^2/6 = R^2 (2 + cos(2 pi/n)) / 6. Half of it falls to each axis, since a regular polygon
        of three corners or more has no preferred one.
        """
        return (2 + math.cos(2 * math.pi / self.blades)) / 48 if self.blades else 1 / 16

    def circle_of_confusion_px(
        self,
        depth_mm: np.ndarray,  # [...], 0 where nothing was hit
        focus_distance_mm: float,
        width: int,  # px, of the image
    ) -> np.ndarray:  # [...]
        """Diameter of the blur disc; where nothing was hit, that of a point at infinity."""
        inverse_depth = np.divide(1.0, depth_mm, out=np.zeros(depth_mm.shape), where=depth_mm > 0)
        spread = self.pupil_diameter_mm * self.principal_distance_px(width)
        return spread * np.abs(inverse_depth - 1 / focus_distance_mm)
