# SPDX-License-Identifier: GPL-3.0-or-later
"""A colour texture for a mesh, from the sharp views.

Each texel is a point of the surface, and takes the mean of what the views show of it. A view counts by how well it
shows the point: how finely, how straight, and with how small a circle of confusion its photo did, all to a high power,
so that the best view decides where it is clearly the best. It does not count at all where it shows another surface, and
less and less towards the edges of what it shows, so that no seam is left where one view gives way to the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from solver.capture.types import Photo
from solver.fusion.normals import vertex_normals
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh, without_depth_edges
from solver.kernels import threads
from solver.surface.unwrapping import unwrap
from solver.training.reconstruction import Reconstruction

_POWER = 4.0  # of the score by which a view counts
_SOFT_COC_PX = 10.0  # circle of confusion that halves the score; a smaller one would prefer slanted views
_TOLERANCE = 0.02  # of the mesh's longest side: a view sees a point at its own depth, give or take this
_FEATHER_PX = 3.0  # from the edge of what a view shows to where it counts in full
_EDGE_TRUST = 1e-3  # of a pixel on that edge: better than nothing
_GUTTER = 2  # texels round a chart that are looked up in the views; the rest is filled
_CHUNK = 1 << 19  # texels at a time
_UNSEEN_WEIGHT = 1e-30  # of the mesh's own colours, which fill in where no view sees a texel


@dataclass(frozen=True)
class Texture:
    """An image, and where it goes on a mesh."""

    corner_coordinates: np.ndarray  # [F, 3, 2] float32, 0 to 1: u to the right, v down from the top edge, as in glTF
    image: np.ndarray  # [S, S, 3] float32, linear light

    @property
    def size(self) -> int:
        """Texels along a side."""
        return len(self.image)


@dataclass(frozen=True)
class TextureView:
    """A view to take colours from, and how sharply its photo saw them."""

    photo: Photo
    colour: np.ndarray  # [H, W, 3] float32, linear light
    depth: np.ndarray  # [H, W] float32, scene unit
    trust: np.ndarray  # [H, W] float32, 0 to 1: 0 where no surface is seen, less beside its edges
    pupil_diameter: float  # scene unit
    inverse_focus_distance: float  # 1 / scene unit

    @staticmethod
    def of(
        view: SharpView,
        mask: np.ndarray | None,  # [H, W], 1 on the subject
        pupil_diameter: float,
        inverse_focus_distance: float,
    ) -> "TextureView":
        """The view, trusted where its depth is that of one surface, inside the mask."""
        seen = (view.depth > 0) if mask is None else (view.depth > 0) & (mask > 0.5)
        whole = without_depth_edges(np.where(seen, view.depth, 0), view.photo.camera) > 0
        inner = distance_transform_edt(np.pad(whole, 1))[1:-1, 1:-1]
        trust = np.maximum((inner / _FEATHER_PX).clip(0, 1), _EDGE_TRUST) * seen
        return TextureView(
            photo=view.photo,
            colour=np.ascontiguousarray(view.colour, np.float32),
            depth=np.ascontiguousarray(view.depth, np.float32),
            trust=trust.astype(np.float32),
            pupil_diameter=pupil_diameter,
            inverse_focus_distance=inverse_focus_distance,
        )


def texture_views(
    scene: Reconstruction,
    views: Sequence[SharpView],
    masks: Sequence[np.ndarray | None],  # [H, W] each
    used: Sequence[bool],
) -> list[TextureView]:
    """The views of a capture's photos, in their order, that training used: nothing vouches for what others show."""
    return [
        TextureView.of(view, mask, scene.lens.pupil_diameter(index), scene.lens.inverse_focus_distance(index))
        for index, (view, mask, chosen) in enumerate(zip(views, masks, used, strict=True))
        if chosen
    ]


