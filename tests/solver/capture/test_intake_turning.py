# SPDX-License-Identifier: GPL-3.0-or-later
"""Portrait and landscape photos of one camera, mixed."""

import numpy as np
import pycolmap
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.photos import find_photos
from solver.capture.turning import sensor_frame, turned, turned_back
from solver.capture.types import Camera
from solver.events import Reporter

ORIENTATION = 0x0112


def test_the_frame_is_that_of_most():
    assert sensor_frame({"a": (60, 40), "b": (60, 40), "c": (40, 60)}) == ((60, 40), {"c"})
    assert sensor_frame({"a": (60, 40), "c": (40, 60), "d": (40, 60)}) == ((40, 60), {"a"})
    assert sensor_frame({"a": (50, 50)}) == ((50, 50), set())


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("SIMPLE_RADIAL", [330.0, 155.0, 123.0, -0.05]),
        ("OPENCV", [330.0, 320.0, 155.0, 123.0, -0.05, 0.01, 0.004, -0.003]),
    ],
)
def test_a_model_turned_back_sees_the_points_where_the_upright_photo_has_them(model, params):
    """A point's pixel in the turned image, and in the upright one by the camera turned back, are one pixel."""
    rng = np.random.default_rng(0)
    camera = pycolmap.Camera(model=model, width=320, height=240, params=params, camera_id=1)
    found = pycolmap.Reconstruction()
    found.add_camera_with_trivial_rig(camera)
    world = rng.uniform([-0.3, -0.3, 1.7], [0.3, 0.3, 2.3], (20, 3))
    poses = {1: np.eye(4)[:3], 2: np.eye(4)[:3]}
    poses[2][:2, 3] = 0.1, 0.05
    for image_id, pose in poses.items():
        pixels = np.array([camera.img_from_cam(pose[:, :3] @ point + pose[:, 3]) for point in world])
        image = pycolmap.Image(name=f"{image_id}.png", keypoints=pixels, camera_id=1, image_id=image_id)
        found.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose))
    for i, point in enumerate(world):
        track = pycolmap.Track()
        for image_id in poses:
            track.add_element(image_id, i)
        found.add_point3D(point, track, np.array([i, 0, 0], np.uint8))
    assert turned_back(found, {"9.png"}) is found

    result = turned_back(found, {"2.png"})
    result.update_point_3d_errors()
    assert result.compute_mean_reprojection_error() < 1e-9
    assert result.num_points3D() == 20
    assert result.compute_num_observations() == 40
    upright = result.camera(result.image(2).camera_id)
    assert (upright.width, upright.height) == (240, 320)
    assert upright.camera_id != result.image(1).camera_id
    # A pixel of the upright photo is where `turned` puts it in the image that the model was found with.
    photo = np.zeros((320, 240))
    x, y = np.floor(result.image(2).points2D[3].xy).astype(int)
    photo[y, x] = 1
    row, column = np.argwhere(turned(photo) == 1)[0]
    np.testing.assert_array_equal(np.floor(found.image(2).points2D[3].xy), [column, row])


@pytest.fixture
def mixed(tmp_path, scene, render_scene):
    """The scene, three of its photos taken with the camera on its side: by EXIF, or turned by an exporter."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    camera = scene.camera
    portrait = Camera(camera.height, camera.width, camera.fx, camera.fy, camera.cy, camera.cx)
    poses = list(scene.poses)
    for i, pose in enumerate(poses):
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 600D"
        exif.get_ifd(0x8769).update({0x920A: camera.fx / 320 * 22.3 * 8 / 9})
        image = scene.images[i]
        if i in (2, 3, 5):
            image = render_scene(portrait, pose)
            if i == 5:  # the sensor's rows as they are, and the flag that they stand upright when turned clockwise
                image, exif[ORIENTATION] = np.rot90(image), 6
        Image.fromarray(image).save(folder / f"p{i}.png", exif=exif)
    return folder, poses


def test_mixed_photos_are_one_camera_and_come_out_upright(mixed):
    folder, truth = mixed
    reporter = Reporter()
    assert list(find_photos(folder, reporter)) == [f"p{i}" for i in range(8)]
    capture = load_capture(folder, poses_folder=folder.parent / "poses", reporter=reporter)
    assert [photo.name for photo in capture.photos] == [f"p{i}" for i in range(8)]
    for i, photo in enumerate(capture.photos):
        assert (photo.camera.width < photo.camera.height) == (i in (2, 3, 5))
    focal_lengths = [photo.camera.fx for photo in capture.photos]
    assert max(focal_lengths) == pytest.approx(min(focal_lengths), rel=1e-9)
    # Turns between neighbours do not depend on the world.
    for first, second, a, b in zip(truth, truth[1:], capture.photos, capture.photos[1:], strict=False):
        expected = second[:3, :3] @ first[:3, :3].T
        found = b.world_to_camera[:3, :3] @ a.world_to_camera[:3, :3].T
        angle = np.degrees(np.arccos(np.clip((np.trace(found @ expected.T) - 1) / 2, -1, 1)))
        assert angle < 0.5
    assert capture.reprojection_error_px < 0.5
