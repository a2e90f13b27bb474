# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras from Agisoft Metashape: the XML file of File > Export > Export Cameras.

Of its first chunk that has cameras. Conventions, after the "Frame camera model" in the appendix of Metashape's manual
and its XML files themselves:

- A camera's `transform` is camera-to-component, row by row, with x right, y down, z forward, as OpenCV has them. The
  component's `transform` (in older files the chunk's), scale s, rotation R and translation t, takes that to the world:
  s R p + t. Lengths there are metres where the scale is `locked` and not 1, which is how Metashape marks a scale
  that comes from scale bars, markers or positions; else the unit has no meaning.
- The pixels' origin is the top left corner. `cx`, `cy` are offsets from the image's middle, px. With x', y' distorted:
  u = w/2 + cx + x' (f + b1) + y' b2 and v = h/2 + cy + y' f. They are the pixels as stored: EXIF's orientation turns
  what Metashape shows, and neither calibration nor pose.
- Brown's distortion maps undistorted to distorted as OpenCV does, with `p1` and `p2` in each other's places,
  and a `k4` that is the factor of r^8.
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
from solver.capture.images import image_size, orientation_of
from solver.capture.types import Camera, UnregisteredPhoto
from solver.errors import SolverError

_METRE_MM = 1000.0
_HEAD = 4096  # bytes in which a file shows what it is
_EXPORT = "export the cameras from Metashape again"


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type, and with it entities, which can blow a small file up to any size."""

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise ValueError("document type")


def is_cameras(path: Path) -> bool:
    """Whether the file looks like cameras of Metashape; decided by its beginning."""
    if path.suffix.lower() != ".xml":
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return b"<document" in head and b"<chunk" in head


def read_cameras(path: Path, *, photos: Path | None = None) -> CameraFile:
    """Read the cameras that Metashape exported, with their photos.

    Cameras that are disabled or were not aligned, or whose photo is missing or broken, become unregistered photos.

    Args:
        path: the XML file.
        photos: folder of the photos; without it they are looked for beside the file, in images/ and in photos/.

    Raises:
        SolverError: the file is not of this kind or broken, or no photo is there.
    """
    chunk = _chunk(path)
    lenses = _sensors(chunk, path)
    worlds, metric = _worlds(chunk, path)
    cameras: dict[str, ElementTree.Element] = {}
    unregistered = []
    for camera in chunk.iterfind("cameras//camera"):
        label = camera.get("label") or ""
        if not photo_name(label):
            raise SolverError("a camera has no label", where=path, remedy=_EXPORT)
        if camera.get("enabled", "true").lower() in ("false", "0"):
            unregistered.append(UnregisteredPhoto(photo_name(label), "disabled in Metashape"))
        elif camera.find("transform") is None:
            unregistered.append(UnregisteredPhoto(photo_name(label), "not aligned in Metashape"))
        elif label in cameras:
            raise SolverError(f'two cameras are called "{label}"', where=path, remedy="rename one of the photos")
        else:
            cameras[label] = camera
    if not cameras:
        raise SolverError("it has no camera with a pose", where=path, remedy="align the photos in Metashape first")
    if not metric:  # then parts that were aligned apart from each other have nothing in common
        parts = Counter(camera.get("component_id", "") for camera in cameras.values())
        largest = max(parts, key=lambda part: (parts[part], part == ""))
        for label in [label for label, camera in cameras.items() if camera.get("component_id", "") != largest]:
            del cameras[label]
            unregistered.append(UnregisteredPhoto(photo_name(label), "aligned in another component than most"))
    found = find_named(list(cameras), photo_folders(path, photos), path)
    usable, broken = with_header(found)
    frames = []
    for label, image in usable.items():
        camera, place = cameras[label], f"{path}, camera {label}"
        sensor = lenses.get(camera.get("sensor_id", ""))
        if sensor is None:
            raise SolverError("its sensor is missing", where=place, remedy=_EXPORT)
        pinhole, distortion = sensor
        pose = _pose(camera, worlds.get(camera.get("component_id", ""), worlds.get("", np.eye(4))), place)
        resized, as_stored = _resized(pinhole, image, place)
        frames.append(CameraFrame(photo_name(label), resized, pose, {}, image, distortion, as_stored))
    names = [frame.name for frame in frames]
    if len(set(names)) < len(names):
        raise SolverError("two photos have one name", where=path, remedy="rename one of them")
    return CameraFile(
        sorted(frames, key=lambda frame: frame.name),
        unit_mm=_METRE_MM if metric else None,
        unregistered=(*unregistered, *broken, *missing_photos(list(cameras), found)),
    )


def _chunk(path: Path) -> ElementTree.Element:
    """The first chunk that has cameras."""
    parser = ElementTree.XMLParser(target=_NoDoctype())
    try:
        root = ElementTree.fromstring(read_text(path, "the camera file"), parser)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that is not known
        reason = " ".join(str(error).split())
        raise SolverError(f"the camera file is not valid XML ({reason})", where=path, remedy=_EXPORT) from None
    chunks = [root] if root.tag == "chunk" else list(root.iter("chunk"))
    chunk = next((chunk for chunk in chunks if chunk.find("cameras//camera") is not None), None)
    if chunk is None:
        raise SolverError("the camera file has no cameras of Metashape", where=path, remedy=_EXPORT)
    return chunk


def _sensors(chunk: ElementTree.Element, path: Path) -> dict[str, tuple[Camera, Distortion]]:
    """Camera and distortion of each sensor, by its id."""
    sensors = {}
    for sensor in chunk.iterfind("sensors/sensor"):
        place = f"{path}, sensor {sensor.get('label') or sensor.get('id')}"
        calibrations = sensor.findall("calibration")
        if not calibrations:
            continue  # nothing was aligned with it
        # Files can have the calibration from before the alignment too.
        calibration = next((c for c in calibrations if c.get("class") == "adjusted"), calibrations[0])
        kind = calibration.get("type") or sensor.get("type") or "frame"
        if kind != "frame":
            raise SolverError(
                f'the sensor is of type "{kind}"', where=place, remedy="use photos of an ordinary lens (type frame)"
            )
        sensors[sensor.get("id", "")] = _lens(calibration, sensor, place)
    return sensors


def _lens(calibration: ElementTree.Element, sensor: ElementTree.Element, place: str) -> tuple[Camera, Distortion]:
    size = calibration.find("resolution")
    size = sensor.find("resolution") if size is None else size
    width, height = (_size(size, key, place) for key in ("width", "height"))
    values = {
        key: _value(calibration, key, place)
        for key in ("f", "fx", "fy", "cx", "cy", "b1", "b2", "k1", "k2", "k3", "k4", "p1", "p2", "p3", "p4")
    }
    if values["p3"] or values["p4"]:
        raise SolverError(
            "the distortion has p3 or p4", where=place, remedy="optimize the cameras in Metashape without them"
        )
    # PhotoScan's files before version 1.3 have fx, fy and the principal point from the corner.
    old = not values["f"] and values["fx"] > 0 and values["fy"] > 0
    fy = values["fy"] if old else values["f"]
    fx = values["fx"] if old else values["f"] + values["b1"]
    if not fy > 0 or not fx > 0:
        raise SolverError("the focal length is missing or not above 0", where=place, remedy=_EXPORT)
    cx, cy = (values["cx"], values["cy"]) if old else (width / 2 + values["cx"], height / 2 + values["cy"])
    distortion = Distortion(
        values["k1"],
        values["k2"],
        values["k3"],
        values["k4"],
        p1=values["p2"],
        p2=values["p1"],
        shear=values["b2"] / fx,
    )
    return Camera(width, height, fx, fy, cx, cy), distortion


def _worlds(chunk: ElementTree.Element, path: Path) -> tuple[dict[str, np.ndarray], bool]:
    """Similarity [4, 4] of each component to the world by its id, and whether the world is in metres.

    The chunk's own, which cameras without a component have, is under "".
    """
    worlds, metric = {}, []
    elements = [("", chunk), *((part.get("id", ""), part) for part in chunk.iterfind("components/component"))]
    for name, element in elements:
        transform = element.find("transform")
        if transform is None:
            continue
        place = f"{path}, transform of {'the chunk' if not name else f'component {name}'}"
        rotation = _numbers(transform.find("rotation"), 9, place, np.eye(3).ravel()).reshape(3, 3)
        translation = _numbers(transform.find("translation"), 3, place, np.zeros(3))
        (scale,) = _numbers(transform.find("scale"), 1, place, np.ones(1))
        if not scale > 0:
            raise SolverError("the scale is not above 0", where=place, remedy=_EXPORT)
        world = np.eye(4)
        world[:3, :3] = scale * _rotation(rotation, place)
        world[:3, 3] = translation
        worlds[name] = world
        stated = transform.find("scale")
        metric.append(stated is not None and stated.get("locked", "").lower() in ("true", "1") and scale != 1)
    return worlds, bool(metric) and all(metric)


def _pose(camera: ElementTree.Element, world: np.ndarray, place: str) -> np.ndarray:
    """World-to-camera, [4, 4]."""
    local = _numbers(camera.find("transform"), 16, place, np.eye(4).ravel()).reshape(4, 4)
    if not np.allclose(local[3], [0, 0, 0, 1], atol=1e-9):
        raise SolverError("the transform has a last row other than 0 0 0 1", where=place, remedy=_EXPORT)
    scale = np.cbrt(np.linalg.det(world[:3, :3]))
    rotation = world[:3, :3] / scale @ _rotation(local[:3, :3], place)
    centre = world[:3, :3] @ local[:3, 3] + world[:3, 3]
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ centre
    return pose


def _rotation(matrix: np.ndarray, place: str) -> np.ndarray:
    """The rotation nearest to `matrix`, [3, 3], which takes off the file's rounding."""
    u, stretches, vt = np.linalg.svd(matrix)
    if abs(stretches - 1).max() > 1e-3 or np.linalg.det(matrix) < 0:
        raise SolverError("the rotation is no rotation", where=place, remedy=_EXPORT)
    return u @ vt


