# SPDX-License-Identifier: GPL-3.0-or-later
"""COLMAP models: reading them, and taking the distortion out. Their worlds stay as they are."""

import shutil
import struct
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture import keeping
from solver.capture.distortion import PINHOLE_MODELS, ColmapLens, pinhole_of, undistort, undistorted_camera
from solver.capture.exif import read_exif
from solver.capture.features import Progress
from solver.capture.images import image_size, orientation_of
from solver.capture.masks import FOLDER_NAME as MASKS
from solver.capture.masks import find_masks
from solver.capture.photos import MINIMUM_PHOTOS, list_images, readable
from solver.capture.types import Capture, Photo, SparsePoints, UnregisteredPhoto
from solver.errors import SolverError
from solver.events import Reporter
from solver.files import read_json, write_json

if TYPE_CHECKING:
    import pycolmap

FILES = ("cameras", "images", "points3D")
SPARSE, IMAGES = "sparse", "images"
LENSES_FILE = "lenses.json"
_FORMAT = 3  # of the kept folder; a change makes old ones be made anew
# What pycolmap raises on models that are broken in one way or another.
_READING_ERRORS = (ValueError, IndexError, KeyError, RuntimeError, MemoryError, OSError)


@dataclass(frozen=True)
class Sources:
    """The files of one photo that belong to a COLMAP image."""

    image: Path
    mask: Path | None = None
    as_stored: bool = False  # the COLMAP image is the file's pixels without its EXIF orientation, which is not 1


def find_models(folder: Path) -> list[Path]:
    """Folders under `folder` that hold a COLMAP model: sparse/0, sparse/1, ..., sparse, or `folder` itself."""
    sparse = folder / SPARSE
    candidates = [*(sorted(sparse.iterdir()) if sparse.is_dir() else []), sparse, folder]
    return [candidate for candidate in candidates if _suffix(candidate) is not None]


def load_colmap(
    path: Path, *, masks: Path | None, poses_folder: Path, reporter: Reporter, photos: Path | None = None
) -> Capture:
    """Read the folder of a COLMAP model and its images as a capture.

    The model with the most images is taken, and of those the one with the most points. Photos of cameras with
    distortion are undistorted into `poses_folder`, once, together with their masks. COLMAP looks at pixels as they are
    stored, so where a photo has an EXIF orientation, its copy there is without. `photos` is the folder that
    the model's image names are relative to, where that is not beside the model.

    Photos that are missing become unregistered ones, and such as cannot be decoded are left out with a warning, while
    `MINIMUM_PHOTOS` remain.

    Raises:
        SolverError: no model can be read, too many of its images are missing or broken, or images or masks do not fit.
    """
    folder, model = largest_model(find_models(path))
    names = {image.image_id: image.name for image in registered_images(model)}
    stems = _unique_stems(names)
    image_folder = photos or _image_folder(path, folder, names.values())
    images = {stems[image_id]: image_folder / name for image_id, name in names.items()}
    absent = [image for image in images.values() if not image.is_file()]
    if absent and len(images) - len(absent) < MINIMUM_PHOTOS:
        others = f", and {len(absent) - 1} more images" if len(absent) > 1 else ""
        raise SolverError(
            f"an image of the COLMAP model is missing{others}", where=absent[0], remedy="put the images back"
        )
    unregistered = tuple(
        UnregisteredPhoto(stem, "its photo is missing") for stem, image in images.items() if image in absent
    )
    usable = set(readable([image for image in images.values() if image not in absent], reporter))
    for image_id, stem in list(stems.items()):
        if images[stem] not in usable:
            model.deregister_frame(model.image(image_id).frame_id)
            del stems[image_id], images[stem]
    as_stored = {
        stems[image.image_id]
        for image in registered_images(model)
        if _is_as_stored(images[stems[image.image_id]], model.camera(image.camera_id))
    }
    found = find_masks(images, masks, [path / MASKS, image_folder.parent / MASKS], as_stored=as_stored)
    sources = {i: Sources(images[stem], found.get(stem), stem in as_stored) for i, stem in stems.items()}
    if not as_stored and all(camera.model.name in PINHOLE_MODELS for camera in model.cameras.values()):
        return replace(capture_of(model, path, stems, sources, sources), unregistered=unregistered)
    key = {
        "format": _FORMAT,
        "model": keeping.fingerprint(sorted(file for file in folder.iterdir() if file.is_file())),
        "files": keeping.fingerprint(
            file for source in sources.values() for file in (source.image, source.mask) if file
        ),
    }
    keeping.keep(poses_folder, key, lambda aside: write_pinhole(model, stems, sources, aside, reporter.progress))
    return replace(load_pinhole(poses_folder, path, images), unregistered=unregistered)


