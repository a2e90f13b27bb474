# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user says about the lens, which beats what photos and camera files say."""

import math
from dataclasses import dataclass, replace

from solver.capture.exif import Exif
from solver.capture.types import Photo
from solver.errors import SolverError

_BOUNDS = {  # what a lens or a sensor can be
    "focal_length_mm": (0.5, 5000),
    "f_number": (0.5, 512),
    "sensor_width_mm": (1, 100),
}


@dataclass(frozen=True)
class LensOverrides:
    """Numbers that hold for all photos of a capture; None leaves what the photos say.

    Raises:
        SolverError: a number is none that a lens or a sensor can have.
    """

    focal_length_mm: float | None = None  # engraved
    f_number: float | None = None  # engraved
    sensor_width_mm: float | None = None  # of its longer side

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                option = name.replace("_", "-")
                raise SolverError(f"--{option} is {value:g}", remedy=f"give a number from {low:g} to {high:g}")

    def of_exif(self, exif: Exif) -> Exif:
        """`exif` with these numbers in place of its own."""
        return replace(
            exif,
            focal_length_mm=self.focal_length_mm or exif.focal_length_mm,
            f_number=self.f_number or exif.f_number,
            sensor_width_mm=self.sensor_width_mm or exif.sensor_width_mm,
        )

    def of_photo(self, photo: Photo) -> Photo:
        """`photo` with these numbers in place of its own."""
        return replace(
            photo,
            focal_length_mm=self.focal_length_mm or photo.focal_length_mm,
            f_number=self.f_number or photo.f_number,
        )
