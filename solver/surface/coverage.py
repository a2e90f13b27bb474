# SPDX-License-Identifier: GPL-3.0-or-later
"""How sharply the photos saw the subject: what no photo held in focus cannot be recovered, and is said so.

A photo sees a point that falls inside its frame and its mask, and that does not lie behind the surface which the photo
has there. Its circle of confusion is that of the point's own depth, through the lens of that photo.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from solver.capture.types import Photo
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.optics.circle_of_confusion import SHARP_COC_PX, circle_of_confusion_px
from solver.training.reconstruction import Reconstruction, view_of_photo

NOT_SEEN = -1.0  # in place of a circle of confusion, where no photo sees the point

_DEPTH_SHARE = 0.005  # of the depth: a point so much behind a surface is still part of it, besides its thickness
_CHUNK = 1 << 16  # points at a time, whose temporary arrays stay in the processor's cache
_MOST_PAIRS = 200_000_000  # of pixels and photos that maps are made from; beyond that, pixels are left out
_ONE_SIDE = 0.75  # of the pixels never in focus, on one side of the focus planes: the advice names that side
_TOLD_SHARE = 0.1  # never in focus: above it there is a warning


@dataclass(frozen=True)
class Shot:
    """What one photo shows, and through which lens."""

    photo: Photo
    depth: np.ndarray  # [H, W], of the surface, scene unit; 0 where there is none and nothing hides a point
    pupil_diameter: float  # scene unit
    inverse_focus_distance: float  # 1 / scene unit
    mask: np.ndarray | None = None  # [H, W], 1 on the subject

    def circle_of_confusion_px(self, depths: np.ndarray) -> np.ndarray:  # [P], scene unit -> [P]
        """With which diameter the photo shows points so far away."""
        return circle_of_confusion_px(depths, self.pupil_diameter, self.inverse_focus_distance, self.photo.camera.fx)

    def farthest_seen(self, thickness: np.ndarray | float) -> np.ndarray:  # [H, W], scene unit -> [H, W], scene unit
        """Up to which depth each pixel sees: 0 outside the mask, infinite where nothing hides a point.

        `thickness` says how far behind its depth points of the surface lie.
        """
        end = np.where(self.depth > 0, (1 + _DEPTH_SHARE) * self.depth + thickness, np.inf)
        return end if self.mask is None else np.where(self.mask >= 0.5, end, 0)

    def shows_subject(self) -> np.ndarray:  # -> [H, W] bool
        """Which pixels have a surface that the mask does not leave out."""
        surface = self.depth > 0
        return surface if self.mask is None else surface & (self.mask >= 0.5)


class Points(Protocol):
    """Points of the world, [P, 3], as an array has them; they may be made when they are asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> np.ndarray: ...  # [*, 3]


@dataclass(frozen=True)
class SurfacePoints:
    """The surface that a photo shows, at the centres of P of its pixels: of each square of `stride` pixels one.

    It is that of the photo's depth map: a mean over the Gaussians behind a pixel would count those deep in a thick
    surface, whose blur is not its own.
    """

    shot: Shot
    stride: int
    places: np.ndarray  # [P] int32, of the pixels in the flattened image

    @staticmethod
    def of(shot: Shot, stride: int) -> "SurfacePoints":
        """All that show the subject."""
        looked_at = np.zeros(shot.depth.shape, bool)
        looked_at[np.ix_(*_middles(shot, stride))] = True
        return SurfacePoints(shot, stride, np.flatnonzero(looked_at & shot.shows_subject()).astype(np.int32))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, part: slice, /) -> np.ndarray:  # [*, 3], world
        places = self.places[part]
        rows, columns = np.divmod(places, self.shot.depth.shape[1])
        return self.shot.photo.unproject(rows, columns, self.shot.depth.ravel()[places])


@dataclass(frozen=True)
class PointCoverage:
    """What the photos saw of P points."""

    smallest_coc_px: np.ndarray  # [P] float32, diameter; NOT_SEEN where no photo sees the point
    sharp_photo_count: np.ndarray  # [P] uint16, photos that see it with a circle of at most SHARP_COC_PX
    photo_count: np.ndarray  # [P] uint16, photos that see it at all

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """What files carry of it, by the names that it has there."""
        return {"smallest_coc_px": self.smallest_coc_px, "sharp_photo_count": self.sharp_photo_count}


