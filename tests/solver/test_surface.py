# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth maps of scenes that are known exactly, fused into a mesh."""

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.ndimage import uniform_filter

from solver.capture.types import Camera, Photo
from solver.fusion.views import SharpView
from solver.fusion.volume import surface_of
from solver.surface import mesh_making
from solver.surface.mesh_making import DepthView, MeshOptions, agreement, only_covered, places_between, simplified

CAMERA = Camera(width=96, height=80, fx=130.0, fy=130.0, cx=47.0, cy=41.5)
DISTANCE, RADIUS = 60.0, 12.0  # scene unit


def camera_at(eye, target=(0.0, 0.0, 0.0), camera=CAMERA, name="view") -> Photo:
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    helper = [0, 0, 1] if abs(forward[2]) < 0.9 else [0, 1, 0]
    right = np.cross(forward, helper)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return Photo(name=name, image_path=Path(f"{name}.png"), camera=camera, world_to_camera=pose)


def rays(photo: Photo) -> tuple[np.ndarray, np.ndarray]:
    """Eye [3], and directions [H, W, 3] of planar depth 1."""
    camera = photo.camera
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], axis=-1)
    return photo.centre, local @ photo.world_to_camera[:3, :3]


def sphere_depth(photo: Photo, centre=(0.0, 0.0, 0.0), radius=RADIUS) -> np.ndarray:
    """Planar depth [H, W] of a sphere, 0 beside it."""
    eye, directions = rays(photo)
    to_eye = eye - np.asarray(centre)
    a, b = (directions**2).sum(-1), (directions * to_eye).sum(-1)
    root = b**2 - a * (to_eye @ to_eye - radius**2)
    return np.where(root > 0, (-b - np.sqrt(root.clip(min=0))) / a, 0).astype(np.float32)


def paint(points: np.ndarray) -> np.ndarray:
    """A smooth dark pattern in linear light; as dark as 0.01, so that a lost factor shows."""
    return 0.01 + 0.2 * (1 + np.sin(points / 4)) / 2


def view_of_depth(photo: Photo, depth: np.ndarray) -> SharpView:
    eye, directions = rays(photo)
    colour = np.where((depth > 0)[..., None], paint(eye + depth[..., None] * directions), 0.9)
    return SharpView(photo, colour.astype(np.float32), depth.astype(np.float32))


def fuse(views, masks, resolution, progress=lambda done: None, **options):
    return mesh_making.fuse(views, masks, MeshOptions(resolution, **options), progress=progress)


def ring(count=10) -> list[Photo]:
    """Cameras all round, alternately above and below."""
    photos = []
    for i in range(count):
        angle, elevation = 2 * math.pi * i / count, math.radians(50 if i % 2 else -35)
        eye = DISTANCE * np.array(
            [math.cos(angle) * math.cos(elevation), math.sin(angle) * math.cos(elevation), math.sin(elevation)]
        )
        photos.append(camera_at(eye, name=f"view_{i}"))
    return photos


def whole(mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


@pytest.fixture(scope="module")
def sphere():
    views = [view_of_depth(photo, sphere_depth(photo)) for photo in ring()]
    done = []
    mesh = fuse(views, [None] * len(views), 48, done.append)
    assert done == [i + 1 for i in range(len(views))]
    return mesh


def test_a_sphere_is_where_it_was(sphere):
    voxel = 2 * RADIUS / 48
    radius = np.linalg.norm(sphere.vertices, axis=1)
    assert np.abs(radius - RADIUS).max() < 1.5 * voxel
    assert np.abs(radius - RADIUS).mean() < 0.3 * voxel
    for axis in range(3):
        assert np.ptp(sphere.vertices[:, axis]) == pytest.approx(2 * RADIUS, abs=2 * voxel)


def test_faces_look_outwards(sphere):
    mesh = whole(sphere)
    outwards = (mesh.face_normals * mesh.triangles_center).sum(1)
    assert (outwards > 0).mean() > 0.999
    assert mesh.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.05)