def _is_as_stored(image: Path, camera: "pycolmap.Camera") -> bool:
    """Whether `camera` is of the photo's pixels as stored, and those are not upright.

    That is what COLMAP's own are; a model of photos that another program turned first tells by its size.
    """
    return orientation_of(image) != 1 and image_size(image, upright=False) == (camera.width, camera.height)


def load_pinhole(folder: Path, root: Path, originals: Mapping[str, Path]) -> Capture:
    """The capture that `write_pinhole` left in `folder`.

    Args:
        folder: the folder it wrote.
        root: the capture's own folder.
        originals: photo name -> the photo as it came, for its metadata.
    """
    _, model = largest_model(find_models(folder))
    stems = {image.image_id: Path(image.name).stem for image in registered_images(model)}
    masks = {path.stem: path for path in list_images(folder / MASKS)}
    files = {
        image.image_id: Sources(folder / IMAGES / image.name, masks.get(stems[image.image_id]))
        for image in registered_images(model)
    }
    lenses = _read_lenses(folder / LENSES_FILE)
    capture = capture_of(model, root, stems, files, {i: Sources(originals[stem]) for i, stem in stems.items()})
    return capture.with_photos(tuple(replace(photo, lens=lenses.get(photo.name)) for photo in capture.photos))


def _read_lenses(path: Path) -> dict[str, ColmapLens]:
    """By the photo's name: what `write_pinhole` noted of its lens."""
    return {
        name: ColmapLens(lens["model"], lens["width"], lens["height"], tuple(lens["params"]))
        for name, lens in read_json(path, "the record of the lenses").items()
    }


def largest_model(folders: list[Path]) -> tuple[Path, "pycolmap.Reconstruction"]:
    """The folder and content of the model with the most images, then the most points.

    Raises:
        SolverError: there is none, or one of them is broken or has fewer than two images.
    """
    models = [(folder, read_model(folder)) for folder in folders]
    if not models:
        raise SolverError("there is no COLMAP model", where=SPARSE, remedy="check the path")
    folder, model = max(models, key=lambda entry: (entry[1].num_reg_images(), entry[1].num_points3D()))
    if model.num_reg_images() < 2:
        raise SolverError(
            f"the COLMAP model has {model.num_reg_images()} images with a pose",
            where=folder,
            remedy="use one with at least two",
        )
    return folder, model


def read_model(folder: Path) -> "pycolmap.Reconstruction":
    """Read one COLMAP model, binary or text.

    Only cameras, images and points are read: images carry their poses, so the files on rigs add nothing.

    Raises:
        SolverError: the model is broken, incomplete, or of a panoramic camera.
    """
    from solver.capture.colmap_library import pycolmap

    suffix = _suffix(folder)
    broken = SolverError(
        "the COLMAP model is damaged or incomplete", where=folder, remedy="export it again, or use the photos alone"
    )
    if suffix is None:
        raise broken
    try:
        with tempfile.TemporaryDirectory() as temporary:
            for name in FILES:
                file = folder / f"{name}{suffix}"
                if suffix == ".bin":
                    check_binary(file)
                shutil.copyfile(file, Path(temporary, file.name))
            model = pycolmap.Reconstruction(temporary)
        images = registered_images(model)
    except UnicodeDecodeError:
        raise SolverError(
            "an image of the COLMAP model has a name that is no text in UTF-8",
            where=folder,
            remedy="rename the image, and export the model again",
        ) from None
    except _READING_ERRORS:
        raise broken from None
    for image in images:
        if not np.isfinite(image.cam_from_world().matrix()).all():
            raise broken
    for camera in model.cameras.values():
        if not np.isfinite(camera.params).all() or min(camera.width, camera.height) < 1:
            raise broken
        if not camera.is_perspective():
            raise SolverError(
                f"the COLMAP model has a camera of kind {camera.model_name}",
                where=folder,
                remedy="use photos of perspective cameras",
            )
    return model


