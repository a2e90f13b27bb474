# SPDX-License-Identifier: GPL-3.0-or-later
"""How near a mesh comes to the true one: chamfer distance and F-score, on the surface that the photos could see.

The same rules for every method:

- Both meshes are sampled by area, with a seed. A sample's distance is that to the other mesh's triangles.
- *Completeness* asks the true surface, where at least three photos see it: it projects into them, and lies no deeper
  than the surface there by more than a pixel's width. What no photo could see, nobody has to find.
- *Accuracy* asks the reconstruction, in the neighbourhood of the subject: inside the true mesh's box, grown by 5 % of
  the subject's size, and nearer to the true mesh than to anything else that the true depth maps show (the ground).
  Distances are to the whole true mesh, so that a guess of its unseen underside costs only what it is wrong by.
- The chamfer distance is the mean of the two mean distances; precision and recall are the parts of the samples that
  are nearer than 0.5 % of the subject's size (the longest side of its box); the F-score is their harmonic mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from solver.errors import SolverError
from solver.evaluation.truth import TrueView

THRESHOLD_SHARE = 0.005  # of the subject's size
_MARGIN_SHARE = 0.05  # of the subject's size, round its box
_LEAST_PHOTOS = 3  # that must see a point of the true surface
_SAMPLES = 200_000
_NEIGHBOURS = 8  # nearest samples and middles of triangles, whose triangles are looked at
_CHUNK = 1 << 15  # points at a time


@dataclass(frozen=True)
class Triangles:
    """A mesh as far as its shape goes."""

    vertices: np.ndarray  # [V, 3] float64
    faces: np.ndarray  # [F, 3] int64

    @property
    def corners(self) -> np.ndarray:
        """Of every triangle, [F, 3, 3]."""
        return self.vertices[self.faces]


@dataclass(frozen=True)
class MeshScores:
    """Lengths are in the truth's unit."""

    chamfer: float
    accuracy: float  # mean distance of the reconstruction to the truth
    completeness: float  # mean distance of the truth to the reconstruction
    precision: float  # part of the reconstruction that is near enough
    recall: float  # part of the truth that is near enough
    f_score: float


def score_mesh(
    mesh: Triangles, truth: Triangles, photos: Sequence[TrueView], seed: int = 0, samples: int = _SAMPLES
) -> MeshScores | None:
    """Compare a mesh with the true one; None where no photo sees the truth or nothing is in its neighbourhood.

    Args:
        mesh: the reconstruction, in the world of the truth.
        truth: of the subject alone.
        photos: the true views that say what could be seen, and what else there is.
        seed: of the samples.
        samples: of each mesh.
    """
    generator = np.random.default_rng(seed)
    low, high = truth.vertices[truth.faces].min((0, 1)), truth.vertices[truth.faces].max((0, 1))
    size = float((high - low).max())
    low, high = low - _MARGIN_SHARE * size, high + _MARGIN_SHARE * size
    found = _inside_box(mesh, low, high)
    if len(found.faces) == 0:
        return None
    true_distance, distance = _Distance(truth, samples, generator), _Distance(found, samples, generator)
    seen = seen_by(true_distance.points, photos) >= _LEAST_PHOTOS
    made = distance.points[((distance.points >= low) & (distance.points <= high)).all(1)]
    off = true_distance(made)
    off = off[off <= _distance_to_others(made, photos, low, high)]
    missed = distance(true_distance.points[seen])
    if len(off) == 0 or len(missed) == 0:
        return None
    near = THRESHOLD_SHARE * size
    accuracy, completeness = float(off.mean()), float(missed.mean())
    precision, recall = float((off <= near).mean()), float((missed <= near).mean())
    return MeshScores(
        chamfer=(accuracy + completeness) / 2,
        accuracy=accuracy,
        completeness=completeness,
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    )


