# SPDX-License-Identifier: GPL-3.0-or-later
"""From a path to a Capture, whichever way its poses are to be had."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from solver.capture import transforms
from solver.capture.images import image_size, working_camera
from solver.capture.mask_making import MakeMasks, with_made_masks
from solver.capture.overrides import LensOverrides
from solver.capture.scale_bar import check_scale_inputs, measured
from solver.capture.types import Capture, Photo
from solver.errors import SolverError
from solver.events import Reporter

UprightChoice = Literal["auto", "always", "never"]

SCALE_FILE = "scale.json"  # in a capture: what scale_bar names otherwise

_FAR = 1e4  # how many times its own extent a capture may lie from the origin: beyond, float32 runs out of digits


def load_capture(
    path: Path,
    *,
    photos: Path | None = None,
    masks: Path | None = None,
    poses_folder: Path,
    max_size: int | None = None,
    train_on_sharp: bool = False,
    find_points: bool = True,
    upright: UprightChoice = "auto",
    scale_bar: Path | None = None,
    marker_mm: float | None = None,
    overrides: LensOverrides | None = None,
    mask_making: MakeMasks = "no",
    reporter: Reporter | None = None,
) -> Capture:
    """Read a capture: photos with a file of their cameras, with a COLMAP model, or alone.

    Args:
        path: the folder, or the file of cameras: a transforms.json, an XML file of Metashape, or a CSV file of
            RealityScan.
        photos: folder of the photos, where they are not beside the file of cameras.
        masks: folder with a mask for each photo; without it masks/ beside the photos is used.
        poses_folder: where poses that had to be found, and undistorted photos, are kept and found again.
        max_size: longest side in pixels of the cameras returned; the files stay as they are, and
            `solver.capture.images.load_photo` reduces them. None keeps their size.
        train_on_sharp: use the capture's ground truth without defocus in place of the photos.
        find_points: triangulate sparse points where the poses are known and the capture has no points.
        upright: turn and move the world so that Z is up and the subject at the origin. Without a choice of the user's
            (auto) that is done to worlds without a meaning: of poses found here, and of COLMAP models.
        scale_bar: JSON file with points picked in photos, a known distance apart; without it, scale.json in the
            capture is used if it is there. See docs/formats.md.
        marker_mm: side of the ArUco markers in the photos, millimetres, if there are any.
        overrides: what the user says about the lens; it beats what photos and files say.
        mask_making: whether to make masks from the photos, where no photo has one: "auto" where the background is
            plain, or stands still behind a turntable. They are kept with the poses, or beside known ones.
        reporter: gets the stages `read` and `poses`, their progress and warnings.

    Raises:
        SolverError: there is no capture at `path`, or something in it is wrong.
    """
    path = Path(path).absolute()
    reporter = reporter or Reporter()
    overrides = overrides or LensOverrides()
    beside = (path if path.is_dir() else path.parent) / SCALE_FILE
    if scale_bar is None and beside.is_file():
        scale_bar = beside
    if scale_bar is not None or marker_mm is not None:
        check_scale_inputs(scale_bar, marker_mm)  # told before poses are looked for, which takes minutes
    reporter.stage("read", "Reading photos")
    capture, arbitrary = _load(
        path, photos, masks, Path(poses_folder).absolute(), train_on_sharp, overrides, mask_making, reporter
    )
    if mask_making != "no" and not capture.poses_found:
        capture = with_made_masks(capture, Path(poses_folder).absolute().with_name("masks"), mask_making, reporter)
    capture = capture.with_photos(tuple(overrides.of_photo(photo) for photo in capture.photos))
    if len(capture.photos) < 2:
        raise SolverError("the capture has one photo", where=path, remedy="add photos from other viewpoints")
    if train_on_sharp:
        capture = capture.with_photos(tuple(_sharp(photo, path) for photo in capture.photos))
    if find_points and capture.points is None:
        from solver.capture.triangulation import triangulate

        capture = replace(capture, points=triangulate(capture, reporter))
    if upright == "always" or (upright == "auto" and arbitrary):
        from solver.capture.upright import set_upright

        capture, _ = set_upright(capture)
    else:
        capture = _brought_near(capture, reporter)
    if scale_bar is not None or marker_mm is not None:
        capture = measured(capture, scale_bar, marker_mm, reporter)
    return capture.with_photos(
        tuple(replace(photo, camera=working_camera(photo.camera, max_size)) for photo in capture.photos)
    )


def _load(
    path: Path,
    photos: Path | None,
    masks: Path | None,
    poses_folder: Path,
    sharp_images_needed: bool,
    overrides: LensOverrides,
    mask_making: MakeMasks,
    reporter: Reporter,
) -> tuple[Capture, bool]:
    """The capture, and whether its world is turned and placed at random."""
    if not path.exists():
        raise SolverError("the capture does not exist", where=path, remedy="check the path")
    from solver.capture.colmap import find_models, load_colmap
    from solver.capture.known_poses import find_camera_file, load_known_poses

    with_poses = path.is_file() or (path / transforms.FILE_NAME).exists()
    models = [] if with_poses else find_models(path)
    camera_file = path if with_poses else None if models else find_camera_file(path)
    if camera_file is not None:
        capture = load_known_poses(
            camera_file, masks=masks, poses_folder=poses_folder, reporter=reporter, photos=photos
        )
        return capture, False
    if sharp_images_needed:  # said before poses are looked for, which takes minutes
        raise SolverError("the capture has no sharp images", where=path, remedy="leave --train-on sharp out")
    if models:
        capture = load_colmap(path, masks=masks, poses_folder=poses_folder, reporter=reporter, photos=photos)
        return capture, True
    if photos is not None:
        raise SolverError(
            "there is no file of cameras to go with --photos", where=path, remedy="give the folder of photos alone"
        )
    from solver.capture.structure_from_motion import load_plain_photos

    capture = load_plain_photos(
        path,
        masks=masks,
        poses_folder=poses_folder,
        reporter=reporter,
        overrides=overrides,
        mask_making=mask_making,
    )
    return capture, True


def _brought_near(capture: Capture, reporter: Reporter) -> Capture:
    """The capture moved to the origin, if it lies as far from it as positions on the globe do."""
    from solver.capture.upright import moved

    centres = np.array([photo.centre for photo in capture.photos])
    middle = centres.mean(axis=0)
    extent = np.linalg.norm(centres - middle, axis=1).max()
    if extent == 0 or np.linalg.norm(middle) < _FAR * extent:
        return capture
    offset = middle.round()
    told = ", ".join(f"{value:.0f}" for value in offset)
    reporter.warning(f"The cameras lie far from the origin; {told} was taken off all positions")
    return moved(capture, np.eye(3), offset)


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
