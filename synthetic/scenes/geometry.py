# SPDX-License-Identifier: GPL-3.0-or-later
"""Triangle meshes as arrays, in millimetres: the parts that scenes are put together from. No bpy here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from .noise import fractal_noise

_CAP = np.array([0.01, 0.7])  # radii of a round end over the tube's: its tip, and half-way


@dataclass(frozen=True)
class Geometry:
    """A triangle mesh with numbers on its vertices that materials can read."""

    vertices: np.ndarray  # [V, 3], mm
    triangles: np.ndarray  # [F, 3], indices into vertices, counter-clockwise from outside
    attributes: dict[str, np.ndarray] = field(default_factory=dict)  # name -> [V]

    def moved(self, rotation: np.ndarray, translation: np.ndarray) -> "Geometry":
        """The mesh under x -> rotation [3, 3] x + translation [3]."""
        return Geometry(self.vertices @ rotation.T + translation, self.triangles, self.attributes)

    def mirrored(self) -> "Geometry":
        """The mesh reflected in the plane y = 0."""
        return Geometry(self.vertices * [1, -1, 1], self.triangles[:, ::-1], self.attributes)

    def with_attribute(self, name: str, values: np.ndarray | float) -> "Geometry":
        """The mesh with one more number on each vertex."""
        filled = np.broadcast_to(np.asarray(values, dtype=np.float64), len(self.vertices))
        return Geometry(self.vertices, self.triangles, {**self.attributes, name: filled})


def merged(parts: Sequence[Geometry]) -> Geometry:
    """All `parts` as one mesh; attributes that a part lacks are 0 there."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])
    names = {name: None for part in parts for name in part.attributes}
    return Geometry(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.triangles + start for part, start in zip(parts, starts, strict=False)]),
        {
            name: np.concatenate([part.attributes.get(name, np.zeros(len(part.vertices))) for part in parts])
            for name in names
        },
    )


def copies(
    part: Geometry,
    turns: np.ndarray,  # [N, 3, 3]
    places: np.ndarray,  # [N, 3], mm
    **attributes: np.ndarray,  # name=[N], a number for each copy
) -> Geometry:
    """Copies of `part` under x -> turn x + place, as one mesh; a turn may scale too."""
    count, size = len(places), len(part.vertices)
    vertices = np.einsum("nij,vj->nvi", turns, part.vertices) + places[:, None]
    triangles = part.triangles + size * np.arange(count)[:, None, None]
    shared = {name: np.tile(values, count) for name, values in part.attributes.items()}
    own = {name: np.repeat(values, size) for name, values in attributes.items()}
    return Geometry(vertices.reshape(-1, 3), triangles.reshape(-1, 3), shared | own)


def sheet(points: np.ndarray, *, closed: bool = False) -> Geometry:
    """The surface through a grid of `points` [R, C, 3]; `closed` joins the last column to the first.

    The outside is where rows x columns point (the cross product of the two directions).
    """
    rows, columns = points.shape[:2]
    index = np.arange(rows * columns).reshape(rows, columns)
    if closed:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    triangles = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], 2)
    return Geometry(points.reshape(-1, 3), triangles.reshape(-1, 3))


def tube(path: np.ndarray, radii: np.ndarray, sides: int = 8) -> Geometry:
    """A round tube along `path` [P, 3] with `radii` [P], and round ends."""
    first, last = _unit(path[0] - path[1]) * radii[0], _unit(path[-1] - path[-2]) * radii[-1]
    path = np.concatenate([path[:1] + np.outer([1, 0.7], first), path, path[-1:] + np.outer([0.7, 1], last)])
    radii = np.concatenate([radii[0] * _CAP, radii, radii[-1] * _CAP[::-1]])
    normal = np.cross(first, [0.0, 0.0, 1.0] if abs(_unit(first)[2]) < 0.9 else [1.0, 0.0, 0.0])
    angles = np.arange(sides) * 2 * np.pi / sides
    rings = []
    for point, direction, radius in zip(path, np.gradient(path, axis=0), radii, strict=True):
        tangent = _unit(direction)
        normal = _unit(normal - tangent * (normal @ tangent))  # carried along, so that the tube does not twist
        around = np.outer(np.cos(angles), normal) + np.outer(np.sin(angles), np.cross(tangent, normal))
        rings.append(point + radius * around)
    return sheet(np.array(rings)[:, ::-1], closed=True)


def curve(stations: Sequence[ArrayLike], count: int) -> np.ndarray:
    """`count` points on a smooth curve through `stations` [S, K], evenly spaced in the station number: [count, K]."""
    knots = np.asarray(stations, dtype=np.float64)
    position = np.linspace(0, len(knots) - 1, count)
    index = np.minimum(position.astype(int), len(knots) - 2)
    t = (position - index)[:, None]
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    before, start, end, after = (padded[index + step] for step in range(4))
    # Catmull-Rom spline
    return start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )


