# SPDX-License-Identifier: GPL-3.0-or-later
"""Textures of surfaces that are known exactly: baked back, read back, and each compiled loop against plain NumPy."""

import math
import shutil
import subprocess
import tracemalloc
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from plyfile import PlyData
from scipy.ndimage import gaussian_filter, map_coordinates

from solver.capture.types import Camera, Photo
from solver.export.meshes import write_glb, write_mesh, write_ply
from solver.fusion.normals import vertex_normals
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.kernels import threads
from solver.optics.colour import linear_to_srgb
from solver.surface.texture import TextureView, bake, blend, faces_of_texels, fill, split_at_seams
from solver.surface.unwrapping import unwrap

CAMERA = Camera(width=160, height=120, fx=330.0, fy=330.0, cx=79.0, cy=61.5)
DISTANCE, RADIUS = 30.0, 4.0  # scene unit
FOCUS = 1 / DISTANCE


def photo_at(eye, target=(0.0, 0.0, 0.0), camera=CAMERA) -> Photo:
    eye = np.asarray(eye, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1] if abs(forward[2]) < 0.9 else [0, 1, 0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return Photo(name="view", image_path=Path("view.png"), camera=camera, world_to_camera=pose)


def directions(photo: Photo) -> np.ndarray:  # [H, W, 3], of planar depth 1
    camera = photo.camera
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], axis=-1)
    return local @ photo.world_to_camera[:3, :3]


def sphere_depth(photo: Photo, centre=(0.0, 0.0, 0.0), radius=RADIUS) -> np.ndarray:
    rays, to_eye = directions(photo), photo.centre - np.asarray(centre)
    a, b = (rays**2).sum(-1), (rays * to_eye).sum(-1)
    root = b**2 - a * (to_eye @ to_eye - radius**2)
    return np.where(root > 0, (-b - np.sqrt(root.clip(min=0))) / a, 0)


def paint(points: np.ndarray) -> np.ndarray:
    """A smooth pattern in linear light, from 0.02 on."""
    return 0.02 + 0.4 * (1 + np.sin(1.3 * points)) / 2


def view_of(photo: Photo, depth: np.ndarray, colour=None, focus=FOCUS, pupil=0.0, mask=None) -> TextureView:
    """What a photo shows of a painted surface, before grey."""
    if colour is None:
        colour = np.where((depth > 0)[..., None], paint(photo.centre + depth[..., None] * directions(photo)), 0.9)
    colour = np.broadcast_to(colour, (*depth.shape, 3)).astype(np.float32)
    return TextureView.of(SharpView(photo, colour, depth.astype(np.float32)), mask, pupil, focus)


def ball(subdivisions=4) -> Mesh:
    """A painted sphere."""
    sphere = trimesh.creation.icosphere(subdivisions, RADIUS)
    return Mesh(np.array(sphere.vertices), np.array(sphere.faces), np.full((len(sphere.vertices), 3), 0.5))


def plate(half=4.0, cells=12, colour=0.5) -> Mesh:
    """A square in the plane z = 0 that looks up."""
    grid = np.linspace(-half, half, cells + 1)
    x, y = np.meshgrid(grid, grid)
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1)
    a = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    faces = np.concatenate(
        [np.stack([a, a + 1, a + cells + 2], axis=1), np.stack([a, a + cells + 2, a + cells + 1], axis=1)]
    )
    return Mesh(vertices, faces, np.full(vertices.shape, colour))


def above(x=0.0, y=0.0, z=DISTANCE) -> Photo:
    return photo_at([x, y, z], [x / 2, y / 2, 0.0])


def plate_depth(photo: Photo) -> np.ndarray:
    return -photo.centre[2] / directions(photo)[..., 2]


