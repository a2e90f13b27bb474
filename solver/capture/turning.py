# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos taken upright and across with one camera: one camera to structure from motion, upright photos to everybody.

Upright copies of a camera's portrait and landscape photos have different sizes, and would be two cameras with a focal
length and a distortion each. Turned by a quarter, the rarer ones lie in the sensor's frame of the others; which way
round is all the same, since the principal point stands in the middle while poses are found. Afterwards the model is
turned back: the turned photos get a camera of their own with the same lens.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pycolmap

# The upright photo's camera axes, by those of the photo turned anticlockwise by a quarter: x is -y, y is x.
_TURN_BACK = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
_TANGENTIAL_MODELS = ("OPENCV", "FULL_OPENCV")  # parameters 6 and 7 are p1 and p2


def sensor_frame(sizes: Mapping[str, tuple[int, int]]) -> tuple[tuple[int, int], set[str]]:
    """The size (width, height) that most photos have, and the names of those that lie across it.

    Args:
        sizes: photo name -> (width, height) upright, all of one size or its transpose.
    """
    usual = max(Counter(sizes.values()).items(), key=lambda entry: (entry[1], entry[0]))[0]
    return usual, {name for name, size in sizes.items() if size != usual}


def turned(pixels: np.ndarray) -> np.ndarray:
    """`pixels`, [H, W, ...], turned anticlockwise by a quarter, [W, H, ...]."""
    return np.ascontiguousarray(np.rot90(pixels))


def turned_back(model: "pycolmap.Reconstruction", names: Collection[str]) -> "pycolmap.Reconstruction":
    """The model with the images called `names` turned clockwise by a quarter; itself where it has none of them.

    Args:
        model: as it was found with those photos `turned`.
        names: of its images.
    """
    from solver.capture.colmap_library import pycolmap

    images = [model.image(image_id) for image_id in sorted(model.reg_image_ids())]
    if not any(image.name in names for image in images):
        return model
    result = pycolmap.Reconstruction()
    for camera in model.cameras.values():
        result.add_camera_with_trivial_rig(camera)
    across: dict[int, pycolmap.Camera] = {}  # by the camera that they were found with
    for image in images:
        camera = model.camera(image.camera_id)
        points = np.array([point.xy for point in image.points2D]).reshape(-1, 2)
        pose = np.asarray(image.cam_from_world().matrix())
        if image.name in names:
            points = np.stack([camera.height - points[:, 1], points[:, 0]], axis=1)
            pose = _TURN_BACK @ pose
            if image.camera_id not in across:
                turned_camera = _camera_turned_back(camera)
                turned_camera.camera_id = max(result.cameras) + 1
                result.add_camera_with_trivial_rig(turned_camera)
                across[image.camera_id] = turned_camera
            camera = across[image.camera_id]
        copy = pycolmap.Image(name=image.name, keypoints=points, camera_id=camera.camera_id, image_id=image.image_id)
        result.add_image_with_trivial_frame(copy, pycolmap.Rigid3d(pose))
    for _, point in sorted(model.points3D.items()):
        result.add_point3D(point.xyz, point.track, point.color)
    return result


def _camera_turned_back(camera: "pycolmap.Camera") -> "pycolmap.Camera":
    from solver.capture.colmap_library import pycolmap

    params = camera.params.copy()
    focal, centre = list(camera.focal_length_idxs()), list(camera.principal_point_idxs())
    params[focal] = params[focal[::-1]]
    params[centre] = camera.height - camera.principal_point_y, camera.principal_point_x
    if camera.model.name in _TANGENTIAL_MODELS:
        params[6], params[7] = params[7], -params[6]
    return pycolmap.Camera(model=camera.model, width=camera.height, height=camera.width, params=params)
