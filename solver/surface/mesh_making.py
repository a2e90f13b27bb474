# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of the finished Gaussians (docs/how_it_works.md, Surface).

Depth is rendered from the photos' places and from places between them, more finely than the photos are, and fused into
a truncated signed distance field. A pixel of a place between counts only where photos see the same surface, so that
nothing is made that no photo has looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import minimum_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from solver.capture.types import Photo
from solver.config import Preset, ReconstructionSettings
from solver.fusion.field import Blending, Field
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh, kept_pieces, mean_colours, without_depth_edges
from solver.training.reconstruction import Reconstruction, view_of_photo
from solver.training.surface_depth import surface_depth

Progress = Callable[[int, int], None]

RESOLUTIONS: dict[Preset, int] = {"draft": 160, "standard": 256, "high": 512}
MOST_TRIANGLES = 300_000  # where nobody says how many

_MOST_VOXELS = 64_000_000  # 10 bytes each, and what marching cubes needs
_LEAST_PIXELS = 1.0  # of a photo, that a voxel is wide: less has nothing to tell
_BLENDING = Blending(interpolate=True)
_FINER = 2  # times as many pixels along a side as the photo has
_LONGEST_PX = 2000  # of a rendering: larger ones tell nothing more
_LEAST_COMPONENT_SHARE = 0.002  # of the largest piece's faces
_AGREEING = 2  # photos that must see the surface of a pixel between them
_NEIGHBOURS = 2  # of each photo, halfway to which a place between is
_MOST_BETWEEN = 48  # places
_NARROWEST, _WIDEST = np.radians(3), np.radians(60)  # between photos; farther apart, nobody knows what is between
_BORDER_WEIGHT = 1e-3  # of the colour of a pixel beside an edge
_NUDGE = 0.05  # of the way to the middle of its triangles, for the copy of a vertex that two sheets shared
_OUTLIERS = 0.1  # per cent of the points on either side that the box need not hold
_MARGIN = 0.05  # of the box
_IN_MOST = 0.5  # of the photos: what they have in common is the subject


@dataclass(frozen=True)
class MeshOptions:
    """What kind of mesh is wanted."""

    resolution: int = RESOLUTIONS["standard"]  # voxels along what most photos have in common, unless pixels are coarser
    triangles: int | None = None  # at most so many; None: MOST_TRIANGLES
    close_holes: bool = False  # make a solid, its unseen parts guessed; else what nobody saw stays open
    texture_size: int = 0  # texels along a side; 0 leaves colours to the vertices

    @staticmethod
    def of(settings: ReconstructionSettings) -> "MeshOptions":
        """As a run's settings want it."""
        return MeshOptions(
            resolution=RESOLUTIONS[settings.preset],
            triangles=settings.mesh_triangles or None,
            close_holes=settings.close_holes,
            texture_size=settings.texture_size,
        )


@dataclass(frozen=True)
class DepthView:
    """A depth map, and from where it was seen."""

    photo: Photo  # with the map's own camera
    depth: np.ndarray  # [H, W] float32, scene unit, 0 where the view says nothing


def make_mesh(
    scene: Reconstruction,
    views: Sequence[SharpView],
    masks: Sequence[np.ndarray | None],
    used: Sequence[bool],
    options: MeshOptions,
    progress: Progress = lambda done, total: None,
) -> Mesh | None:
    """Make the mesh of a scene, or None where its photos show no common surface.

    Args:
        scene: Gaussians.
        views: of all photos, for colours and for what hides what.
        masks: of the photos, [H, W] with 1 on the subject, None where a photo has none.
        used: whether training used the photo: nothing vouches for what others show.
        options: what is wanted; the texture is not made here.
        progress: called with (views done, views).
    """
    views = [view for view, chosen in zip(views, used, strict=True) if chosen]
    masks = [mask for mask, chosen in zip(masks, used, strict=True) if chosen]
    between = places_between([view.photo for view in views], scene.scene_centre)
    total = len(views) + len(between)
    own = []
    for view, mask in zip(views, masks, strict=True):
        own.append(_rendered(scene, view.photo, mask))
        progress(len(own), total)
    return fuse(
        views,
        own,
        options,
        further=(_rendered(scene, photo, None) for photo in between),
        whole=any(mask is not None for mask in masks),
        progress=lambda done: progress(len(own) + done, total),
    )


