# SPDX-License-Identifier: GPL-3.0-or-later
"""The ground truth of a generated capture, read view by view as it is needed."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from solver.capture.camera_file import CameraFrame
from solver.capture.images import decode_mask, image_size, load_photo
from solver.capture.masks import FOLDER_NAME as MASKS
from solver.capture.transforms import FILE_NAME, number, read_transforms
from solver.capture.types import Photo
from solver.errors import SolverError
from solver.export.images import read_exr
from solver.optics.colour import linear_to_srgb

_AGAIN = "render the capture again"


@dataclass(frozen=True)
class TrueView:
    """What is true of one view; its images are read when they are asked for."""

    photo: Photo  # with the true pose; its image is the sharp one
    folder: Path  # has depth/, smallest_coc/ and mask/
    masked: bool  # whether only the subject counts
    pupil_diameter: float | None = None  # scene unit, where the capture states lens and unit

    @property
    def name(self) -> str:
        """The view's name, unique in the capture."""
        return self.photo.name

    def image(self) -> np.ndarray:  # [H, W, 3]
        """The view without defocus, sRGB."""
        camera, path = self.photo.camera, self.photo.image_path
        if image_size(path) != (camera.width, camera.height):
            raise _wrong_size(path)
        return linear_to_srgb(load_photo(self.photo, camera.width, camera.height))

    def depth(self) -> np.ndarray:  # [H, W]
        """Planar depth, scene unit, 0 where nothing is."""
        return self._map("depth", "Z")

    def coc(self) -> np.ndarray:  # [H, W]
        """The photo's circle of confusion, px; held-out views have none."""
        return self._map("coc", "V")

    def smallest_coc(self) -> np.ndarray:  # [H, W]
        """With which circle of confusion, px, the photos see each surface point at best; below 0 where they do not."""
        return self._map("smallest_coc", "V")

    def subject(self) -> np.ndarray:  # [H, W] bool
        """The pixels that count: all, or those of the subject where the capture has masks."""
        camera = self.photo.camera
        return self._mask() if self.masked else np.ones((camera.height, camera.width), bool)

    def shows_subject(self) -> np.ndarray:  # [H, W] bool
        """The pixels whose surface is the subject's, whether the capture has masks or not; all where nobody knows."""
        camera = self.photo.camera
        known = self._mask_path.exists()
        return self._mask() if known else np.ones((camera.height, camera.width), bool)

    @property
    def _mask_path(self) -> Path:
        return self.folder / "mask" / f"{self.name}.png"

    def _mask(self) -> np.ndarray:  # [H, W] bool
        mask = decode_mask(self._mask_path)
        if mask.shape != (self.photo.camera.height, self.photo.camera.width):
            raise _wrong_size(self._mask_path)
        return mask > 127

    def _map(self, kind: str, channel: str) -> np.ndarray:
        path = self.folder / kind / f"{self.name}.exr"
        values = read_exr(path, channel, _AGAIN)
        if values.shape != (self.photo.camera.height, self.photo.camera.width):
            raise _wrong_size(path)
        return values


@dataclass(frozen=True)
class GroundTruth:
    """The views of a capture's photos and the held-out ones, each in the file's order."""

    photos: list[TrueView]
    novel: list[TrueView]
    mesh_path: Path | None = None  # of the subject, world coordinates, scene unit


def read_ground_truth(capture: Path) -> GroundTruth:
    """Read the cameras of `capture`/ground_truth and of its held-out views, if there are any.

    Raises:
        SolverError: there is no ground truth, or one of its files is wrong.
    """
    folder = capture / "ground_truth"
    if not folder.is_dir():
        raise SolverError("the capture has no ground truth", where=capture, remedy="name the generated capture")
    masked = (capture / MASKS).is_dir()
    novel = folder / "novel"
    return GroundTruth(
        photos=_views(folder, masked),
        novel=_views(novel, masked) if (novel / FILE_NAME).exists() else [],
        mesh_path=folder / "mesh.ply" if (folder / "mesh.ply").exists() else None,
    )


def _views(folder: Path, masked: bool) -> list[TrueView]:
    file = read_transforms(folder / FILE_NAME, images_required=False)
    return [_view(folder, frame, file.unit_mm, masked) for frame in file.frames]


def _view(folder: Path, frame: CameraFrame, unit_mm: float | None, masked: bool) -> TrueView:
    keys, place = frame.frame, f"frame {frame.name} of the ground truth"
    photo = Photo(
        name=frame.name,
        image_path=frame.image_path,
        camera=frame.camera,
        world_to_camera=frame.world_to_camera,
        f_number=number(keys, "f_number", place, positive=True),
        focal_length_mm=number(keys, "focal_length_mm", place, positive=True),
        focus_distance=number(keys, "focus_distance", place, positive=True),
    )
    diameter_mm = photo.nominal_pupil_diameter_mm
    return TrueView(
        photo=replace(photo, image_path=folder / "sharp" / f"{frame.name}.png"),
        folder=folder,
        masked=masked,
        pupil_diameter=diameter_mm / unit_mm if diameter_mm and unit_mm else None,
    )


def _wrong_size(path: Path) -> SolverError:
    return SolverError("the image is not of its camera's size", where=path, remedy=_AGAIN)
