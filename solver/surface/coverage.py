# SPDX-License-Identifier: GPL-3.0-or-later
"""How sharply the photos saw the subject: what no photo held in focus cannot be recovered, and is said so.

A photo sees a point that falls inside its frame and its mask, and that does not lie behind the surface which the photo
has there. Its circle of confusion is that of the point's own depth, through the lens of that photo.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from solver.capture.types import Photo
from solver.optics.circle_of_confusion import SHARP_COC_PX, circle_of_confusion_px
from solver.surface.depth_views import SharpView
from solver.surface.fusion import Mesh
from solver.training.reconstruction import Reconstruction, view_of_photo

NOT_SEEN = -1.0  # in place of a circle of confusion, where no photo sees the point

_DEPTH_SHARE = (
    0.005  # of the depth: a point so much behind a surface is still part of it, besides the surface's thickness
)
_CHUNK = 1 << 16  # points at a time, whose temporary arrays stay in the processor's cache
_MOST_PAIRS = 200_000_000  # of pixels and photos that maps are made from; beyond that, pixels are left out
_ONE_SIDE = 0.75  # of the pixels never in focus, on one side of the focus planes: the advice names that side
_TOLD_SHARE = 0.1  # never in focus: above it there is a warning


@dataclass(frozen=True)
class Shot:
    """What one photo sees, and through which lens."""

    photo: Photo
    depth: np.ndarray  # [H, W], of the surface, scene unit; 0 where there is none and nothing hides a point
    thickness: np.ndarray  # [H, W], how far behind its depth points of that surface lie, scene unit
    pupil_diameter: float  # scene unit
    inverse_focus_distance: float  # 1 / scene unit
    mask: np.ndarray | None = None  # [H, W], 1 on the subject

    def circle_of_confusion_px(self, depths: np.ndarray) -> np.ndarray:  # [P], scene unit -> [P]
        """With which diameter the photo shows points so far away."""
        return circle_of_confusion_px(depths, self.pupil_diameter, self.inverse_focus_distance, self.photo.camera.fx)

    def farthest_seen(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:  # [P], [P] -> [P], scene unit
        """Up to which depth these pixels see; 0 outside the mask, infinite where nothing hides a point.

        Asked for few of the pixels of a large photo, and again for every map.
        """
        depth = self.depth[rows, columns]
        end = np.where(depth > 0, (1 + _DEPTH_SHARE) * depth + self.thickness[rows, columns], np.inf)
        return end if self.mask is None else np.where(self.mask[rows, columns] >= 0.5, end, 0)

    def shows_subject(self) -> np.ndarray:  # -> [H, W] bool
        """Which pixels have a surface that the mask does not leave out."""
        surface = self.depth > 0
        return surface if self.mask is None else surface & (self.mask >= 0.5)


@dataclass(frozen=True)
class PointCoverage:
    """What the photos saw of P points."""

    smallest_coc_px: np.ndarray  # [P] float32, diameter; NOT_SEEN where no photo sees the point
    sharp_photo_count: np.ndarray  # [P] int32, photos that see it with a circle of at most SHARP_COC_PX
    photo_count: np.ndarray  # [P] int32, photos that see it at all

    @property
    def attributes(self) -> dict[str, np.ndarray]:
        """What files carry of it, by the names that it has there."""
        return {"smallest_coc_px": self.smallest_coc_px, "sharp_photo_count": self.sharp_photo_count}


@dataclass(frozen=True)
class CoverageMap:
    """What the photos saw of the surface that one view shows, [H, W] each, as in `PointCoverage`."""

    smallest_coc_px: np.ndarray
    sharp_photo_count: np.ndarray


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

    Args:
        scene: Gaussians and lens.
        views: of the capture's photos, in their order.
        masks: of the photos, [H, W] with 1 on the subject; None where a photo has none.
        used: whether training saw the photo; the others have maps, but add nothing to what was seen.
        mesh: whose vertices to look at as well.
        progress: called with (photos done, photos).
    """
    shots = [
        Shot(
            photo=view.photo,
            depth=view.depth,
            thickness=surface_thickness(scene, view.photo),
            pupil_diameter=scene.lens.pupil_diameter(index),
            inverse_focus_distance=scene.lens.inverse_focus_distance(index),
            mask=mask,
        )
        for index, (view, mask) in enumerate(zip(views, masks, strict=True))
    ]
    used_shots = [shot for shot, chosen in zip(shots, used, strict=True) if chosen]
    stride = map_stride(sum(shot.depth.size for shot in shots) * len(used_shots))
    maps = []
    for index, shot in enumerate(shots):
        maps.append(coverage_map(shot, used_shots, stride))
        progress(index + 1, len(shots))
    return Coverage(
        splats=cover_points(scene.gaussians.means.detach().cpu().numpy(), used_shots),
        vertices=None if mesh is None else cover_points(mesh.vertices, used_shots),
        maps=maps,
        summary=summarize(shots, maps, used),
    )


