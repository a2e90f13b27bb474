# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as nerfstudio's transforms.json with the keys that docs/formats.md adds. No bpy here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .lens import Lens


@dataclass(frozen=True)
class View:
    """One photo: its name, where it was taken from, and what it was focused on."""

    name: str
    camera_to_world: np.ndarray  # [4, 4], OpenGL axes, mm
    focus_distance_mm: float | None  # depth of the focus plane; None until it is chosen


def transforms(
    views: Sequence[View],
    lens: Lens,
    width: int,
    height: int,
    folder: str,
    *,
    with_focus: bool,
) -> dict[str, Any]:
    """The content of a transforms.json whose images lie in `folder`, relative to the file.

    Args:
        views: the cameras.
        lens: shared by all of them.
        width: of the images, px.
        height: of the images, px.
        folder: of the images.
        with_focus: whether to tell the focus distances, which a real camera does not.
    """
    principal_distance = lens.principal_distance_px(width)
    frames = []
    for view in views:
        frame: dict[str, Any] = {
            "file_path": f"{folder}/{view.name}.png",
            "transform_matrix": view.camera_to_world.tolist(),
        }
        if with_focus and view.focus_distance_mm is not None:
            frame["focus_distance"] = view.focus_distance_mm
        frames.append(frame)
    return {
        "camera_model": "OPENCV",
        "fl_x": principal_distance,
        "fl_y": principal_distance,
        "cx": width / 2,
        "cy": height / 2,
        "w": width,
        "h": height,
        "unit_mm": 1.0,
        "f_number": lens.f_number,
        "focal_length_mm": lens.focal_length_mm,
        "sensor_width_mm": lens.sensor_width_mm,
        "frames": frames,
    }
