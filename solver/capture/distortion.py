# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking lens distortion out of photos, once, on the way in; everything after this sees pinhole cameras.

`BrownLens` is the distortion that files of cameras state: nerfstudio's, Metashape's and RealityCapture's alike.
`ColmapLens` has any of COLMAP's camera models, and leaves the arithmetic to pycolmap.
"""

from dataclasses import astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from solver.capture.images import decode, decode_mask, decode_mask_as_stored, eight_bits
from solver.capture.types import Camera
from solver.errors import SolverError
from solver.files import written_aside

if TYPE_CHECKING:
    import pycolmap

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE")
_LARGEST_STRETCH = 2.0  # of the undistorted photo against the photo, as COLMAP has it
_INVERSE_STEPS = 100
_INVERSE_TOLERANCE = 1e-9  # normalized image coordinates: far below a hundredth of a pixel


@dataclass(frozen=True)
class Distortion:
    """Where a lens puts the points of a normalized image (those at depth 1), by Brown's model in OpenCV's terms.

    With x, y undistorted, r^2 = x^2 + y^2 and R = 1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8:

        x' = x R + 2 p1 x y + p2 (r^2 + 2 x^2)
        y' = y R + p1 (r^2 + 2 y^2) + 2 p2 x y

    and last x' + shear y' for x'. A fisheye lens has theta (1 + k1 theta^2 + ... + k4 theta^8) / r for R, theta
    being the angle with the optical axis, and no p1, p2.
    """

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    shear: float = 0.0  # of the pixels' grid: Metashape's b2 over the focal length
    fisheye: bool = False

    def __bool__(self) -> bool:
        return self.fisheye or any((self.k1, self.k2, self.k3, self.k4, self.p1, self.p2, self.shear))

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Distort normalized image points, [P, 2]."""
        x, y = points[:, 0], points[:, 1]
        square = x * x + y * y
        with np.errstate(over="ignore", invalid="ignore"):
            if self.fisheye:
                radius = np.sqrt(square)
                angle = np.arctan(radius)
                ratio = np.where(radius > 1e-12, angle / np.maximum(radius, 1e-12), 1.0)
                radial = ratio * self._polynomial(angle * angle)
                distorted = np.stack([x * radial, y * radial], axis=1)
            else:
                radial = self._polynomial(square)
                across = x * radial + 2 * self.p1 * x * y + self.p2 * (square + 2 * x * x)
                down = y * radial + self.p1 * (square + 2 * y * y) + 2 * self.p2 * x * y
                distorted = np.stack([across, down], axis=1)
        distorted[:, 0] += self.shear * distorted[:, 1]
        return distorted

    def remove(self, points: np.ndarray) -> np.ndarray:
        """The normalized image points, [P, 2], that `apply` takes to `points`, [P, 2], by Newton's method.

        Raises:
            ValueError: there are none: the polynomial folds over before it gets there.
        """
        found = points.copy()
        step = 1e-6
        across, down = np.array([step, 0]), np.array([0, step])
        for _ in range(_INVERSE_STEPS):
            with np.errstate(all="ignore"):
                error = points - self.apply(found)
                by_x = (self.apply(found + across) - self.apply(found - across)) / (2 * step)
                by_y = (self.apply(found + down) - self.apply(found - down)) / (2 * step)
                determinant = by_x[:, 0] * by_y[:, 1] - by_x[:, 1] * by_y[:, 0]
                change = np.stack(
                    [
                        error[:, 0] * by_y[:, 1] - error[:, 1] * by_y[:, 0],
                        error[:, 1] * by_x[:, 0] - error[:, 0] * by_x[:, 1],
                    ],
                    axis=1,
                )
                change /= determinant[:, None]
            if not np.isfinite(change).all() or (determinant <= 0).any():
                raise ValueError("the distortion folds over")
            # Short steps keep to the branch that holds the image's middle.
            length = np.linalg.norm(change, axis=1, keepdims=True)
            found = found + change * np.minimum(1.0, 0.2 / np.maximum(length, 1e-12))
            if length.max() < _INVERSE_TOLERANCE:
                return found
        raise ValueError("the distortion folds over")

    def _polynomial(self, square: np.ndarray) -> np.ndarray:
        return 1 + square * (self.k1 + square * (self.k2 + square * (self.k3 + square * self.k4)))


