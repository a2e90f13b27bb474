# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of plain photos: which files they are, and which of them can be used together.

What cannot be used is told and left out, as long as enough photos are left to find poses from.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from solver.capture.exif import read_exif
from solver.capture.images import IMAGE_SUFFIXES, check_image, image_size
from solver.capture.raw import RAW_SUFFIXES
from solver.errors import SolverError
from solver.events import Reporter

MINIMUM_PHOTOS = 3
SUBFOLDERS = ("images", "photos")  # of a capture, where its photos may lie

_LISTED = 3  # files that a warning names
_LOOKED_INTO = 200  # folders below one without photos, for those that were meant


class SharedCamera(NamedTuple):
    """What the photos of one camera have in common. How the camera was held is not part of it."""

    longer_side: int  # px
    shorter_side: int  # px
    name: str  # of the camera, as its metadata has it; empty where there is none

    def agrees(self, other: "SharedCamera") -> bool:
        """Whether both may be one camera: a photo without the camera's name is any camera's of its size."""
        return self[:2] == other[:2] and (not self.name or not other.name or self.name == other.name)

    def __str__(self) -> str:
        return f"{self.name or 'camera without a name'}, {self.longer_side} x {self.shorter_side} pixels"


def photo_folder(path: Path) -> Path:
    """`path` itself, or its subfolder images/ or photos/ where `path` has no photos of its own."""
    if list_images(path):
        return path
    return next((path / name for name in SUBFOLDERS if list_images(path / name)), path)


def list_images(folder: Path) -> list[Path]:
    """The image files right in `folder`, by name; hidden files are left out. Empty for a folder that is absent.

    Raises:
        SolverError: the folder may not be read.
    """
    return [path for path in _named_like_images(folder) if path.is_file()]


def broken_links(folder: Path) -> list[Path]:
    """Links right in `folder` that are called like images and lead to nothing, by name."""
    return [entry for entry in _named_like_images(folder) if entry.is_symlink() and not entry.exists()]


def no_photos(path: Path) -> SolverError:
    """That the folder `path` holds no photos; and which one up to two levels below it does, as on a camera's card."""
    below = next((folder for folder in islice(_folders_below(path, 2), _LOOKED_INTO) if list_images(folder)), None)
    remedy = (
        f"choose the folder below it that does ({below.relative_to(path)})"
        if below
        else "choose a folder with JPEG, PNG, TIFF, HEIC or raw files"
    )
    return SolverError("the folder holds no photos", where=path, remedy=remedy)


def _folders_below(path: Path, levels: int) -> Iterator[Path]:
    """The folders below `path` that may be read, those of one level after the other; hidden ones are left out."""
    folders: list[Path] = []
    with suppress(OSError):
        folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    yield from (folder for folder in folders if os.access(folder, os.R_OK | os.X_OK))
    if levels > 1:
        for folder in folders:
            yield from _folders_below(folder, levels - 1)


def _named_like_images(folder: Path) -> list[Path]:
    """What has an image's suffix, right in `folder`, by name: files, folders, and links that lead nowhere."""
    try:
        if not folder.is_dir():
            return []
        return sorted(
            path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        )
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SolverError(
            f"the folder cannot be read ({reason})", where=folder, remedy="change its permissions, or copy it"
        ) from None


def find_photos(path: Path, reporter: Reporter) -> dict[str, Path]:
    """The photos of the folder `path` that belong together, by name (stem of the file).

    Left out, with a warning, are files that cannot be decoded, links that lead nowhere, and photos of another camera
    than most. Where each photo is there raw and as the camera's JPEG, the raw one counts.

    Raises:
        SolverError: there are fewer than two photos, two have one name, or fewer than `MINIMUM_PHOTOS` are left of
            those that are there.
    """
    folder = photo_folder(path)
    images = list_images(folder)
    if not images:
        raise no_photos(path)
    if len(images) == 1:
        raise SolverError(
            "the folder holds one photo", where=path, remedy="add photos from other viewpoints, 15 or more"
        )
    for link in broken_links(folder):
        reporter.warning(f"{link}: the link leads to no file; it was left out")
    images, told = of_one_kind(images)
    if told is not None:
        reporter.warning(told)
    stem, count = Counter(image.stem for image in images).most_common(1)[0]
    if count > 1:
        names = " and ".join(image.name for image in images if image.stem == stem)
        raise SolverError(
            f"{names} differ in their suffix alone", where=images[0].parent, remedy="remove or rename one"
        )
    return {image.stem: image for image in of_one_camera(readable(images, reporter), reporter)}


