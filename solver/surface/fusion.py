# SPDX-License-Identifier: GPL-3.0-or-later
"""A triangle mesh from depth maps, by a truncated signed distance field (Curless and Levoy 1996).

Each voxel averages, over the views, how far it lies in front of the surface that the view sees, cut off at a small
distance; marching cubes takes the zero level. Colours are averaged in the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

from solver.surface.depth_views import SharpView

_TRUNCATION_VOXELS = 4.0
_LEAST_WEIGHT = 1.5  # views that must have seen a voxel, for a surface through it to count
_LEAST_COMPONENT_SHARE = 0.02  # of the largest component's faces; smaller ones are dropped
_BORDER_JUMP_VOXELS = 6.0  # between neighbouring pixels: there the mean depth floats between two surfaces


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
        resolution: voxels along the longest side of the box.
        progress: called with (views done, views).

    Returns:
        The mesh, or None where the views show no common surface.
    """
    depths = [
        view.depth if mask is None else np.where(mask > 0.5, view.depth, 0)
        for view, mask in zip(views, masks, strict=True)
    ]
    box = _bounding_box(views, depths)
    if box is None:
        return None
    low, high = box
    voxel = float((high - low).max() / resolution)
    shape = np.maximum(np.ceil((high - low) / voxel).astype(int) + 1, 2)
    distance = np.zeros(shape, np.float32)
    weight = np.zeros(shape, np.float32)
    colour = np.zeros((*shape, 4), np.float32)
    for done, (view, depth) in enumerate(zip(views, depths, strict=True)):
        trusted = _without_depth_edges(depth, _BORDER_JUMP_VOXELS * voxel)
        _integrate(distance, weight, colour, low, voxel, view, trusted)
        progress(done + 1, len(views))
    return _extract(distance, weight, colour, low, voxel)


def _bounding_box(views: list[SharpView], depths: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Corners [3], [3] of a box round the surface points that at least three views (or all) see."""
    points = []
    for view, depth in zip(views, depths, strict=True):
        rows, columns = np.nonzero(depth)
        stride = max(1, len(rows) // 2000)
        rows, columns = rows[::stride], columns[::stride]
        points.append(view.photo.unproject(rows, columns, depth[rows, columns]))
    cloud = np.concatenate(points)
    if len(cloud) < 100:
        return None
    seen = np.sum([view.photo.project(cloud)[2] for view in views], axis=0)
    cloud = cloud[seen >= min(3, len(views))]
    if len(cloud) < 100:
        return None
    low, high = np.percentile(cloud, [1, 99], axis=0)
    margin = 0.05 * (high - low).max()
    return low - margin, high + margin


def _without_depth_edges(depth: np.ndarray, jump: float) -> np.ndarray:
    known = np.where(depth > 0, depth, np.inf)
    nearest = minimum_filter(known, size=3)
    farthest = maximum_filter(np.where(depth > 0, depth, -np.inf), size=3)
    return np.where((depth > 0) & (farthest - nearest <= jump), depth, 0)


def _integrate(
    distance: np.ndarray,  # [X, Y, Z], changed
    weight: np.ndarray,  # [X, Y, Z], changed
    colour: np.ndarray,  # [X, Y, Z, 4], changed: sum of linear colours, and their number
    low: np.ndarray,
    voxel: float,
    view: SharpView,
    depth: np.ndarray,
) -> None:
    """Add one view, slab by slab so that memory stays small."""
    ny, nz = distance.shape[1:]
    y, z = np.meshgrid(low[1] + voxel * np.arange(ny), low[2] + voxel * np.arange(nz), indexing="ij")
    truncation = _TRUNCATION_VOXELS * voxel
    for i in range(distance.shape[0]):
        points = np.stack([np.full(y.size, low[0] + voxel * i), y.ravel(), z.ravel()], axis=1)
        pixels, depths, inside = view.photo.project(points)
        chosen = np.nonzero(inside)[0]
        if len(chosen) == 0:
            continue
        columns, rows = pixels[chosen].astype(int).T
        surface = depth[rows, columns]
        signed = surface - depths[chosen]
        used = (surface > 0) & (signed > -truncation)
        chosen, rows, columns = chosen[used], rows[used], columns[used]
        value = np.minimum(signed[used] / truncation, 1.0).astype(np.float32)
        w = weight[i].reshape(-1)
        total = w[chosen] + 1
        d = distance[i].reshape(-1)
        d[chosen] += (value - d[chosen]) / total
        near = np.abs(value) < 1
        c = colour[i].reshape(-1, 4)
        c[chosen[near], :3] += view.colour[rows[near], columns[near]]
        c[chosen[near], 3] += 1
        w[chosen] = total


def _extract(
    distance: np.ndarray, weight: np.ndarray, colour: np.ndarray, low: np.ndarray, voxel: float
) -> Mesh | None:
    import trimesh
    from skimage.measure import marching_cubes

    known = weight >= _LEAST_WEIGHT
    if not known.any() or distance[known].min() >= 0 or distance[known].max() <= 0:
        return None
    try:
        vertices, faces, _, _ = marching_cubes(distance, level=0.0, mask=known, gradient_direction="ascent")
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
    vertices = np.asarray(mesh.vertices)
    sums = np.stack([map_coordinates(colour[..., c], vertices.T, order=1, mode="nearest") for c in range(4)], axis=1)
    colours = sums[:, :3] / np.maximum(sums[:, 3:], 1e-6)
    return Mesh(low + voxel * vertices, np.asarray(mesh.faces), colours.clip(0, 1))
