# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture whose poses are known: photos, and a file of their cameras.

That file is a transforms.json, an XML file of Metashape, or a CSV file of RealityCapture.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from solver.capture import keeping, metashape, reality_capture
from solver.capture.camera_file import CameraFile, CameraFrame
from solver.capture.distortion import BrownLens, undistort
from solver.capture.exif import read_exif
from solver.capture.images import IMAGE_SUFFIXES
from solver.capture.masks import FOLDER_NAME as MASKS
from solver.capture.masks import find_masks
from solver.capture.photos import readable
from solver.capture.points import read_points
from solver.capture.transforms import FILE_NAME, number, read_transforms
from solver.capture.types import Capture, Photo, Scale
from solver.errors import SolverError
from solver.events import Reporter

SHARP = Path("ground_truth", "sharp")
_FORMAT = 3  # of the kept folder; a change makes old ones be made anew


def find_camera_file(folder: Path) -> Path | None:
    """The file of cameras from another program that lies in `folder`, or None.

    Raises:
        SolverError: there are several.
    """
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and (metashape.is_cameras(path) or reality_capture.is_cameras(path))
    ]
    if len(files) > 1:
        raise SolverError(
            f"there are {len(files)} files of cameras ({files[0].name}, {files[1].name}{', ...' if files[2:] else ''})",
            where=folder,
            remedy="give the one to use in place of the folder",
        )
    return files[0] if files else None


def load_known_poses(
    path: Path, *, masks: Path | None, poses_folder: Path, reporter: Reporter, photos: Path | None = None
) -> Capture:
    """Read photos with known cameras; distorted photos are undistorted into `poses_folder`, once.

    Args:
        path: the file of cameras, or the folder of a transforms.json.
        masks: folder with a mask for each photo, or None for those that the capture names or has in masks/.
        poses_folder: where undistorted photos go, if the cameras have distortion.
        reporter: gets the progress.
        photos: folder of the photos, where they are not beside the file.

    Raises:
        SolverError: something about the file, an image or a mask is wrong.
    """
    file = path / FILE_NAME if path.is_dir() else path
    content = _read(file, photos)
    root = file.parent
    usable = set(readable([frame.image_path for frame in content.frames], reporter))
    frames = {frame.name: frame for frame in content.frames if frame.image_path in usable}
    beside = [root / MASKS, *((content.frames[0].image_path.parent.parent / MASKS,) if content.frames else ())]
    found = find_masks(
        {name: frame.image_path for name, frame in frames.items()},
        masks,
        beside,
        _stated_masks(frames, root),
        {name for name, frame in frames.items() if frame.as_stored},
    )
    posed = [_photo(frame, found.get(name), _sharp_path(root, name), str(file)) for name, frame in frames.items()]
    if any(frame.distortion or frame.as_stored for frame in content.frames):
        posed = _undistorted(posed, frames, poses_folder, reporter)
    return Capture(
        root=root,
        photos=tuple(posed),
        points=read_points(content.points_path) if content.points_path else None,
        unregistered=content.unregistered,
    ).with_scale(Scale(content.unit_mm, "file") if content.unit_mm else None)


def _read(file: Path, photos: Path | None) -> CameraFile:
    """The content of a camera file, by its suffix.

    Raises:
        SolverError: it is of no kind that is known, or broken.
    """
    readers = {
        ".json": partial(read_transforms, photos=photos),
        ".xml": partial(metashape.read_cameras, photos=photos),
        ".csv": partial(reality_capture.read_cameras, photos=photos),
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise SolverError(
            "the capture is a file of no known kind",
            where=file,
            remedy="give a folder of photos, a transforms.json, an XML file of Metashape or a CSV file of RealityScan",
        )
    return reader(file)


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
        exposure_stops=exif.exposure_stops,
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
    lenses = {name: BrownLens(frame.camera, frame.distortion) for name, frame in frames.items()}
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
        "format": _FORMAT,
        "cameras": {name: lens.key for name, lens in lenses.items()},
        "as_stored": sorted(name for name, frame in frames.items() if frame.as_stored),
        "files": keeping.fingerprint(source for _, source in sources.values()),
    }

    def make(aside: Path) -> None:
        for done, (target, (name, source)) in enumerate(sources.items()):
            stored = frames[name].image_path if frames[name].as_stored else None
            undistort(lenses[name], source, aside / target, mask=target.parent.name == "masks", stored=stored)
            reporter.progress(done + 1, len(sources))

    keeping.keep(folder, key, make)

    def kept(kind: str, photo: Photo) -> Path | None:
        target = Path(kind, f"{photo.name}.png")
        return (folder / target).absolute() if target in sources else None

    return [
        replace(
            photo,
            image_path=(folder / "images" / f"{photo.name}.png").absolute(),
            camera=lenses[photo.name].straight,
            mask_path=kept("masks", photo),
            sharp_path=kept("sharp", photo),
            lens=lenses[photo.name],
        )
        for photo in photos
    ]