def bake(
    mesh: Mesh,
    views: Sequence[TextureView],
    size: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Texture:
    """Unwrap a mesh and paint it.

    Args:
        mesh: with the colours of what no view sees.
        views: at least one.
        size: of the image, texels along a side.
        progress: called with (steps done, steps).
    """
    unwrapping = 4
    chunks = -(-size * size // _CHUNK)
    total = unwrapping + chunks + 1
    coordinates = unwrap(mesh.vertices, mesh.faces, size, lambda done, _: progress(done, total)).corner_coordinates
    image = np.zeros((size, size, 3), np.float32)
    corners = size * coordinates.astype(np.float64)
    owners = faces_of_texels(corners, size)
    normals = vertex_normals(mesh.vertices, mesh.faces)
    values = np.concatenate([mesh.vertices, normals, mesh.colours], axis=1)[mesh.faces]
    tolerance = _TOLERANCE * float(np.ptp(mesh.vertices, axis=0).max())
    flat = image.reshape(-1, 3)
    for chunk in range(chunks):
        texels = np.flatnonzero(owners.ravel()[chunk * _CHUNK : (chunk + 1) * _CHUNK] >= 0) + chunk * _CHUNK
        points = _place(corners, texels, owners, values, size)
        flat[texels] = blend(points, views, tolerance)
        progress(unwrapping + chunk + 1, total)
    fill(image, owners >= 0)
    progress(total, total)
    return Texture(coordinates, image)


def faces_of_texels(corners: np.ndarray, size: int) -> np.ndarray:  # [F, 3, 2] texels -> [S, S] int32
    """The face that each texel shows, and beside the charts a near one; -1 farther away."""
    from solver.surface.texture_kernels import find_faces, grow

    owners = np.full((size, size), -1, np.int32)
    threads.run(lambda *share: find_faces(corners, owners, *share))
    for _ in range(_GUTTER):
        grown, old = np.empty_like(owners), owners
        threads.run(lambda *share, old=old, grown=grown: grow(old, grown, *share))
        owners = grown
    return owners


def _place(
    corners: np.ndarray,  # [F, 3, 2], texels
    texels: np.ndarray,  # [P], of the flattened image
    owners: np.ndarray,  # [S, S]
    values: np.ndarray,  # [F, 3, N]
    size: int,
) -> np.ndarray:  # [P, N]
    from solver.surface.texture_kernels import place_texels

    placed = np.empty((len(texels), values.shape[2]))
    faces = owners.ravel()[texels]
    threads.run(lambda *share: place_texels(corners, texels, faces, values, size, placed, *share))
    return placed


def blend(
    points: np.ndarray,  # [P, 9]: position (world), normal, and colour where no view sees the point
    views: Sequence[TextureView],
    tolerance: float,  # scene unit
) -> np.ndarray:  # [P, 3], linear light
    """The mean of what the views show of points, by how well they show them."""
    from solver.surface.texture_kernels import add_view

    sums = np.zeros((len(points), 4))
    reference = max(
        (view.photo.camera.fx / np.median(view.depth[view.depth > 0]) for view in views if view.depth.any()),
        default=1.0,
    )
    for view in views:
        camera = view.photo.camera
        pose = np.ascontiguousarray(view.photo.world_to_camera, np.float64)
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        pupil_px = view.pupil_diameter * camera.fx
        threads.run(
            lambda *share, view=view, pose=pose, intrinsics=intrinsics, pupil_px=pupil_px: add_view(
                points,
                pose,
                intrinsics,
                view.colour,
                view.depth,
                view.trust,
                pupil_px,
                view.inverse_focus_distance,
                _SOFT_COC_PX,
                tolerance,
                reference,
                _POWER,
                sums,
                *share,
            )
        )
    weights = sums[:, 3:] + _UNSEEN_WEIGHT
    return (sums[:, :3] + _UNSEEN_WEIGHT * points[:, 6:9].clip(0)) / weights


def fill(image: np.ndarray, known: np.ndarray) -> None:  # [H, W, 3] float32, [H, W] bool
    """Give the texels that are not known the mean of the nearest known ones, in squares that double in size.

    So no smaller copy of the image, as graphics cards make them for the distance, mixes in anything foreign.
    """
    from solver.surface.texture_kernels import shrink, spread

    if known.all() or not known.any():
        return
    shape = tuple(-(-n // 2) for n in known.shape)
    half, half_known = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.bool_)
    shrink(image, known, half, half_known)
    fill(half, half_known)
    spread(image, known, half)


@dataclass(frozen=True)
class SplitMesh:
    """A mesh whose vertices have one texture coordinate each, as files want it."""

    vertices: np.ndarray  # [W, 3] float64, world
    faces: np.ndarray  # [F, 3] int64
    coordinates: np.ndarray  # [W, 2] float32, 0 to 1, u to the right, v down from the top
    sources: np.ndarray  # [W] int64, the vertex of the whole mesh


def split_at_seams(mesh: Mesh, texture: Texture) -> SplitMesh:
    """Give each vertex one copy for every place that it has in the texture."""
    places = np.ascontiguousarray(texture.corner_coordinates, np.float32).reshape(-1, 2).view(np.int32)
    keys = np.concatenate([mesh.faces.reshape(-1, 1), places], axis=1)
    _, first, corners = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    sources = mesh.faces.reshape(-1)[first]
    return SplitMesh(
        mesh.vertices[sources],
        corners.reshape(-1, 3),
        texture.corner_coordinates.reshape(-1, 2)[first],
        sources,
    )
