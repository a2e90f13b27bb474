# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture whose poses are known: a folder with images and a transforms.json."""

from dataclasses import replace
from pathlib import Path

from solver.capture import keeping
from solver.capture.distortion import pinhole_of, undistort, undistorted_camera
from solver.capture.exif import read_exif
from solver.capture.images import IMAGE_SUFFIXES, check_image
from solver.capture.masks import FOLDER_NAME as MASKS
from solver.capture.masks import find_masks
from solver.capture.points import read_points
from solver.capture.transforms import FILE_NAME, CameraFrame, number, read_transforms
from solver.capture.types import Capture, Photo
from solver.errors import SolverError
from solver.events import Reporter

SHARP = Path("ground_truth", "sharp")


def load_known_poses(path: Path, *, masks: Path | None, poses_folder: Path, reporter: Reporter) -> Capture:
    """Read a capture that has a transforms.json; distorted photos are undistorted into `poses_folder`, once.

    Args:
        path: the capture's folder, or its transforms.json.
        masks: folder with a mask for each photo, or None for those that the capture names or has in masks/.
        poses_folder: where undistorted photos go, if the cameras have distortion.
        reporter: gets the progress.

    Raises:
        SolverError: something about the file, an image or a mask is wrong.
    """
    file = path / FILE_NAME if path.is_dir() else path
    content = read_transforms(file)
    root = file.parent
    frames = {frame.name: frame for frame in content.frames}
    for done, frame in enumerate(content.frames):
        check_image(frame.image_path)
        reporter.progress(done + 1, len(frames))
    found = find_masks(
        {name: frame.image_path for name, frame in frames.items()},
        masks,
        [root / MASKS],
        _stated_masks(frames, root),
    )
    photos = [_photo(frame, found.get(name), _sharp_path(root, name), str(file)) for name, frame in frames.items()]
    if any(frame.distortion for frame in content.frames):
        photos = _undistorted(photos, frames, poses_folder, reporter)
    return Capture(
        root=root,
        photos=tuple(photos),
        points=read_points(content.points_path) if content.points_path else None,
        unit_mm=content.unit_mm,
    )


def _photo(frame: CameraFrame, mask: Path | None, sharp: Path | None, place: str) -> Photo:
    exif = read_exif(frame.image_path)
    place = f"{place}, frame {frame.name}"
    return Photo(
        name=frame.name,
        image_path=frame.image_path,
        camera=frame.camera,
        world_to_camera=frame.world_to_camera,
        mask_path=mask,
        sharp_path=sharp,
        f_number=number(frame.frame, "f_number", place, positive=True) or exif.f_number,
        focal_length_mm=number(frame.frame, "focal_length_mm", place, positive=True) or exif.focal_length_mm,
        focus_distance=number(frame.frame, "focus_distance", place, positive=True),
    )


def _sharp_path(root: Path, name: str) -> Path | None:
    candidates = (root / SHARP / f"{name}{suffix}" for suffix in (".png", *sorted(IMAGE_SUFFIXES - {".png"})))
    return next((candidate.absolute() for candidate in candidates if candidate.is_file()), None)


def _stated_masks(frames: dict[str, CameraFrame], root: Path) -> dict[str, Path]:
    stated = {}
    for name, frame in frames.items():
        mask = frame.frame.get("mask_path")
        if mask is None:
            continue
        if not isinstance(mask, str) or not (root / mask).is_file():
            raise SolverError(
                f"the mask of frame {name} is missing ({mask})",
                where=root / FILE_NAME,
                remedy="put it back, or remove mask_path",
            )
        stated[name] = (root / mask).absolute()
    return stated


def _undistorted(photos: list[Photo], frames: dict[str, CameraFrame], folder: Path, reporter: Reporter) -> list[Photo]:
    """The photos with pinhole cameras and undistorted files, which `folder` keeps."""
    distorted = {name: frame.distortion.colmap_camera(frame.camera) for name, frame in frames.items()}
    sources = {
        Path(kind, f"{photo.name}.png"): (photo.name, source)
        for photo in photos
        for kind, source in (
            ("images", photo.image_path),
            ("masks", photo.mask_path),
            ("sharp", photo.sharp_path),
        )
        if source is not None
    }
    key = {
        "cameras": {name: [camera.model.name, *camera.params.tolist()] for name, camera in distorted.items()},
        "files": keeping.fingerprint(source for _, source in sources.values()),
    }

    def make(aside: Path) -> None:
        for done, (target, (name, source)) in enumerate(sources.items()):
            undistort(distorted[name], source, aside / target, mask=target.parent.name == "masks")
            reporter.progress(done + 1, len(sources))

    keeping.keep(folder, key, make)

    def kept(kind: str, photo: Photo) -> Path | None:
        target = Path(kind, f"{photo.name}.png")
        return (folder / target).absolute() if target in sources else None

    return [
        replace(
            photo,
            image_path=(folder / "images" / f"{photo.name}.png").absolute(),
            camera=pinhole_of(undistorted_camera(distorted[photo.name])),
            mask_path=kept("masks", photo),
            sharp_path=kept("sharp", photo),
        )
        for photo in photos
    ]
