# SPDX-License-Identifier: GPL-3.0-or-later
"""From matched features to a model: poses, one lens and sparse points, found in several tries.

Macro photos see little perspective: a lens of 100 mm on a small sensor looks from 4 image widths away. A focal length
that is free while the first photos are put together runs off, often to twice the truth, and takes the distortion
along; hardly any photo fits on afterwards. So it is held at first, at what the metadata say or, without any, at a few
guesses, and set free with the distortion when the photos are in place. A lens focused close has a principal distance
of (1 + magnification) times its focal length, which is why longer ones are tried as well.

Looser thresholds find poses for more blurred photos, and a few wrong ones. A photo whose matches, in their majority,
do not meet the epipolar lines of the pose it got is taken out again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.background import run_watched
from solver.capture.features import tolerance_px

if TYPE_CHECKING:
    import pycolmap

MINIMUM_PHOTOS = 3  # in a model
_UNKNOWN_FOCAL_LENGTHS = (1.2, 3.0, 5.0)  # image widths, held in turn where the metadata say nothing
_MAGNIFICATIONS = (1.3, 1.7)  # 1 + magnification, of lenses that are focused closer than their metadata can tell
_PLAUSIBLE_CHANGE = 1.3  # most that a focal length changes by when it is set free, if the poses are right
_AGREEMENT = 0.5  # least share of a photo's matches that its pose must explain
_EPIPOLAR_ERROR = 0.006  # of the longer side: distance from the epipolar line that counts as agreement
_MORE_POINTS = 1.1  # ratio that makes one try better than another with as many photos
_LEAST_POINTS = 12  # that a photo must see
_ROBUST_SCALE_PX = 2.0  # of the loss in the last adjustment


@dataclass(frozen=True)
class Start:
    """How one try at mapping begins."""

    focal_lengths: Mapping[int, float]  # camera id -> px
    held: bool = True  # until the photos are in place; else the lens is free from the first two on
    free: frozenset[int] = frozenset()  # cameras that are not held even so, as nothing is known of them
    loose: bool = False  # thresholds for few and blurred matches
    told: str = ""  # for people


@dataclass(frozen=True)
class Outcome:
    """What a try gave."""

    models: "tuple[pycolmap.Reconstruction, ...]" = ()  # the one with the most photos, then points, first
    plausible: bool = False  # the focal length stayed near that which it started from
    misplaced: frozenset[str] = field(default_factory=frozenset)  # images taken out, as their matches disagree

    @property
    def photos(self) -> int:
        """Number of photos that have a pose."""
        return self.models[0].num_reg_images() if self.models else 0

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Larger is better: a believable lens, then photos, then points."""
        points = self.models[0].num_points3D() if self.models else 0
        return self.plausible and self.photos >= MINIMUM_PHOTOS, self.photos, points

    def better_than(self, other: "Outcome") -> bool:
        """By `rank`, where a few points more do not count: with as many photos, the earlier try is nearer the prior."""
        (lens, photos, points), (other_lens, other_photos, other_points) = self.rank, other.rank
        if (lens, photos) != (other_lens, other_photos):
            return (lens, photos) > (other_lens, other_photos)
        return points > _MORE_POINTS * other_points


def starts(cameras: "Mapping[int, pycolmap.Camera]") -> Iterator[Start]:
    """The tries in the order of their chances, given the cameras as the database has them.

    A camera without a prior begins as long, in image widths, as those with one in their median, and is not held.
    """
    known = {i: camera.mean_focal_length() for i, camera in cameras.items() if camera.has_prior_focal_length}
    widths = {i: max(camera.width, camera.height) for i, camera in cameras.items()}
    usual = median(length / widths[i] for i, length in known.items()) if known else 1.0
    free = frozenset(cameras.keys() - known.keys())

    def times(factor: float) -> dict[int, float]:
        return {i: factor * known.get(i, usual * width) for i, width in widths.items()}

    if known:
        yield Start(times(1), free=free, told="focal length as the photos say")
        yield Start(times(1), free=free, loose=True, told="looser thresholds")
        for factor in _MAGNIFICATIONS:
            yield Start(times(factor), free=free, loose=True, told=f"focal length {factor:g} times as long")
        yield Start(times(1), held=False, loose=True, told="focal length free")
    else:
        yield Start(times(_UNKNOWN_FOCAL_LENGTHS[0]), held=False, told="focal length free")
        for factor in _UNKNOWN_FOCAL_LENGTHS:
            yield Start(times(factor), loose=True, told=f"focal length of {factor:g} image widths")
        yield Start(times(_UNKNOWN_FOCAL_LENGTHS[0]), held=False, loose=True, told="looser thresholds")


