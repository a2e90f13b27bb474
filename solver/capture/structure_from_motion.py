# SPDX-License-Identifier: GPL-3.0-or-later
"""Structure from motion: the poses of plain photos, by pycolmap on the CPU.

SIFT features of copies of the photos are matched between pairs, and mapped incrementally with one camera for all
photos of one lens and focal length. Where too few photos find a pose, the mapper begins otherwise, and then more
effort is made over features; the best model of all tries wins. It is scaled to the photos' full size, freed of
distortion, and kept with the undistorted photos in a folder of its own.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from solver.capture import keeping
from solver.capture.colmap import Sources, load_pinhole, registered_images, write_pinhole
from solver.capture.exif import focal_length_px, read_exif
from solver.capture.features import (
    Effort,
    Progress,
    all_pairs,
    extract_by_camera,
    feature_counts,
    match,
    pairs_in_order,
    tolerance_px,
    write_copies,
)
from solver.capture.images import image_size
from solver.capture.mapping import Outcome, map_photos, starts
from solver.capture.mask_making import MakeMasks, made_from, make_masks
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
_FORMAT = 4  # of the kept folder; a change makes old ones be made anew
_FEW_FEATURES = 0.4  # of what other photos have: a photo with fewer is blurred


@dataclass(frozen=True)
class Settings:
    """What structure from motion works with; a change makes kept poses be found anew."""

    max_image_size: int = 1600  # px, longest side of the copies that features are taken from
    double_up_to: int = 1000  # px, longest side of the doubled copies of small photos
    efforts: tuple[Effort, ...] = (
        Effort(),
        Effort(peak_threshold=0.01 / 3, affine_shape=True, guided_matching=True),
    )  # made one after the other until enough photos have a pose
    enough: float = 0.9  # share of the photos with features that must have a pose for that
    all_pairs_up_to: tuple[int, ...] = (80, 250)  # photos that are all matched with each other, at each effort
    max_focal_length_ratio: float = 30.0  # focal length over image size; lenses at 1:1 and beyond exceed 10
    hopeless_features: int = 20  # photos with fewer are not waited for
    min_features: int = 100  # fewer in a photo are given as the reason that it has no pose
    min_matches: int = 30  # inliers with another photo; likewise
    seed: int = 0  # of RANSAC and of the mapper


class _Lens(NamedTuple):
    """What photos of one calibration share."""

    name: str  # of the lens, as the photos tell; empty where they do not
    focal_length_mm: float | None  # engraved


@dataclass(frozen=True)
class _Found:
    """The best of the tries, and what was learned of the photos on the way."""

    outcome: Outcome = field(default_factory=Outcome)
    features: dict[str, int] = field(default_factory=dict)  # by the name of the copy
    partners: dict[str, tuple[int, str]] = field(default_factory=dict)  # most matches with one copy, and its name


def load_plain_photos(
    path: Path,
    *,
    masks: Path | None,
    poses_folder: Path,
    reporter: Reporter,
    settings: Settings | None = None,
    overrides: LensOverrides | None = None,
    mask_making: MakeMasks = "no",
) -> Capture:
    """The capture of a folder of plain photos; the poses are found unless `poses_folder` has them already.

    Args:
        path: the folder.
        masks: folder with a mask for each photo, or None for those in masks/, as far as they are there. Where there
            are masks, features of the subject alone count, which is what a turntable needs.
        poses_folder: where poses and undistorted photos are kept.
        reporter: gets the stage `poses`, again for each further try, its progress, and warnings.
        settings: None for the usual.
        overrides: what the user says about the lens.
        mask_making: whether to make masks from the photos where there are none; those of photos with a pose are
            kept, undistorted like the photos, in masks/ in `poses_folder`.

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
    lenses = _lenses(photos, overrides or LensOverrides())
    key = {
        "format": _FORMAT,
        "settings": json.loads(json.dumps(asdict(settings))),
        "lenses": [[list(lens), names, focal_length] for lens, (names, focal_length) in lenses.items()],
        "photos": keeping.fingerprint(photos.values()),
        "masks": keeping.fingerprint(found.values()),
        "mask_making": mask_making,
    }
    if not keeping.is_kept(poses_folder, key):
        search = _Search(photos, found, lenses, settings, reporter, mask_making)
        keeping.keep(poses_folder, key, search.fill)
    capture = load_pinhole(poses_folder, path, photos)
    report = json.loads((poses_folder / REPORT_FILE).read_text(encoding="utf-8"))
    for message in report["warnings"]:
        reporter.warning(message)
    unregistered = tuple(UnregisteredPhoto(**entry) for entry in report["unregistered"])
    return replace(capture, unregistered=unregistered, poses_found=True)