def test_colours_are_those_of_the_surface(sphere):
    errors = np.abs(sphere.colours - paint(sphere.vertices))
    assert np.median(errors) < 0.004
    assert errors.max() < 0.06
    assert sphere.colours.mean() == pytest.approx(paint(sphere.vertices).mean(), rel=0.01)


def test_an_open_surface_gets_no_back_and_no_walls():
    """A plane seen from one side: no sheet where the views end, none behind it."""
    photos = [camera_at([x, y, 60.0], [0.3 * x, 0.3 * y, 0], name=f"{x}{y}") for x in (-15, 0, 15) for y in (-12, 12)]
    views = []
    for photo in photos:
        eye, directions = rays(photo)
        views.append(view_of_depth(photo, -eye[2] / directions[..., 2]))
    mesh = fuse(views, [None] * len(views), 64)
    voxel = np.ptp(mesh.vertices, axis=0).max() / 64
    assert np.abs(mesh.vertices[:, 2]).max() < voxel
    assert (whole(mesh).face_normals[:, 2] > 0.9).all()
    assert whole(mesh).area > 30 * 25


def test_masked_out_pixels_make_no_surface():
    """Two spheres, of which the masks leave one."""
    views, masks = [], []
    for photo in ring():
        first, second = sphere_depth(photo, (-8, 0, 0), 6), sphere_depth(photo, (8, 0, 0), 6)
        both = np.where((second > 0) & ((first == 0) | (second < first)), second, first)
        views.append(view_of_depth(photo, both))
        masks.append(((first > 0) & (both == first)).astype(np.float32))
    kept = fuse(views, masks, 48)
    assert kept.vertices[:, 0].max() < 0
    assert len(whole(kept).split(only_watertight=False)) == 1
    everything = fuse(views, [None] * len(views), 48)
    assert everything.vertices[:, 0].max() > 8


def test_small_pieces_are_dropped():
    views = []
    for photo in ring():
        first, second = sphere_depth(photo), sphere_depth(photo, (14.5, 0, 0), 0.9)
        views.append(view_of_depth(photo, np.where((second > 0) & ((first == 0) | (second < first)), second, first)))
    mesh = fuse(views, [None] * len(views), 64)
    assert mesh.vertices[:, 0].max() < RADIUS + 1
    assert len(mesh.vertices) == len(np.unique(mesh.faces))  # no vertex is left behind


def test_depth_that_floats_between_two_surfaces_is_not_believed():
    """A ball before a wall; blending gives the pixels of its border the mean depth of both."""
    photos = [camera_at([x, y, 60.0], name=f"{x}{y}") for x in (-20, 0, 20) for y in (-15, 15)]
    views = []
    for photo in photos:
        eye, directions = rays(photo)
        wall, ball = (-10 - eye[2]) / directions[..., 2], sphere_depth(photo, (0, 0, 14), 6)
        views.append(view_of_depth(photo, uniform_filter(np.where(ball > 0, ball, wall), 3)))
    mesh = fuse(views, [None] * len(views), 64)
    from_ball = np.abs(np.linalg.norm(mesh.vertices - [0, 0, 14], axis=1) - 6)
    from_wall = np.abs(mesh.vertices[:, 2] + 10)
    assert np.minimum(from_ball, from_wall).max() < 0.4
    assert (from_ball < 0.4).sum() > 100


def test_nothing_seen_gives_no_mesh():
    photos = ring()
    empty = [view_of_depth(photo, np.zeros((80, 96), np.float32)) for photo in photos]
    assert fuse(empty, [None] * len(photos), 32) is None
    full = [view_of_depth(photo, sphere_depth(photo)) for photo in photos]
    assert fuse(full, [np.zeros((80, 96), np.float32)] * len(photos), 32) is None


def test_views_of_different_places_give_no_mesh():
    """Each camera sees a wall of its own, far from what the others see."""
    views = []
    for i, photo in enumerate(ring(4)):
        away = camera_at(photo.centre, photo.centre * 3 + i, name=photo.name)
        views.append(view_of_depth(away, np.full((80, 96), 20.0, np.float32)))
    assert fuse(views, [None] * 4, 32) is None