def readable(images: Sequence[Path], reporter: Reporter) -> list[Path]:
    """Those of `images` that can be decoded to their end; the others are told as warnings.

    Raises:
        SolverError: of the first image that cannot be decoded, if fewer than `MINIMUM_PHOTOS` can.
    """
    good, broken = [], []
    for done, image in enumerate(images):
        try:
            check_image(image)
            good.append(image)
        except SolverError as error:
            broken.append(error)
        reporter.progress(done + 1, len(images))
    if broken and len(good) < MINIMUM_PHOTOS:
        raise broken[0]
    for reason in broken:
        reporter.warning(f"{reason.where}: {reason.what}; it was left out")
    return good


def of_one_camera(images: Sequence[Path], reporter: Reporter) -> list[Path]:
    """Those of `images` that the camera of most of them took; the others are told in a warning.

    Raises:
        SolverError: no camera took `MINIMUM_PHOTOS`, though there are as many photos.
    """
    cameras = {image: shared_camera(image) for image in images}
    usual = usual_camera(list(cameras.values()))
    kept = [image for image in images if usual.agrees(cameras[image])]
    odd = [image for image in images if not usual.agrees(cameras[image])]
    if not odd:
        return kept
    others = f", and {len(odd) - 1} more photos differ" if len(odd) > 1 else ""
    if len(kept) < MINIMUM_PHOTOS:
        if cameras[odd[0]][:2] == usual[:2]:
            told = f"photos of two cameras: this one is of a {cameras[odd[0]]}, most are of a {usual}{others}"
        else:
            width, height = image_size(odd[0])
            usual_width, usual_height = image_size(kept[0])
            told = (
                f"photos of two sizes: this one is {width} x {height} pixels, "
                f"most are {usual_width} x {usual_height}{others}"
            )
        raise SolverError(told, where=odd[0], remedy="keep photos of one camera and size in the folder")
    listed = ", ".join(image.name for image in odd[:_LISTED]) + (", ..." if len(odd) > _LISTED else "")
    reporter.warning(
        f"{len(odd)} of {len(images)} photos are of another camera or size and were left out ({listed}: "
        f"{cameras[odd[0]]}; the rest: {usual})"
    )
    return kept


def usual_camera(cameras: Sequence[SharedCamera]) -> SharedCamera:
    """The camera that most photos can be of, given that of each photo."""
    by_camera = Counter(cameras)

    def belonging(camera: SharedCamera) -> int:
        return sum(number for other, number in by_camera.items() if camera.agrees(other))

    named_sizes = {camera[:2] for camera in by_camera if camera.name}
    candidates = [camera for camera in by_camera if camera.name or camera[:2] not in named_sizes]
    return max(candidates, key=lambda camera: (belonging(camera), by_camera[camera], camera))


def shared_camera(image: Path) -> SharedCamera:
    """What a photo has in common with others of its camera.

    Raises:
        SolverError: see `solver.capture.images.open_image`.
    """
    size = image_size(image)
    exif = read_exif(image)
    words = [exif.model or ""]
    if exif.make and not words[0].lower().startswith(exif.make.split()[0].lower()):
        words.insert(0, exif.make)
    return SharedCamera(max(size), min(size), " ".join(words).strip() if exif.model else "")


def of_one_kind(images: Sequence[Path]) -> tuple[list[Path], str | None]:
    """The raw ones, where the camera wrote each photo raw and as a JPEG; the JPEGs, where some are not there raw.

    And a sentence that says so, where any are left out.
    """
    raw = [image for image in images if image.suffix.lower() in RAW_SUFFIXES]
    other = [image for image in images if image not in raw]
    raw_stems, other_stems = {image.stem for image in raw}, {image.stem for image in other}
    if not raw_stems & other_stems:
        return list(images), None
    if other_stems <= raw_stems:
        return raw, f"{len(other)} photos are there raw and in another format; the raw ones are used"
    if raw_stems <= other_stems:
        return other, f"{len(raw)} of {len(other)} photos are there raw as well; the others are used for all"
    return list(images), None
