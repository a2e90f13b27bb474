# SPDX-License-Identifier: GPL-3.0-or-later
"""Small captures made on the spot: a textured room of planes, seen by cameras that are known exactly."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from solver.capture.transforms import transform_matrix_of
from solver.capture.types import Camera


@dataclass(frozen=True)
class Scene:
    """Photos of two textured planes that meet at a right angle, and the truth about them."""

    camera: Camera
    poses: tuple[np.ndarray, ...]  # world_to_camera, [4, 4] each
    images: tuple[np.ndarray, ...]  # [H, W, 3] uint8 each


def look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    """World-to-camera, [4, 4], of a camera at `eye` that looks at `target`, upright in a world with Z up."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return pose


def texture(seed: int, size: int = 512) -> np.ndarray:
    """Random detail at several scales, [size, size, 3] float, 0 to 255."""
    rng = np.random.default_rng(seed)
    layers = [gaussian_filter(rng.standard_normal((size, size, 3)), (s, s, 0), mode="wrap") * s for s in (1.5, 4, 12)]
    total = sum(layers)
    return np.clip(128 + 45 * total / total.std(), 0, 255)


def render(
    camera: Camera, pose: np.ndarray, textures: list[np.ndarray], pixels: np.ndarray | None = None
) -> np.ndarray:
    """The floor z = 0 and the wall y = 1 (both 4 wide) as the camera sees them, [H, W, 3] uint8.

    `pixels`, [H, W, 2], are the pinhole image points to look through, where they are not the pixels' centres.
    """
    if pixels is None:
        pixels = np.stack(np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5), axis=-1)
    rays = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1) @ np.linalg.inv(camera.K).T @ pose[:3, :3]
    eye = -pose[:3, :3].T @ pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = -eye[2] / rays[..., 2]
        wall = (1 - eye[1]) / rays[..., 1]
    on_wall = (wall > 0) & ((floor <= 0) | (wall < floor))
    points = eye + rays * np.where(on_wall, wall, floor)[..., None]
    across = points[..., 0]
    along = np.where(on_wall, points[..., 2], points[..., 1])
    scale = textures[0].shape[0] / 4
    where = np.stack([(along + 2) * scale, (across + 2) * scale])
    layers = [
        np.stack([map_coordinates(t[..., c], where, order=1, mode="wrap") for c in range(3)], axis=-1) for t in textures
    ]
    return np.where(on_wall[..., None], layers[1], layers[0]).round().astype(np.uint8)


def arc(count: int) -> tuple[np.ndarray, ...]:
    """Poses on an arc of 70 degrees round the corner, at two heights."""
    poses = []
    for i, angle in enumerate(np.radians(np.linspace(-35, 35, count))):
        eye = np.array([2.6 * np.sin(angle), 0.6 - 2.6 * np.cos(angle), 1.1 + 0.35 * (i % 2)])
        poses.append(look_at(eye, np.array([0, 0.6, 0.25])))
    return tuple(poses)


@pytest.fixture(scope="session")
def scene() -> Scene:
    camera = Camera(320, 240, 330.0, 330.0, 160.0, 120.0)
    textures = [texture(1), texture(2)]
    poses = arc(8)
    return Scene(camera, poses, tuple(render(camera, pose, textures) for pose in poses))


@pytest.fixture(scope="session")
def render_scene() -> Callable[..., np.ndarray]:
    """Renders the scene's planes: (camera, pose, optionally the pinhole points to look through) -> pixels."""
    textures = [texture(1), texture(2)]
    return lambda camera, pose, pixels=None: render(camera, pose, textures, pixels)


@pytest.fixture
def write_capture(tmp_path: Path, scene: Scene) -> Callable[..., Path]:
    """Writes the scene as a capture, keywords at the top of its transforms.json; returns its folder."""

    def write(count: int = 3, folder: str = "capture", **top: object) -> Path:
        root = tmp_path / folder
        (root / "images").mkdir(parents=True)
        frames = []
        for i in range(count):
            Image.fromarray(scene.images[i]).save(root / "images" / f"photo_{i}.png")
            matrix = transform_matrix_of(scene.poses[i]).tolist()
            frames.append({"file_path": f"images/photo_{i}.png", "transform_matrix": matrix})
        camera = scene.camera
        content = {
            **{"fl_x": camera.fx, "fl_y": camera.fy, "cx": camera.cx, "cy": camera.cy},
            **{"w": camera.width, "h": camera.height, **top, "frames": frames},
        }
        (root / "transforms.json").write_text(json.dumps(content))
        return root

    return write


@pytest.fixture
def edit_json() -> Callable[[Path, Callable[[dict], object]], None]:
    """Changes a JSON file in place."""

    def edit(path: Path, change: Callable[[dict], object]) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit


@pytest.fixture
def write_dng() -> Callable[..., Path]:
    """Writes a raw photo: linear sRGB of each pixel behind a Bayer filter, as a sensor with these gains would see it.

    The camera's colours are linear sRGB's, red and blue dimmed by the white balance that the file states.
    """
    xyz_to_srgb = np.linalg.inv([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

    def rationals(values: object, kind: str) -> tuple[str, int, list[int]]:
        numbers = np.ravel(values)
        return f"2{kind}", len(numbers), [int(x) for v in numbers for x in (round(v * 10_000), 10_000)]

    def write(
        path: Path,
        linear: np.ndarray,
        white: tuple = (0.5, 1.0, 0.7),
        orientation: int = 1,
        model: str = "Canon EOS 600D",
    ) -> Path:
        seen = linear * np.array(white)
        mosaic = np.empty(seen.shape[:2])
        for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
            mosaic[row::2, column::2] = seen[row::2, column::2, channel]
        entries = [
            (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
            (271, "s", 0, "Canon", True),
            (272, "s", 0, model, True),
            (50708, "s", 0, model, True),
            (274, "H", 1, orientation, True),
            (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
            (33422, "B", 4, (0, 1, 1, 2), True),  # CFAPattern: R G G B
            (50717, "H", 1, 65535, True),  # WhiteLevel
            (50721, *rationals(xyz_to_srgb, "i"), True),  # ColorMatrix1
            (50728, *rationals(white, "I"), True),  # AsShotNeutral
            (50778, "H", 1, 21, True),  # CalibrationIlluminant1: D65
            (0x829A, "2I", 1, (1, 60), True),
            (0x829D, "2I", 1, (56, 10), True),
            (0x920A, "2I", 1, (100, 1), True),
            (0x8827, "H", 1, 200, True),
            (0x9003, "s", 0, "2026:05:04 03:02:01", True),
        ]
        pixels = (mosaic * 65535).round().astype(np.uint16)
        tifffile.imwrite(path, pixels, photometric=32803, extratags=entries, metadata=None, software=False)
        return path

    return write