def cover_points(
    points: np.ndarray,  # [P, 3], world
    shots: Sequence[Shot],
) -> PointCoverage:
    """Count the photos that see each point, and find the smallest circle of confusion with which one does.

    A photo does not see what lies behind its surface by more than that one's thickness and half a per cent of the
    depth, both at the pixel that the point falls into.
    """
    smallest = np.full(len(points), np.inf, np.float32)
    sharp, seen_by = np.zeros(len(points), np.int32), np.zeros(len(points), np.int32)
    for shot in shots:
        for start in range(0, len(points), _CHUNK):
            pixels, depths, inside = shot.photo.project(points[start : start + _CHUNK])
            chosen = np.nonzero(inside)[0]
            columns, rows = pixels[chosen].astype(int).T
            chosen = chosen[depths[chosen] <= shot.farthest_seen(rows, columns)]
            coc = shot.circle_of_confusion_px(depths[chosen])
            chosen += start
            smallest[chosen] = np.minimum(smallest[chosen], coc)
            sharp[chosen] += coc <= SHARP_COC_PX
            seen_by[chosen] += 1
    return PointCoverage(np.where(seen_by > 0, smallest, np.float32(NOT_SEEN)), sharp, seen_by)


def coverage_map(shot: Shot, shots: Sequence[Shot], stride: int = 1) -> CoverageMap:
    """Coverage, by `shots`, of the surface that a photo shows at its pixels' centres.

    The surface is that of the photo's depth map: a mean over the Gaussians behind a pixel would count those deep in a
    thick surface, whose blur is not its own. Of each square of `stride` pixels one is looked at, for all of them.
    """
    height, width = shot.depth.shape
    rows, columns = (np.minimum(np.arange(n) // stride * stride + stride // 2, n - 1) for n in (height, width))
    looked_at = np.zeros(shot.depth.shape, bool)
    looked_at[np.ix_(rows, columns)] = True
    subject = shot.shows_subject()
    looked_at &= subject
    lines, places = np.nonzero(looked_at)
    covered = cover_points(shot.photo.unproject(lines, places, shot.depth[looked_at]), shots)
    smallest = np.full(shot.depth.shape, NOT_SEEN, np.float32)
    sharp = np.zeros(shot.depth.shape, np.int32)
    smallest[looked_at], sharp[looked_at] = covered.smallest_coc_px, covered.sharp_photo_count
    spread = np.ix_(rows, columns)
    return CoverageMap(np.where(subject, smallest[spread], np.float32(NOT_SEEN)), np.where(subject, sharp[spread], 0))


def map_stride(pairs: int) -> int:
    """Every how many pixels, both ways, to look at where all would make so many pairs of a pixel and a photo."""
    return max(1, int(np.ceil(np.sqrt(pairs / _MOST_PAIRS))))


def surface_thickness(scene: Reconstruction, photo: Photo) -> np.ndarray:  # [H, W], scene unit
    """Standard deviation of the depths that make a pixel: how far the surface's Gaussians are spread along the ray."""
    with torch.no_grad():
        view = view_of_photo(photo, scene.device)
        depth = scene.gaussians.means @ view.world_to_camera[2, :3] + view.world_to_camera[2, 3]
        depth = depth - depth.median()  # squares of what is left keep their digits in single precision
        rendering = scene.render(view, extras=torch.stack([depth, depth.square()], dim=1))
        assert rendering.extras is not None
        mean, square = (rendering.extras / rendering.alpha.clamp(min=1e-6)[..., None]).unbind(-1)
        return (square - mean.square()).clamp(min=0).sqrt().cpu().numpy()


def summarize(shots: Sequence[Shot], maps: Sequence[CoverageMap], used: Sequence[bool]) -> CoverageSummary:
    """Sum up the maps of the photos that training used; each counts by its pixels that show the subject."""
    smallest: list[np.ndarray] = []
    in_focus: list[float | None] = []
    twice, farther, most, most_blurred = 0, 0, 0, None
    for shot, cover_map, chosen in zip(shots, maps, used, strict=True):
        subject = cover_map.smallest_coc_px >= 0
        depth = shot.depth[subject]
        coc = shot.circle_of_confusion_px(depth)
        in_focus.append(float((coc <= SHARP_COC_PX).mean()) if len(coc) else None)
        if not chosen:
            continue
        values = cover_map.smallest_coc_px[subject]
        never = values > SHARP_COC_PX
        smallest.append(values)
        twice += int((cover_map.sharp_photo_count[subject] >= 2).sum())
        farther += int((1 / depth[never] < shot.inverse_focus_distance).sum())
        if never.sum() > most:
            most, most_blurred = int(never.sum()), shot.photo.name
    together = np.concatenate(smallest) if smallest else np.zeros(0)
    blurred = int((together > SHARP_COC_PX).sum())
    return CoverageSummary(
        never_in_focus_share=blurred / len(together) if len(together) else None,
        sharp_in_two_share=twice / len(together) if len(together) else None,
        smallest_coc_median_px=float(np.median(together)) if len(together) else None,
        in_focus_shares=in_focus,
        farther_share=farther / blurred if blurred else None,
        most_blurred=most_blurred,
    )


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