def sample(corners: np.ndarray, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random points on triangles [F, 3, 3], as many on each as its area is large.

    Returns:
        points [count, 3], and the triangle of each [count].
    """
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = np.linalg.norm(np.cross(first, second), axis=1)
    chosen = generator.choice(len(corners), count, p=areas / areas.sum())
    along = generator.random((2, count, 1))
    along = np.where(along.sum(0) > 1, 1 - along, along)  # the other half of the parallelogram, folded back
    return corners[chosen, 0] + along[0] * first[chosen] + along[1] * second[chosen], chosen


def seen_by(points: np.ndarray, photos: Sequence[TrueView]) -> np.ndarray:  # [P, 3] -> [P] int64
    """How many photos see points of the true surface: they lie no deeper than what is there, give or take a pixel."""
    count = np.zeros(len(points), np.int64)
    for view in photos:
        pixels, depths, inside = view.photo.project(points)
        chosen = np.flatnonzero(inside)
        columns, rows = pixels[chosen].astype(int).T
        surface = view.depth()[rows, columns]
        count[chosen] += (surface > 0) & (depths[chosen] <= surface * (1 + 1 / view.photo.camera.fx))
    return count


def distance_to_triangles(points: np.ndarray, corners: np.ndarray) -> np.ndarray:  # [P, 3], [P, 3, 3] -> [P]
    """From each point to its own triangle (Ericson, Real-Time Collision Detection, 5.1.5, without its branches)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    nearest = np.minimum.reduce([_to_edge(points, *edge) for edge in ((a, b), (b, c), (c, a))])
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1)
    flat = length <= 0
    unit = normal / np.where(flat, 1, length)[:, None]
    over = ~flat
    for start, end in ((a, b), (b, c), (c, a)):
        over &= np.einsum("ij,ij->i", np.cross(end - start, points - start), normal) >= 0
    height = np.abs(np.einsum("ij,ij->i", points - a, unit))
    return np.where(over, height, nearest)


def read_triangles(path: Path) -> Triangles:
    """Read a PLY file of triangles.

    Raises:
        SolverError: it is missing, damaged, or has no triangles.
    """
    import trimesh

    try:
        mesh = trimesh.load_mesh(path, file_type="ply", process=False)
        vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
        if len(faces) == 0 or not np.isfinite(vertices).all() or faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError("its triangles are none")
    except FileNotFoundError:
        raise SolverError("the mesh is missing", where=path, remedy="make it again") from None
    except Exception as error:  # whatever a parser meets in a damaged file
        raise SolverError(
            f"the mesh cannot be read ({type(error).__name__}: {error})", where=path, remedy="make it again"
        ) from None
    return Triangles(vertices, faces)


class _Distance:
    """Distances from points to a mesh, by the triangles whose samples or middles are nearest to them."""

    def __init__(self, mesh: Triangles, samples: int, generator: np.random.Generator) -> None:
        self._corners = mesh.corners
        self.points, faces = sample(self._corners, samples, generator)
        self._faces = np.concatenate([faces, np.arange(len(self._corners))])
        self._tree = KDTree(np.concatenate([self.points, self._corners.mean(1)]))

    def __call__(self, points: np.ndarray) -> np.ndarray:  # [P, 3] -> [P]
        result = np.empty(len(points))
        neighbours = min(_NEIGHBOURS, len(self._faces))
        for start in range(0, len(points), _CHUNK):
            part = points[start : start + _CHUNK]
            _, nearest = self._tree.query(part, neighbours)
            faces = self._faces[nearest.reshape(len(part), neighbours)]
            result[start : start + _CHUNK] = np.minimum.reduce(
                [distance_to_triangles(part, self._corners[column]) for column in faces.T]
            )
        return result


def _to_edge(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:  # [P, 3] each -> [P]
    edge = end - start
    squared = np.einsum("ij,ij->i", edge, edge)
    along = np.einsum("ij,ij->i", points - start, edge) / np.where(squared > 0, squared, 1)
    return np.linalg.norm(points - start - along.clip(0, 1)[:, None] * edge, axis=1)


def _inside_box(mesh: Triangles, low: np.ndarray, high: np.ndarray) -> Triangles:  # [3], [3]
    """The triangles that reach into a box."""
    corners = mesh.corners
    reaches = (corners.max(1) >= low).all(1) & (corners.min(1) <= high).all(1)
    return Triangles(mesh.vertices, mesh.faces[reaches])


def _distance_to_others(
    points: np.ndarray,  # [P, 3]
    photos: Sequence[TrueView],
    low: np.ndarray,  # [3], of the neighbourhood
    high: np.ndarray,  # [3]
) -> np.ndarray:  # [P]
    """How far points are from what the true depth maps show besides the subject; infinite where they show nothing."""
    clouds = [_others(view, low, high) for view in photos]
    cloud = np.concatenate(clouds) if clouds else np.zeros((0, 3))
    return KDTree(cloud).query(points)[0] if len(cloud) else np.full(len(points), np.inf)


def _others(view: TrueView, low: np.ndarray, high: np.ndarray) -> np.ndarray:  # [3], [3] -> [P, 3]
    depth = view.depth()
    rows, columns = np.nonzero((depth > 0) & ~view.shows_subject())
    points = view.photo.unproject(rows, columns, depth[rows, columns])
    return points[((points >= low - (high - low)) & (points <= high + (high - low))).all(1)]