def map_photos(
    database: Path,
    work: Path,
    start: Start,
    *,
    max_focal_length_ratio: float,
    seed: int,
    progress: Callable[[int], None],
) -> Outcome:
    """One try: poses and points of as many of the database's photos as fit together.

    Args:
        database: with features and verified matches; its cameras' focal lengths become those of `start`.
        work: folder with images/, for colours; gets scratch files.
        start: how to begin.
        max_focal_length_ratio: focal length over image size beyond which a model is given up.
        seed: of the mapper.
        progress: told the number of photos that have been put in place, a few times a second.
    """
    from solver.capture.colmap_library import pycolmap

    with pycolmap.Database.open(database) as content:
        cameras = content.read_all_cameras()
        for camera in cameras:
            camera.focal_length = start.focal_lengths[camera.camera_id]
            content.update_camera(camera)
    tolerance = tolerance_px(max(max(camera.width, camera.height) for camera in cameras))
    options = _options(start, max_focal_length_ratio, seed, tolerance)
    registered = 0

    def count() -> None:
        nonlocal registered
        registered += 1

    target = work / "models"
    target.mkdir(exist_ok=True)
    found = run_watched(
        lambda token: pycolmap.incremental_mapping(
            database,
            work / "images",
            target,
            options=options,
            next_image_callback=count,
            cancellation_token=token,
        ),
        lambda: progress(registered),
    )
    models = _sorted(found.values())
    if not models:
        return Outcome()
    held = _mean_focal_length(models[0])
    misplaced = _take_out_misplaced(models[0], database)
    if start.held and models[0].num_reg_images() >= MINIMUM_PHOTOS:
        _set_lens_free(models[0])
        misplaced |= _take_out_misplaced(models[0], database)
    change = _mean_focal_length(models[0]) / held
    plausible = not start.held or 1 / _PLAUSIBLE_CHANGE < change < _PLAUSIBLE_CHANGE
    return Outcome(tuple(_sorted(models)), plausible, frozenset(misplaced))


def _options(
    start: Start, max_focal_length_ratio: float, seed: int, tolerance: float
) -> "pycolmap.IncrementalPipelineOptions":
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = MINIMUM_PHOTOS
    options.random_seed = seed
    for part in (options, options.mapper, options.triangulation):
        part.max_focal_length_ratio = max_focal_length_ratio
        part.random_seed = seed
    options.mapper.init_max_error = options.mapper.filter_max_reproj_error = tolerance
    options.triangulation.merge_max_reproj_error = options.triangulation.complete_max_reproj_error = tolerance
    options.mapper.abs_pose_max_error = 2 * tolerance
    if start.held and start.free:
        held = set(start.focal_lengths) - start.free
        options.constant_cameras = options.mapper.constant_cameras = held
    elif start.held:
        options.ba_refine_focal_length = options.mapper.abs_pose_refine_focal_length = False
        options.ba_refine_extra_params = options.mapper.abs_pose_refine_extra_params = False
    if start.loose:
        options.mapper.init_min_num_inliers = 40
        options.mapper.init_min_tri_angle = 6.0
        options.mapper.abs_pose_min_num_inliers = 20
    return options