def check_binary(file: Path) -> None:
    """Walk through a binary file of a COLMAP model; pycolmap's own reader never ends on some truncated ones.

    Raises:
        ValueError: the counts in the file do not add up to its length.
    """
    data = file.read_bytes()
    try:
        (count,) = struct.unpack_from("<Q", data)
        position = 8
        for _ in range(count):
            if file.stem == "cameras":
                (model,) = struct.unpack_from("<i", data, position + 4)
                position += 24 + 8 * _parameter_count(model)
            elif file.stem == "images":
                end = data.index(b"\0", position + 64)
                (observations,) = struct.unpack_from("<Q", data, end + 1)
                position = end + 9 + 24 * observations
            else:
                (length,) = struct.unpack_from("<Q", data, position + 43)
                position += 51 + 8 * length
            if position > len(data):
                raise ValueError("the file ends early")
    except struct.error:
        raise ValueError("the file ends early") from None
    if position != len(data):
        raise ValueError("the file has another length than its content")


def _parameter_count(model: int) -> int:
    """How many numbers a camera of the model has; ValueError for a model that does not exist."""
    from solver.capture.colmap_library import pycolmap

    return len(pycolmap.Camera.create_from_model_id(1, pycolmap.CameraModelId(model), 1.0, 1, 1).params)


def registered_images(model: "pycolmap.Reconstruction") -> "list[pycolmap.Image]":
    """The model's images that have a pose, by name."""
    return sorted((model.image(image_id) for image_id in model.reg_image_ids()), key=lambda image: image.name)


def write_pinhole(
    model: "pycolmap.Reconstruction",
    stems: Mapping[int, str],
    sources: Mapping[int, Sources],
    folder: Path,
    progress: Progress,
) -> None:
    """Write images/, masks/, sparse/0 with pinhole cameras and the lenses into `folder`; changes `model` to pinholes.

    Args:
        model: any cameras, at the size of the source images.
        stems: image id -> the photo's name.
        sources: image id -> its files.
        folder: where to write.
        progress: told how many photos are done.
    """
    images = registered_images(model)
    lenses = {image.image_id: ColmapLens.of(model.camera(image.camera_id)) for image in images}
    write_json(folder / LENSES_FILE, {stems[image_id]: asdict(lens) for image_id, lens in lenses.items()})
    for done, image in enumerate(images):
        camera, name = model.camera(image.camera_id), f"{stems[image.image_id]}.png"
        source = sources[image.image_id]
        stored = source.image if source.as_stored else None
        undistort(lenses[image.image_id], source.image, folder / IMAGES / name, stored=stored)
        if source.mask is not None:
            undistort(lenses[image.image_id], source.mask, folder / MASKS / name, mask=True, stored=stored)
        straight = undistorted_camera(camera)
        for point in image.points2D:
            ray = camera.cam_from_img(point.xy)
            seen = None if ray is None else straight.img_from_cam(np.array([*ray, 1.0]))
            if seen is not None:
                point.xy = seen
        image.name = name
        progress(done + 1, len(images))
    for camera_id in list(model.cameras):
        camera = model.camera(camera_id)
        straight = undistorted_camera(camera)
        camera.model, camera.params = straight.model, list(straight.params)
        camera.width, camera.height = straight.width, straight.height
    model.update_point_3d_errors()
    target = folder / SPARSE / "0"
    target.mkdir(parents=True)
    model.write_binary(str(target))


