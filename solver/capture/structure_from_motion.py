# SPDX-License-Identifier: GPL-3.0-or-later
"""Structure from motion: the poses of plain photos, by pycolmap on the CPU.

SIFT features of upright copies of the photos are matched between all pairs, and mapped incrementally with one
camera for all photos, since they come from one lens. The largest model wins. It is scaled to the photos' full
size, freed of distortion, set upright, and kept with the undistorted photos in a folder of its own.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from solver.capture import keeping
from solver.capture.background import run_watched
from solver.capture.colmap import Sources, load_pinhole, registered_images, write_pinhole
from solver.capture.exif import focal_length_px, read_exif
from solver.capture.features import (
    Progress,
    all_pairs,
    extract_features,
    feature_counts,
    match,
    write_copies,
)
from solver.capture.images import image_size
from solver.capture.masks import FOLDER_NAME as MASKS
from solver.capture.masks import find_masks
from solver.capture.overrides import LensOverrides
from solver.capture.photos import MINIMUM_PHOTOS, find_photos, photo_folder
from solver.capture.turning import sensor_frame, turned_back
from solver.capture.types import Capture, UnregisteredPhoto
from solver.errors import SolverError
from solver.events import Reporter
from solver.files import write_json

if TYPE_CHECKING:
    import pycolmap

REPORT_FILE = "report.json"
# Where the parts of the stage begin and end, as shares of its time.
_PARTS = {
    "copies": (0, 0.05),
    "features": (0.05, 0.35),
    "matches": (0.35, 0.7),
    "mapping": (0.7, 0.85),
    "undistort": (0.85, 1),
}
_FORMAT = 2  # of the kept folder; a change makes old ones be made anew


@dataclass(frozen=True)
class Settings:
    """What structure from motion works with; a change makes kept poses be found anew."""

    max_image_size: int = 1600  # px, longest side of the copies that features are taken from
    max_features: int = 4096  # per photo
    max_focal_length_ratio: float = 30.0  # focal length over image size; lenses at 1:1 and beyond exceed 10
    min_features: int = 100  # fewer in a photo are given as the reason that it has no pose
    min_matches: int = 30  # inliers with another photo; likewise
    seed: int = 0  # of RANSAC and of the mapper


def load_plain_photos(
    path: Path,
    *,
    masks: Path | None,
    poses_folder: Path,
    reporter: Reporter,
    settings: Settings | None = None,
    overrides: LensOverrides | None = None,
) -> Capture:
    """The capture of a folder of plain photos; the poses are found unless `poses_folder` has them already.

    Args:
        path: the folder.
        masks: folder with a mask for each photo, or None for those in masks/, as far as they are there. Where there
            are masks, features of the subject alone count, which is what a turntable needs.
        poses_folder: where poses and undistorted photos are kept.
        reporter: gets the stage `poses`, its progress, and warnings.
        settings: None for the usual.
        overrides: what the user says about the lens.

    Raises:
        SolverError: the photos cannot be used, or fewer than three of them find a pose.
    """
    settings = settings or Settings()
    photos = find_photos(path, reporter)
    if len(photos) < MINIMUM_PHOTOS:
        raise SolverError(
            f"the folder holds {len(photos)} photos, too few to find poses from",
            where=path,
            remedy="add photos from other viewpoints, 15 or more",
        )
    folder = photo_folder(path)
    found = find_masks(photos, masks, [path / MASKS, folder.parent / MASKS])
    focal_length = _focal_length_prior(photos, overrides or LensOverrides())
    key = {
        "format": _FORMAT,
        "settings": asdict(settings),
        "focal_length_px": focal_length,
        "photos": keeping.fingerprint(photos.values()),
        "masks": keeping.fingerprint(found.values()),
    }
    if not keeping.is_kept(poses_folder, key):
        reporter.stage("poses", "Finding the cameras' poses")
        keeping.keep(
            poses_folder, key, lambda aside: _find_poses(photos, found, focal_length, aside, settings, reporter)
        )
    capture = load_pinhole(poses_folder, path, photos)
    report = json.loads((poses_folder / REPORT_FILE).read_text(encoding="utf-8"))
    unregistered = tuple(UnregisteredPhoto(**entry) for entry in report["unregistered"])
    if len(unregistered) > len(photos) / 2:
        reporter.warning(
            f"Only {len(capture.photos)} of {len(photos)} photos have a pose; photos that overlap more, or masks of "
            "the subject where it was turned, would help"
        )
    return replace(capture, unregistered=unregistered, poses_found=True)


def _focal_length_prior(photos: Mapping[str, Path], overrides: LensOverrides) -> float | None:
    """The median of what the photos' metadata and the user say, px of the full-size photo, or None."""
    exifs = {photo: overrides.of_exif(read_exif(photo)) for photo in photos.values()}
    focal_lengths = [focal_length_px(exif, *image_size(photo)) for photo, exif in exifs.items()]
    known = [focal_length for focal_length in focal_lengths if focal_length]
    return median(known) if known else None


