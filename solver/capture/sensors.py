# SPDX-License-Identifier: GPL-3.0-or-later
"""Widths of camera sensors, from the makers' published specifications (sensor_widths.csv).

The table is kept to what is sure: a wrong width costs the poses, an absent one only a hint. Most cameras that
are not in it tell by their focal plane resolution, or by their focal length's 35 mm equivalent.
"""

import csv
from functools import cache
from pathlib import Path

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
