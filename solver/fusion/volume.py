# SPDX-License-Identifier: GPL-3.0-or-later
"""A triangle mesh from depth maps, by a truncated signed distance field (Curless and Levoy 1996).

Each voxel averages, over the views, how far it lies in front of the surface that the view sees, cut off at a small
distance; marching cubes takes the zero level. A vertex has the mean colour of the views that see it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter
from scipy.spatial import KDTree

from solver.capture.types import Camera, Photo
from solver.fusion.views import SharpView

_TRUNCATION_VOXELS = 4.0
_LEAST_VIEWS = 2  # that must have seen a voxel, for a surface through it to count
_LEAST_COMPONENT_SHARE = 0.02  # of the largest component's faces; smaller ones are dropped
_BORDER_WEIGHT = 1e-3  # of the colour of a pixel beside an edge: what is behind shows in it
_STEEPEST = 5.0  # depth over width, of a surface; where depth changes faster, its mean floats between two surfaces


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour at each vertex."""

    vertices: np.ndarray  # [V, 3] float64, world
    faces: np.ndarray  # [F, 3] int64, counter-clockwise seen from outside
    colours: np.ndarray  # [V, 3] float64, linear light


def fuse(
    views: list[SharpView],
    masks: list[np.ndarray | None],
    resolution: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Mesh | None:
    """Fuse depth maps into a mesh.

    Args:
        views: V renderings.
        masks: V masks [H, W] (1 on the subject), None where a photo has none.
        resolution: voxels along the longest side of the box, unless the pixels are coarser.
        progress: called with (views done, views).

    Returns:
        The mesh, or None where the views show no common surface.
    """
    depths = [
        view.depth if mask is None else np.where(mask > 0.5, view.depth, 0)
        for view, mask in zip(views, masks, strict=True)
    ]
    surface = surface_of([view.photo for view in views], depths, resolution, progress)
    if surface is None:
        return None
    colours = _colours(surface.vertices, views, surface.trusted_depths, surface.tolerance)
    return Mesh(surface.vertices, surface.faces, colours)


@dataclass(frozen=True)
class Surface:
    """Triangles, and the depth maps they are made of."""

    vertices: np.ndarray  # [V, 3] float64, world
    faces: np.ndarray  # [F, 3] int64, counter-clockwise seen from outside
    trusted_depths: list[np.ndarray]  # [H, W] of each view, scene unit, 0 where it says nothing of the surface
    tolerance: float  # scene unit: a view sees a point where its trusted depth is the point's, give or take this


def surface_of(
    photos: Sequence[Photo],
    depths: Sequence[np.ndarray],  # [H, W] each, scene unit, 0 where there is no surface
    resolution: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Surface | None:
    """The surface that depth maps agree on, or None where there is none.

    Args:
        photos: V of them, where the depth maps were seen from.
        depths: V depth maps.
        resolution: voxels along the longest side of the box, unless the pixels are coarser.
        progress: called with (views done, views).
    """
    box = _bounding_box(photos, depths)
    if box is None:
        return None
    low, high = box
    voxel = max(float((high - low).max() / resolution), _pixel_footprint(photos, depths))
    shape = np.maximum(np.ceil((high - low) / voxel).astype(int) + 1, 2)
    trusted = [without_depth_edges(depth, photo.camera) for photo, depth in zip(photos, depths, strict=True)]
    distance = np.ones(shape, np.float32)
    seen_by = np.zeros(shape, np.uint16)
    for done, (photo, depth) in enumerate(zip(photos, trusted, strict=True)):
        _integrate(distance, seen_by, low, voxel, photo, depth)
        progress(done + 1, len(photos))
    extracted = _extract(distance, seen_by)
    if extracted is None:
        return None
    vertices, faces = extracted
    return Surface(low + voxel * vertices, faces, trusted, _TRUNCATION_VOXELS * voxel)


def _bounding_box(photos: Sequence[Photo], depths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners [3], [3] of a box round the surface points that at least three views (or all) see."""
    points = []
    for photo, depth in zip(photos, depths, strict=True):
        rows, columns = np.nonzero(depth)
        stride = max(1, len(rows) // 2000)
        rows, columns = rows[::stride], columns[::stride]
        points.append(photo.unproject(rows, columns, depth[rows, columns]))
    cloud = np.concatenate(points)
    if len(cloud) < 100:
        return None
    seen = np.sum([photo.project(cloud)[2] for photo in photos], axis=0)
    cloud = cloud[seen >= min(3, len(photos))]
    if len(cloud) < 100:
        return None
    low, high = np.percentile(cloud, [1, 99], axis=0)
    margin = 0.05 * (high - low).max()
    return low - margin, high + margin


def _pixel_footprint(photos: Sequence[Photo], depths: Sequence[np.ndarray]) -> float:
    """The width of a typical pixel on the surface, scene unit."""
    return float(
        np.median(
            [
                np.median(depth[depth > 0]) / photo.camera.fx
                for photo, depth in zip(photos, depths, strict=True)
                if depth.any()
            ]
        )
    )


def without_depth_edges(depth: np.ndarray, camera: Camera) -> np.ndarray:  # [H, W] -> [H, W]
    """The depth map with 0 where it changes faster than a surface does."""
    nearest = minimum_filter(np.where(depth > 0, depth, np.inf), size=3)
    farthest = maximum_filter(np.where(depth > 0, depth, -np.inf), size=3)
    limit = _STEEPEST * 2 * depth / camera.fx  # over the two pixels between the outer ones of three
    return np.where((depth > 0) & (farthest - nearest <= limit), depth, 0)


def _integrate(
    distance: np.ndarray,  # [X, Y, Z] float32, changed: mean of the distances in front of the surface, at most 1
    seen_by: np.ndarray,  # [X, Y, Z] uint16, changed: how many views the mean is of
    low: np.ndarray,  # [3], world, the centre of the first voxel
    voxel: float,  # scene unit
    photo: Photo,
    depth: np.ndarray,  # [H, W], scene unit, 0 where the view says nothing
) -> None:
    """Add one view, slab by slab so that memory stays small."""
    ny, nz = distance.shape[1:]
    y, z = np.meshgrid(low[1] + voxel * np.arange(ny), low[2] + voxel * np.arange(nz), indexing="ij")
    truncation = _TRUNCATION_VOXELS * voxel
    for i in range(distance.shape[0]):
        points = np.stack([np.full(y.size, low[0] + voxel * i), y.ravel(), z.ravel()], axis=1)
        pixels, depths, inside = photo.project(points)
        chosen = np.nonzero(inside)[0]
        columns, rows = pixels[chosen].astype(int).T
        surface = depth[rows, columns]
        signed = surface - depths[chosen]
        used = (surface > 0) & (signed > -truncation)
        chosen = chosen[used]
        value = np.minimum(signed[used] / truncation, 1)
        mean, count = distance[i].reshape(-1), seen_by[i].reshape(-1)
        count[chosen] += 1
        mean[chosen] += (value - mean[chosen]) / count[chosen]


def _extract(
    distance: np.ndarray,  # [X, Y, Z]
    seen_by: np.ndarray,  # [X, Y, Z]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices [V, 3], in voxels, and faces [F, 3] of the zero level, without small pieces; None where it is empty."""
    import trimesh
    from skimage.measure import marching_cubes

    known = seen_by >= _LEAST_VIEWS
    # marching_cubes asks the mask at a cell's last corner; a cell with an unknown corner would make a surface up.
    cells = minimum_filter(known, size=2)
    if not cells.any() or distance[known].min() >= 0 or distance[known].max() <= 0:
        return None
    try:
        vertices, faces, _, _ = marching_cubes(distance, level=0.0, mask=cells, gradient_direction="descent")
    except (ValueError, RuntimeError):  # no cell of the mask is crossed
        return None
    if len(faces) == 0:
        return None
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    parts = trimesh.graph.connected_components(mesh.face_adjacency, nodes=np.arange(len(faces)), min_len=1)
    largest = max(map(len, parts))
    kept = np.concatenate([part for part in parts if len(part) >= _LEAST_COMPONENT_SHARE * largest])
    mesh.update_faces(np.sort(kept))
    mesh.remove_unreferenced_vertices()
    return np.array(mesh.vertices), np.array(mesh.faces)


def _colours(
    vertices: np.ndarray,  # [V, 3], world
    views: list[SharpView],
    depths: list[np.ndarray],  # [H, W] each, 0 where the view says nothing
    tolerance: float,  # scene unit: a vertex is seen where the depth there is its own, give or take this
) -> np.ndarray:  # [V, 3], linear light
    """The mean colour of the views that see a vertex; where none does, the colour of the nearest seen one."""
    sums, weights = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for view, depth in zip(views, depths, strict=True):
        pixels, distances, inside = view.photo.project(vertices)
        chosen = np.nonzero(inside)[0]
        columns, rows = pixels[chosen].astype(int).T
        seen = np.abs(depth[rows, columns] - distances[chosen]) <= tolerance
        chosen, rows, columns = chosen[seen], rows[seen], columns[seen]
        weight = np.where(minimum_filter(depth > 0, size=3), 1, _BORDER_WEIGHT)[rows, columns]
        centres = pixels[chosen].T[::-1] - 0.5
        for channel in range(3):
            values = map_coordinates(view.colour[..., channel], centres, order=1, mode="nearest")
            sums[chosen, channel] += weight * values
        weights[chosen] += weight
    known = weights > 0
    colours = sums / np.where(known, weights, 1)[:, None]
    if known.any() and not known.all():
        colours[~known] = colours[known][KDTree(vertices[known]).query(vertices[~known])[1]]
    return colours.clip(0, 1)
