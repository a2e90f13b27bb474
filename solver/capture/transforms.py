# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing nerfstudio's transforms.json, the camera file of captures and results.

docs/formats.md specifies it. Its `transform_matrix` is camera-to-world with OpenGL axes (x right, y up, z
backward); this module turns it into world-to-camera with OpenCV axes (x right, y down, z forward), and back.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.camera_file import CameraFile, CameraFrame, photo_folders, with_header
from solver.capture.distortion import Distortion
from solver.capture.images import IMAGE_SUFFIXES, image_size
from solver.capture.types import Camera
from solver.errors import SolverError
from solver.files import read_json, write_json

FILE_NAME = "transforms.json"

_OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
_ROTATION_TOLERANCE = 1e-3  # float32 matrices printed with six digits stay a hundred times under it
_INTRINSICS = ("fl_x", "fl_y", "cx", "cy", "w", "h")


def read_cameras(path: Path) -> list[CameraFrame]:
    """The cameras of a transforms.json, sorted by name; the images need not exist.

    Raises:
        SolverError: the file or one of its values is missing or wrong; the sentence names the frame.
    """
    return read_transforms(path, images_required=False).frames


def read_transforms(path: Path, *, images_required: bool = True, photos: Path | None = None) -> CameraFile:
    """Read and check a transforms.json.

    Intrinsics stand at the top or in a frame, a frame's own winning. `camera_angle_x` stands in for a missing
    `fl_x`, the image's middle for a missing `cx` and `cy`, and its size for missing `w` and `h`. Where the
    image has another size than `w` and `h` say, but the same shape, the camera is scaled to it.

    nerfstudio's `applied_transform` and `applied_scale` tell what was done to the poses before they were written.
    The poses stand as they are written, and so do the points of `ply_file_path`, which had the same done to them.

    Args:
        path: the file, or the folder that holds it.
        images_required: whether the images count; what is missing or broken of them is left out then, as long as
            enough remain. Otherwise the cameras are what the file says, and the images are asked only for what it
            leaves out.
        photos: folder of the photos, where they are not where the file says.

    Raises:
        SolverError: the file or one of its values is missing or wrong; the sentence names the frame.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    content = read_json(path, "the camera file")
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise SolverError('"frames" is missing or not a list of objects', where=path, remedy="write the file again")
    if not frames:
        raise SolverError('"frames" is empty', where=path, remedy="add a frame for each photo")
    top = {key: value for key, value in content.items() if key != "frames"}
    paths = [_file_path(frame, index, path) for index, frame in enumerate(frames)]
    result = []
    names = _unique_names(paths, path)
    if photos is not None:
        paths = _moved(paths, path, photo_folders(path, photos)[0])
    images = {name: _find_image(image_path) for name, image_path in zip(names, paths, strict=True)}
    usable, broken = with_header(images) if images_required else (images, [])
    for name, frame in zip(names, frames, strict=True):
        if name not in usable:
            continue
        keys = {**top, **frame}
        place = f"{path}, frame {name}"
        image_path = usable[name]
        stated = keys.get("w") is not None and keys.get("h") is not None
        size = image_size(image_path) if images_required or (not stated and image_path.is_file()) else None
        camera = _camera(keys, size, place)
        pose = world_to_camera_of(frame.get("transform_matrix"), place)
        result.append(CameraFrame(name, camera, pose, keys, image_path, _distortion(keys, place)))
    points = top.get("ply_file_path")
    return CameraFile(
        sorted(result, key=lambda frame: frame.name),
        number(top, "unit_mm", str(path), positive=True),
        (path.parent / points).absolute() if isinstance(points, str) else None,
        unregistered=tuple(broken),
    )


def write_transforms(
    path: Path,
    frames: Iterable[tuple[Path | str, Camera, np.ndarray, Mapping[str, Any]]],
    *,
    unit_mm: float | None = None,
    points: str | None = None,
) -> None:
    """Write cameras as a transforms.json, atomically, each frame with its own intrinsics.

    Args:
        path: the file to write.
        frames: (file_path as it is to stand in the file, camera, world_to_camera [4, 4], further keys of the
            frame; those that are None are left out).
        unit_mm: length of the scene unit in millimetres, where known.
        points: PLY file of sparse points, relative to the file's folder.
    """
    content: dict[str, Any] = {"camera_model": "PINHOLE"}
    if unit_mm is not None:
        content["unit_mm"] = float(unit_mm)
    if points is not None:
        content["ply_file_path"] = points
    content["frames"] = [
        {
            "file_path": Path(file_path).as_posix(),
            "fl_x": camera.fx,
            "fl_y": camera.fy,
            "cx": camera.cx,
            "cy": camera.cy,
            "w": camera.width,
            "h": camera.height,
            "transform_matrix": transform_matrix_of(world_to_camera).tolist(),
            **{key: value for key, value in extra.items() if value is not None},
        }
        for file_path, camera, world_to_camera, extra in frames
    ]
    write_json(path, content)


def transform_matrix_of(world_to_camera: np.ndarray) -> np.ndarray:
    """Camera-to-world with OpenGL axes, [4, 4], of a world-to-camera matrix with OpenCV axes, [4, 4]."""
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3] = rotation.T
    camera_to_world[:3, 3] = -rotation.T @ translation
    return camera_to_world @ _OPENGL_TO_OPENCV


def world_to_camera_of(transform_matrix: Any, place: str) -> np.ndarray:
    """World-to-camera with OpenCV axes, [4, 4] float64, of a `transform_matrix` as JSON holds it, checked.

    Args:
        transform_matrix: rows of a camera-to-world matrix with OpenGL axes, 4 x 4 or 3 x 4.
        place: where it stands, for the error.

    Raises:
        SolverError: it is missing, not numbers, not finite, singular, scaled, mirrored or sheared.
    """

    def error(what: str) -> SolverError:
        return SolverError(f"transform_matrix {what}", where=place, remedy="write a rotation and a translation")

    if transform_matrix is None:
        raise SolverError(
            "transform_matrix is missing", where=place, remedy="give every frame its camera-to-world matrix"
        )
    try:
        matrix = np.array(transform_matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise error("is not a matrix of numbers") from None
    if matrix.shape not in ((4, 4), (3, 4)):
        raise error("is not 4 x 4")
    if not np.isfinite(matrix).all():
        raise error("has values that are not finite")
    if matrix.shape == (4, 4) and not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
        raise error("has a last row other than 0 0 0 1")
    rotation = matrix[:3, :3]
    stretches = np.linalg.svd(rotation, compute_uv=False)
    if stretches[2] < 1e-6 * max(stretches[0], 1e-30):
        raise error("is singular")
    if np.linalg.det(rotation) < 0:
        raise error("mirrors")
    if abs(stretches - 1).max() > _ROTATION_TOLERANCE:
        uniform = stretches[0] - stretches[2] < _ROTATION_TOLERANCE * stretches[0]
        raise error(f"scales by {stretches.mean():.4g}" if uniform else "shears")
    u, _, vt = np.linalg.svd(rotation)  # the nearest rotation takes off the file's rounding
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3] = u @ vt
    camera_to_world[:3, 3] = matrix[:3, 3]
    return np.linalg.inv(camera_to_world @ _OPENGL_TO_OPENCV)


def number(keys: Mapping[str, Any], key: str, place: str, *, positive: bool = False) -> float | None:
    """The finite number at `key`, or None where the key is absent or null.

    Raises:
        SolverError: the value is something else, or not above 0 where `positive` asks for it.
    """
    value = keys.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SolverError(f'"{key}" is not a finite number', where=place, remedy="correct it")
    if positive and value <= 0:
        raise SolverError(f'"{key}" is not above 0', where=place, remedy="correct it")
    return float(value)


def _camera(keys: Mapping[str, Any], image: tuple[int, int] | None, place: str) -> Camera:
    """The frame's intrinsics, scaled to the image's real size (width, height) where that is known."""
    fx, fy, cx, cy, w, h = (number(keys, key, place, positive=key not in ("cx", "cy")) for key in _INTRINSICS)
    width, height = (round(w), round(h)) if w and h else image or (None, None)
    if width is None or height is None:
        raise SolverError('"w" or "h" is missing', where=place, remedy="write the image's size in pixels")
    if fx is None:
        angle = number(keys, "camera_angle_x", place, positive=True)
        if angle is None or angle >= math.pi:
            raise SolverError('"fl_x" is missing', where=place, remedy="write the focal length in pixels")
        fx = width / 2 / math.tan(angle / 2)
    if fy is None:
        angle = number(keys, "camera_angle_y", place, positive=True)
        fy = height / 2 / math.tan(angle / 2) if angle and angle < math.pi else fx
    camera = Camera(width, height, fx, fy, width / 2 if cx is None else cx, height / 2 if cy is None else cy)
    if image is None or image == (width, height):
        return camera
    # Sizes are whole pixels, so a copy of the same shape may be off by one.
    if abs(image[0] * height - image[1] * width) > max(width, height, *image):
        raise SolverError(
            f"the image has {image[0]} x {image[1]} pixels, the camera {width} x {height}",
            where=place,
            remedy="correct w and h, or use the image the camera belongs to",
        )
    return camera.resized(*image)


def _distortion(keys: Mapping[str, Any], place: str) -> Distortion:
    model = keys.get("camera_model", "OPENCV")
    if model not in ("OPENCV", "OPENCV_FISHEYE", "PINHOLE", "SIMPLE_PINHOLE"):
        raise SolverError(
            f'camera_model "{model}" is not supported',
            where=place,
            remedy="use OPENCV, with k1, k2, p1 and p2",
        )
    k1, k2, k3, k4, p1, p2 = (number(keys, key, place) or 0.0 for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    fisheye = model == "OPENCV_FISHEYE" or keys.get("is_fisheye") is True  # the latter is instant-ngp's
    return Distortion(k1, k2, k3, k4, p1, p2, fisheye=fisheye)


def _file_path(frame: Mapping[str, Any], index: int, path: Path) -> Path:
    file_path = frame.get("file_path")
    if not isinstance(file_path, str) or not file_path or "\0" in file_path:
        raise SolverError('"file_path" is missing', where=f"{path}, frame {index}", remedy="name the frame's image")
    return path.parent / file_path.replace("\\", "/")


def _moved(paths: list[Path], file: Path, folder: Path) -> list[Path]:
    """Where the images that `file` names lie in `folder`: below it as below the file, or right in it.

    Raises:
        SolverError: that makes one image of two.
    """
    moved = []
    for path in paths:
        below = _find_image(folder / path.relative_to(file.parent)) if path.is_relative_to(file.parent) else path
        moved.append(below if below.is_file() and below != path else folder / path.name)
    path, count = Counter(moved).most_common(1)[0]
    if count > 1:
        raise SolverError(
            f"{count} frames would have the image {path}",
            where=file,
            remedy="let --photos name the folder that holds the photos' folders",
        )
    return moved


def _find_image(path: Path) -> Path:
    """The image itself; some writers leave the suffix out."""
    path = path.absolute()
    if path.suffix.lower() in IMAGE_SUFFIXES or path.exists():
        return path
    candidates = (path.with_name(path.name + suffix) for suffix in sorted(IMAGE_SUFFIXES))
    return next((candidate for candidate in candidates if candidate.exists()), path)


def _unique_names(paths: list[Path], where: Path) -> list[str]:
    """Stems of the paths; where two are equal, with the names of their folders before them.

    Folders count from that of the file `where`, or from what all paths have in common if one lies elsewhere.
    """

    def stem(path: Path) -> str:
        return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name

    root = where.parent
    if not all(path.is_relative_to(root) for path in paths):
        root = Path(os.path.commonpath([path.parent.absolute() for path in paths]))
    stems = Counter(stem(path) for path in paths)
    names = []
    for path in paths:
        name = stem(path)
        if stems[name] > 1:
            folders = path.relative_to(root).parts[:-1] if path.is_relative_to(root) else ()
            name = "_".join([*(part for part in folders if part not in (".", "..")), name])
        names.append(name)
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise SolverError(f'{count} frames are called "{name}"', where=where, remedy="give each image its own name")
    return names