class UndistortingLens(Protocol):
    """A camera with distortion, and the pinhole camera whose image its photos become."""

    @property
    def straight(self) -> Camera:
        """The pinhole camera."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo as it came, px."""

    def straighten(self, pixels: np.ndarray) -> np.ndarray:
        """Where points of the photo as it came, px [P, 2], lie in the undistorted one, px [P, 2]."""

    def undistort(self, pixels: np.ndarray) -> np.ndarray:
        """Resample a photo, [H, W] or [H, W, C] uint8, to that of `straight`."""


@dataclass(frozen=True)
class BrownLens:
    """A camera with a `Distortion`."""

    camera: Camera
    distortion: Distortion

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo as it came, px."""
        return self.camera.width, self.camera.height

    @property
    def key(self) -> list[float]:
        """All its numbers, to tell whether a photo was undistorted for this lens."""
        return [float(value) for value in (*astuple(self.camera), *astuple(self.distortion))]

    @cached_property
    def straight(self) -> Camera:
        """The pinhole camera, with the same principal distances, whose image the photo fills to the last pixel.

        Raises:
            SolverError: the distortion cannot be undone over the whole photo.
        """
        camera = self.camera
        if not self.distortion:
            return camera
        x, y = np.linspace(0, camera.width, 65), np.linspace(0, camera.height, 65)
        sides = (  # left, right, top, bottom
            np.stack([np.zeros_like(y), y], axis=1),
            np.stack([np.full_like(y, camera.width), y], axis=1),
            np.stack([x, np.zeros_like(x)], axis=1),
            np.stack([x, np.full_like(x, camera.height)], axis=1),
        )
        try:
            left, right, top, bottom = (self.distortion.remove(self._normalized(side)) for side in sides)
        except ValueError:
            raise self._impossible() from None
        first, last = left[:, 0].max() * camera.fx, right[:, 0].min() * camera.fx
        upper, lower = top[:, 1].max() * camera.fy, bottom[:, 1].min() * camera.fy
        width = min(int(np.floor(last - first)), round(_LARGEST_STRETCH * camera.width))
        height = min(int(np.floor(lower - upper)), round(_LARGEST_STRETCH * camera.height))
        if min(width, height) < 1:
            raise self._impossible()
        # What the whole pixels leave over, and what is cut off, goes evenly to both sides.
        return Camera(
            width,
            height,
            camera.fx,
            camera.fy,
            (width - (first + last)) / 2,
            (height - (upper + lower)) / 2,
        )

    def straighten(self, pixels: np.ndarray) -> np.ndarray:
        """Where points of the photo as it came, px [P, 2], lie in the undistorted one, px [P, 2]."""
        camera = self.straight
        try:
            points = self.distortion.remove(self._normalized(pixels))
        except ValueError:
            raise self._impossible() from None
        return points * [camera.fx, camera.fy] + [camera.cx, camera.cy]

    def distort(self, pixels: np.ndarray) -> np.ndarray:
        """Where points of the undistorted photo, px [P, 2], lie in the photo as it came, px [P, 2]."""
        straight, camera = self.straight, self.camera
        points = (pixels - [straight.cx, straight.cy]) / [straight.fx, straight.fy]
        return self.distortion.apply(points) * [camera.fx, camera.fy] + [camera.cx, camera.cy]

    def undistort(self, pixels: np.ndarray) -> np.ndarray:
        """Resample a photo, [H, W] or [H, W, C] uint8, to that of `straight`."""
        import cv2

        camera = self.straight
        grid = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), axis=-1)
        where = self.distort(grid.reshape(-1, 2)).reshape(grid.shape) - 0.5  # OpenCV counts from pixels' centres
        where = where.astype(np.float32)
        return cv2.remap(pixels, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _normalized(self, pixels: np.ndarray) -> np.ndarray:
        camera = self.camera
        return (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]

    def _impossible(self) -> SolverError:
        return SolverError(
            "the lens distortion folds the photo over itself, so it cannot be undone",
            remedy="check the distortion coefficients, or export undistorted photos",
        )


@dataclass(frozen=True)
class ColmapLens:
    """A camera of any of COLMAP's perspective models."""

    model: str  # COLMAP's name of it
    width: int  # px
    height: int  # px
    params: tuple[float, ...]  # in the model's own order

    @staticmethod
    def of(camera: "pycolmap.Camera") -> "ColmapLens":
        """The lens of a pycolmap camera."""
        return ColmapLens(camera.model.name, camera.width, camera.height, tuple(float(p) for p in camera.params))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo as it came, px."""
        return self.width, self.height

    @property
    def straight(self) -> Camera:
        """The pinhole camera whose image the photo fills to the last pixel."""
        return pinhole_of(undistorted_camera(self._camera))

    def straighten(self, pixels: np.ndarray) -> np.ndarray:
        """Where points of the photo as it came, px [P, 2], lie in the undistorted one, px [P, 2]."""
        camera = self.straight
        rays = self._camera.cam_from_img(np.ascontiguousarray(pixels, dtype=np.float64))
        return np.asarray(rays)[:, :2] * [camera.fx, camera.fy] + [camera.cx, camera.cy]

    def undistort(self, pixels: np.ndarray) -> np.ndarray:
        """Resample a photo, [H, W] or [H, W, C] uint8, to that of `straight`."""
        from solver.capture.colmap_library import pycolmap

        if self.model in PINHOLE_MODELS:  # pycolmap's own way, pixel by pixel, blackens the rim
            return pixels
        bitmap = pycolmap.Bitmap.from_array(pixels)
        straight, _ = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, self._camera)
        return np.asarray(straight.to_array()).squeeze()

    @property
    def _camera(self) -> "pycolmap.Camera":
        from solver.capture.colmap_library import pycolmap

        return pycolmap.Camera(model=self.model, width=self.width, height=self.height, params=list(self.params))


def colmap_pinhole(camera: Camera) -> "pycolmap.Camera":
    """COLMAP's camera with `camera`'s intrinsics."""
    from solver.capture.colmap_library import pycolmap

    params = [camera.fx, camera.fy, camera.cx, camera.cy]
    return pycolmap.Camera(model="PINHOLE", width=camera.width, height=camera.height, params=params)


def pinhole_of(camera: "pycolmap.Camera") -> Camera:
    """The solver's camera of a COLMAP camera, whose distortion (if it has any) is dropped."""
    return Camera(
        camera.width,
        camera.height,
        float(camera.focal_length_x),
        float(camera.focal_length_y),
        float(camera.principal_point_x),
        float(camera.principal_point_y),
    )