@dataclass(frozen=True)
class CoverageMap:
    """What the photos saw of the surface that one view shows, as in `PointCoverage`.

    Of each square of `stride` pixels one was looked at; it speaks for all of them that show the subject.
    """

    shot: Shot  # the view
    stride: int
    smallest: np.ndarray  # [R, C] float32, of the squares
    sharp: np.ndarray  # [R, C] uint16

    @staticmethod
    def of(points: SurfacePoints, covered: PointCoverage) -> "CoverageMap":
        """The map of a view from what was found out of its points."""
        rows, columns = _middles(points.shot, points.stride)
        smallest = np.full((len(rows), len(columns)), NOT_SEEN, np.float32)
        sharp = np.zeros(smallest.shape, np.uint16)
        squares = tuple(places // points.stride for places in np.divmod(points.places, points.shot.depth.shape[1]))
        smallest[squares], sharp[squares] = covered.smallest_coc_px, covered.sharp_photo_count
        return CoverageMap(points.shot, points.stride, smallest, sharp)

    @property
    def smallest_coc_px(self) -> np.ndarray:  # [H, W] float32
        """Of every pixel; NOT_SEEN where it does not show the subject."""
        return self._spread(self.smallest, np.float32(NOT_SEEN))

    @property
    def sharp_photo_count(self) -> np.ndarray:  # [H, W] uint16
        """Of every pixel."""
        return self._spread(self.sharp, np.uint16(0))

    def _spread(self, values: np.ndarray, outside: np.generic) -> np.ndarray:  # [R, C] -> [H, W]
        rows, columns = (np.arange(n) // self.stride for n in self.shot.depth.shape)
        return np.where(self.shot.shows_subject(), values[np.ix_(rows, columns)], outside)

    def pixels_of_squares(self) -> np.ndarray:  # -> [R, C] int64
        """How many pixels of each square show the subject."""
        starts = [np.arange(0, n, self.stride) for n in self.shot.depth.shape]
        return np.add.reduceat(np.add.reduceat(self.shot.shows_subject(), starts[0], 0, int), starts[1], 1)


@dataclass(frozen=True)
class CoverageSummary:
    """Coverage as numbers over the pixels of the photos that show the subject; None where none does."""

    never_in_focus_share: float | None  # of the pixels: no photo has a circle of at most SHARP_COC_PX there
    sharp_in_two_share: float | None  # of the pixels: at least two photos have
    smallest_coc_median_px: float | None
    in_focus_shares: list[float | None]  # for each photo, of its own pixels: it holds them in focus itself
    farther_share: float | None  # of the pixels never in focus: those beyond their own photo's focus plane
    most_blurred: str | None  # the photo with most of the pixels never in focus


@dataclass(frozen=True)
class Coverage:
    """Coverage of a whole result."""

    splats: PointCoverage  # of the Gaussians' centres
    vertices: PointCoverage | None  # of the mesh's, where there is one
    maps: list[CoverageMap]  # for each photo
    summary: CoverageSummary


def cover(
    scene: Reconstruction,
    views: Sequence[SharpView],
    masks: Sequence[np.ndarray | None],
    used: Sequence[bool],
    mesh: Mesh | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Coverage:
    """Find out how sharply the photos saw a reconstruction.

    Photos are looked at one after the other, each by all points and maps; what is kept of them is small, since maps
    have few pixels where photos are many.

    Args:
        scene: Gaussians and lens.
        views: of the capture's photos, in their order.
        masks: of the photos, [H, W] with 1 on the subject; None where a photo has none.
        used: whether training saw the photo; the others have maps, but add nothing to what was seen.
        mesh: whose vertices to look at as well.
        progress: called with (photos done, photos) of those that training saw.
    """
    shots = _shots(scene, views, masks)
    used_shots = [shot for shot, chosen in zip(shots, used, strict=True) if chosen]
    stride = map_stride(sum(shot.depth.size for shot in shots) * len(used_shots))
    surfaces = [SurfacePoints.of(shot, stride) for shot in shots]
    means = scene.gaussians.means.detach().cpu().numpy()
    vertices = np.zeros((0, 3)) if mesh is None else mesh.vertices
    splats, of_mesh, *of_surfaces = cover_points(
        [means, vertices, *surfaces], used_shots, lambda shot: surface_thickness(scene, shot), progress
    )
    maps = []
    while surfaces:  # which are given up one by one
        maps.append(CoverageMap.of(surfaces.pop(0), of_surfaces.pop(0)))
    return Coverage(splats, None if mesh is None else of_mesh, maps, summarize(maps, used))


def cover_vertices(
    scene: Reconstruction,
    views: Sequence[SharpView],
    masks: Sequence[np.ndarray | None],
    used: Sequence[bool],
    mesh: Mesh,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PointCoverage:
    """Find out how sharply the photos saw a mesh alone; the arguments are those of `cover`."""
    shots = [shot for shot, chosen in zip(_shots(scene, views, masks), used, strict=True) if chosen]
    (found,) = cover_points([mesh.vertices], shots, lambda shot: surface_thickness(scene, shot), progress)
    return found


def _shots(scene: Reconstruction, views: Sequence[SharpView], masks: Sequence[np.ndarray | None]) -> list[Shot]:
    return [
        Shot(
            photo=view.photo,
            depth=view.depth,
            pupil_diameter=scene.lens.pupil_diameter(index),
            inverse_focus_distance=scene.lens.inverse_focus_distance(index),
            mask=mask,
        )
        for index, (view, mask) in enumerate(zip(views, masks, strict=True))
    ]


def cover_points(
    sets: Sequence[Points],
    shots: Sequence[Shot],
    thickness: Callable[[Shot], np.ndarray | float] = lambda shot: 0.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[PointCoverage]:
    """Count the photos that see each point of each set, and find the smallest circle of confusion with which one does.

    A photo does not see what lies behind its surface by more than that one's thickness and half a per cent of the
    depth, both at the pixel that the point falls into.

    Args:
        sets: of points.
        shots: of the photos.
        thickness: of the surface that a photo shows, [H, W], scene unit; asked for once for each photo.
        progress: called with (photos done, photos).
    """
    found = [
        PointCoverage(np.full(n, np.inf, np.float32), np.zeros(n, np.uint16), np.zeros(n, np.uint16))
        for n in map(len, sets)
    ]
    for index, shot in enumerate(shots):
        farthest_seen = shot.farthest_seen(thickness(shot))
        for points, covered in zip(sets, found, strict=True):
            for start in range(0, len(points), _CHUNK):
                _look(shot, farthest_seen, points[start : start + _CHUNK], covered, start)
        progress(index + 1, len(shots))
    for covered in found:
        covered.smallest_coc_px[covered.photo_count == 0] = NOT_SEEN
    return found


def _look(
    shot: Shot,
    farthest_seen: np.ndarray,  # [H, W], scene unit
    points: np.ndarray,  # [P, 3], world
    covered: PointCoverage,  # changed
    start: int,  # of these points in it
) -> None:
    """Add what one photo sees of some points."""
    pixels, depths, inside = shot.photo.project(points)
    chosen = np.nonzero(inside)[0]
    columns, rows = pixels[chosen].astype(int).T
    chosen = chosen[depths[chosen] <= farthest_seen[rows, columns]]
    coc = shot.circle_of_confusion_px(depths[chosen])
    chosen += start
    covered.smallest_coc_px[chosen] = np.minimum(covered.smallest_coc_px[chosen], coc)
    covered.sharp_photo_count[chosen] += coc <= SHARP_COC_PX
    covered.photo_count[chosen] += 1


def _middles(shot: Shot, stride: int) -> tuple[np.ndarray, np.ndarray]:  # [R], [C]
    """Rows and columns of the pixels in the middle of their squares; at the far edges, of what is left of these."""
    height, width = shot.depth.shape
    return (
        np.minimum(np.arange(0, height, stride) + stride // 2, height - 1),
        np.minimum(np.arange(0, width, stride) + stride // 2, width - 1),
    )


def map_stride(pairs: int) -> int:
    """Every how many pixels, both ways, to look at where all would make so many pairs of a pixel and a photo."""
    return max(1, int(np.ceil(np.sqrt(pairs / _MOST_PAIRS))))


def surface_thickness(scene: Reconstruction, shot: Shot) -> np.ndarray:  # [H, W], scene unit
    """How far behind the depth of a shot its surface's Gaussians reach: a standard deviation beyond their mean."""
    with torch.no_grad():
        view = view_of_photo(shot.photo, scene.device)
        depth = scene.gaussians.means @ view.world_to_camera[2, :3] + view.world_to_camera[2, 3]
        middle = depth.median()  # squares of what is left keep their digits in single precision
        depth = depth - middle
        rendering = scene.render(view, extras=torch.stack([depth, depth.square()], dim=1))
        assert rendering.extras is not None
        mean, square = (rendering.extras / rendering.alpha.clamp(min=1e-6)[..., None]).unbind(-1)
        end = middle + mean + (square - mean.square()).clamp(min=0).sqrt()
        return (end.cpu().numpy() - shot.depth).clip(min=0)


def summarize(maps: Sequence[CoverageMap], used: Sequence[bool]) -> CoverageSummary:
    """Sum up the maps of the photos that training used; each counts by its pixels that show the subject."""
    in_focus: list[float | None] = []
    total, twice, farther, blurred, most, most_blurred = 0, 0, 0, 0, 0, None
    for cover_map, chosen in zip(maps, used, strict=True):
        shot, smallest = cover_map.shot, cover_map.smallest_coc_px
        subject = smallest >= 0
        coc = shot.circle_of_confusion_px(shot.depth[subject])
        in_focus.append(float((coc <= SHARP_COC_PX).mean()) if len(coc) else None)
        if not chosen:
            continue
        never = smallest > SHARP_COC_PX
        total += int(subject.sum())
        twice += int((cover_map.sharp_photo_count >= 2).sum())
        farther += int((1 / shot.depth[never] < shot.inverse_focus_distance).sum())
        blurred += int(never.sum())
        if never.sum() > most:
            most, most_blurred = int(never.sum()), shot.photo.name
    return CoverageSummary(
        never_in_focus_share=blurred / total if total else None,
        sharp_in_two_share=twice / total if total else None,
        smallest_coc_median_px=_median([m for m, seen in zip(maps, used, strict=True) if seen]) if total else None,
        in_focus_shares=in_focus,
        farther_share=farther / blurred if blurred else None,
        most_blurred=most_blurred,
    )


def _median(maps: Sequence[CoverageMap]) -> float:
    """The median over all pixels, of which each square has some."""
    values = np.concatenate([each.smallest[each.smallest >= 0] for each in maps])
    if all(each.stride == 1 for each in maps):
        return float(np.median(values))
    order = np.argsort(values)
    counts = np.concatenate([each.pixels_of_squares()[each.smallest >= 0] for each in maps])
    ends = np.cumsum(counts[order])
    middle = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right")
    return float(values[order[middle]].mean())


def coverage_warning(summary: CoverageSummary) -> str | None:
    """What a photographer should know of a subject that was not in focus everywhere; None up to a tenth of it.

    The advice names a side of the focus planes if most of what was missed lies there.
    """
    share, farther = summary.never_in_focus_share, summary.farther_share
    if share is None or farther is None or share <= _TOLD_SHARE:
        return None
    if farther >= _ONE_SIDE:
        where = "with focus farther back"
    elif farther <= 1 - _ONE_SIDE:
        where = "with focus nearer to the camera"
    else:
        where = "with focus on those parts"
    return (
        f"{100 * share:.0f} % of the subject was never in focus, and little detail could be recovered there; "
        f"take more photos {where} (coverage/{summary.most_blurred}.exr shows most of it)"
    )
