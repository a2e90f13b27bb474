# SPDX-License-Identifier: GPL-3.0-or-later
"""From a path to a Capture, whichever way its poses are to be had."""

from dataclasses import replace
from pathlib import Path

from solver.capture import transforms
from solver.capture.images import image_size, working_camera
from solver.capture.types import Capture, Photo
from solver.errors import SolverError
from solver.events import Reporter


def load_capture(
    path: Path,
    *,
    masks: Path | None = None,
    poses_folder: Path,
    max_size: int | None = None,
    train_on_sharp: bool = False,
    find_points: bool = True,
    reporter: Reporter | None = None,
) -> Capture:
    """Read a capture: a folder with a transforms.json, one with a COLMAP model, or one of plain photos.

    Args:
        path: the folder, or a transforms.json.
        masks: folder with a mask for each photo; without it masks/ beside the photos is used.
        poses_folder: where poses that had to be found, and undistorted photos, are kept and found again.
        max_size: longest side in pixels of the cameras returned; the files stay as they are, and
            `solver.capture.images.load_photo` reduces them. None keeps their size.
        train_on_sharp: use the capture's ground truth without defocus in place of the photos.
        find_points: triangulate sparse points where the poses are known and the capture has no points.
        reporter: gets the stages `read` and `poses`, their progress and warnings.

    Raises:
        SolverError: there is no capture at `path`, or something in it is wrong.
    """
    path = Path(path).absolute()
    reporter = reporter or Reporter()
    reporter.stage("read", "Reading photos")
    capture = _load(path, masks, Path(poses_folder).absolute(), train_on_sharp, reporter)
    if len(capture.photos) < 2:
        raise SolverError("the capture has one photo", where=path, remedy="add photos from other viewpoints")
    if train_on_sharp:
        capture = capture.with_photos(tuple(_sharp(photo, path) for photo in capture.photos))
    if find_points and capture.points is None:
        from solver.capture.triangulation import triangulate

        capture = replace(capture, points=triangulate(capture, reporter))
    return capture.with_photos(
        tuple(replace(photo, camera=working_camera(photo.camera, max_size)) for photo in capture.photos)
    )


def _load(path: Path, masks: Path | None, poses_folder: Path, sharp_images_needed: bool, reporter: Reporter) -> Capture:
    if not path.exists():
        raise SolverError("the capture does not exist", where=path, remedy="check the path")
    if path.is_file() and path.suffix.lower() != ".json":
        raise SolverError("the capture is a file", where=path, remedy="give the folder that holds the photos")
    if path.is_file() or (path / transforms.FILE_NAME).exists():
        from solver.capture.known_poses import load_known_poses

        return load_known_poses(path, masks=masks, poses_folder=poses_folder, reporter=reporter)
    if sharp_images_needed:  # said before poses are looked for, which takes minutes
        raise SolverError("the capture has no sharp images", where=path, remedy="leave --train-on sharp out")
    from solver.capture.colmap import find_models, load_colmap

    if find_models(path):
        return load_colmap(path, masks=masks, poses_folder=poses_folder, reporter=reporter)
    from solver.capture.structure_from_motion import load_plain_photos

    return load_plain_photos(path, masks=masks, poses_folder=poses_folder, reporter=reporter)


def _sharp(photo: Photo, path: Path) -> Photo:
    if photo.sharp_path is None:
        raise SolverError(
            f"the capture has no sharp image of {photo.name}", where=path, remedy="leave --train-on sharp out"
        )
    if image_size(photo.sharp_path) != image_size(photo.image_path):
        raise SolverError(
            "the sharp image is not of its photo's size", where=photo.sharp_path, remedy="render it again"
        )
    return replace(photo, image_path=photo.sharp_path)
