# SPDX-License-Identifier: GPL-3.0-or-later
import json

import numpy as np
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.distortion import ColmapLens, Distortion, undistort
from solver.capture.types import Camera

LENSES = {
    "barrel": {"k1": -0.2, "k2": 0.03, "p1": 0.002, "p2": -0.003},
    "pincushion": {"k1": 0.15},
    "sixth order": {"k1": -0.1, "k3": 0.02},
    "fisheye": {"camera_model": "OPENCV_FISHEYE", "k1": 0.05, "k2": -0.01},
}


def brown(points: np.ndarray, k1=0.0, k2=0.0, k3=0.0, p1=0.0, p2=0.0) -> np.ndarray:
    """OpenCV's distortion of normalized image points [N, 2], written out."""
    x, y = points.T
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2), y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y], 1
    )


def fisheye(points: np.ndarray, k1=0.0, k2=0.0) -> np.ndarray:
    """OpenCV's fisheye distortion of normalized image points [N, 2]."""
    radius = np.linalg.norm(points, axis=1, keepdims=True)
    angle = np.arctan(radius)
    return points / radius * (angle * (1 + k1 * angle**2 + k2 * angle**4))


@pytest.mark.parametrize("lens", LENSES)
def test_a_distorted_grid_is_straight_again(tmp_path, lens):
    camera = Camera(400, 300, 320.0, 325.0, 205.0, 146.0)
    keys = LENSES[lens]
    grid = np.stack(np.meshgrid(np.arange(-0.42, 0.43, 0.12), np.arange(-0.3, 0.31, 0.12)), -1).reshape(-1, 2)
    coefficients = {key: value for key, value in keys.items() if key != "camera_model"}
    seen = (fisheye if lens == "fisheye" else brown)(grid, **coefficients)
    dots = seen * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    y, x = np.mgrid[:300, :400] + 0.5
    image = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 2.0**2)) for u, v in dots)
    picture = Image.fromarray((255 * image.clip(0, 1)).astype(np.uint8))
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        picture.convert("RGB").save(tmp_path / f"{name}.png")
        picture.save(tmp_path / "masks" / f"{name}.png")
    frames = [{"file_path": f"{name}.png", "transform_matrix": np.eye(4).tolist()} for name in ("a", "b")]
    intrinsics = {"fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx, "cy": camera.cy, "w": 400, "h": 300}
    (tmp_path / "transforms.json").write_text(json.dumps({**intrinsics, **keys, "frames": frames}))

    poses = tmp_path / "result" / "poses"
    capture = load_capture(tmp_path, poses_folder=poses, find_points=False)
    photo = capture.photos[0]
    assert photo.image_path == poses / "images" / "a.png"
    straight = photo.camera
    expected = grid * [straight.fx, straight.fy] + [straight.cx, straight.cy]
    pixels = np.asarray(Image.open(photo.image_path).convert("L"), dtype=float)
    assert pixels.shape == (straight.height, straight.width)
    checked = 0
    for u, v in expected:
        if not (8 < u < straight.width - 8 and 8 < v < straight.height - 8):
            continue
        x0, y0 = int(u) - 7, int(v) - 7
        window = pixels[y0 : y0 + 15, x0 : x0 + 15]
        rows, columns = np.mgrid[y0 : y0 + 15, x0 : x0 + 15] + 0.5
        centre = np.array([(window * columns).sum(), (window * rows).sum()]) / window.sum()
        np.testing.assert_allclose(centre, [u, v], atol=0.25)
        checked += 1
    assert checked >= 20
    mask = np.asarray(Image.open(photo.mask_path), dtype=float)
    np.testing.assert_allclose(mask, pixels, atol=1)

    # A second load uses what is there; a changed photo is undistorted again.
    written = photo.image_path.stat().st_mtime_ns
    load_capture(tmp_path, poses_folder=poses, find_points=False)
    assert photo.image_path.stat().st_mtime_ns == written
    Image.new("RGB", (400, 300), "red").save(tmp_path / "a.png")
    load_capture(tmp_path, poses_folder=poses, find_points=False)
    assert Image.open(photo.image_path).getpixel((50, 50)) == (255, 0, 0)
    assert [path.name for path in poses.parent.iterdir()] == ["poses"]


def test_no_distortion_is_no_work():
    assert not Distortion()
    assert Distortion(k4=1e-4)
    assert Distortion(shear=1e-4)
    assert Distortion(p2=1e-4)
    assert Distortion(fisheye=True)


def test_sixteen_bits_are_rounded_to_eight(tmp_path):
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    Image.fromarray(values).save(tmp_path / "deep.png")
    lens = ColmapLens("PINHOLE", 256, 256, (300.0, 300.0, 128.0, 128.0))
    undistort(lens, tmp_path / "deep.png", tmp_path / "copy.png")
    copy = np.asarray(Image.open(tmp_path / "copy.png"))
    np.testing.assert_array_equal(copy, np.repeat(np.round(values / 257).astype(np.uint8)[..., None], 3, axis=2))
