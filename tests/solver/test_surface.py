# SPDX-License-Identifier: GPL-3.0-or-later
"""Depth maps of scenes that are known exactly, fused into a mesh."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.ndimage import uniform_filter

from solver.capture.types import Camera, Photo
from solver.fusion.field import Blending, Field
from solver.fusion.views import SharpView
from solver.fusion.volume import surface_of, without_depth_edges
from solver.surface import mesh_making
from solver.surface.mesh_making import (
    DepthView,
    MeshOptions,
    agreed,
    only_covered,
    places_between,
    simplified,
    solid,
    without_flaps,
    without_pinches,
)

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


def depths_of(views, masks):
    """Masked, and without what edges make up."""
    return [
        DepthView(
            view.photo,
            without_depth_edges(view.depth if mask is None else np.where(mask > 0.5, view.depth, 0), view.photo.camera),
        )
        for view, mask in zip(views, masks, strict=True)
    ]


def fuse(views, masks, resolution, **options):
    return mesh_making.fuse(views, depths_of(views, masks), MeshOptions(resolution, **options))


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
    return fuse(views, [None] * len(views), 48)


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


def test_a_closed_mesh_has_no_hole_even_with_fewer_triangles():
    """A ball seen from above alone: open below, unless it is closed."""
    views = [view_of_depth(photo, sphere_depth(photo)) for photo in ring(12) if photo.centre[2] > 0]
    photos = [view.photo for view in views]
    assert len(photos) == 6
    open_below = fuse(views, [None] * len(views), 48)
    assert not whole(open_below).is_watertight
    closed = fuse(views, [None] * len(views), 48, close_holes=True)
    assert whole(closed).is_watertight
    assert whole(closed).volume > 0.45 * 4 / 3 * math.pi * RADIUS**3
    radius = np.linalg.norm(closed.vertices[closed.vertices[:, 2] > 2], axis=1)
    assert np.abs(radius - RADIUS).max() < 1.5 * 2 * RADIUS / 48  # what was seen stays where it was
    for triangles in (1000, 2000, 3000, 8000):  # with some of these, collapsed edges leave sheets that touch
        fewer = fuse(views, [None] * len(views), 48, close_holes=True, triangles=triangles)
        assert whole(fewer).is_watertight
        assert 0.95 * triangles <= len(fewer.faces) <= triangles


def test_sheets_that_touch_come_apart():
    """Two closed tetrahedra that share an edge, whose four faces make it no solid."""
    vertices = np.array([[0.0, 0, 0], [0, 0, 1], [1, 0, 0.5], [1, 1, 0.5], [-1, 0, 0.5], [-1, -1, 0.5]])
    one = trimesh.Trimesh(vertices[[0, 1, 2, 3]], [[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]], process=False)
    faces = np.concatenate([one.faces, np.array([0, 1, 4, 5])[one.faces]])
    assert not trimesh.Trimesh(vertices, faces, process=False).is_watertight
    apart, sheets = without_pinches(vertices, faces)
    assert len(apart) == 8
    assert trimesh.Trimesh(apart, sheets, process=True).is_watertight
    assert np.abs(apart[sheets] - vertices[faces]).max() < 0.1
    ball = trimesh.creation.icosphere(subdivisions=2)
    same, faces = without_pinches(ball.vertices, ball.faces)
    assert len(same) == len(ball.vertices)
    np.testing.assert_array_equal(same[faces], ball.triangles)


def cubes(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The surface of cubes in a random grid, which touch at edges and corners in every way, and how many there are."""
    filled = np.zeros((6, 6, 6), bool)
    filled[1:-1, 1:-1, 1:-1] = np.random.default_rng(seed).random((4, 4, 4)) < 0.45
    square = np.array([[0, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]])
    squares = []
    for axis in range(3):
        step, turned = np.eye(3, dtype=int)[axis], np.roll(square, axis, axis=1)
        squares += [cell + step + turned for cell in np.argwhere(filled & ~np.roll(filled, -1, axis))]
        squares += [cell + turned[::-1] for cell in np.argwhere(filled & ~np.roll(filled, 1, axis))]
    points, numbers = np.unique(np.concatenate(squares), axis=0, return_inverse=True)
    faces = numbers.reshape(-1, 4)[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)
    return points.astype(np.float64), faces, int(filled.sum())