def undistorted_camera(camera: "pycolmap.Camera") -> "pycolmap.Camera":
    """The PINHOLE camera whose image the distorted one fills to the last pixel."""
    from solver.capture.colmap_library import pycolmap

    return pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera)


def undistort(
    lens: UndistortingLens, source: Path, target: Path, *, mask: bool = False, stored: Path | None = None
) -> None:
    """Write the photo (or mask) `source`, which `lens` took, as the PNG `target` of its pinhole camera.

    It has 8 bits, whatever the source has.

    Args:
        lens: the camera with its distortion, which may be none.
        source: the photo or mask.
        target: the file to write.
        mask: whether it is a mask.
        stored: the photo, where `lens` is of its pixels as they are stored, without EXIF's orientation.

    Raises:
        SolverError: the image cannot be decoded, or is not of the camera's size.
    """
    from PIL import Image

    if mask:
        pixels = decode_mask_as_stored(source, stored) if stored else decode_mask(source)
    else:
        pixels = decode(source, upright=stored is None)
    width, height = lens.size
    if pixels.shape[:2] != (height, width):
        raise SolverError(
            f"the image is {pixels.shape[1]} x {pixels.shape[0]}, not {width} x {height}",
            where=source,
            remedy="use the image that the camera was found with",
        )
    with written_aside(target) as temporary:
        Image.fromarray(lens.undistort(eight_bits(pixels))).save(temporary, compress_level=1)
