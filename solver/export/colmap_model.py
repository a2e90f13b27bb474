# SPDX-License-Identifier: GPL-3.0-or-later
"""A COLMAP model of a result's cameras, binary or text, for programs that train on posed images.

Its world is the result's, its pixels are measured as ours. Points have no tracks.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from solver.capture.types import Camera, Photo
from solver.files import written_aside

FILES = ("cameras", "images", "points3D")
_PINHOLE = 1


@dataclass(frozen=True)
class PosedImages:
    """What the three files say."""

    photos: Sequence[Photo]  # whose cameras and poses count
    image_names: Sequence[str]  # relative to the folder of images, in the order of the photos
    points: np.ndarray  # [P, 3], world
    colours: np.ndarray  # [P, 3] uint8, sRGB

    @property
    def cameras(self) -> list[Camera]:
        """Each only once; camera i has the identifier i + 1."""
        return list(dict.fromkeys(photo.camera for photo in self.photos))

    def poses(self) -> list[tuple[list[float], list[float], int, str]]:
        """Of each image: quaternion w x y z and translation of world-to-camera, camera's identifier, name."""
        identifiers = {camera: i + 1 for i, camera in enumerate(self.cameras)}
        return [
            (
                np.roll(Rotation.from_matrix(photo.world_to_camera[:3, :3]).as_quat(), 1).tolist(),
                photo.world_to_camera[:3, 3].tolist(),
                identifiers[photo.camera],
                name,
            )
            for photo, name in zip(self.photos, self.image_names, strict=True)
        ]


def write_colmap_file(path: Path, images: PosedImages) -> None:
    """Write one of the three files; its name says which, its suffix whether binary (.bin) or text (.txt)."""
    writers = {
        "cameras.bin": _cameras_binary,
        "images.bin": _images_binary,
        "points3D.bin": _points_binary,
        "cameras.txt": _cameras_text,
        "images.txt": _images_text,
        "points3D.txt": _points_text,
    }
    content = writers[path.name](images)
    with written_aside(path) as temporary:
        temporary.write_bytes(content)


def _cameras_binary(images: PosedImages) -> bytes:
    parts = [struct.pack("<Q", len(images.cameras))]
    for i, c in enumerate(images.cameras):
        parts.append(struct.pack("<IiQQ4d", i + 1, _PINHOLE, c.width, c.height, c.fx, c.fy, c.cx, c.cy))
    return b"".join(parts)


def _images_binary(images: PosedImages) -> bytes:
    poses = images.poses()
    parts = [struct.pack("<Q", len(poses))]
    for i, (quaternion, translation, camera, name) in enumerate(poses):
        parts.append(struct.pack("<I7dI", i + 1, *quaternion, *translation, camera))
        parts.append(name.encode() + b"\0" + struct.pack("<Q", 0))
    return b"".join(parts)


def _points_binary(images: PosedImages) -> bytes:
    kind = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("track", "<u8")])
    table = np.zeros(len(images.points), kind)
    table["id"], table["xyz"], table["rgb"] = np.arange(len(table)) + 1, images.points, images.colours
    return struct.pack("<Q", len(table)) + table.tobytes()


def _cameras_text(images: PosedImages) -> bytes:
    lines = ["# CAMERA_ID MODEL WIDTH HEIGHT FX FY CX CY"]
    for i, c in enumerate(images.cameras):
        lines.append(f"{i + 1} PINHOLE {c.width} {c.height} {c.fx!r} {c.fy!r} {c.cx!r} {c.cy!r}")
    return _joined(lines)


def _images_text(images: PosedImages) -> bytes:
    lines = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line for the points seen"]
    for i, (quaternion, translation, camera, name) in enumerate(images.poses()):
        numbers = " ".join(repr(value) for value in (*quaternion, *translation))
        lines += [f"{i + 1} {numbers} {camera} {name}", ""]
    return _joined(lines)


def _points_text(images: PosedImages) -> bytes:
    lines = ["# POINT3D_ID X Y Z R G B ERROR, and no track"]
    for i, (point, colour) in enumerate(zip(images.points.tolist(), images.colours.tolist(), strict=True)):
        lines.append(f"{i + 1} {' '.join(map(repr, point))} {' '.join(map(str, colour))} 0")
    return _joined(lines)


def _joined(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