def fuse(
    views: Sequence[SharpView],
    own: Sequence[DepthView],
    options: MeshOptions,
    further: Iterable[DepthView] = (),
    whole: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Mesh | None:
    """Fuse depth maps into a mesh.

    Args:
        views: of the photos, for colours.
        own: depth maps from the photos' places, in the same order, without what is not the subject's.
        options: what is wanted.
        further: depth maps from other places, one after the other; of them counts what the photos see too.
        whole: whether all that the depth maps show is the subject.
        progress: called with the number of further depth maps done.
    """
    box = box_of(own, whole)
    if box is None:
        return None
    pixel = _footprint([view.photo for view in views], own)
    field = Field.empty(box.low, box.high, box.voxel(options.resolution, pixel), _BLENDING)
    for view in own:
        field.add(view.photo, view.depth)
    for done, view in enumerate(further, start=1):
        field.add(view.photo, only_covered(view, own, field.truncation).depth)
        progress(done)
    return mesh_of(field, views, own, options)


def mesh_of(
    field: Field,
    views: Sequence[SharpView],
    seen: Sequence[DepthView],
    options: MeshOptions,
) -> Mesh | None:
    """The mesh of a field: in pieces that are large enough, simple enough, with the colours of the views.

    Args:
        field: of distances.
        views: to take colours from.
        seen: depth maps from the same places, in the same order.
        options: what is wanted.
    """
    found = field.closed_surface() if options.close_holes else field.surface()
    if found is None:
        return None
    vertices, faces = kept_pieces(*found, _LEAST_COMPONENT_SHARE)
    vertices, faces = (solid if options.close_holes else simplified)(
        vertices, faces, options.triangles or MOST_TRIANGLES
    )
    weights = [visibility(vertices, view, field.truncation) for view in seen]
    confidence = np.sum([weight > 0 for weight in weights], axis=0)
    return Mesh(vertices, faces, mean_colours(vertices, views, weights), confidence.astype(np.float32))


def simplified(vertices: np.ndarray, faces: np.ndarray, triangles: int) -> tuple[np.ndarray, np.ndarray]:
    """At most so many triangles, by quadric edge collapses (Garland and Heckbert 1997), or the mesh as it is."""
    from fast_simplification import simplify

    if len(faces) <= triangles:
        return vertices, faces
    # The library computes in float32: keep its numbers small, wherever in the world the mesh is.
    middle, size = vertices.mean(0), float(np.ptp(vertices, axis=0).max()) or 1.0
    points, fewer = simplify(
        ((vertices - middle) / size).astype(np.float32), faces.astype(np.int32), target_count=triangles
    )
    return middle + size * points.astype(np.float64), without_flaps(fewer.astype(np.int64))


def without_flaps(faces: np.ndarray) -> np.ndarray:  # [F, 3] -> [F, 3]
    """Faces without those that lie back to back, as a collapsed tube leaves them, and without those of no area."""
    corners = np.sort(faces, axis=1)
    _, kinds, counts = np.unique(corners, axis=0, return_inverse=True, return_counts=True)
    first = np.zeros(len(faces), bool)
    first[np.unique(kinds.ravel(), return_index=True)[1]] = True
    has_area = (corners[:, 1:] != corners[:, :-1]).all(1)
    return faces[has_area & first & (counts[kinds.ravel()] % 2 == 1)]


def solid(vertices: np.ndarray, faces: np.ndarray, triangles: int) -> tuple[np.ndarray, np.ndarray]:  # [V, 3], [F, 3]
    """A closed mesh as at most so many triangles, still closed: what parts its sheets can take a few of its own."""
    room = 0
    while True:
        parted = without_pinches(*simplified(vertices, faces, max(triangles - room, 1)))
        excess = len(parted[1]) - triangles
        if excess <= 0 or room >= triangles:
            return parted
        room += 2 * excess


def without_pinches(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [V, 3], [F, 3]
    """The same surface where no two sheets share an edge or a vertex: each gets its own, a little towards itself.

    Where the two ends of an edge with more than two faces do not agree which of them are of one sheet, it is parted by
    middles, which makes more triangles.
    """
    while True:
        apart, sheets = _sheets_apart(vertices, faces)
        torn = [crowd for crowd in _crowds(faces) if not _in_twos(sheets, crowd)]
        if not torn:
            return apart, sheets
        vertices, faces = _with_middles(vertices, faces, torn)


def _crowds(faces: np.ndarray) -> list[np.ndarray]:  # [F, 3]
    """The edges that more than two faces share, each as those faces' sides: places in the flattened `faces`."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edges = np.stack([np.minimum(starts, ends), np.maximum(starts, ends)], axis=1)
    _, kinds, counts = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(kinds.ravel(), kind="stable")
    order = order[counts[kinds.ravel()[order]] > 2]
    return np.split(order, np.cumsum(counts[counts > 2])[:-1]) if len(order) else []


def _in_twos(faces: np.ndarray, sides: np.ndarray) -> bool:  # [F, 3], [*] places in the flattened `faces`
    """Whether each edge that the sides lie on has two of them."""
    edges = np.stack([faces.ravel()[sides], np.roll(faces, -1, axis=1).ravel()[sides]], axis=1)
    return bool((np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)[1] == 2).all())


def _with_middles(
    vertices: np.ndarray,  # [V, 3]
    faces: np.ndarray,  # [F, 3]
    crowds: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with a vertex in the middle of such edges for each two of their faces, which it cuts in half.

    No face is cut twice: edges that would do so are left as they are.
    """
    middles: list[np.ndarray] = []
    halves: list[list[int]] = []
    cut = faces.copy()
    done: set[int] = set()
    for crowd in crowds:
        touched = (crowd // 3).tolist()
        if not done.isdisjoint(touched):
            continue
        done.update(touched)
        for pair in _wedges(vertices, faces, crowd):
            number = len(vertices) + len(middles)
            ends = vertices[np.roll(faces[pair[0] // 3], -(pair[0] % 3))[:2]].mean(0)
            middles.append(ends + _NUDGE * (vertices[faces[pair // 3]].mean((0, 1)) - ends))
            for face, side in zip(*divmod(pair, 3), strict=True):
                _, end, tip = np.roll(faces[face], -side)
                cut[face, (side + 1) % 3] = number
                halves.append([number, end, tip])
    return np.concatenate([vertices, middles]), np.concatenate([cut, np.array(halves, faces.dtype)])


def _wedges(vertices: np.ndarray, faces: np.ndarray, crowd: np.ndarray) -> list[np.ndarray]:
    """The sides of faces at an edge by twos, between which the solid lies."""
    starts, ends, tips = (np.roll(faces, -shift, axis=1).ravel()[crowd] for shift in range(3))
    low, high = min(starts[0], ends[0]), max(starts[0], ends[0])
    along = vertices[high] - vertices[low]
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    arms = vertices[tips] - vertices[low]
    angles = np.arctan2(arms @ np.cross(along, across) / np.linalg.norm(along), arms @ across)
    # A face that has the edge forwards has the solid on its side of smaller angles: it is the second of two.
    around = np.argsort(angles, kind="stable")
    around = np.roll(around, -int(np.argmin((starts < ends)[around])))
    return [crowd[around[first : first + 2]] for first in range(0, len(around), 2)]


def _sheets_apart(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # [V, 3], [F, 3]
    """Vertices once for each sheet that meets there, and faces of them.

    Corners at a vertex belong to one sheet where a chain of edges with two faces each leads from one to the other.
    """
    corners = np.arange(faces.size).reshape(faces.shape)
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    start_corners, end_corners = corners.ravel(), np.roll(corners, -1, axis=1).ravel()
    turned = starts > ends
    edges = np.stack([np.minimum(starts, ends), np.maximum(starts, ends)], axis=1)
    low_corners = np.where(turned, end_corners, start_corners)
    high_corners = np.where(turned, start_corners, end_corners)
    _, kinds, counts = np.unique(edges, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(kinds.ravel(), kind="stable")
    first = order[counts[kinds.ravel()[order]] == 2].reshape(-1, 2)
    links = np.concatenate([low_corners[first], high_corners[first]])
    graph = coo_matrix((np.ones(len(links)), links.T), shape=(faces.size, faces.size))
    count, sheets = connected_components(graph, directed=False)
    origin = np.zeros(count, np.int64)
    origin[sheets] = faces.ravel()
    middles = vertices[faces].mean(1).repeat(3, axis=0)
    sums = np.stack([np.bincount(sheets, middles[:, axis], count) for axis in range(3)], axis=1)
    towards = sums / np.bincount(sheets, minlength=count)[:, None] - vertices[origin]
    shared = np.bincount(origin, minlength=len(vertices))[origin] > 1
    return vertices[origin] + np.where(shared[:, None], _NUDGE * towards, 0), sheets.reshape(faces.shape)


@dataclass(frozen=True)
class Box:
    """Where a surface is."""

    low: np.ndarray  # [3]
    high: np.ndarray  # [3]
    subject_size: float  # the longest side of what most photos have in common, scene unit

    def voxel(self, resolution: int, pixel: float) -> float:
        """The width of a voxel, scene unit: no finer than photos can tell, and not so many that memory runs out.

        `pixel` is how wide one of a photo is on the surface, scene unit.
        """
        affordable = float(np.cbrt(np.prod(self.high - self.low) / _MOST_VOXELS))
        return max(self.subject_size / resolution, _LEAST_PIXELS * pixel, affordable)


def box_of(views: Sequence[DepthView], whole: bool) -> Box | None:
    """A box round what at least three photos (or all) have in their frames, or None where that is nothing.

    Args:
        views: depth maps of the photos.
        whole: whether all of it is the subject, because masks say so; else what most photos have in common is.
    """
    cloud = np.concatenate([_cloud(view) for view in views])
    if len(cloud) < 100:
        return None
    framed = np.sum([view.photo.project(cloud)[2] for view in views], axis=0)
    common = cloud[framed >= min(3, len(views))]
    if len(common) < 100:
        return None
    subject = common if whole else cloud[framed >= max(_IN_MOST * len(views), min(3, len(views)))]
    if len(subject) < 100:
        subject = common
    sides = np.ptp(np.percentile(subject, [_OUTLIERS, 100 - _OUTLIERS], axis=0), axis=0)
    low, high = np.percentile(common, [_OUTLIERS, 100 - _OUTLIERS], axis=0)
    margin = _MARGIN * (high - low).max()
    return Box(low - margin, high + margin, float(sides.max()))


def _footprint(photos: Sequence[Photo], views: Sequence[DepthView]) -> float:
    """The width of a photo's pixel on the surface, scene unit: the maps, rendered more finely, know no more than it."""
    return float(
        np.median(
            [
                np.median(view.depth[view.depth > 0]) / photo.camera.fx
                for photo, view in zip(photos, views, strict=True)
                if view.depth.any()
            ]
        )
    )


def places_between(photos: Sequence[Photo], centre: np.ndarray) -> list[Photo]:  # [3], world
    """Cameras halfway between neighbours on the sphere round the subject, with the lens of one of them."""
    directions = np.stack([photo.centre - centre for photo in photos])
    distances = np.linalg.norm(directions, axis=1)
    directions = directions / np.maximum(distances, 1e-12)[:, None]
    angles = np.arccos((directions @ directions.T).clip(-1, 1))
    fits = (angles > _NARROWEST) & (angles < _WIDEST)
    pairs = set()
    for first in range(len(photos)):
        near = [second for second in np.argsort(angles[first], kind="stable") if fits[first, second]]
        pairs |= {(min(first, int(second)), max(first, int(second))) for second in near[:_NEIGHBOURS]}
    chosen = sorted(pairs)
    if len(chosen) > _MOST_BETWEEN:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, _MOST_BETWEEN).astype(int)]
    return [_halfway(photos[a], photos[b], centre) for a, b in chosen]


def _halfway(first: Photo, second: Photo, centre: np.ndarray) -> Photo:  # [3], world
    arms = [photo.centre - centre for photo in (first, second)]
    lengths = [float(np.linalg.norm(arm)) for arm in arms]
    direction = arms[0] / lengths[0] + arms[1] / lengths[1]
    place = centre + np.mean(lengths) * direction / np.linalg.norm(direction)
    rotation = Rotation.from_matrix([first.world_to_camera[:3, :3], second.world_to_camera[:3, :3]]).mean().as_matrix()
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ place
    return replace(first, name=f"{first.name}+{second.name}", world_to_camera=pose, mask_path=None)


def agreed(
    points: np.ndarray,  # [P, 3], world
    views: Sequence[DepthView],
    tolerance: float,  # scene unit
    least: int = _AGREEING,
) -> np.ndarray:  # [P] bool
    """Whether at least so many views see a surface at each point; of few points all views are asked."""
    count = np.zeros(len(points), np.int64)
    asking = np.arange(len(points))
    for view in views:
        count[asking] += sees(points[asking], view, tolerance)
        asking = asking[count[asking] < least]
        if not len(asking):
            break
    return count >= least


def sees(points: np.ndarray, view: DepthView, tolerance: float) -> np.ndarray:  # [P, 3], scene unit -> [P] bool
    """Whether a view sees a surface at a point, give or take the tolerance."""
    result = np.zeros(len(points), bool)
    pixels, distances, inside = view.photo.project(points)
    chosen = np.flatnonzero(inside)
    columns, rows = pixels[chosen].astype(int).T
    depth = view.depth[rows, columns]
    result[chosen] = (depth > 0) & (np.abs(depth - distances[chosen]) <= tolerance)
    return result


def visibility(points: np.ndarray, view: DepthView, tolerance: float) -> np.ndarray:  # [P, 3], scene unit -> [P]
    """0 where a view does not see a surface at a point, give or take the tolerance; little beside depth edges, else 1.

    In the colour of a pixel beside an edge, what is behind shows.
    """
    result = np.zeros(len(points))
    seen = np.flatnonzero(sees(points, view, tolerance))
    columns, rows = view.photo.project(points[seen])[0].astype(int).T
    inner = minimum_filter(without_depth_edges(view.depth, view.photo.camera) > 0, size=3)
    result[seen] = np.where(inner[rows, columns], 1, _BORDER_WEIGHT)
    return result


def only_covered(view: DepthView, seen: Sequence[DepthView], tolerance: float) -> DepthView:
    """The depth map without the pixels whose surface fewer than two of the photos see."""
    rows, columns = np.nonzero(view.depth)
    points = view.photo.unproject(rows, columns, view.depth[rows, columns])
    nearest = sorted(seen, key=lambda other: float(np.linalg.norm(other.photo.centre - view.photo.centre)))
    covered = agreed(points, nearest, tolerance, min(_AGREEING, len(seen)))
    depth = np.zeros_like(view.depth)
    depth[rows[covered], columns[covered]] = view.depth[rows[covered], columns[covered]]
    return replace(view, depth=depth)


def _rendered(scene: Reconstruction, photo: Photo, mask: np.ndarray | None) -> DepthView:
    camera = photo.camera
    finer = _FINER if _FINER * max(camera.width, camera.height) <= _LONGEST_PX else 1
    photo = replace(photo, camera=camera.resized(finer * camera.width, finer * camera.height))
    depth = surface_depth(scene, view_of_photo(photo, scene.device)).cpu().numpy()
    if mask is not None:
        mask = mask.repeat(finer, axis=0).repeat(finer, axis=1)
    return DepthView(photo, _masked(depth, mask))


def _masked(depth: np.ndarray, mask: np.ndarray | None) -> np.ndarray:  # [H, W] -> [H, W]
    return depth if mask is None else np.where(mask > 0.5, depth, 0)


def _cloud(view: DepthView) -> np.ndarray:  # [P, 3], some points of its surface
    rows, columns = np.nonzero(view.depth)
    stride = max(1, len(rows) // 2000)
    rows, columns = rows[::stride], columns[::stride]
    return view.photo.unproject(rows, columns, view.depth[rows, columns])