def ring(count=14) -> list[Photo]:
    photos = [photo_at([0, 0, DISTANCE]), photo_at([0, 0, -DISTANCE])]
    for i in range(count):
        angle, elevation = 2 * math.pi * i / count, math.radians((40, 0, -40)[i % 3])
        flat = DISTANCE * math.cos(elevation)
        photos.append(photo_at([flat * math.cos(angle), flat * math.sin(angle), DISTANCE * math.sin(elevation)]))
    return photos


def texel_centres(texture) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the texels whose centre lies in a face, slowly; and that face, [S, S]."""
    return reference_owners(texture.corner_coordinates.astype(np.float64) * texture.size, texture.size)


def reference_owners(corners: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """How many faces cover each texel's centre, and the last of them, [S, S] each."""
    count, owner = np.zeros((size, size), int), np.full((size, size), -1)
    for face, (a, b, c) in enumerate(corners):
        low = np.floor(np.minimum(np.minimum(a, b), c)).astype(int).clip(0)
        high = np.ceil(np.maximum(np.maximum(a, b), c)).astype(int).clip(max=size)
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
        sides = [
            (q[0] - p[0]) * (y + 0.5 - p[1]) - (q[1] - p[1]) * (x + 0.5 - p[0]) for p, q in ((a, b), (b, c), (c, a))
        ]
        inside = np.all(np.array(sides) > 1e-9, axis=0) | np.all(np.array(sides) < -1e-9, axis=0)
        count[y[inside], x[inside]] += 1
        owner[y[inside], x[inside]] = face
    return count, owner


