# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking through a folder of photos, one at a time."""

from dataclasses import dataclass
from pathlib import Path

from solver.capture.masks import FOLDER_NAME as MASKS
from solver.capture.masks import find_masks
from solver.capture.overrides import LensOverrides
from solver.capture.photos import broken_links, list_images, no_photos, of_one_kind, photo_folder
from solver.errors import SolverError
from solver.events import Reporter
from solver.inspection.brackets import Views, find_views
from solver.inspection.exposure import Exposure, compare_exposures
from solver.inspection.focus_variety import focus_likeness
from solver.inspection.likeness import likenesses, overview
from solver.inspection.photos import InspectedPhoto, inspect_photo, printable
from solver.inspection.shake import shaken


@dataclass(frozen=True)
class UnreadablePhoto:
    """A file that could not be decoded."""

    name: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """All that was found out about a folder of photos."""

    folder: Path
    photos: tuple[InspectedPhoto, ...]  # by name
    unreadable: tuple[UnreadablePhoto, ...]
    views: Views
    exposure: Exposure
    focus_likeness: float | None  # see `solver.inspection.focus_variety`
    shaken: tuple[int, ...] = ()  # indices of photos that look blurred along one direction


def inspect_folder(
    path: Path, *, masks: Path | None = None, overrides: LensOverrides | None = None, reporter: Reporter | None = None
) -> Findings:
    """Inspect the photos of a folder, or those in its images/ or photos/.

    Args:
        path: the folder.
        masks: folder of masks named like the photos, white on the subject; without it masks/ beside the photos is used
            as far as it is there.
        overrides: what the user says about the lens.
        reporter: gets the stages `photos` and `views` with their progress.

    Raises:
        SolverError: there is no photo that can be decoded, or the masks given are not those of the photos.
    """
    path, reporter, overrides = Path(path).absolute(), reporter or Reporter(), overrides or LensOverrides()
    reporter.stage("photos", "Looking at the photos")
    images = _images(path, reporter)
    mask_of, unreadable = _masks(path, images, masks)
    unreadable |= {link.name: "the link leads to no file" for link in broken_links(photo_folder(path))}
    photos = []
    for done, image in enumerate(images):
        if image.name not in unreadable:
            try:
                photos.append(inspect_photo(image, mask_of.get(image.name), overrides))
            except SolverError as error:
                unreadable[image.name] = error.what
        reporter.progress(done + 1, len(images))
    if not photos:
        name, reason = next(iter(unreadable.items()))
        raise SolverError(
            f"none of the {len(images)} photos can be read; of {printable(name)}: {reason}",
            where=path,
            remedy="copy them from the camera again",
        )
    reporter.stage("views", "Comparing the photos")
    overviews = [overview(photo.matched) for photo in photos]
    alike = likenesses(overviews)
    reporter.progress(1, 2)
    views = find_views(photos, alike)
    reporter.progress(2, 2)
    reporter.finish_stage()
    return Findings(
        folder=path,
        photos=tuple(photos),
        unreadable=tuple(UnreadablePhoto(printable(name), reason) for name, reason in sorted(unreadable.items())),
        views=views,
        exposure=compare_exposures([photo.exif for photo in photos], overviews, alike),
        focus_likeness=focus_likeness([photo.coc_px for photo in photos]),
        shaken=tuple(shaken([photo.directional_blur for photo in photos])),
    )


def _images(path: Path, reporter: Reporter) -> list[Path]:
    """The photos of the folder, those that a reconstruction would use of photos in two formats."""
    if not path.exists():
        raise SolverError("the folder does not exist", where=path, remedy="check the path")
    if not path.is_dir():
        raise SolverError("this is a file", where=path, remedy="give the folder that holds the photos")
    images = list_images(photo_folder(path))
    if not images:
        raise no_photos(path)
    chosen, told = of_one_kind(images)
    if told is not None:
        reporter.warning(told)
    return chosen


def _masks(path: Path, images: list[Path], given: Path | None) -> tuple[dict[str, Path], dict[str, str]]:
    """The photos' masks by file name, and the reasons of those that could not even be opened."""
    unreadable: dict[str, str] = {}
    named = {image.name: image for image in images}
    beside = [path / MASKS, images[0].parent.parent / MASKS, images[0].parent / MASKS]
    if given is None and not any(folder.is_dir() for folder in beside):
        return {}, unreadable
    from solver.capture.images import image_size

    for name, image in list(named.items()):
        try:
            image_size(image)
        except SolverError as error:
            unreadable[name] = error.what
            del named[name]
    return find_masks(named, given, beside), unreadable
