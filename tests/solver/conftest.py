# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny macro capture with ground truth that needs no Blender.

Its blur is made by averaging pinhole views from many points of the lens's pupil, which is the thin lens itself and
shares no formula with the solver's dilation.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from solver.capture.transforms import transform_matrix_of
from solver.capture.types import Camera, Photo
from solver.export.images import write_exr, write_png
from solver.gaussians.model import SH_C0, Gaussians
from solver.rasterization import Rendering, View, rasterize

WIDTH, HEIGHT = 72, 54
FOCAL_PX = 160.0
FOCAL_MM, F_NUMBER = 60.0, 2.5
PUPIL_MM = FOCAL_MM / F_NUMBER
DISTANCE_MM = 100.0
PUPIL_SAMPLES = 48


@dataclass(frozen=True)
class TinyCapture:
    """Where it is, and what is true of it."""

    folder: Path
    gaussians: Gaussians
    pupil_diameter: float  # mm, which is its scene unit


def relief(generator: np.random.Generator) -> Gaussians:
    """A plate of 3 mm tiles with a raised square: flat discs on a 1 mm grid, 44 mm wide."""
    side = 45
    x, y = np.meshgrid(np.linspace(-22, 22, side), np.linspace(-22, 22, side))
    z = np.where((abs(x) < 7) & (abs(y) < 7), 6.0, 0.0)
    n = side * side
    tiles = generator.uniform(0.02, 0.95, size=(side // 3, side // 3, 3)) ** 1.5
    colours = tiles.repeat(3, axis=0).repeat(3, axis=1).reshape(n, 3)
    return Gaussians(
        means=torch.tensor(np.stack([x, y, z], -1).reshape(n, 3), dtype=torch.float32),
        log_scales=torch.tensor([0.75, 0.75, 0.05]).log().repeat(n, 1),
        quaternions=torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
        opacity_logits=torch.full((n,), 5.0),
        sh_constant=torch.tensor((colours - 0.5) / SH_C0, dtype=torch.float32)[:, None],
        sh_rest=torch.zeros(n, 0, 3),
    )


def orbit_pose(angle: float, elevation: float) -> np.ndarray:
    """world_to_camera [4, 4] of a camera that looks at the origin, Z up."""
    centre = DISTANCE_MM * np.array(
        [
            math.cos(angle) * math.cos(elevation),
            math.sin(angle) * math.cos(elevation),
            math.sin(elevation),
        ]
    )
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ centre
    return pose


def intrinsics(shift_x: float = 0.0, shift_y: float = 0.0) -> torch.Tensor:
    """K [3, 3]."""
    return torch.tensor([[FOCAL_PX, 0, WIDTH / 2 + shift_x], [0, FOCAL_PX, HEIGHT / 2 + shift_y], [0, 0, 1]])


def render_pinhole(gaussians: Gaussians, pose: np.ndarray, K: torch.Tensor) -> Rendering:
    """A sharp rendering over grey."""
    return rasterize(
        gaussians.means,
        gaussians.quaternions,
        gaussians.scales,
        gaussians.opacities,
        gaussians.sh_coefficients,
        View(torch.tensor(pose, dtype=torch.float32), K, WIDTH, HEIGHT),
        sh_degree=0,
        background=torch.full((3,), 0.3),
        backend="cpu",
    )


def render_thin_lens(gaussians: Gaussians, pose: np.ndarray, focus: float) -> torch.Tensor:
    """The mean of pinhole views over the pupil, each sheared so that the focus plane stays in place, [H, W, 3]."""
    total = torch.zeros(HEIGHT, WIDTH, 3)
    for j in range(PUPIL_SAMPLES):
        radius, angle = PUPIL_MM / 2 * math.sqrt((j + 0.5) / PUPIL_SAMPLES), j * math.pi * (3 - math.sqrt(5))
        u, v = radius * math.cos(angle), radius * math.sin(angle)
        moved = pose.copy()
        moved[:2, 3] -= [u, v]
        total += render_pinhole(gaussians, moved, intrinsics(FOCAL_PX * u / focus, FOCAL_PX * v / focus)).colour
    return total / PUPIL_SAMPLES


@dataclass(frozen=True)
class Shot:
    """A view of the capture, for finding out which points the photos see."""

    folder: Path  # of its ground truth
    photo: Photo
    depth: np.ndarray
    coc: np.ndarray | None  # px; None for a held-out view


def write_smallest_coc(shots: list[Shot]) -> None:
    """As docs/formats.md has it, point by point."""
    for shot in shots:
        smallest = np.full(shot.depth.shape, -1.0)
        rows, columns = np.nonzero(shot.depth > 0)
        points = shot.photo.unproject(rows, columns, shot.depth[rows, columns])
        seen = [[] for _ in points]
        for other in (other for other in shots if other.coc is not None):
            pixels, depths, inside = other.photo.project(points)
            for index in np.nonzero(inside)[0]:
                column, row = pixels[index].astype(int)
                if other.depth[row, column] > 0 and depths[index] <= 1.005 * other.depth[row, column]:
                    seen[index].append(other.coc[row, column])
        smallest[rows, columns] = [min(cocs) if len(cocs) >= 3 else -1 for cocs in seen]
        write_exr(shot.folder / "smallest_coc" / f"{shot.photo.name}.exr", "V", smallest)


@pytest.fixture(scope="session")
def tiny_capture(tmp_path_factory: pytest.TempPathFactory) -> TinyCapture:
    """Ten blurred views of the relief and two held-out sharp ones, in the generator's format."""
    generator = np.random.default_rng(7)
    gaussians = relief(generator)
    folder = tmp_path_factory.mktemp("tiny_capture")
    truth = folder / "ground_truth"
    frames, true_frames, novel_frames, shots = [], [], [], []
    camera = Camera(WIDTH, HEIGHT, FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2)
    for i in range(12):
        novel = i >= 10
        pose = orbit_pose(2 * math.pi * i / 10 + (0.3 if novel else 0), math.radians(45 + 20 * (i % 2)))
        name = f"novel_{i}" if novel else f"view_{i:02d}"
        sharp = render_pinhole(gaussians, pose, intrinsics())
        depth = torch.where(sharp.alpha > 0.5, sharp.depth / sharp.alpha, 0).numpy()
        frame = {"file_path": f"images/{name}.png", "transform_matrix": transform_matrix_of(pose).tolist()}
        if novel:
            write_png(truth / "novel" / "sharp" / f"{name}.png", sharp.colour.numpy())
            write_exr(truth / "novel" / "depth" / f"{name}.exr", "Z", depth)
            novel_frames.append({**frame, "file_path": f"sharp/{name}.png"})
            shots.append(Shot(truth / "novel", Photo(name, Path(), camera, pose), depth, None))
            continue
        focus = float(generator.uniform(DISTANCE_MM - 9, DISTANCE_MM + 5))
        known = np.where(depth > 0, depth, 1.0)
        coc = np.where(depth > 0, PUPIL_MM * FOCAL_PX * abs(1 / known - 1 / focus), 0)
        write_png(folder / "images" / f"{name}.png", render_thin_lens(gaussians, pose, focus).numpy())
        write_png(truth / "sharp" / f"{name}.png", sharp.colour.numpy())
        write_exr(truth / "depth" / f"{name}.exr", "Z", depth)
        write_exr(truth / "coc" / f"{name}.exr", "V", coc)
        shots.append(Shot(truth, Photo(name, Path(), camera, pose), depth, coc))
        frames.append(frame)
        true_frames.append({**frame, "file_path": f"../images/{name}.png", "focus_distance": focus})
    write_smallest_coc(shots)
    shared = {
        "fl_x": FOCAL_PX,
        "fl_y": FOCAL_PX,
        "cx": WIDTH / 2,
        "cy": HEIGHT / 2,
        "w": WIDTH,
        "h": HEIGHT,
        "unit_mm": 1.0,
        "f_number": F_NUMBER,
        "focal_length_mm": FOCAL_MM,
    }
    for path, content in (
        (folder / "transforms.json", frames),
        (truth / "transforms.json", true_frames),
        (truth / "novel" / "transforms.json", novel_frames),
    ):
        path.write_text(json.dumps({**shared, "frames": content}), encoding="utf-8")
    return TinyCapture(folder, gaussians, PUPIL_MM)