def points_of(mesh: Mesh, coordinates: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Texels [P, 2] (row, column) that a face covers, and their points [P, 3], by solving for the weights."""
    size = len(owner)
    texels = np.argwhere(owner >= 0)
    corners = coordinates[owner[tuple(texels.T)]].astype(np.float64) * size
    systems = np.concatenate([corners.transpose(0, 2, 1), np.ones((len(texels), 1, 3))], axis=1)
    sides = np.concatenate([texels[:, ::-1] + 0.5, np.ones((len(texels), 1))], axis=1)
    weights = np.linalg.solve(systems, sides[..., None])[..., 0]
    return texels, np.einsum("pc,pci->pi", weights, mesh.vertices[mesh.faces[owner[tuple(texels.T)]]])


@pytest.fixture(scope="module")
def rough() -> Mesh:
    """A crumpled ball, as fusion leaves them: folds that hide one another, slivers, a handle."""
    from skimage.measure import marching_cubes

    random = np.random.default_rng(3)
    x, y, z = np.mgrid[-1.2:1.2:34j, -1.2:1.2:34j, -1.2:1.2:34j]
    bumps = gaussian_filter(random.normal(size=x.shape), 2)
    field = np.sqrt(x**2 + y**2 + z**2) - 0.8 + 0.15 * bumps / bumps.std()
    vertices, faces, _, _ = marching_cubes(field, 0, gradient_direction="ascent")
    return Mesh(vertices * 2.4 / 33 - 1.2, faces.astype(np.int64), np.full((len(vertices), 3), 0.5))


@pytest.fixture(scope="module")
def painted():
    mesh = ball()
    done = []
    texture = bake(mesh, [view_of(p, sphere_depth(p)) for p in ring()], 256, lambda *step: done.append(step))
    assert [step for step, _ in done] == sorted({step for step, _ in done})
    assert done[-1][0] == done[-1][1]
    return mesh, texture


def test_charts_lie_beside_each_other(rough):
    size = 512
    unwrapping = unwrap(rough.vertices, rough.faces, size)
    corners = unwrapping.corner_coordinates.astype(np.float64) * size
    assert corners.min() >= 0
    assert corners.max() <= size
    count, owner = reference_owners(corners, size)
    assert count.max() == 1
    assert (count > 0).mean() > 0.4
    chart = np.where(owner >= 0, unwrapping.charts[owner], -1)
    for shift in (1, 2, 3):  # no two charts within that many texels
        for a, b in ((chart[shift:], chart[:-shift]), (chart[:, shift:], chart[:, :-shift])):
            assert not ((a != b) & (a >= 0) & (b >= 0)).any()


def test_charts_stretch_little_and_are_not_mirrored(rough):
    unwrapping = unwrap(rough.vertices, rough.faces, 512)
    a, b, c = rough.vertices[rough.faces].transpose(1, 0, 2)
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    u, v = (
        (unwrapping.corner_coordinates[:, 1:] - unwrapping.corner_coordinates[:, :1]).transpose(1, 0, 2).astype(float)
    )
    flat = -(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2  # v points down
    ratio = flat / areas
    assert (ratio[areas > 1e-3 * areas.mean()] > 0).all()
    ratio /= np.average(ratio, weights=areas)
    assert areas[(ratio > 0.6) & (ratio < 1.3)].sum() > 0.95 * areas.sum()


def test_unwrapping_is_the_same_each_time(rough):
    first, second = (unwrap(rough.vertices, rough.faces, 256).corner_coordinates for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_faces_without_area_get_a_place_in_the_image():
    mesh = plate(cells=2)
    faces = np.concatenate([mesh.faces, [[0, 0, 1], [4, 4, 4]]])
    coordinates = unwrap(mesh.vertices, faces, 64).corner_coordinates
    assert coordinates.shape == (len(faces), 3, 2)
    assert np.isfinite(coordinates).all()
    assert ((coordinates >= 0) & (coordinates <= 1)).all()
    assert np.isfinite(unwrap(np.zeros((3, 3)), np.array([[0, 1, 2]]), 64).corner_coordinates).all()


def test_texels_belong_to_the_face_that_covers_them(rough):
    corners = 200 * unwrap(rough.vertices, rough.faces, 200).corner_coordinates.astype(np.float64)
    _, expected = reference_owners(corners, 200)
    found = faces_of_texels(corners, 200)
    inside = expected >= 0
    assert (found[inside] == expected[inside]).mean() > 0.999  # on an edge, either face will do
    beside = (found >= 0) & ~inside
    assert beside.sum() > 500
    near = np.pad(inside, 2)
    reached = np.any([near[y : y + 200, x : x + 200] for y in range(5) for x in range(5)], axis=0)
    assert (reached | ~beside).all()


def test_a_painted_ball_is_baked_back(painted):
    mesh, texture = painted
    _, owner = texel_centres(texture)
    texels, points = points_of(mesh, texture.corner_coordinates, owner)
    errors = np.abs(texture.image[tuple(texels.T)] - paint(points))
    assert np.median(errors) < 0.002
    assert np.quantile(errors, 0.99) < 0.015
    assert errors.max() < 0.05


def test_texels_beside_a_chart_continue_it(painted):
    """Bilinear filtering at a chart's edge mixes in the texels outside."""
    mesh, texture = painted
    split = split_at_seams(mesh, texture)
    x, y = (split.coordinates * texture.size - 0.5).T
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    value = np.zeros((len(x), 3))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (dx * (x - left) + (1 - dx) * (left + 1 - x)) * (dy * (y - top) + (1 - dy) * (top + 1 - y))
            texel = texture.image[(top + dy).clip(0, texture.size - 1), (left + dx).clip(0, texture.size - 1)]
            value += weight[:, None] * texel
    assert np.abs(value - paint(split.vertices)).max() < 0.05


def test_no_texel_is_left_black(painted):
    """What is not on the surface goes into the smaller copies of the image, and so onto the surface from afar."""
    _, texture = painted
    image = texture.image
    while len(image) > 1:
        assert image.min() > 0.01
        image = image.reshape(len(image) // 2, 2, len(image) // 2, 2, 3).mean((1, 3))


def test_colours_of_what_stands_in_front_are_not_taken():
    """A red ball hides a part of a plate from one view; another sees all of it."""
    mesh, views = plate(), []
    for photo in (above(), photo_at([24.0, 3.0, 10.0])):
        depth, front = plate_depth(photo), sphere_depth(photo, (0.0, 0.0, 3.0), 1.5)
        hidden = front > 0
        green = np.where(hidden[..., None], [0.8, 0.0, 0.0], [0.1, 0.4, 0.1])
        views.append(view_of(photo, np.where(hidden, front, depth), green))
    texture = bake(mesh, views, 128)
    assert np.quantile(texture.image[..., 0], 0.999) < 0.13
    assert texture.image[..., 0].max() < 0.3
    np.testing.assert_allclose(np.median(texture.image, axis=(0, 1)), [0.1, 0.4, 0.1], atol=0.01)


def test_what_no_view_sees_has_the_colour_of_the_mesh():
    mesh, photo = plate(colour=0.25), above()
    mask = np.zeros((120, 160))
    mask[:, :80] = 1
    texture = bake(mesh, [view_of(photo, plate_depth(photo), (0.6, 0.6, 0.6), mask=mask)], 64)
    for level in (0.25, 0.6):
        assert 0.4 < np.isclose(texture.image, level, atol=1e-4).mean() < 0.55


def test_the_view_whose_photo_held_a_point_in_focus_wins():
    photo = above()
    sharp = view_of(photo, plate_depth(photo), (0.1, 0.1, 0.7), FOCUS, 30.0)
    blurred = view_of(photo, plate_depth(photo), (0.7, 0.1, 0.1), FOCUS * 1.1, 30.0)  # a circle of 33 px
    image = bake(plate(), [blurred, sharp], 64).image
    np.testing.assert_allclose(np.median(image, axis=(0, 1)), [0.1, 0.1, 0.7], atol=0.02)
    same = bake(plate(), [replace(blurred, inverse_focus_distance=FOCUS), sharp], 32)
    np.testing.assert_allclose(np.median(same.image, axis=(0, 1)), [0.4, 0.1, 0.4], atol=1e-5)


def test_the_straighter_and_the_nearer_view_wins():
    straight, slanted, near = above(), photo_at([26.0, 0.0, 15.0]), above(z=DISTANCE / 2)
    views = [view_of(p, plate_depth(p), c) for p, c in ((straight, (0.1, 0.5, 0.1)), (slanted, (0.7, 0.1, 0.1)))]
    assert np.median(bake(plate(), views, 128).image[..., 0]) < 0.25  # the mean would be 0.4
    views.append(view_of(near, plate_depth(near), (0.1, 0.1, 0.7)))
    assert np.median(bake(plate(2.0), views, 128).image[..., 2]) > 0.6


def test_no_seam_where_views_give_way():
    """Each of two views, of unlike exposure, shows all but one side of a plate."""
    photos = [photo_at([-9.0, 0.0, DISTANCE], [-2.5, 0, 0]), photo_at([9.0, 0.0, DISTANCE], [2.5, 0, 0])]
    masks = [np.pad(np.ones((120, 110)), ((0, 0), side)) for side in ((0, 50), (50, 0))]
    views = [
        view_of(photo, plate_depth(photo), (level,) * 3, mask=mask)
        for photo, level, mask in zip(photos, (0.3, 0.5), masks, strict=True)
    ]
    mesh = plate()
    texture = bake(mesh, views, 128)
    _, owner = texel_centres(texture)
    for axis in (0, 1):
        both = (np.minimum(owner, np.roll(owner, -1, axis)) >= 0)[:-1, :-1]
        steps = np.abs(np.diff(texture.image[..., 0], axis=axis))[:127, :127][both]
        assert steps.max() < 0.07  # a third of what tells the views apart
    assert np.ptp(texture.image) > 0.19


def reference_blend(points, views, tolerance, reference) -> np.ndarray:
    """The same, one point after the other."""
    colours = []
    for position, normal, unseen in points.reshape(-1, 3, 3):
        total, weights = np.zeros(3), 0.0
        for view in views:
            camera, pose = view.photo.camera, view.photo.world_to_camera
            local = pose[:3, :3] @ position + pose[:3, 3]
            if local[2] <= 0:
                continue
            column, row = camera.fx * local[0] / local[2] + camera.cx, camera.fy * local[1] / local[2] + camera.cy
            if not (0 <= column < camera.width and 0 <= row < camera.height):
                continue
            away = abs(view.depth[int(row), int(column)] - local[2]) / tolerance
            to_eye = view.photo.centre - position
            facing = to_eye @ normal / np.linalg.norm(to_eye) / np.linalg.norm(normal)
            if away >= 1 or facing <= 0:
                continue
            coc = view.pupil_diameter * camera.fx * abs(1 / local[2] - view.inverse_focus_distance)
            score = facing * camera.fx / local[2] / reference / (1 + (coc / 10) ** 2)
            x, y = column - 0.5, row - 0.5
            trust = map_coordinates(view.trust, [[y], [x]], order=1, mode="nearest")[0]
            weight = trust * min(1, 2 - 2 * away) * score**4
            value = np.zeros(3)
            for i in range(math.floor(y) - 1, math.floor(y) + 3):
                for j in range(math.floor(x) - 1, math.floor(x) + 3):
                    pixel = view.colour[min(max(i, 0), camera.height - 1), min(max(j, 0), camera.width - 1)]
                    value += catmull_rom(y - i) * catmull_rom(x - j) * pixel
            total, weights = total + weight * value.clip(0), weights + weight
        colours.append(total / weights if weights > 0 else unseen)
    return np.array(colours)


def catmull_rom(distance: float) -> float:
    d = abs(distance)
    return 1.5 * d**3 - 2.5 * d**2 + 1 if d < 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def test_blending_is_that_of_plain_numpy():
    random = np.random.default_rng(5)
    photos = ring(6)
    views = []
    for photo in photos:
        colour = random.uniform(0, 1, (120, 160, 3))
        views.append(view_of(photo, sphere_depth(photo), colour, FOCUS * random.uniform(0.97, 1.03), 3.0))
    normals = random.normal(size=(300, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = np.concatenate([RADIUS * normals * random.uniform(0.97, 1.03, (300, 1)), 3 * normals], axis=1)
    points = np.concatenate([points, random.uniform(0, 1, (300, 3))], axis=1)
    reference = max(330 / np.median(view.depth[view.depth > 0]) for view in views)
    expected = reference_blend(points, views, 0.16, reference)
    np.testing.assert_allclose(blend(points, views, 0.16), expected, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_threads_change_nothing(count):
    mesh, views = ball(2), [view_of(p, sphere_depth(p)) for p in ring(4)]
    try:
        threads.set_thread_count(count)
        image = bake(mesh, views, 64).image
    finally:
        threads.set_thread_count(None)
    np.testing.assert_array_equal(image, bake(mesh, views, 64).image)


def test_filling_takes_the_means_of_the_smallest_squares_that_know():
    random = np.random.default_rng(2)
    for shape in ((16, 16), (13, 10)):
        known = random.uniform(size=shape) < 0.1
        image = random.uniform(size=(*shape, 3)).astype(np.float32)
        expected = image.copy()
        levels = [(np.where(known[..., None], image, 0), known)]
        while not levels[-1][1].all():
            values, has = levels[-1]
            padded = [
                np.pad(a, [(0, a.shape[i] % 2) if i < 2 else (0, 0) for i in range(a.ndim)]) for a in (values, has)
            ]
            rows, columns = padded[1].shape
            sums = padded[0].reshape(rows // 2, 2, columns // 2, 2, 3).sum((1, 3))
            counts = padded[1].reshape(rows // 2, 2, columns // 2, 2).sum((1, 3))
            levels.append((sums / np.maximum(counts, 1)[..., None], counts > 0))
        for row, column in np.argwhere(~known):
            level = next(k for k, (_, has) in enumerate(levels) if has[row >> k, column >> k])
            expected[row, column] = levels[level][0][row >> level, column >> level]
        fill(image, known)
        np.testing.assert_allclose(image, expected, atol=1e-6)


def test_a_large_texture_takes_little_more_memory_than_its_image():
    photo = above()
    views = [view_of(photo, plate_depth(photo))]
    bake(plate(), views, 64)  # compiles
    tracemalloc.start()
    try:
        texture = bake(plate(), views, 3072)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texture.size == 3072
    assert peak < 2.2 * texture.image.nbytes + 2e8  # the image, the faces of its texels, and a chunk


def test_splitting_at_seams_keeps_every_corner(painted):
    mesh, texture = painted
    split = split_at_seams(mesh, texture)
    np.testing.assert_array_equal(split.vertices[split.faces], mesh.vertices[mesh.faces])
    np.testing.assert_array_equal(split.coordinates[split.faces], texture.corner_coordinates)
    np.testing.assert_array_equal(split.sources[split.faces], mesh.faces)
    pairs = np.concatenate([split.sources[:, None], split.coordinates], axis=1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)  # no vertex twice
    assert len(mesh.vertices) < len(pairs) < 1.5 * len(mesh.vertices)


def looked_up(image: np.ndarray, coordinates: np.ndarray) -> np.ndarray:  # [S, S, 3], [V, 2] v down -> [V, 3]
    columns, rows = (coordinates * len(image)).astype(int).clip(0, len(image) - 1).T
    return image[rows, columns]


def test_glb_is_read_with_its_texture(painted, tmp_path):
    mesh, texture = painted
    write_glb(tmp_path / "mesh.glb", mesh, 2.0, texture)
    loaded = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    x, y, z = (loaded.vertices / 0.002).T
    points = np.stack([x, -z, y], axis=1)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), RADIUS, rtol=1e-5)
    assert len(loaded.faces) == len(mesh.faces)
    assert loaded.volume > 0
    np.testing.assert_allclose(loaded.vertex_normals[:, [0, 2, 1]] * [1, -1, 1], points / RADIUS, atol=0.05)
    material = loaded.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0, 1)
    image = np.asarray(material.baseColorTexture.convert("RGB"))
    coordinates = np.stack([loaded.visual.uv[:, 0], 1 - loaded.visual.uv[:, 1]], axis=1)  # trimesh has v up
    errors = np.abs(looked_up(image, coordinates) / 255 - linear_to_srgb(paint(points)))
    assert np.quantile(errors, 0.99) < 0.05


def test_glb_is_laid_out_as_gltf_wants(painted, tmp_path):
    pygltflib = pytest.importorskip("pygltflib")
    mesh, texture = painted
    write_glb(tmp_path / "mesh.glb", mesh, None, texture)
    gltf = pygltflib.GLTF2().load(str(tmp_path / "mesh.glb"))
    (primitive,) = gltf.meshes[0].primitives
    attributes = primitive.attributes
    assert (attributes.COLOR_0, attributes.TANGENT, attributes.TEXCOORD_1) == (None, None, None)
    count = gltf.accessors[attributes.POSITION].count
    assert gltf.accessors[attributes.NORMAL].count == gltf.accessors[attributes.TEXCOORD_0].count == count
    assert gltf.accessors[primitive.indices].count == 3 * len(mesh.faces)
    material = gltf.materials[primitive.material].pbrMetallicRoughness
    image = gltf.images[gltf.textures[material.baseColorTexture.index].source]
    assert image.mimeType == "image/jpeg"
    view = gltf.bufferViews[image.bufferView]
    pixels = Image.open(BytesIO(gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]))
    assert pixels.format == "JPEG"
    expected = linear_to_srgb(texture.image) * 255
    assert np.abs(np.asarray(pixels) - expected).mean() < 1.5
    low, high = (np.array(getattr(gltf.accessors[attributes.POSITION], which)) for which in ("min", "max"))
    np.testing.assert_allclose([low, high], [[-RADIUS] * 3, [RADIUS] * 3], rtol=1e-6)


def test_ply_has_its_place_in_the_texture_with_v_up(painted, tmp_path):
    mesh, texture = painted
    confidence = np.arange(len(mesh.vertices), dtype=float)
    write_mesh(tmp_path, mesh, 1.0, {"confidence": confidence}, texture)
    ply = PlyData.read(str(tmp_path / "mesh.ply"))
    assert ply.comments == ["TextureFile texture.png"]
    vertex = ply["vertex"].data
    points = np.stack([vertex[axis] for axis in "xyz"], axis=1)
    image = np.asarray(Image.open(tmp_path / "texture.png"))
    assert image.shape == (256, 256, 3)
    np.testing.assert_allclose(image, linear_to_srgb(texture.image) * 255, atol=0.51)
    found = looked_up(image, np.stack([vertex["s"], 1 - vertex["t"]], axis=1)) / 255
    errors = np.abs(found - linear_to_srgb(paint(points)))
    assert np.quantile(errors, 0.99) < 0.05
    sources = vertex["confidence"].astype(int)
    np.testing.assert_allclose(points, mesh.vertices[sources], rtol=1e-6)
    np.testing.assert_array_equal(sources[np.stack(ply["face"].data["vertex_indices"])], mesh.faces)
    write_mesh(tmp_path, mesh, 1.0)
    assert not (tmp_path / "texture.png").exists()
    assert len(PlyData.read(str(tmp_path / "mesh.ply"))["vertex"].data) == len(mesh.vertices)


def test_blender_reads_the_ply(painted, tmp_path):
    bpy = pytest.importorskip("bpy", reason="the bpy wheel is not installed")
    mesh, texture = painted
    write_ply(tmp_path / "mesh.ply", mesh, texture=texture)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.ply_import(filepath=str(tmp_path / "mesh.ply"))
    (item,) = bpy.data.objects
    assert len(item.data.polygons) == len(mesh.faces)
    layer = item.data.uv_layers[0].data
    flat = np.empty(6 * len(mesh.faces), np.float32)
    layer.foreach_get("uv", flat)
    expected = texture.corner_coordinates * [1, -1] + [0, 1]
    np.testing.assert_allclose(
        np.sort(flat.reshape(-1, 2), axis=0), np.sort(expected.reshape(-1, 2), axis=0), atol=1e-6
    )


def test_khronos_finds_no_fault(painted, tmp_path):
    """Runs where node and its package gltf-validator are installed."""
    script = "require('gltf-validator').validateBytes(new Uint8Array(require('fs').readFileSync(process.argv[1])))"
    script += ".then(r => { console.log(JSON.stringify(r.issues)); process.exit(r.issues.numErrors ? 3 : 0) })"
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", "require('gltf-validator')"], capture_output=True).returncode:
        pytest.skip("node or gltf-validator is not installed")
    mesh, texture = painted
    for name, chosen in (("textured.glb", texture), ("coloured.glb", None)):
        write_glb(tmp_path / name, mesh, 1.0, chosen)
        run = subprocess.run([node, "-e", script, str(tmp_path / name)], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stdout
        assert '"numWarnings":0' in run.stdout


def test_normals_are_means_by_area():
    mesh = plate(cells=1)
    bent = Mesh(
        np.concatenate([mesh.vertices, [[-4.0, -4, -2]]]), np.concatenate([mesh.faces, [[0, 4, 1]]]), mesh.colours
    )
    normals = vertex_normals(bent.vertices, bent.faces)
    for vertex in range(5):
        a, b, c = bent.vertices[bent.faces[(bent.faces == vertex).any(1)]].transpose(1, 0, 2)
        total = np.cross(b - a, c - a).sum(0)
        np.testing.assert_allclose(normals[vertex], total / np.linalg.norm(total), atol=1e-12)
    assert vertex_normals(np.zeros((2, 3)), np.zeros((0, 3), int)).tolist() == [[0, 0, 1]] * 2
