# SPDX-License-Identifier: GPL-3.0-or-later
"""What the readers of camera files have in common: frames with known cameras, and finding the photos they name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from solver.capture.distortion import Distortion
from solver.capture.images import IMAGE_SUFFIXES, image_size, orientation_of
from solver.capture.photos import MINIMUM_PHOTOS, list_images
from solver.capture.types import Camera, UnregisteredPhoto
from solver.errors import SolverError

LARGEST_FILE = 64 * 2**20  # bytes; a camera takes about a thousand


@dataclass(frozen=True)
class CameraFrame:
    """One photo of a camera file, with its camera."""

    name: str  # unique in the file
    camera: Camera  # without the distortion
    world_to_camera: np.ndarray  # [4, 4] float64, OpenCV axes
    frame: Mapping[str, Any]  # what else the file says of it, under the names of transforms.json
    image_path: Path  # absolute; may be absent
    distortion: Distortion
    as_stored: bool = False  # camera and pose are of the photo's pixels without its EXIF orientation, which is not 1


@dataclass(frozen=True)
class CameraFile:
    """A camera file, read and checked."""

    frames: list[CameraFrame]  # sorted by name
    unit_mm: float | None = None  # length of the scene unit in millimetres
    points_path: Path | None = None  # PLY file of sparse points, absolute
    unregistered: tuple[UnregisteredPhoto, ...] = field(default=())  # photos that the file knows but gives no pose


def read_text(path: Path, what: str) -> bytes:
    """The content of a text file of modest size; `what` names it in the error ("the camera file").

    Raises:
        SolverError: it is absent, cannot be read, or is far too large.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise SolverError(f"{what} is larger than any camera file", where=path, remedy="check the path")
        return path.read_bytes()
    except FileNotFoundError:
        raise SolverError(f"{what} is missing", where=path, remedy="check the path") from None
    except OSError as error:
        raise SolverError(f"{what} cannot be read ({error.strerror})", where=path, remedy="check the file") from None


def photo_folders(file: Path, given: Path | None) -> list[Path]:
    """Where the photos of a camera file may lie: the folder the user gave, or beside the file.

    Raises:
        SolverError: the folder given is absent.
    """
    if given is not None:
        if not given.is_dir():
            raise SolverError("the folder of photos does not exist", where=given, remedy="check the path")
        return [given.absolute()]
    return [file.parent, file.parent / "images", file.parent / "photos"]


def find_named(labels: Sequence[str], folders: Sequence[Path], file: Path) -> dict[str, Path]:
    """The photo of each label, as far as it is in one of `folders`, the first winning.

    A label is a file name, with or without its suffix, and with or without folders before it. Upper and lower case
    count only where they alone tell two photos apart.

    Raises:
        SolverError: a label fits two photos, or no photo is there at all.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        images = list_images(folder)
        for key in (_exact, _stem, _lower, _lower_stem):
            by_key: dict[str, list[Path]] = {}
            for image in images:
                by_key.setdefault(key(image.name), []).append(image)
            for label in labels:
                candidates = by_key.get(key(_file_name(label)), [])
                if label in found or not candidates:
                    continue
                if len(candidates) > 1:
                    names = " and ".join(image.name for image in candidates[:2])
                    raise SolverError(
                        f'the photo "{label}" of {file.name} could be {names}',
                        where=folder,
                        remedy="remove one of them",
                    )
                found[label] = candidates[0].absolute()
    if not found:
        raise SolverError(
            f"none of the photos it names is there ({labels[0]}{', ...' if len(labels) > 1 else ''})",
            where=file,
            remedy="put the photos beside it, or name their folder with --photos",
        )
    path, count = Counter(found.values()).most_common(1)[0]
    if count > 1:
        raise SolverError(f"{count} cameras name the photo {path.name}", where=file, remedy="rename the photos")
    return found


def with_header(found: Mapping[str, Path]) -> tuple[dict[str, Path], list[UnregisteredPhoto]]:
    """Those of the photos found, by label, whose size and orientation can be read, and the others with the reason.

    Raises:
        SolverError: of the first photo where it is not so, if fewer than `MINIMUM_PHOTOS` remain.
    """
    readable, errors = {}, {}
    for label, image in found.items():
        try:
            image_size(image), orientation_of(image)
            readable[label] = image
        except SolverError as error:
            errors[label] = error
    if errors and len(readable) < MINIMUM_PHOTOS:
        raise next(iter(errors.values()))
    return readable, [UnregisteredPhoto(photo_name(label), error.what) for label, error in errors.items()]


def missing_photos(labels: Sequence[str], found: Mapping[str, Path]) -> list[UnregisteredPhoto]:
    """Those of `labels` that have no photo, and the reason in words."""
    return [UnregisteredPhoto(photo_name(label), "its photo is missing") for label in labels if label not in found]


def photo_name(label: str) -> str:
    """The name of the photo that a camera file calls `label`: without folders, and without an image's suffix."""
    return _stem(_file_name(label))


def _file_name(label: str) -> str:
    return PurePosixPath(label.replace("\\", "/")).name


def _exact(name: str) -> str:
    return name


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else name


def _lower(name: str) -> str:
    return name.lower()


def _lower_stem(name: str) -> str:
    return _stem(name).lower()