def _lenses(photos: Mapping[str, Path], overrides: LensOverrides) -> dict[_Lens, tuple[list[str], float | None]]:
    """For each lens and focal length: the photos taken with it, and the focal length, px of the full-size photo.

    Photos that do not tell are taken to be of the lens that most are of.
    """
    exifs = {name: overrides.of_exif(read_exif(photo)) for name, photo in photos.items()}
    told = {name: _Lens(exif.lens or "", exif.focal_length_mm) for name, exif in exifs.items() if exif.focal_length_mm}
    usual = Counter(told.values()).most_common(1)[0][0] if told else _Lens("", None)
    result: dict[_Lens, tuple[list[str], float | None]] = {}
    by_lens: dict[_Lens, list[str]] = {}
    for name in photos:
        by_lens.setdefault(told.get(name, usual), []).append(name)
    for lens, names in by_lens.items():
        known = [px for name in names if (px := focal_length_px(exifs[name], *image_size(photos[name])))]
        result[lens] = (names, median(known) if known else None)
    return result


@dataclass(frozen=True)
class _Search:
    """The search for poses, which fills the folder that is kept."""

    photos: Mapping[str, Path]
    masks: Mapping[str, Path]
    lenses: Mapping[_Lens, tuple[list[str], float | None]]
    settings: Settings
    reporter: Reporter
    mask_making: MakeMasks

    def fill(self, folder: Path) -> None:
        """Fill `folder` with the pinhole model, the undistorted photos and masks, and the report."""
        size, lying_across = sensor_frame({name: image_size(photo) for name, photo in self.photos.items()})
        with tempfile.TemporaryDirectory(prefix="poses-") as temporary:
            work = Path(temporary)
            masks, stationary, warnings = self._masks(work)
            self.reporter.stage("poses", "Finding the cameras' poses")
            # Copies by number: every name is plain ASCII then, whatever the photos are called.
            names = {f"{i:05d}.png": name for i, name in enumerate(self.photos)}
            across = {copy for copy, name in names.items() if name in lying_across}
            write_copies(
                {copy: self.photos[name] for copy, name in names.items()},
                {copy: masks[name] for copy, name in names.items() if name in masks},
                work,
                self.settings.max_image_size,
                self._part("copies"),
                across,
                self.settings.double_up_to,
            )
            found = self._best(work, names, size, stationary)
            models = found.outcome.models
            reasons = _reasons(found, names, self.settings)
            if found.outcome.photos < MINIMUM_PHOTOS:
                raise _too_few(found, names, reasons, next(iter(self.photos.values())).parent)
            model = models[0]
            _enlarge(model, size)
            model = turned_back(model, across)
            stems = {image.image_id: names[image.name] for image in model.images.values()}
            sources = {i: Sources(self.photos[stem], masks.get(stem)) for i, stem in stems.items()}
            write_pinhole(model, stems, sources, folder, self._part("undistort"))
        report = {
            "unregistered": [asdict(UnregisteredPhoto(names[copy], reason)) for copy, reason in reasons.items()],
            "warnings": [*warnings, *_advice(found, names, self.lenses)],
        }
        write_json(folder / REPORT_FILE, report)

    def _masks(self, work: Path) -> tuple[Mapping[str, Path], bool, list[str]]:
        """The masks to work with, whether the background stands still behind a turntable, and warnings."""
        if self.masks or self.mask_making == "no":
            return self.masks, False, []
        self.reporter.stage("masks", "Making masks")
        (work / "made").mkdir()
        made = make_masks(self.photos, work / "made", self.reporter.progress)
        warning = made_from(made, len(self.photos), self.mask_making)
        usable = made.confident or self.mask_making == "yes"
        return (made.masks if usable else {}), made.background == "standing", [warning] if warning else []

    def _best(self, work: Path, names: Mapping[str, str], size: tuple[int, int], stationary: bool) -> _Found:
        """Try after try, until enough photos have a pose; the best of them."""
        best = _Found()
        order: dict[str, tuple[bool, int, int]] = {}
        for number, effort in enumerate(self.settings.efforts):
            if number > 0:
                self.reporter.stage("poses", "Finding the cameras' poses: again, with features made for blur")
            effort = replace(effort, filter_stationary=effort.filter_stationary or stationary)
            database = work / f"database_{number}.db"
            self._prepare(database, work, names, size, effort, number)
            features, partners = feature_counts(database)
            hopeful = sum(count >= self.settings.hopeless_features for count in features.values())
            # What did best with other features comes first.
            tries = sorted(
                starts(_cameras(database)), key=lambda start: order.get(start.told, (False, 0, 0)), reverse=True
            )
            for start in tries:
                if start is not tries[0]:
                    self.reporter.stage("poses", f"Finding the cameras' poses: again, {start.told}")
                outcome = map_photos(
                    database,
                    work,
                    start,
                    max_focal_length_ratio=self.settings.max_focal_length_ratio,
                    seed=self.settings.seed,
                    progress=lambda done: self._part("mapping")(min(done, len(names)), len(names)),
                )
                order[start.told] = outcome.rank
                self.reporter.metric("photos_with_pose", outcome.photos)
                if not best.features or outcome.better_than(best.outcome):
                    best = _Found(outcome, features, partners)
                if best.outcome.plausible and best.outcome.photos >= max(
                    MINIMUM_PHOTOS, self.settings.enough * hopeful
                ):
                    return best
        return best

    def _prepare(
        self, database: Path, work: Path, names: Mapping[str, str], size: tuple[int, int], effort: Effort, number: int
    ) -> None:
        """Extract and match the features of all copies."""
        from solver.capture.colmap_library import pycolmap

        copy_size = image_size(work / "images" / next(iter(names)))
        copies = {name: copy for copy, name in names.items()}
        readers = [
            (
                [copies[name] for name in members],
                _reader(copy_size, focal_length and focal_length * copy_size[0] / size[0]),
            )
            for members, focal_length in self.lenses.values()
        ]
        extract_by_camera(database, work, pycolmap.CameraMode.SINGLE, readers, effort, self._part("features"))
        limits = self.settings.all_pairs_up_to
        few = len(names) <= limits[min(number, len(limits) - 1)]
        pairs = all_pairs(list(names)) if few else pairs_in_order(list(names))
        match(database, pairs, self._part("matches"), effort=effort, max_error_px=tolerance_px(max(copy_size)))

    def _part(self, part: str) -> Progress:
        """Progress of one part of the stage, as progress of the stage."""
        start, end = _PARTS[part]

        def progress(done: int, total: int) -> None:
            share = min(1.0, done / max(1, total))
            self.reporter.progress(round(1000 * (start + (end - start) * share)), 1000)

        return progress


