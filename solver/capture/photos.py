# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of plain photos: which files they are, and whether they can be used together."""

from collections import Counter
from pathlib import Path

from solver.capture.images import IMAGE_SUFFIXES, check_image, image_size
from solver.errors import SolverError
from solver.events import Reporter

_SUBFOLDERS = ("images", "photos")


def photo_folder(path: Path) -> Path:
    """`path` itself, or its subfolder images/ or photos/ where `path` has no photos of its own."""
    if list_images(path):
        return path
    return next((path / name for name in _SUBFOLDERS if list_images(path / name)), path)


def list_images(folder: Path) -> list[Path]:
    """The image files right in `folder`, by name; hidden files are left out. Empty for a folder that is absent."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def find_photos(path: Path, reporter: Reporter) -> dict[str, Path]:
    """The photos of the folder `path` that belong together, by name (stem of the file).

    Raises:
        SolverError: there are fewer than two, two have one name, one cannot be decoded, or they differ in
        size.
    """
    images = list_images(photo_folder(path))
    if not images:
        raise SolverError(
            "the folder holds no photos", where=path, remedy="choose a folder with JPEG, PNG or TIFF files"
        )
    if len(images) == 1:
        raise SolverError(
            "the folder holds one photo", where=path, remedy="add photos from other viewpoints, 15 or more"
        )
    stem, count = Counter(image.stem for image in images).most_common(1)[0]
    if count > 1:
        names = " and ".join(image.name for image in images if image.stem == stem)
        raise SolverError(
            f"{names} differ in their suffix alone", where=images[0].parent, remedy="remove or rename one"
        )
    for done, image in enumerate(images):
        check_image(image)
        reporter.progress(done + 1, len(images))
    _check_sizes(images)
    return {image.stem: image for image in images}


def _check_sizes(images: list[Path]) -> None:
    """Raise where the photos are not of one size, naming one that has the rarer size."""
    sizes = {image: image_size(image) for image in images}
    usual = Counter(sizes.values()).most_common(1)[0][0]
    odd = [image for image, size in sizes.items() if size != usual]
    if odd:
        width, height = sizes[odd[0]]
        others = f", and {len(odd) - 1} more photos differ" if len(odd) > 1 else ""
        raise SolverError(
            f"photos of two sizes: this one is {width} x {height} pixels, most are {usual[0]} x {usual[1]}{others}",
            where=odd[0],
            remedy="keep photos of one size in the folder",
        )