def ball(radius: float, rows: int, columns: int) -> Geometry:
    """A sphere round the origin."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]
    longitude = (np.arange(columns) * 2 * np.pi / columns)[None]
    flat = np.cos(latitude) * radius
    points = np.stack(
        np.broadcast_arrays(flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude) * radius), -1
    )
    return sheet(points[:, ::-1], closed=True)


def stone(size: np.ndarray, rng: np.random.Generator, roughness: float = 0.35, rows: int = 14) -> Geometry:
    """A pebble with half axes `size` [3], lumpy by `roughness`."""
    sphere = ball(1.0, rows, 2 * rows)
    bumps = fractal_noise(sphere.vertices * 1.1 + rng.uniform(-50, 50, 3), 3, seed=7)
    return Geometry(sphere.vertices * (1 + roughness * bumps[:, None]) * size, sphere.triangles)


def box(size: ArrayLike, bevel: float = 0.0, segments: int = 1) -> Geometry:
    """A block of `size` [3] round the origin with rounded edges, to be shaded flat."""
    half = np.asarray(size, dtype=np.float64) / 2
    steps = segments + 1
    quarter = np.linspace(0, np.pi / 2, steps)
    latitude = np.concatenate([quarter - np.pi / 2, quarter])[:, None]
    longitude = np.concatenate([quarter + turn * np.pi / 2 for turn in range(4)])[None]
    direction = np.stack(
        np.broadcast_arrays(
            np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
        ),
        -1,
    )
    sign = np.empty_like(direction)
    sign[..., 0] = np.repeat([1, -1, -1, 1], steps)
    sign[..., 1] = np.repeat([1, 1, -1, -1], steps)
    sign[..., 2] = np.repeat([-1, 1], steps)[:, None]
    points = sign * (half - bevel) + bevel * direction
    lids = np.zeros((2, 1, 3))
    lids[:, 0, 2] = -half[2], half[2]
    lids = np.broadcast_to(lids, (2, points.shape[1], 3))
    return sheet(np.concatenate([lids[:1], points, lids[1:]])[:, ::-1], closed=True)


def lathe(profile: ArrayLike, sides: int = 32) -> Geometry:
    """The surface that `profile` [P, 2] (radius, height) sweeps about the z axis; the outside is left of its course."""
    radius, height = np.asarray(profile, dtype=np.float64).T[..., None]
    angle = np.arange(sides) * 2 * np.pi / sides
    points = np.stack(np.broadcast_arrays(radius * np.cos(angle), radius * np.sin(angle), height), -1)
    return sheet(points, closed=True)


def polyhedron(
    normals: np.ndarray,  # [P, 3], outward
    offsets: np.ndarray,  # [P], mm: the inside is where normals @ x <= offsets
) -> Geometry:
    """The convex body between planes, to be shaded flat; on each face's own vertices, "face" is its plane's number."""
    triples = np.array(list(combinations(range(len(normals)), 3)))
    triples = triples[abs(np.linalg.det(normals[triples])) > 1e-6]
    corners = np.linalg.solve(normals[triples], offsets[triples][..., None])[..., 0]
    corners = np.unique(corners[(corners @ normals.T <= offsets + 1e-7).all(1)].round(9), axis=0)
    faces = []
    for number, (normal, offset) in enumerate(zip(normals, offsets, strict=True)):
        rim = corners[abs(corners @ normal - offset) < 1e-6]
        if len(rim) < 3:
            continue
        spokes = rim - rim.mean(0)
        along = spokes[0] / np.linalg.norm(spokes[0])
        rim = rim[np.argsort(np.arctan2(spokes @ np.cross(normal, along), spokes @ along))]
        fan = [(0, index, index + 1) for index in range(1, len(rim) - 1)]
        faces.append(Geometry(rim, np.array(fan)).with_attribute("face", number))
    return merged(faces)


def rotation(axis: ArrayLike, angle: float) -> np.ndarray:
    """The matrix [3, 3] of a turn by `angle` (radians) about `axis` (Rodrigues)."""
    x, y, z = _unit(np.asarray(axis, dtype=np.float64))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def turns_to(directions: np.ndarray, spins: np.ndarray) -> np.ndarray:
    """The matrices [N, 3, 3] that spin by `spins` [N] (radians) about z and then turn z to `directions` [N, 3]."""
    z = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    x = np.cross(np.where(abs(z[:, 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]), z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.cross(z, x)
    cosine, sine = np.cos(spins)[:, None], np.sin(spins)[:, None]
    return np.stack([cosine * x + sine * y, cosine * y - sine * x, z], axis=-1)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """A turn about a random axis."""
    return rotation(rng.normal(size=3), rng.uniform(0, 2 * np.pi))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
