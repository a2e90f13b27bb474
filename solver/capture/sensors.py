# SPDX-License-Identifier: GPL-3.0-or-later
"""Widths of camera sensors, from the makers' published specifications (sensor_widths.csv).

The table is kept to what is sure: a wrong width costs the poses, an absent one only a hint. Most cameras that
are not in it tell by their focal plane resolution, or by their focal length's 35 mm equivalent.
"""

import csv
from functools import cache
from pathlib import Path

_FOUR_THIRDS_MM = ((0.0, 12.5), (17.0, 19.0), (40.0, 60.0))  # longer sides of sensors of 4:3; the others are 3:2
_SAME_SHAPE = 0.02  # relative difference: whole pixels, and rims that makers leave out
_TABLE = Path(__file__).with_name("sensor_widths.csv")


@cache
def _widths_mm() -> dict[tuple[str, str], float]:
    """(first word of the make, model), both lower case -> width of the sensor's longer side in mm."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        return {(row["make"], row["model"]): float(row["width_mm"]) for row in csv.DictReader(file)}


def sensor_width_of_model(make: str | None, model: str | None) -> float | None:
    """Width in mm of the sensor's longer side, or None for a model that is not listed.

    Args:
        make: as the camera writes it ("Canon", "NIKON CORPORATION").
        model: as the camera writes it; the maker's name before it is optional ("Canon EOS 600D").
    """
    words = (make or "").lower().split()
    if not words or not model:
        return None
    name = " ".join(model.lower().split()).removeprefix(f"{words[0]} ")
    return _widths_mm().get((words[0], name))


def used_width(width_mm: float, size: tuple[int, int]) -> float:
    """Length in mm of the part of a sensor's longer side that photos of a size (px) use.

    A camera set to a squarer shape than its sensor's leaves out of the longer side, one set to a longer shape out of
    the shorter one.
    """
    shape = max(size) / min(size)
    four_thirds = any(low < width_mm < high for low, high in _FOUR_THIRDS_MM)
    sensor_shape = 4 / 3 if four_thirds else 3 / 2
    return width_mm if shape > (1 - _SAME_SHAPE) * sensor_shape else width_mm * shape / sensor_shape