@pytest.mark.parametrize("seed", range(8))
def test_a_crowd_of_cubes_that_touch_becomes_solid(seed):
    """They are parted a little, and nothing gets open."""
    points, faces, volume = cubes(seed)
    before = trimesh.Trimesh(points, faces, process=False)
    assert before.volume == pytest.approx(volume) and not before.is_watertight
    vertices, parted = without_pinches(points, faces)
    after = trimesh.Trimesh(vertices, parted, process=False)
    assert after.is_watertight and after.is_winding_consistent
    assert len(np.unique(vertices.astype(np.float32), axis=0)) == len(vertices)  # none are one again in a file
    assert after.volume == pytest.approx(volume, rel=0.1)


@pytest.mark.parametrize("seed", range(8))
def test_a_solid_has_no_more_triangles_than_it_may(seed):
    """Though parting its sheets takes some."""
    points, faces, _ = cubes(seed)
    assert len(without_pinches(points, faces)[1]) > len(faces)
    vertices, parted = solid(points, faces, len(faces))
    assert trimesh.Trimesh(vertices, parted, process=False).is_watertight
    assert 0.5 * len(faces) <= len(parted) <= len(faces)


def test_faces_back_to_back_are_dropped():
    faces = np.array([[0, 1, 2], [2, 1, 0], [3, 4, 5], [5, 6, 7], [6, 7, 5], [7, 5, 6], [8, 8, 9]])
    assert without_flaps(faces).tolist() == [[3, 4, 5], [5, 6, 7]]


def test_fewer_triangles_keep_the_shape(sphere):
    vertices, faces = simplified(sphere.vertices + 1e4, sphere.faces, 800)  # far from the origin too
    assert 700 <= len(faces) <= 800
    radius = np.linalg.norm(vertices - 1e4, axis=1)
    assert np.abs(radius - RADIUS).mean() < 0.03 * RADIUS
    same = simplified(sphere.vertices, sphere.faces, len(sphere.faces))
    assert same[1] is sphere.faces


def test_confidence_counts_the_views_that_see_a_vertex(sphere):
    photos = ring()
    depths = {photo.name: sphere_depth(photo) for photo in photos}
    tolerance = 2.0
    slow = np.zeros(200)
    for index, vertex in enumerate(sphere.vertices[:200]):
        for photo in photos:
            local = photo.world_to_camera[:3, :3] @ vertex + photo.world_to_camera[:3, 3]
            column = int(photo.camera.fx * local[0] / local[2] + photo.camera.cx)
            row = int(photo.camera.fy * local[1] / local[2] + photo.camera.cy)
            depth = depths[photo.name][row, column]
            slow[index] += depth > 0 and abs(depth - local[2]) <= tolerance
    views = [DepthView(photo, depths[photo.name]) for photo in photos]
    for least in (1, 2, 5):
        np.testing.assert_array_equal(agreed(sphere.vertices[:200], views, tolerance, least), slow >= least)
    assert sphere.confidence.shape == (len(sphere.vertices),)
    assert 1 <= np.median(sphere.confidence) <= 10


def test_places_between_look_at_the_subject_from_between():
    photos = ring(8)
    between = places_between(photos, np.zeros(3))
    assert 4 <= len(between) <= 16
    assert len({photo.name for photo in between}) == len(between)
    for place in between:
        pair = [photo for photo in photos if photo.name in place.name.split("+")]
        assert len(pair) == 2
        assert np.linalg.norm(place.centre) == pytest.approx(DISTANCE)
        distances = [np.linalg.norm(place.centre - photo.centre) for photo in pair]
        assert distances[0] == pytest.approx(distances[1])
        pixels, _, inside = place.project(np.zeros((1, 3)))
        assert inside[0] and np.abs(pixels[0] - [place.camera.cx, place.camera.cy]).max() < 0.35 * place.camera.width
        np.testing.assert_allclose(
            place.world_to_camera[:3, :3] @ place.world_to_camera[:3, :3].T, np.eye(3), atol=1e-9
        )


def test_there_is_nothing_between_photos_of_one_place_or_of_opposite_ones():
    same = [camera_at([0, 0, 60.0], name="a"), camera_at([0, 0.5, 60.0], name="b")]
    assert places_between(same, np.zeros(3)) == []
    opposite = [camera_at([0, 0, 60.0], name="a"), camera_at([0, 0, -60.0], name="b")]
    assert places_between(opposite, np.zeros(3)) == []


