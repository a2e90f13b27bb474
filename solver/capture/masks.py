# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the mask that belongs to a photo. White is the subject."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from solver.capture.images import IMAGE_SUFFIXES, image_size
from solver.errors import SolverError

FOLDER_NAME = "masks"


def find_masks(
    images: Mapping[str, Path],
    given: Path | None,
    beside: Sequence[Path],
    stated: Mapping[str, Path] | None = None,
    as_stored: Collection[str] = (),
) -> dict[str, Path]:
    """The mask of each photo that has one, by the photo's name.

    Args:
        images: photo name -> image file.
        given: the folder that the user named, where every photo must have its mask.
        beside: folders that may hold masks; used as far as they do.
        stated: masks that the capture names photo by photo; they win over `beside`.
        as_stored: names of photos whose masks may also be of the size of their pixels as stored, without EXIF's
            orientation.

    A mask is called like its photo, with any image suffix (photo.png, or photo.jpg.png as COLMAP has it).

    Raises:
        SolverError: the folder given is absent or lacks a photo's mask, or a mask is not of its photo's size.
    """
    if given is not None:
        if not given.is_dir():
            raise SolverError("the folder of masks does not exist", where=given, remedy="check the path")
        masks = _masks_in(given, images)
        lacking = [name for name in images if name not in masks]
        if lacking:
            raise SolverError(
                f"the folder of masks has none for {images[lacking[0]].name}"
                + (f" and {len(lacking) - 1} others" if len(lacking) > 1 else ""),
                where=given,
                remedy=f"add {lacking[0]}.png, or leave --masks out",
            )
    else:
        masks = {}
        for folder in beside:
            if folder.is_dir():
                masks = {**_masks_in(folder, images), **masks}
        masks |= stated or {}
    for name, mask in masks.items():
        size, wanted = image_size(mask), image_size(images[name])
        if size != wanted and not (name in as_stored and size == image_size(images[name], upright=False)):
            raise SolverError(
                f"the mask is {size[0]} x {size[1]} pixels and its photo {wanted[0]} x {wanted[1]}",
                where=mask,
                remedy="make it as large as the photo",
            )
    return masks


def _masks_in(folder: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    by_stem = {path.stem: path for path in reversed(files)}
    found = {}
    for name, image in images.items():
        mask = by_stem.get(image.stem) or by_stem.get(image.name) or by_stem.get(name)
        if mask is not None:
            found[name] = mask
    return found