def _sorted(models: "Iterable[pycolmap.Reconstruction]") -> "list[pycolmap.Reconstruction]":
    return sorted(models, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def _mean_focal_length(model: "pycolmap.Reconstruction") -> float:
    used = {model.image(image_id).camera_id for image_id in model.reg_image_ids()} or set(model.cameras)
    return float(np.mean([model.camera(camera_id).mean_focal_length() for camera_id in used]))


def _set_lens_free(model: "pycolmap.Reconstruction") -> None:
    """Adjust everything at once, in place: the focal length first, and then the distortion with it."""
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.loss_function_scale = _ROBUST_SCALE_PX
    config = pycolmap.BundleAdjustmentConfig()
    for image_id in model.reg_image_ids():
        config.add_image(image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    for options.refine_extra_params in (False, True):
        # pycolmap.bundle_adjustment would do the same, and set the library's log level to its most talkative.
        pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    model.update_point_3d_errors()


def _take_out_misplaced(model: "pycolmap.Reconstruction", database: Path) -> set[str]:
    """Take photos that contradict their matches, or see hardly any point, out of the model; returns their names.

    A match counts as explained where each of its points is near the other's epipolar line.
    """
    beside: dict[int, dict[int, np.ndarray]] = {image_id: {} for image_id in model.reg_image_ids()}
    for (first, second), counts in _explained_matches(model, database).items():
        beside[first][second] = beside[second][first] = np.array(counts)
    sums = {image_id: sum(others.values(), np.zeros(2, int)) for image_id, others in beside.items()}
    taken: set[str] = set()
    while model.num_reg_images() > MINIMUM_PHOTOS:

        def support(image_id: int) -> float:
            good, total = sums[image_id]
            few = model.image(image_id).num_points3D < _LEAST_POINTS
            return 0.0 if few or not total else good / total

        worst = min(sums, key=lambda image_id: (support(image_id), image_id))
        if support(worst) >= _AGREEMENT:
            break
        taken.add(model.image(worst).name)
        model.deregister_frame(model.image(worst).frame_id)
        del sums[worst]
        for other, shared in beside.pop(worst).items():
            if other in sums:
                sums[other] = sums[other] - shared
    return taken


def _explained_matches(model: "pycolmap.Reconstruction", database: Path) -> dict[tuple[int, int], tuple[int, int]]:
    """For pairs of image ids in the model: how many of the verified matches its poses explain, of how many."""
    from solver.capture.colmap_library import pycolmap

    images = {image_id: model.image(image_id) for image_id in model.reg_image_ids()}
    pixels = {i: np.array([point.xy for point in image.points2D]).reshape(-1, 2) for i, image in images.items()}
    poses = {i: np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]]) for i, image in images.items()}
    cameras = {i: model.camera(image.camera_id) for i, image in images.items()}
    with pycolmap.Database.open(database) as content:
        pair_ids, geometries = content.read_two_view_geometries()
    counts = {}
    for pair_id, geometry in zip(pair_ids, geometries, strict=True):
        first, second = pair = pycolmap.pair_id_to_image_pair(pair_id)
        matches = np.asarray(geometry.inlier_matches).reshape(-1, 2)
        if first in images and second in images and len(matches):
            near = _near_epipolar_lines(
                (cameras[first], cameras[second]),
                (pixels[first][matches[:, 0]], pixels[second][matches[:, 1]]),
                poses[second] @ np.linalg.inv(poses[first]),
            )
            counts[pair] = (int(near.sum()), len(matches))
    return counts


def _near_epipolar_lines(
    cameras: "tuple[pycolmap.Camera, pycolmap.Camera]",
    pixels: tuple[np.ndarray, np.ndarray],  # [M, 2] in the first photo, [M, 2] in the second
    second_from_first: np.ndarray,  # [4, 4]
) -> np.ndarray:
    """For each match, [M] bool: whether its points lie near each other's epipolar lines.

    Distortion is left out of it, as it is small against the tolerance.
    """
    x, y, z = second_from_first[:3, 3]
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ second_from_first[:3, :3]
    inverses = [np.linalg.inv(camera.calibration_matrix()) for camera in cameras]
    fundamental = inverses[1].T @ essential @ inverses[0]
    points = [np.concatenate([side, np.ones((len(side), 1))], axis=1) for side in pixels]
    lines = [points[1] @ fundamental, points[0] @ fundamental.T]
    near = np.ones(len(points[0]), dtype=bool)
    for camera, point, line in zip(cameras, points, lines, strict=True):
        distance = np.abs((point * line).sum(axis=1)) / np.maximum(np.linalg.norm(line[:, :2], axis=1), 1e-12)
        near &= distance < _EPIPOLAR_ERROR * max(camera.width, camera.height)
    return near