def _reader(size: tuple[int, int], focal_length: float | None) -> "pycolmap.ImageReaderOptions":
    """A radial camera for copies of `size`, starting from the focal length in px where that is known."""
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.ImageReaderOptions()
    options.camera_model = "SIMPLE_RADIAL"
    if focal_length is not None:
        options.camera_params = f"{focal_length},{size[0] / 2},{size[1] / 2},0"
    return options


def _cameras(database: Path) -> "dict[int, pycolmap.Camera]":
    from solver.capture.colmap_library import pycolmap

    with pycolmap.Database.open(database) as content:
        return {camera.camera_id: camera for camera in content.read_all_cameras()}


def _reasons(found: _Found, names: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """By the name of the copy: why a photo has no pose in the best model, in a few words."""
    members = [{image.name for image in registered_images(model)} for model in found.outcome.models]
    placed = members[0] if members else set()
    usual = median([found.features[copy] for copy in placed]) if placed else 0
    reasons = {}
    for copy in names:
        if copy in placed:
            continue
        groups = [len(group) for group in members if copy in group]
        count, (matches, partner) = found.features.get(copy, 0), found.partners.get(copy, (0, ""))
        if groups:
            reason = f"fits a group of {groups[0]} photos, but not the rest"
        elif count < settings.min_features:
            reason = f"only {count} features, so it is too blurred or too plain"
        elif matches < settings.min_matches and count < _FEW_FEATURES * usual:
            reason = f"{count} features where others have {usual:.0f}, so it is more blurred than they are"
        elif matches < settings.min_matches:
            reason = (
                f"at most {matches} matches with another photo, so it shows something else, or too little overlaps or "
                "is sharp"
            )
        elif copy in found.outcome.misplaced:
            reason = f"{matches} matches with {names[partner]}, but the pose they gave contradicts other photos"
        else:
            reason = f"{matches} matches with {names[partner]}, but no pose that agrees with the rest"
        reasons[copy] = reason
    return reasons


def _too_few(found: _Found, names: Mapping[str, str], reasons: Mapping[str, str], folder: Path) -> SolverError:
    """Why there is no model, told by the photos: blurred, or without overlap."""
    told = [f"{names[copy]} ({reason})" for copy, reason in reasons.items()]
    listed = ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")
    return SolverError(
        f"too few photos found a pose ({len(names) - len(reasons)} of {len(names)}): {listed}",
        where=folder,
        remedy="take more photos with less turn between them and a smaller aperture, on a surface with texture",
    )


def _advice(
    found: _Found, names: Mapping[str, str], lenses: Mapping[_Lens, tuple[list[str], float | None]]
) -> list[str]:
    """Warnings about the poses as a whole."""
    warnings = []
    groups = [model.num_reg_images() for model in found.outcome.models]
    if len(lenses) > 1:
        told = ", ".join(
            f"{len(members)} at {lens.focal_length_mm:g} mm"
            for lens, (members, _) in lenses.items()
            if lens.focal_length_mm
        )
        warnings.append(f"The photos were taken with different lenses or zoom ({told}); keep it fixed next time")
    others = [size for size in groups[1:] if size >= MINIMUM_PHOTOS]
    if others:
        listed = " and ".join(str(size) for size in others[:3])
        warnings.append(
            f"The photos fall into groups that do not overlap; the largest, of {groups[0]} photos, is used, "
            f"and not the {listed}: photos from between them would join them"
        )
    elif groups[0] < len(names) / 2:
        warnings.append(
            f"Only {groups[0]} of {len(names)} photos have a pose; photos that overlap more, a smaller aperture, or "
            "masks of the subject where it was turned, would help"
        )
    if not found.outcome.plausible:
        warnings.append(
            "The focal length that the poses need is far from what was expected; check the poses, and that the lens "
            "was not zoomed"
        )
    return warnings


def _enlarge(model: "pycolmap.Reconstruction", size: tuple[int, int]) -> None:
    """Scale the model's cameras and observations, in place, to photos of `size` (width, height)."""
    for image in model.images.values():
        camera = model.camera(image.camera_id)
        scale = np.array([size[0] / camera.width, size[1] / camera.height])
        for point in image.points2D:
            point.xy = point.xy * scale
    for camera in model.cameras.values():
        camera.rescale(*size)
