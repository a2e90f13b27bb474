# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras as nerfstudio's transforms.json with the keys that docs/formats.md adds. No bpy here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .lens import Lens


@dataclass(frozen=True)
class View:
    """One photo: its name, where it was taken from, and how."""

    name: str
    camera_to_world: np.ndarray  # [4, 4], OpenGL axes, mm, in the subject's frame
    focus_distance_mm: float | None  # depth of the focus plane; None until it is chosen
    turn_degrees: float = 0.0  # of the subject on a turntable, about the vertical axis through its centre
    exposure: float = 1.0  # factor on the light
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors on red, green and blue


def transforms(
    views: Sequence[View],
    lens: Lens,
    width: int,
    height: int,
    folder: str,
    *,
    true: bool,
    masks: str | None = None,
) -> dict[str, Any]:
    """The content of a transforms.json whose images lie in `folder`, relative to the file.

    Args:
        views: the cameras.
        lens: shared by all of them.
        width: of the images, px.
        height: of the images, px.
        folder: of the images.
        true: whether to tell focus distances, exposures and white balances, as a camera does not.
        masks: folder of the photos' masks, where there are any.
    """
    principal_distance = lens.principal_distance_px(width)
    frames = []
    for view in views:
        frame: dict[str, Any] = {
            "file_path": f"{folder}/{view.name}.png",
            "transform_matrix": view.camera_to_world.tolist(),
        }
        if masks is not None:
            frame["mask_path"] = f"{masks}/{view.name}.png"
        if true:
            frame |= _truth(view)
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


def _truth(view: View) -> dict[str, Any]:
    """What is known of a frame beyond its pose, as far as it is not what it is without any imperfection."""
    usual = View(view.name, view.camera_to_world, None)
    truth: dict[str, Any] = {}
    if view.focus_distance_mm is not None:
        truth["focus_distance"] = view.focus_distance_mm
    for name in ("turn_degrees", "exposure", "white_balance"):
        if getattr(view, name) != getattr(usual, name):
            truth[name] = getattr(view, name)
    return truth