def _find_poses(
    photos: Mapping[str, Path],
    masks: Mapping[str, Path],
    focal_length: float | None,
    folder: Path,
    settings: Settings,
    reporter: Reporter,
) -> None:
    """Fill `folder` with the pinhole model, the undistorted photos and masks, and the report."""
    from solver.capture.colmap_library import pycolmap

    size, lying_across = sensor_frame({name: image_size(photo) for name, photo in photos.items()})
    with tempfile.TemporaryDirectory(prefix="poses-") as temporary:
        work = Path(temporary)
        # Copies by number: every name is plain ASCII then, whatever the photos are called.
        names = {f"{i:05d}.png": name for i, name in enumerate(photos)}
        across = {copy for copy, name in names.items() if name in lying_across}
        write_copies(
            {copy: photos[name] for copy, name in names.items()},
            {copy: masks[name] for copy, name in names.items() if name in masks},
            work,
            settings.max_image_size,
            _part(reporter, "copies"),
            across,
        )
        copy_size = image_size(work / "images" / next(iter(names)))
        prior = focal_length * copy_size[0] / size[0] if focal_length else None
        database = work / "database.db"
        extract_features(
            database,
            work,
            pycolmap.CameraMode.SINGLE,
            _reader_options(copy_size, prior),
            settings.max_features,
            _part(reporter, "features"),
        )
        match(database, all_pairs(list(names)), _part(reporter, "matches"))
        models = _map(database, work, len(names), settings, _part(reporter, "mapping"))
        reasons = _reasons(database, settings)
    if not models or models[0].num_reg_images() < MINIMUM_PHOTOS:
        raise _too_few(models, names, reasons, next(iter(photos.values())).parent)
    unregistered = _unregistered(models, names, reasons)
    model = models[0]
    _enlarge(model, size)
    model = turned_back(model, across)
    stems = {image.image_id: names[image.name] for image in model.images.values()}
    sources = {image_id: Sources(photos[stem], masks.get(stem)) for image_id, stem in stems.items()}
    write_pinhole(model, stems, sources, folder, _part(reporter, "undistort"))
    write_json(folder / REPORT_FILE, {"unregistered": [asdict(photo) for photo in unregistered]})


def _part(reporter: Reporter, part: str) -> Progress:
    """Progress of one part of the stage, as progress of the stage."""
    start, end = _PARTS[part]

    def progress(done: int, total: int) -> None:
        share = min(1.0, done / max(1, total))
        reporter.progress(round(1000 * (start + (end - start) * share)), 1000)

    return progress


def _reader_options(size: tuple[int, int], focal_length: float | None) -> "pycolmap.ImageReaderOptions":
    """One radial camera for all copies, starting from the focal length in px where that is known."""
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.ImageReaderOptions()
    options.camera_model = "SIMPLE_RADIAL"
    if focal_length is not None:
        options.camera_params = f"{focal_length},{size[0] / 2},{size[1] / 2},0"
    return options


def _map(
    database: Path, work: Path, photos: int, settings: Settings, progress: Progress
) -> "list[pycolmap.Reconstruction]":
    """The models that the mapper finds, the one with the most photos (then points) first."""
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = MINIMUM_PHOTOS
    options.random_seed = settings.seed
    for part in (options, options.mapper, options.triangulation):
        part.max_focal_length_ratio = settings.max_focal_length_ratio
    registered = 0

    def count() -> None:
        nonlocal registered
        registered += 1

    (work / "models").mkdir()
    models = run_watched(
        lambda token: pycolmap.incremental_mapping(
            database,
            work / "images",
            work / "models",
            options=options,
            next_image_callback=count,
            cancellation_token=token,
        ),
        lambda: progress(min(registered, photos), photos),
    )
    progress(photos, photos)
    return sorted(models.values(), key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def _reasons(database: Path, settings: Settings) -> dict[str, str]:
    """By the name of the copy: why the photo would have no pose, in a few words."""
    features, matches = feature_counts(database)
    reasons = {}
    for copy, count in features.items():
        if count < settings.min_features:
            reasons[copy] = f"only {count} features, so it is too blurred or too plain"
        elif matches[copy] < settings.min_matches:
            reasons[copy] = f"at most {matches[copy]} matches with another photo, so too little overlaps or is sharp"
        else:
            reasons[copy] = f"{matches[copy]} matches with another photo, but no pose that agrees with the rest"
    return reasons


def _unregistered(
    models: "list[pycolmap.Reconstruction]", names: Mapping[str, str], reasons: Mapping[str, str]
) -> list[UnregisteredPhoto]:
    """The photos that have no pose in the first of `models`."""
    members = [{image.name for image in registered_images(model)} for model in models]
    result = []
    for copy, name in names.items():
        groups = [len(group) for group in members if copy in group]
        if members and copy in members[0]:
            continue
        reason = reasons.get(copy, "it could not be read")
        result.append(
            UnregisteredPhoto(name, f"fits a group of {groups[0]} photos, but not the rest" if groups else reason)
        )
    return result


def _too_few(
    models: "list[pycolmap.Reconstruction]", names: Mapping[str, str], reasons: Mapping[str, str], folder: Path
) -> SolverError:
    lost = _unregistered(models, names, reasons)
    found = len(names) - len(lost)
    listed = ", ".join(f"{photo.name} ({photo.reason})" for photo in lost[:3])
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return SolverError(
        f"too few photos found a pose ({found} of {len(names)}): {listed}{more}",
        where=folder,
        remedy="take more photos with less turn between them and a smaller aperture, on a surface with texture",
    )


def _enlarge(model: "pycolmap.Reconstruction", size: tuple[int, int]) -> None:
    """Scale the model's cameras and observations, in place, to photos of `size` (width, height)."""
    for image in model.images.values():
        camera = model.camera(image.camera_id)
        scale = np.array([size[0] / camera.width, size[1] / camera.height])
        for point in image.points2D:
            point.xy = point.xy * scale
    for camera in model.cameras.values():
        camera.rescale(*size)