def _resized(camera: Camera, image: Path, place: str) -> tuple[Camera, bool]:
    """The camera for the photo as it is, which may be a reduced copy, and whether it is of the pixels as stored.

    That is so wherever the photo has an EXIF orientation and its pixels as stored have the camera's shape. Else they
    were turned before Metashape saw them.

    Raises:
        SolverError: the photo is of another shape.
    """
    turned = orientation_of(image) != 1
    for as_stored in (True, False) if turned else (False,):
        width, height = image_size(image, upright=not as_stored)
        if abs(width * camera.height - height * camera.width) <= max(width, height, camera.width, camera.height):
            same = (width, height) == (camera.width, camera.height)
            return camera if same else camera.resized(width, height), as_stored
    raise SolverError(
        f"the photo has {width} x {height} pixels, its camera {camera.width} x {camera.height}",
        where=place,
        remedy="use the photos that Metashape had",
    )


def _size(element: ElementTree.Element | None, key: str, place: str) -> int:
    try:
        value = int(element.get(key, "")) if element is not None else 0
    except ValueError:
        value = 0
    if not 0 < value < 10**6:
        raise SolverError("the sensor's resolution is missing or wrong", where=place, remedy=_EXPORT)
    return value


def _value(calibration: ElementTree.Element, key: str, place: str) -> float:
    """The number in the child `key`, 0 where it is absent."""
    return float(_numbers(calibration.find(key), 1, f"{place}, {key}", np.zeros(1))[0])


def _numbers(element: ElementTree.Element | None, count: int, place: str, default: np.ndarray) -> np.ndarray:
    """`count` numbers in the text of `element`; `default` where it is absent or empty."""
    if element is None or not (element.text or "").strip():
        return default
    values: list[Any] = (element.text or "").split()
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
        raise SolverError(f"there should be {count} finite numbers", where=place, remedy=_EXPORT)
    return np.array(numbers)
