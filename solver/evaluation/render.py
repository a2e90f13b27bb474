# SPDX-License-Identifier: GPL-3.0-or-later
"""Sharp colour and depth of a reconstruction at any cameras."""

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import torch

from solver.capture.camera_file import CameraFrame
from solver.capture.images import IMAGE_SUFFIXES
from solver.capture.transforms import read_cameras
from solver.errors import SolverError
from solver.export.images import write_exr, write_png
from solver.export.load import load_reconstruction
from solver.files import require_writable_folder
from solver.training.reconstruction import view_of
from solver.training.surface_depth import surface_depth


def render(
    result: Path, cameras: Path, output: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> int:
    """Render every camera of a transforms.json and return their number.

    Files are named after each frame's `file_path`, its folders included unless it is absolute: colour as PNG (sRGB),
    depth as EXR (channel Z, scene unit, 0 where there is no surface). They have the size that the file states.

    Args:
        result: a result folder.
        cameras: the transforms.json, in the result's world; its images need not exist.
        output: folder for the files; created where needed.
        progress: called with (cameras done, cameras).

    Raises:
        SolverError: the result or the camera file is wrong, or a `file_path` leads out of `output`.
    """
    scene = load_reconstruction(result)
    frames = read_cameras(cameras)
    require_writable_folder(output)
    targets = [output / _relative(frame, cameras) for frame in frames]
    with torch.no_grad():
        for done, (frame, target) in enumerate(zip(frames, targets, strict=True)):
            view = view_of(frame.camera, frame.world_to_camera, scene.device)
            write_png(target.with_name(f"{target.name}.png"), scene.render(view).colour.cpu().numpy())
            write_exr(target.with_name(f"{target.name}.exr"), "Z", surface_depth(scene, view).cpu().numpy())
            progress(done + 1, len(frames))
    return len(frames)


def _relative(frame: CameraFrame, cameras: Path) -> PurePosixPath:
    """Where a frame's files go, below the output folder and without their suffix."""
    path = PurePosixPath(frame.frame["file_path"].replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(path).drive:  # as in a result's own transforms.json
        return PurePosixPath(frame.name)
    if ".." in path.parts:
        raise SolverError(
            f"the file_path '{path}' leads out of the output folder", where=cameras, remedy="remove the '..'"
        )
    return path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path