def test_places_between_tell_only_what_photos_see():
    """Photos from above; a view from below sees the other side, of which nothing is kept."""
    above = [camera_at([x, y, 55.0], name=f"{x}{y}") for x, y in ((-15, 0), (15, 0), (0, 15))]
    seen = [DepthView(photo, sphere_depth(photo)) for photo in above]
    below, beside = camera_at([0, 5, -60.0], name="below"), camera_at([0, 0, 60.0], name="beside")
    assert not only_covered(DepthView(below, sphere_depth(below)), seen, 0.5).depth.any()
    full = DepthView(beside, sphere_depth(beside))
    kept = only_covered(full, seen, 0.5)
    assert 0.8 < (kept.depth > 0).sum() / (full.depth > 0).sum() <= 1
    assert (kept.depth[kept.depth > 0] == full.depth[kept.depth > 0]).all()
    views = [view_of_depth(photo, sphere_depth(photo)) for photo in above]
    alone = mesh_making.fuse(views, seen, MeshOptions(48))
    more = mesh_making.fuse(views, seen, MeshOptions(48), further=[DepthView(below, sphere_depth(below))] * 4)
    assert more.vertices[:, 2].min() == pytest.approx(alone.vertices[:, 2].min(), abs=0.01)


def test_a_mesh_is_no_finer_than_the_pixels_of_the_photos():
    """However finely depth was rendered: between two pixels there is nothing to tell."""
    photos = ring()
    fine = [replace(photo, camera=CAMERA.resized(2 * CAMERA.width, 2 * CAMERA.height)) for photo in photos]
    views = [view_of_depth(photo, sphere_depth(photo)) for photo in photos]
    own = [DepthView(photo, sphere_depth(photo)) for photo in fine]
    mesh = mesh_making.fuse(views, own, MeshOptions(1000))
    pixel = (DISTANCE - RADIUS) / CAMERA.fx
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - RADIUS).mean() < 0.2 * pixel
    area = trimesh.Trimesh(mesh.vertices, mesh.faces).area
    assert len(mesh.faces) < 3 * area / pixel**2  # marching cubes makes two to three triangles a voxel


def test_masks_hold_for_places_between_too():
    """Two balls, of which the masks leave one: the other is not seen by any photo, whatever a place between shows."""
    views, own, further = [], [], []
    for photo in ring():
        first, second = sphere_depth(photo, (-8, 0, 0), 6), sphere_depth(photo, (8, 0, 0), 6)
        both = np.where((second > 0) & ((first == 0) | (second < first)), second, first)
        views.append(view_of_depth(photo, both))
        own.append(DepthView(photo, np.where(both == first, first, 0)))
        further.append(DepthView(photo, both))
    mesh = mesh_making.fuse(views, own, MeshOptions(48), further=further, whole=True)
    assert mesh.vertices[:, 0].max() < 0


def test_the_surface_that_training_uses_is_the_plain_mean_of_signed_distances():
    """The kernel against the formula, voxel by voxel."""
    photos = ring(4)
    depths = [sphere_depth(photo) for photo in photos]
    blending = Blending(truncation=3.0, fades_behind=1.0)
    field = Field.empty(np.full(3, -13.0), np.full(3, 13.0), 2.0, blending)
    for photo, depth in zip(photos, depths, strict=True):
        field.add(photo, depth)
    rng = np.random.default_rng(0)
    for index in map(tuple, rng.integers(0, field.distance.shape, (200, 3))):
        point = field.low + field.voxel * np.array(index)
        total, weights, count = 0.0, 0.0, 0
        for photo, depth in zip(photos, depths, strict=True):
            pixels, distance, inside = photo.project(point[None])
            if not inside[0]:
                continue
            surface = depth[int(pixels[0, 1]), int(pixels[0, 0])]
            signed = (surface - distance[0]) / 2.0  # voxels
            if surface > 0 and signed > -3:
                weight = 1.0 if signed >= -1 else (3 + signed) / 2
                total, weights, count = total + weight * min(signed / 3, 1), weights + weight, count + 1
        assert field.seen_by[index] == count
        assert field.distance[index] == pytest.approx(total / weights if count else 1, abs=1e-5)


def test_training_finds_the_same_ball():
    photos = ring()
    surface = surface_of(photos, [sphere_depth(photo) for photo in photos], 48)
    radius = np.linalg.norm(surface.vertices, axis=1)
    assert np.abs(radius - RADIUS).mean() < 0.3 * 2 * RADIUS / 48
