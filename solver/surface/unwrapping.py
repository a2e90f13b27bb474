# SPDX-License-Identifier: GPL-3.0-or-later
"""A triangle mesh laid flat: charts that each are the view of a piece along one of a few axes, packed by xatlas.

xatlas would find charts too, but on the rough surfaces of macro subjects that takes minutes (a quarter of an hour for
300,000 triangles). Here every face goes to the axis that its smoothed normal is nearest to, faces of one axis that hang
together are a chart, and what its front hides becomes a chart of its own, until no chart lies over itself. An
orthographic view of faces within some 50 degrees of its axis stretches little, and every step's time is bounded.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

_SMOOTHINGS = 30  # of the faces' normals over their neighbours, before axes are chosen
_VOTES = 20  # rounds in which faces listen to their neighbours' choice, which straightens the charts' borders
_VOTE = 0.4  # what a neighbour's choice is worth, as a cosine
_STEEPEST = 0.1  # least cosine between a face's own normal and its axis, unless no axis has more
_MOST_LAYERS = 64  # of a chart, one behind the other; what is hidden by more is left lying on top
_CELLS_PER_FACE = 14  # of the grids in which hidden faces are looked for, on average
_LEAST_AREA = 1e-5  # of the mean: flatter faces get one place of a neighbour's
_PACKED_SIZE = 2048  # texels; larger textures have the same layout
_PADDING = 6  # texels of a packed image between charts


@dataclass(frozen=True)
class Unwrapping:
    """Where the corners of each face lie in the texture."""

    corner_coordinates: np.ndarray  # [F, 3, 2] float32, 0 to 1, u to the right and v down from the top
    charts: np.ndarray  # [F] int64, which chart a face belongs to


def unwrap(
    vertices: np.ndarray,  # [V, 3]
    faces: np.ndarray,  # [F, 3]
    size: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Unwrapping:
    """Lay a mesh flat in a square of `size` texels.

    Args:
        vertices: any unit.
        faces: each edge may have any number of them.
        size: of the texture, for the room between charts.
        progress: called with (steps done, steps).
    """
    steps = 4
    crosses = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    lengths = np.linalg.norm(crosses, axis=1, keepdims=True)
    normals = crosses / np.maximum(lengths, 1e-300)
    neighbours = _neighbours(faces)
    axes = _axes()
    choice = _choose_axes(crosses, normals, neighbours, axes)
    progress(1, steps)
    places = _lie_flat(vertices, faces, axes, choice)
    areas = _signed_areas(places)
    broad = areas > _LEAST_AREA * areas.mean()
    if not broad.any():
        return Unwrapping(np.zeros((len(faces), 3, 2), np.float32), np.zeros(len(faces), np.int64))
    heights = np.einsum("fi,fi->f", vertices[faces[broad]].mean(1), axes[choice[broad]])
    charts = _charts(places[broad], heights, choice[broad], neighbours[broad][:, broad])
    progress(2, steps)
    packed = _pack(places[broad], faces[broad], charts, min(size, _PACKED_SIZE))
    progress(3, steps)
    index = np.cumsum(broad) - 1  # of a face among the broad ones
    beside = index[_first_of(neighbours, broad)].clip(min=0)
    coordinates = np.where(broad[:, None, None], packed[index], packed[beside].mean(1, keepdims=True))
    progress(4, steps)
    return Unwrapping(coordinates, charts[np.where(broad, index, beside)])


def _axes() -> np.ndarray:  # [A, 3]
    """The normals of a cube's faces and corners: no direction is farther than 55 degrees / 2 from one."""
    signs = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)], float)
    chosen = signs[np.isin(np.abs(signs).sum(1), [1, 3])]
    return chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def _neighbours(faces: np.ndarray) -> csr_matrix:  # [F, 3] -> [F, F]
    """1 where two faces share an edge that only they have."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    keys = edges[:, 0].astype(np.int64) * (int(faces.max(initial=0)) + 1) + edges[:, 1]
    order = np.argsort(keys, kind="stable")
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    pairs = starts[counts == 2]
    a, b = order[pairs] // 3, order[pairs + 1] // 3
    ones = np.ones(2 * len(a), np.float32)
    return coo_matrix((ones, (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(len(faces), len(faces))).tocsr()


def _first_of(neighbours: csr_matrix, wanted: np.ndarray) -> np.ndarray:  # [F, F], [F] bool -> [F]
    """A neighbour of each face that is wanted, and face 0 where there is none."""
    left = neighbours.multiply(wanted[None]).tocsr()
    left.eliminate_zeros()
    found = np.zeros(len(wanted), np.int64)
    some = np.diff(left.indptr) > 0
    found[some] = left.indices[left.indptr[:-1][some]]
    return found


def _choose_axes(
    crosses: np.ndarray,  # [F, 3], normals as long as twice the areas
    normals: np.ndarray,  # [F, 3]
    neighbours: csr_matrix,  # [F, F]
    axes: np.ndarray,  # [A, 3]
) -> np.ndarray:  # [F], index of an axis
    smooth = crosses
    for _ in range(_SMOOTHINGS):
        smooth = smooth + neighbours @ smooth
    smooth = smooth / np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-300)
    own = normals @ axes.T
    allowed = (own >= _STEEPEST) | (own >= own.max(1, keepdims=True))
    fit = np.where(allowed, smooth @ axes.T, -np.inf).astype(np.float32)
    choice = fit.argmax(1)
    for _ in range(_VOTES):
        votes = neighbours @ np.eye(len(axes), dtype=np.float32)[choice]
        choice = (fit + _VOTE * votes).argmax(1)
    return choice


def _lie_flat(
    vertices: np.ndarray,  # [V, 3]
    faces: np.ndarray,  # [F, 3]
    axes: np.ndarray,  # [A, 3]
    choice: np.ndarray,  # [F]
) -> np.ndarray:  # [F, 3, 2]
    """The corners of each face as seen against its axis."""
    places = np.empty((len(faces), 3, 2))
    for index, axis in enumerate(axes):
        of_axis = choice == index
        across = np.cross([0.0, 0.0, 1.0] if abs(axis[2]) < 0.9 else [0.0, 1.0, 0.0], axis)
        across /= np.linalg.norm(across)
        places[of_axis] = vertices[faces[of_axis]] @ np.stack([across, np.cross(axis, across)], axis=1)
    return places


def _connected(neighbours: csr_matrix, label: np.ndarray) -> np.ndarray:  # [F, F], [F] -> [F]
    """Number the groups of faces that have one label and hang together."""
    pairs = neighbours.tocoo()
    same = label[pairs.row] == label[pairs.col]
    graph = coo_matrix((pairs.data[same], (pairs.row[same], pairs.col[same])), shape=pairs.shape)
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _charts(
    places: np.ndarray,  # [F, 3, 2]
    heights: np.ndarray,  # [F], above the plane on which the places are
    choice: np.ndarray,  # [F], of the axis
    neighbours: csr_matrix,  # [F, F]
) -> np.ndarray:  # [F]
    """Groups of faces that hang together, of which none lies over itself: what its front hides is peeled off."""
    from solver.surface.texture_kernels import hidden_faces

    charts = _connected(neighbours, choice)
    cell = float(np.sqrt(_signed_areas(places).mean() / _CELLS_PER_FACE))
    checked = np.ones(len(places), bool)
    for _ in range(_MOST_LAYERS):
        hidden = hidden_faces(places, charts, heights, checked, cell)
        if not hidden.any():
            break
        charts = _connected(neighbours, 2 * charts + hidden)
        behind = np.zeros(charts.max() + 1, bool)
        behind[charts[hidden]] = True
        checked = behind[charts]  # what is left of the others is their front
    return charts


def _signed_areas(places: np.ndarray) -> np.ndarray:  # [F, 3, 2] -> [F]
    a, b = places[:, 1] - places[:, 0], places[:, 2] - places[:, 0]
    return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2


def _pack(
    places: np.ndarray,  # [F, 3, 2]
    faces: np.ndarray,  # [F, 3]
    charts: np.ndarray,  # [F]
    size: int,
) -> np.ndarray:  # [F, 3, 2] float32
    """Charts moved and turned so that they lie beside each other in the unit square."""
    import xatlas

    # What hangs together has its corners in common, within a chart.
    keys = np.repeat(charts, 3) * (int(faces.max()) + 1) + faces.reshape(-1)
    _, first, corners = np.unique(keys, return_index=True, return_inverse=True)
    flat = places.reshape(-1, 2)[first]
    side = np.sqrt(_signed_areas(places).mean())  # xatlas leaves out faces of less than 1e-7
    atlas = xatlas.Atlas()
    atlas.add_uv_mesh(
        ((flat - flat.min(0)) / side).astype(np.float32),
        corners.reshape(-1, 3).astype(np.uint32),
        charts.astype(np.uint32)[:, None],  # else charts that share a point of the plane would be one
    )
    options = xatlas.PackOptions()
    options.resolution = size
    options.padding = _PADDING
    options.bilinear = True
    options.rotate_charts = False  # by a quarter: xatlas mirrors them
    atlas.generate(xatlas.ChartOptions(), options)
    _, indices, coordinates = atlas[0]  # which count from the bottom, as parts of width and height
    flat = coordinates * np.array([atlas.width, atlas.height]) / max(atlas.width, atlas.height)
    flat[:, 1] = 1 - flat[:, 1]
    return flat[indices.reshape(-1, 3)].astype(np.float32)
