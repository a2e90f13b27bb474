# SPDX-License-Identifier: GPL-3.0-or-later
"""What a result folder knows, read for the report. Whatever is missing is None, or an empty list."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.camera_file import CameraFrame
from solver.capture.images import load_mask
from solver.capture.transforms import read_cameras
from solver.capture.types import Camera, Photo
from solver.capture.upright import find_upright
from solver.errors import SolverError
from solver.export.images import read_exr
from solver.files import read_json
from solver.optics.circle_of_confusion import SHARP_COC_PX
from solver.ply import read_ply

_DEPTH_PERCENTILES = (2, 98)  # of a subject's depths in a photo: its range, without strays
_LOOKS_DOWN = 0.8  # of cameras' mean viewing direction along -Z, in a world whose Z is up
_IS_UP = 0.2  # the least of the cameras' mean up that lies along Z there, where they do not look down


@dataclass(frozen=True)
class PhotoFacts:
    """One photo that was used; lengths in the scene unit."""

    entry: dict[str, Any]  # of result.json
    photo: Photo | None  # with its camera; None where transforms.json does not tell
    depth_range: tuple[float, float] | None  # of the subject in it
    focus_distance: float | None  # infinite where result.json has null, None where depth is not known either

    @property
    def name(self) -> str:
        """Unique in the result."""
        return self.entry["name"]

    @property
    def sharp_range(self) -> tuple[float, float] | None:
        """The depths with a circle of confusion of at most 1.5 px; the farther can be infinite."""
        if self.photo is None or self.focus_distance is None:
            return None
        inverse, reach = 1 / self.focus_distance, SHARP_COC_PX / (self.entry["pupil_diameter"] * self.photo.camera.fx)
        return 1 / (inverse + reach), 1 / (inverse - reach) if inverse > reach else float("inf")


@dataclass(frozen=True)
class Facts:
    """A result."""

    folder: Path
    content: dict[str, Any]  # of result.json
    photos: list[PhotoFacts]
    vertices: np.ndarray | None  # [V, 3], of the mesh, world, scene unit
    curves: dict[str, list[Any]] | None  # of history.json
    to_upright: np.ndarray  # [3, 3], from the world to one whose Z is up

    @property
    def unit(self) -> tuple[float, str]:
        """The length of the scene unit, and the name of what it is told in."""
        unit_mm = self.content["unit_mm"]
        return (1.0, "units") if unit_mm is None else (float(unit_mm), "mm")

    @property
    def size(self) -> np.ndarray | None:
        """Width, depth and height of the mesh's box, [3], scene unit; None without a mesh."""
        if self.vertices is None:
            return None
        return np.ptp(self.vertices @ self.to_upright.T, axis=0)


def read_facts(folder: Path, content: dict[str, Any]) -> Facts:
    """Read what the report tells of a result.

    Args:
        folder: the result; its result.json need not be there yet.
        content: of result.json.
    """
    frames = _frames(folder)
    photos = [_photo_facts(folder, entry, frames.get(entry["sharp"])) for entry in content["photos"]]
    return Facts(
        folder=folder,
        content=content,
        photos=photos,
        vertices=_vertices(folder) if content["mesh"] else None,
        curves=_curves(folder),
        to_upright=_to_upright([each.photo for each in photos if each.photo is not None]),
    )


def inside(folder: Path, relative: str) -> Path:
    """A path that a result tells.

    Raises:
        SolverError: it leads out of the folder.
    """
    path = folder / relative
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SolverError("the file is not in the result", where=path, remedy="reconstruct again")
    return path


def _frames(folder: Path) -> dict[str, CameraFrame]:
    """Cameras by the path of what is sharp of their photo."""
    try:
        return {str(frame.frame.get("sharp_path")): frame for frame in read_cameras(folder / "transforms.json")}
    except SolverError:
        return {}


def _photo_facts(folder: Path, entry: dict[str, Any], frame: CameraFrame | None) -> PhotoFacts:
    photo = None
    if frame is not None:
        mask = frame.frame.get("mask_path")
        photo = Photo(
            name=entry["name"],
            image_path=Path(entry["image"]),
            camera=frame.camera,
            world_to_camera=frame.world_to_camera,
            mask_path=Path(mask) if mask else None,
        )
    focus = entry["focus_distance"]
    return PhotoFacts(entry, photo, _depth_range(folder, entry, photo), float("inf") if focus is None else focus)


def _depth_range(folder: Path, entry: dict[str, Any], photo: Photo | None) -> tuple[float, float] | None:
    try:
        depth = read_exr(inside(folder, entry["depth"]), "Z")
        if photo is not None and photo.mask_path is not None:
            depth = depth * (load_mask(photo, depth.shape[1], depth.shape[0]) > 0.5)
    except (SolverError, OSError):
        return None
    known = depth[np.isfinite(depth) & (depth > 0)]
    if len(known) == 0:
        return None
    near, far = np.percentile(known, _DEPTH_PERCENTILES)
    return (float(near), float(far)) if far > near else None


def _vertices(folder: Path) -> np.ndarray | None:  # [V, 3]
    import plyfile

    try:
        vertices = read_ply(folder / "mesh.ply", {"face": {"vertex_indices": 3}})["vertex"]
        positions = np.stack([vertices[axis] for axis in "xyz"], axis=1).astype(np.float64)
    except (OSError, KeyError, ValueError, plyfile.PlyParseError):
        return None
    positions = positions[np.isfinite(positions).all(axis=1)]
    return positions if len(positions) else None


def _curves(folder: Path) -> dict[str, list[Any]] | None:
    try:
        content = read_json(folder / "history.json", "the run's history")
        curves = {name: content[name] for name in ("steps", "loss", "psnr")}
    except (SolverError, KeyError, TypeError):
        return None
    lengths = {len(curve) for curve in curves.values()}
    return curves if len(lengths) == 1 and lengths != {0} else None


def _to_upright(photos: list[Photo]) -> np.ndarray:  # [3, 3]
    """The identity where Z can be up; else the rotation to what the cameras say is."""
    if not photos:
        return np.eye(3)
    poses = np.array([photo.world_to_camera for photo in photos])
    up, forward = -poses[:, 1, :3].mean(axis=0), poses[:, 2, :3].mean(axis=0)
    if up[2] >= _IS_UP or forward[2] <= -_LOOKS_DOWN:
        return np.eye(3)
    return find_upright(poses, None).rotation


def camera_size(facts: PhotoFacts) -> tuple[int, int] | None:
    """Width and height of the photo as the run saw it, px."""
    camera: Camera | None = None if facts.photo is None else facts.photo.camera
    return None if camera is None else (camera.width, camera.height)
