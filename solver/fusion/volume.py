# SPDX-License-Identifier: GPL-3.0-or-later
"""A triangle mesh from depth maps: what training sets Gaussians on, and parts that a finished mesh is made of too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter
from scipy.spatial import KDTree

from solver.capture.types import Camera, Photo
from solver.fusion.field import Blending, Field
from solver.fusion.views import SharpView

_LEAST_COMPONENT_SHARE = 0.02  # of the largest component's faces; smaller ones are dropped
_STEEPEST = 5.0  # depth over width, of a surface; where depth changes faster, its mean floats between two surfaces


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour at each vertex."""

    vertices: np.ndarray  # [V, 3] float64, world
    faces: np.ndarray  # [F, 3] int64, counter-clockwise seen from outside
    colours: np.ndarray  # [V, 3] float64, linear light
    confidence: np.ndarray | None = None  # [V] float32, how many photos see a surface there, where that was counted

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """What files carry of it, by the names that it has there."""
        return {} if self.confidence is None else {"confidence": self.confidence}


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
    trusted = [without_depth_edges(depth, photo.camera) for photo, depth in zip(photos, depths, strict=True)]
    field = Field.empty(low, high, voxel, Blending())
    for done, (photo, depth) in enumerate(zip(photos, trusted, strict=True)):
        field.add(photo, depth)
        progress(done + 1, len(photos))
    extracted = field.surface()
    if extracted is None:
        return None
    return Surface(*kept_pieces(*extracted, _LEAST_COMPONENT_SHARE), trusted, field.truncation)


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


def kept_pieces(
    vertices: np.ndarray,  # [V, 3]
    faces: np.ndarray,  # [F, 3]
    least_share: float,  # of the largest piece's faces
) -> tuple[np.ndarray, np.ndarray]:
    """The mesh without its small pieces, and without vertices that nothing needs."""
    import trimesh

    mesh = trimesh.Trimesh(vertices, faces, process=False)
    parts = trimesh.graph.connected_components(mesh.face_adjacency, nodes=np.arange(len(faces)), min_len=1)
    largest = max(map(len, parts))
    kept = np.concatenate([part for part in parts if len(part) >= least_share * largest])
    mesh.update_faces(np.sort(kept))
    mesh.remove_unreferenced_vertices()
    return np.array(mesh.vertices), np.array(mesh.faces)


def mean_colours(
    vertices: np.ndarray,  # [V, 3], world
    views: Sequence[SharpView],
    weights: Sequence[np.ndarray],  # [V] of each view, 0 where it does not see a vertex
) -> np.ndarray:  # [V, 3], linear light
    """The mean colour of the views that see a vertex; where none does, the colour of the nearest seen one."""
    sums, totals = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for view, weight in zip(views, weights, strict=True):
        pixels, _, inside = view.photo.project(vertices)
        chosen = np.flatnonzero(inside & (weight > 0))
        centres = pixels[chosen].T[::-1] - 0.5
        for channel in range(3):
            values = map_coordinates(view.colour[..., channel], centres, order=1, mode="nearest")
            sums[chosen, channel] += weight[chosen] * values
        totals[chosen] += weight[chosen]
    known = totals > 0
    colours = sums / np.where(known, totals, 1)[:, None]
    if known.any() and not known.all():
        colours[~known] = colours[known][KDTree(vertices[known]).query(vertices[~known])[1]]
    return colours.clip(0, 1)
