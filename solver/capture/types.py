# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capture is, once read: photos with pinhole cameras in one world, and the sparse points seen in them.

Notation: cameras are OpenCV's (x right, y down, z forward); `world_to_camera` maps world points to camera
points; pixel (i, j) covers [i, i+1) x [j, j+1), so its centre is at +0.5. Lengths are in the capture's scene
unit, which is `unit_mm` millimetres long where that is known.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

ScaleSource = Literal["distance", "markers", "file", "blur"]

_ALIKE_STOPS = 0.1  # by which settings may differ that ask for the same light


@dataclass(frozen=True)
class Camera:
    """Pinhole intrinsics, in pixels."""

    width: int  # px
    height: int  # px
    fx: float  # principal distance in pixel widths
    fy: float  # principal distance in pixel heights
    cx: float  # principal point, px from the left edge
    cy: float  # principal point, px from the top edge

    @property
    def K(self) -> np.ndarray:  # noqa: N802
        """The intrinsic matrix, [3, 3] float64."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def resized(self, width: int, height: int) -> "Camera":
        """The camera of the same photo resampled to `width` x `height` pixels."""
        sx, sy = width / self.width, height / self.height
        return Camera(width, height, self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy)


class Lens(Protocol):
    """What bends a photo as it came away from what a pinhole camera sees."""

    def straighten(self, pixels: np.ndarray) -> np.ndarray:
        """Where points of the photo as it came, px [P, 2], lie in the undistorted one, px [P, 2]."""


@dataclass(frozen=True)
class Photo:
    """One photo with its camera, and what its metadata says about the lens."""

    name: str  # unique in the capture: file name without suffix
    image_path: Path
    camera: Camera
    world_to_camera: np.ndarray  # [4, 4] float64, rigid
    mask_path: Path | None = None  # white is the subject
    sharp_path: Path | None = None  # ground truth without defocus, where the capture has it
    f_number: float | None = None
    focal_length_mm: float | None = None  # engraved focal length
    focus_distance: float | None = None  # depth of the focus plane, scene unit, where a file states it
    exposure_stops: float | None = None  # light that the camera's settings ask for, in factors of two
    lens: Lens | None = None  # from the photo as it came to the undistorted one at image_path, where they differ

    @property
    def nominal_pupil_diameter_mm(self) -> float | None:
        """Focal length over f-number, or None where the metadata lacks one of them."""
        if self.f_number and self.focal_length_mm:
            return self.focal_length_mm / self.f_number
        return None

    @property
    def centre(self) -> np.ndarray:
        """The centre of projection, [3], world."""
        return -self.world_to_camera[:3, :3].T @ self.world_to_camera[:3, 3]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Project world points [P, 3].

        Returns:
            pixels [P, 2], depths [P] (scene unit), and whether the point falls inside the image [P] bool.
        """
        local = points @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        depth = local[:, 2]
        camera, safe = self.camera, np.where(depth > 0, depth, 1.0)
        pixels = np.stack(
            [camera.fx * local[:, 0] / safe + camera.cx, camera.fy * local[:, 1] / safe + camera.cy], axis=1
        )
        inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < [camera.width, camera.height]).all(1)
        return pixels, depth, inside

    def unproject(self, rows: np.ndarray, columns: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """World points [P, 3] at the centres of the pixels (rows [P], columns [P]), `depth` [P] away."""
        camera, z = self.camera, depth.astype(np.float64)
        x = (columns + 0.5 - camera.cx) / camera.fx * z
        y = (rows + 0.5 - camera.cy) / camera.fy * z
        return (np.stack([x, y, z], axis=1) - self.world_to_camera[:3, 3]) @ self.world_to_camera[:3, :3]


@dataclass(frozen=True)
class SparsePoints:
    """Points that structure from motion triangulated."""

    positions: np.ndarray  # [P, 3] float64, world
    colours: np.ndarray  # [P, 3] uint8, sRGB
    seen_by: dict[str, np.ndarray] = field(default_factory=dict)  # photo name -> indices of points, [*] int64


@dataclass(frozen=True)
class UnregisteredPhoto:
    """A photo that has no pose, and the likely reason in a few words."""

    name: str
    reason: str


@dataclass(frozen=True)
class Scale:
    """The length of the scene unit, where it comes from, and how well it is known."""

    unit_mm: float  # length of the scene unit in millimetres
    source: ScaleSource  # distance: given by the user; markers: of known size; file: with the poses; blur: f/N by pupil
    relative_uncertainty: float | None = None  # one standard deviation, as a part of unit_mm; None where unknown


@dataclass(frozen=True)
class Capture:
    """Everything the solver knows before it trains."""

    root: Path
    photos: tuple[Photo, ...]  # sorted by name
    points: SparsePoints | None = None
    unit_mm: float | None = None  # length of the scene unit in millimetres, where known
    unregistered: tuple[UnregisteredPhoto, ...] = ()
    reprojection_error_px: float | None = None  # mean over the sparse points, where the poses were found
    poses_found: bool = False  # here, from the photos; else someone gave them
    scale: Scale | None = None  # how unit_mm is known; None where it is not

    @property
    def exposed_alike(self) -> bool:
        """Whether all photos tell that they were taken with settings that ask for the same light."""
        stops = [photo.exposure_stops for photo in self.photos if photo.exposure_stops is not None]
        return len(stops) == len(self.photos) and max(stops) - min(stops) <= _ALIKE_STOPS

    def with_scale(self, scale: Scale | None) -> "Capture":
        """The same capture with the length of its unit as `scale` says."""
        return replace(self, unit_mm=scale.unit_mm if scale else None, scale=scale)

    def with_photos(self, photos: tuple[Photo, ...]) -> "Capture":
        """The same capture restricted to, or changed to, `photos`."""
        return replace(self, photos=photos)
