# SPDX-License-Identifier: GPL-3.0-or-later
"""What the photos do not tell: depth by ray casts through the pixels' centres, and the subject's mesh."""

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .lens import Lens
from .scenes.construction import MM


def depth_map(
    camera_to_world: np.ndarray,  # [4, 4], OpenGL axes, mm
    lens: Lens,
    width: int,
    height: int,
) -> np.ndarray:  # [H, W], mm
    """Planar depth of the first surface at the centre of each pixel, 0 where there is none.

    Exact where a rendered depth is not: a renderer draws its sample somewhere in the pixel.
    """
    scene = bpy.context.scene
    graph = bpy.context.evaluated_depsgraph_get()
    directions = _pixel_rays(lens, width, height).reshape(-1, 3) @ camera_to_world[:3, :3].T
    origin = Vector(camera_to_world[:3, 3] * MM)
    depth = np.zeros(len(directions))
    forward = Vector(-camera_to_world[:3, 2])
    for index, direction in enumerate(directions):
        hit, place, *_ = scene.ray_cast(graph, origin, direction)
        if hit:
            depth[index] = (place - origin).dot(forward) / MM
    return depth.reshape(height, width)


def surface_points(
    depth: np.ndarray,  # [H, W], mm
    camera_to_world: np.ndarray,  # [4, 4], OpenGL axes, mm
    lens: Lens,
) -> np.ndarray:  # [H, W, 3], mm
    """The world points that the pixels' centres see; the camera's own position where depth is 0."""
    height, width = depth.shape
    local = _pixel_rays(lens, width, height) * depth[..., None]
    return local @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]


def _pixel_rays(lens: Lens, width: int, height: int) -> np.ndarray:
    """The directions [H, W, 3] through the pixels' centres in the camera's axes, of depth 1."""
    principal_distance = lens.principal_distance_px(width)
    x = (np.arange(width) + 0.5 - width / 2) / principal_distance
    y = -(np.arange(height) + 0.5 - height / 2) / principal_distance
    return np.stack(np.broadcast_arrays(x, y[:, None], -1.0), -1)


def subject_mesh(objects: Sequence[bpy.types.Object]) -> tuple[np.ndarray, np.ndarray]:
    """All `objects` as they are rendered, as one mesh: vertices [V, 3] (world, mm) and triangles [F, 3]."""
    graph = bpy.context.evaluated_depsgraph_get()
    vertices, triangles, count = [], [], 0
    for thing in objects:
        evaluated = thing.evaluated_get(graph)
        mesh = evaluated.to_mesh()
        mesh.calc_loop_triangles()
        points = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", points)
        faces = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", faces)
        to_mm = np.array(Matrix.Scale(1 / MM, 4) @ evaluated.matrix_world)
        vertices.append(points.reshape(-1, 3) @ to_mm[:3, :3].T + to_mm[:3, 3])
        triangles.append(faces.reshape(-1, 3) + count)
        count += len(points) // 3
        evaluated.to_mesh_clear()
    return np.concatenate(vertices), np.concatenate(triangles)
