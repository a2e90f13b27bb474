# SPDX-License-Identifier: GPL-3.0-or-later
"""What the photos do not tell: depth and mask by ray casts through the pixels' centres, and the subject's mesh."""

from collections.abc import Iterator, Sequence

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .lens import Lens
from .render import FARTHEST_MM
from .scenes.construction import MM

_STEP = 1e-5  # relative to the distance: how far behind a surface that no camera sees the ray goes on, and
_LEAST_STEP = 4  # at least so many steps from one 32-bit number to the next, of the place's largest coordinate


def first_surfaces(
    camera_to_world: np.ndarray,  # [4, 4], OpenGL axes, mm
    lens: Lens,
    width: int,
    height: int,
    subject: Sequence[bpy.types.Object],
    units_per_mm: float = MM,
) -> tuple[np.ndarray, np.ndarray]:  # [H, W], mm, and [H, W], bool
    """Planar depth of the first surface at the centre of each pixel, 0 where there is none; and where it is `subject`.

    Exact where a rendered depth is not: a renderer draws its sample somewhere in the pixel. Objects that Cycles hides
    from the camera are looked through, and what lies beyond `render.FARTHEST_MM` is not seen.
    """
    scene = bpy.context.scene
    graph = bpy.context.evaluated_depsgraph_get()
    belongs = _Members(graph, subject)
    directions = (_pixel_rays(lens, width, height).reshape(-1, 3) @ camera_to_world[:3, :3].T).tolist()
    origin = Vector(camera_to_world[:3, 3] * units_per_mm)
    forward = Vector(-camera_to_world[:3, 2])
    depth, mask = np.zeros(len(directions)), np.zeros(len(directions), bool)
    for index, direction in enumerate(directions):
        hit, place, _, _, thing, matrix = scene.ray_cast(graph, origin, direction)
        reach = 0.0  # from the origin: a float of 64 bits, so that it grows with each step
        while hit and not thing.visible_camera:
            reach = max(reach, (place - origin).length)
            reach += max(_STEP * reach, _LEAST_STEP * float(np.spacing(np.float32(max(map(abs, place))))))
            beyond = origin + Vector(direction).normalized() * reach
            hit, place, _, _, thing, matrix = scene.ray_cast(graph, beyond, direction)
        distance = (place - origin).dot(forward) / units_per_mm if hit else 0.0
        if 0 < distance <= FARTHEST_MM:
            depth[index], mask[index] = distance, belongs(thing, matrix)
    return depth.reshape(height, width), mask.reshape(height, width)


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


def subject_mesh(
    subject: Sequence[bpy.types.Object], units_per_mm: float = MM
) -> tuple[np.ndarray, np.ndarray]:  # [V, 3], mm, and [F, 3]
    """All of `subject`, what it instances included, as one mesh in the world: vertices and triangles."""
    graph = bpy.context.evaluated_depsgraph_get()
    vertices, triangles, count = [np.empty((0, 3))], [np.empty((0, 3), np.int32)], 0
    for thing, matrix in surfaces_of(graph, subject):
        mesh = thing.to_mesh()
        mesh.calc_loop_triangles()
        points = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get("co", points)
        faces = np.empty(3 * len(mesh.loop_triangles), np.int32)
        mesh.loop_triangles.foreach_get("vertices", faces)
        to_mm = np.array(matrix) / units_per_mm
        vertices.append(points.reshape(-1, 3) @ to_mm[:3, :3].T + to_mm[:3, 3])
        triangles.append(faces.reshape(-1, 3) + count)
        count += len(points) // 3
        thing.to_mesh_clear()
    return np.concatenate(vertices), np.concatenate(triangles)


def surfaces_of(
    graph: bpy.types.Depsgraph, subject: Sequence[bpy.types.Object]
) -> Iterator[tuple[bpy.types.Object, Matrix]]:
    """The evaluated meshes that `subject` consists of or instances, each with its place in the world."""
    for thing, matrix, owner in _surfaces(graph):
        if owner in subject:
            yield thing, matrix


def _surfaces(graph: bpy.types.Depsgraph) -> Iterator[tuple[bpy.types.Object, Matrix, bpy.types.Object]]:
    """All evaluated meshes with their places, and the object of the file that put them there.

    Text and curves become meshes, which Blender lists as instances of themselves.
    """
    for instance in graph.object_instances:
        if instance.show_self and instance.object.type == "MESH":
            owner = instance.parent if instance.is_instance else instance.object
            yield instance.object, instance.matrix_world.copy(), owner.original


class _Members:
    """Tells whether what a ray hit is part of the subject, told apart by its place where it is instanced elsewhere."""

    def __init__(self, graph: bpy.types.Depsgraph, subject: Sequence[bpy.types.Object]) -> None:
        inside: dict[bpy.types.Object, list[Matrix]] = {}
        outside = set()
        for thing, matrix, owner in _surfaces(graph):
            if owner in subject:
                inside.setdefault(thing.original, []).append(matrix)
            else:
                outside.add(thing.original)
        self._places = {thing: places if thing in outside else None for thing, places in inside.items()}

    def __call__(self, thing: bpy.types.Object, matrix: Matrix) -> bool:
        if thing not in self._places:
            return False
        places = self._places[thing]
        return places is None or matrix in places
