# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras from RealityScan, formerly RealityCapture: the CSV file "Internal/External camera parameters".

One row a photo: #name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2; columns may be left out or moved, as the
export's template is the user's to edit. Conventions, which agree with the XMP files of the same program
("RealityCapture XMP Camera Math", its support pages) and with nerfstudio's and Brush's readers:

- x, y, alt is the camera's centre. Camera-to-world, with x right, y up, z backward, is
  Rz(-heading) Rx(pitch) Ry(roll), degrees.
- f is the focal length that the lens would have on 36 mm of film along the longer side; px, py are offsets from the
  image's middle in parts of the longer side: all three times the longer side, f over 36, are pixels.
- Brown's distortion maps undistorted to distorted as OpenCV does; k4 is the factor of r^8. t1 and t2 are OpenCV's p2
  and p1, as the program's own template for OpenCV has them; nerfstudio and Brush take them the other way round. They
  are 0 in its usual model.

Photos that RealityScan did not align have no row.
"""

import csv
import math
from pathlib import Path

import numpy as np

from solver.capture.camera_file import (
    CameraFile,
    CameraFrame,
    find_named,
    missing_photos,
    photo_folders,
    photo_name,
    read_text,
    with_header,
)
from solver.capture.distortion import Distortion
from solver.capture.images import image_size
from solver.capture.photos import list_images
from solver.capture.types import Camera, UnregisteredPhoto
from solver.errors import SolverError

_POSE = ("x", "y", "alt", "heading", "pitch", "roll")
_LENS = ("px", "py", "k1", "k2", "k3", "k4", "t1", "t2")
_FILM_MM = 36.0  # along the longer side of the image
_HEAD = 4096  # bytes in which a file shows what it is
_EXPORT = 'export "Internal/External camera parameters" again'


def is_cameras(path: Path) -> bool:
    """Whether the file looks like cameras of RealityScan; decided by its beginning."""
    if path.suffix.lower() != ".csv":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return any({"name", *_POSE} <= set(_columns(line.split(","))) for line in head.splitlines()[:3])


def read_cameras(path: Path, *, photos: Path | None = None) -> CameraFile:
    """Read the cameras that RealityScan exported, with their photos.

    Photos beside the others that have no row, and rows whose photo is missing or broken, become unregistered photos.

    Args:
        path: the CSV file.
        photos: folder of the photos; without it they are looked for beside the file, in images/ and in photos/.

    Raises:
        SolverError: the file is not of this kind or broken, or no photo is there.
    """
    rows = _rows(path)
    found = find_named(list(rows), photo_folders(path, photos), path)
    usable, broken = with_header(found)
    frames = []
    for name, image in usable.items():
        place = f"{path}, {name}"
        camera, distortion = _lens(rows[name], image_size(image), place)
        frames.append(CameraFrame(photo_name(name), camera, _pose(rows[name]), {}, image, distortion))
    names = [frame.name for frame in frames]
    if len(set(names)) < len(names):
        raise SolverError("two photos have one name", where=path, remedy="rename one of them")
    used = set(found.values())
    others = [image for folder in {image.parent for image in used} for image in list_images(folder)]
    without = [
        UnregisteredPhoto(image.stem, f"not in {path.name}, so not aligned")
        for image in sorted(others)
        if image.absolute() not in used
    ]
    return CameraFile(
        sorted(frames, key=lambda frame: frame.name),
        unregistered=(*without, *broken, *missing_photos(list(rows), found)),
    )


def _rows(path: Path) -> dict[str, dict[str, float]]:
    """The numbers of each row, by the photo's name as it stands there."""
    try:
        text = read_text(path, "the camera file").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SolverError("the camera file is not text", where=path, remedy=_EXPORT) from None
    try:
        lines = [line for line in csv.reader(text.splitlines()) if line]
    except csv.Error as error:
        raise SolverError(f"the camera file is not valid CSV ({error})", where=path, remedy=_EXPORT) from None
    start = next((i for i, line in enumerate(lines[:3]) if "name" in _columns(line)), None)
    if start is None:
        raise SolverError("the camera file has no line of column names", where=path, remedy=_EXPORT)
    columns = _columns(lines[start])
    lacking = [column for column in ("name", *_POSE, "f") if column not in columns]
    if lacking:
        raise SolverError(f'the column "{lacking[0]}" is missing', where=path, remedy=_EXPORT)
    rows: dict[str, dict[str, float]] = {}
    for line in lines[start + 1 :]:
        if len(line) < len(columns):
            raise SolverError(f"the row of {line[0]!r} is incomplete", where=path, remedy=_EXPORT)
        values = dict(zip(columns, line, strict=False))
        name = values["name"].strip()
        if not photo_name(name):
            raise SolverError("a row has no name", where=path, remedy=_EXPORT)
        if name in rows:
            raise SolverError(f'two rows are called "{name}"', where=path, remedy="rename one of the photos")
        place = f"{path}, {name}"
        rows[name] = {key: _number(values[key], key, place) for key in (*_POSE, "f", *_LENS) if key in values}
    if not rows:
        raise SolverError("the camera file has no cameras", where=path, remedy="align the photos first")
    return rows


def _columns(line: list[str]) -> list[str]:
    return [column.strip().lstrip("#").strip().lower() for column in line]


def _number(text: str, key: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SolverError(f'"{key}" is not a finite number', where=place, remedy=_EXPORT)
    return value


def _lens(row: dict[str, float], size: tuple[int, int], place: str) -> tuple[Camera, Distortion]:
    width, height = size
    longer = max(size)
    focal_length = row["f"] / _FILM_MM * longer
    if not focal_length > 0:
        raise SolverError("the focal length is not above 0", where=place, remedy=_EXPORT)
    cx, cy = width / 2 + row.get("px", 0.0) * longer, height / 2 + row.get("py", 0.0) * longer
    k1, k2, k3, k4, t1, t2 = (row.get(key, 0.0) for key in ("k1", "k2", "k3", "k4", "t1", "t2"))
    distortion = Distortion(k1, k2, k3, k4, p1=t2, p2=t1)
    return Camera(width, height, focal_length, focal_length, cx, cy), distortion


def _pose(row: dict[str, float]) -> np.ndarray:
    """World-to-camera, [4, 4], OpenCV axes."""
    heading, pitch, roll = (math.radians(row[key]) for key in ("heading", "pitch", "roll"))
    about_z = np.array(
        [[math.cos(heading), math.sin(heading), 0], [-math.sin(heading), math.cos(heading), 0], [0, 0, 1]]
    )
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_y = np.array([[math.cos(roll), 0, math.sin(roll)], [0, 1, 0], [-math.sin(roll), 0, math.cos(roll)]])
    camera_to_world = about_z @ about_x @ about_y @ np.diag([1.0, -1.0, -1.0])
    pose = np.eye(4)
    pose[:3, :3] = camera_to_world.T
    pose[:3, 3] = -camera_to_world.T @ [row["x"], row["y"], row["alt"]]
    return pose
