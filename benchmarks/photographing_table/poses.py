# SPDX-License-Identifier: GPL-3.0-or-later
"""How far found poses are from the true ones, once the worlds are brought together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.transforms import read_transforms
from solver.evaluation.alignment import align_cameras
from solver.evaluation.truth import TrueView, read_ground_truth

Poses = Mapping[str, np.ndarray]  # [4, 4] world_to_camera by the photo's name


def read_poses(transforms: Path) -> tuple[dict[str, np.ndarray], float]:
    """The poses of a capture or result by the photos' names, and the first camera's principal distance in widths."""
    frames = read_transforms(transforms, images_required=False).frames
    camera = frames[0].camera
    return {Path(str(f.frame.get("sharp_path") or f.name)).stem: f.world_to_camera for f in frames}, (
        camera.fx / camera.width
    )


def pose_errors(found: Poses, true: Poses) -> dict[str, float | None]:
    """Errors after a similarity alignment from the cameras that both have.

    Returns:
        median and largest error of rotation, degrees, and the RMS error of the camera's centre as a share of its
        distance to what the cameras look at. None with fewer than three photos in common.
    """
    names = sorted(found.keys() & true.keys())
    if len(names) < 3:
        return {"rotation_median_degrees": None, "rotation_largest_degrees": None, "position_rms": None}
    alignment = align_cameras([found[name] for name in names], [true[name] for name in names])
    rotations, offsets = [], []
    for name in names:
        moved = alignment.camera(found[name])
        turn = moved[:3, :3] @ true[name][:3, :3].T
        rotations.append(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
        offsets.append(np.linalg.norm(_centre(moved) - _centre(true[name])))
    target = _looked_at([true[name] for name in names])
    distance = np.mean([np.linalg.norm(_centre(true[name]) - target) for name in names])
    return {
        "rotation_median_degrees": float(np.median(rotations)),
        "rotation_largest_degrees": float(np.max(rotations)),
        "position_rms": float(np.sqrt(np.mean(np.square(offsets))) / distance),
    }


def shift_px(found: Poses, focal: float, views: Sequence[TrueView]) -> float | None:
    """How far the surfaces that photos see are shifted in them by the errors of aligned poses and of the focal length.

    Args:
        found: the poses.
        focal: principal distance, image widths.
        views: the truth.

    Returns:
        the median over every 25th pixel, px; None with fewer than three photos in common.
    """
    common = [view for view in views if view.name in found]
    if len(common) < 3:
        return None
    alignment = align_cameras([found[view.name] for view in common], [view.photo.world_to_camera for view in common])
    shifts = []
    for view in common:
        depth = view.depth()[::5, ::5]
        rows, columns = np.nonzero(depth)
        points = view.photo.unproject(5 * rows, 5 * columns, depth[rows, columns])
        length = focal * view.photo.camera.width
        camera = replace(view.photo.camera, fx=length, fy=length)
        there = replace(view.photo, camera=camera, world_to_camera=alignment.camera(found[view.name]))
        shifts.append(np.linalg.norm(there.project(points)[0] - view.photo.project(points)[0], axis=1))
    return float(np.median(np.concatenate(shifts)))


def compare(result: Path, capture: Path) -> dict[str, Any]:
    """The poses of the result folder against those of the capture's truth: their errors, how many, and the lens's."""
    found, focal = read_poses(result / "transforms.json")
    true, true_focal = read_poses(capture / "ground_truth" / "transforms.json")
    return {
        "shift_median_px": shift_px(found, focal, read_ground_truth(capture).photos),
        "photos": len(true),
        "photos_with_pose": len(found.keys() & true.keys()),
        "focal_length_error": focal / true_focal - 1,
        **pose_errors(found, true),
    }


def _centre(world_to_camera: np.ndarray) -> np.ndarray:  # [4, 4] -> [3]
    return -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]


def _looked_at(cameras: list[np.ndarray]) -> np.ndarray:  # [4, 4] each -> [3]
    """The point nearest to all optical axes, in the least squares."""
    across = [np.eye(3) - np.outer(camera[2, :3], camera[2, :3]) for camera in cameras]
    moments = np.sum([a @ _centre(camera) for a, camera in zip(across, cameras, strict=True)], axis=0)
    return np.linalg.solve(np.sum(across, axis=0), moments)
