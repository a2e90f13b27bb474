# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking lens distortion out of photos, once, on the way in; everything after this sees pinhole cameras."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.images import decode, decode_mask
from solver.capture.types import Camera
from solver.errors import SolverError
from solver.files import written_aside

if TYPE_CHECKING:
    import pycolmap

PINHOLE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE")


@dataclass(frozen=True)
class Distortion:
    """Distortion of a frame as nerfstudio writes it, in OpenCV's terms."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0  # fisheye only
    p1: float = 0.0
    p2: float = 0.0
    fisheye: bool = False  # the angle, not its tangent, is what the polynomial is in

    def __bool__(self) -> bool:
        return self.fisheye or any((self.k1, self.k2, self.k3, self.p1, self.p2))

    def colmap_camera(self, camera: Camera) -> "pycolmap.Camera":
        """COLMAP's camera with `camera`'s intrinsics and this distortion."""
        from solver.capture.colmap_library import pycolmap

        intrinsics = [camera.fx, camera.fy, camera.cx, camera.cy]
        if self.fisheye:
            model, params = "OPENCV_FISHEYE", [self.k1, self.k2, self.k3, self.k4]
        elif self.k3:
            model, params = "FULL_OPENCV", [self.k1, self.k2, self.p1, self.p2, self.k3, 0.0, 0.0, 0.0]
        elif self:
            model, params = "OPENCV", [self.k1, self.k2, self.p1, self.p2]
        else:
            model, params = "PINHOLE", []
        return pycolmap.Camera(model=model, width=camera.width, height=camera.height, params=[*intrinsics, *params])


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


def undistort(camera: "pycolmap.Camera", source: Path, target: Path, *, mask: bool = False) -> None:
    """Write the photo (or mask) `source`, which `camera` took, as the PNG `target` of `undistorted_camera`.

    Raises:
        SolverError: the image cannot be decoded, or is not of the camera's size.
    """
    from PIL import Image

    from solver.capture.colmap_library import pycolmap

    pixels = decode_mask(source) if mask else decode(source)
    if pixels.shape[:2] != (camera.height, camera.width):
        raise SolverError(
            f"the image is {pixels.shape[1]} x {pixels.shape[0]}, not {camera.width} x {camera.height}",
            where=source,
            remedy="use the image that the camera was found with",
        )
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    bitmap = pycolmap.Bitmap.from_array(pixels)
    straight, _ = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, camera)
    with written_aside(target) as temporary:
        Image.fromarray(np.asarray(straight.to_array()).squeeze()).save(temporary, compress_level=1)