def capture_of(
    model: "pycolmap.Reconstruction",
    root: Path,
    stems: Mapping[int, str],
    files: Mapping[int, Sources],
    originals: Mapping[int, Sources],
) -> Capture:
    """The capture that a model with pinhole cameras describes.

    Args:
        model: the model, its world as it is to be.
        root: the capture's own folder.
        stems: image id -> the photo's name.
        files: image id -> the files that the cameras describe.
        originals: image id -> the photo that holds the metadata.
    """
    photos = []
    for image in registered_images(model):
        exif = read_exif(originals[image.image_id].image)
        camera = pinhole_of(model.camera(image.camera_id))
        source = files[image.image_id]
        size = image_size(source.image)
        if size != (camera.width, camera.height):
            raise SolverError(
                f"the image is {size[0]} x {size[1]} pixels, its camera {camera.width} x {camera.height}",
                where=source.image,
                remedy="use the images that the COLMAP model was made from",
            )
        pose = np.eye(4)
        pose[:3] = image.cam_from_world().matrix()
        photos.append(
            Photo(
                name=stems[image.image_id],
                image_path=source.image.absolute(),
                camera=camera,
                world_to_camera=pose,
                mask_path=source.mask.absolute() if source.mask else None,
                f_number=exif.f_number,
                focal_length_mm=exif.focal_length_mm,
                exposure_stops=exif.exposure_stops,
            )
        )
    points = points_of(model, stems)
    error = model.compute_mean_reprojection_error() if points is not None else None
    return Capture(
        root=root,
        photos=tuple(sorted(photos, key=lambda photo: photo.name)),
        points=points,
        reprojection_error_px=error if error is not None and np.isfinite(error) else None,
    )


def points_of(model: "pycolmap.Reconstruction", stems: Mapping[int, str]) -> SparsePoints | None:
    """The model's points with their tracks, or None where it has none.

    Args:
        model: the model.
        stems: image id -> the photo's name.
    """
    points = dict(model.points3D.items())
    if not points:
        return None
    index = {point_id: i for i, point_id in enumerate(points)}
    seen_by: dict[str, set[int]] = {stem: set() for stem in stems.values()}
    for point_id, point in points.items():
        for element in point.track.elements:
            if element.image_id in stems:
                seen_by[stems[element.image_id]].add(index[point_id])
    return SparsePoints(
        positions=np.array([point.xyz for point in points.values()], dtype=np.float64),
        colours=np.array([point.color for point in points.values()], dtype=np.uint8),
        seen_by={stem: np.array(sorted(seen), dtype=np.int64) for stem, seen in seen_by.items()},
    )


def _suffix(folder: Path) -> str | None:
    """The suffix of the model's files in `folder`, or None where there is no whole model."""
    for suffix in (".bin", ".txt"):
        if any((folder / f"{name}{suffix}").is_file() for name in FILES):
            return suffix
    return None


def _unique_stems(names: Mapping[int, str]) -> dict[int, str]:
    """Image id -> a name for the photo: its file's stem, with its folders before it where stems are equal."""
    stems = {image_id: Path(name).stem for image_id, name in names.items()}
    if len(set(stems.values())) < len(stems):
        stems = {image_id: "_".join(Path(name).with_suffix("").parts) for image_id, name in names.items()}
    if len(set(stems.values())) < len(stems):
        raise SolverError("two images of the COLMAP model have one name", remedy="rename one of them")
    return stems


def _image_folder(path: Path, model: Path, names: Collection[str]) -> Path:
    """The folder that the model's image names are relative to: images/ or photos/ beside sparse/, or that itself."""
    bases = [path, *(parent for parent in model.parents if parent == path.parent or path in parent.parents)]
    candidates = [folder for base in bases for folder in (base / IMAGES, base / "photos", base)]
    found = (folder for folder in candidates if any((folder / name).is_file() for name in names))
    return next(found, path / IMAGES)
