# SPDX-License-Identifier: GPL-3.0-or-later
"""A truncated signed distance field (Curless and Levoy 1996): each voxel averages, over the views, how far it lies in
front of the surface that the view sees, cut off at a small distance.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter, zoom

from solver.capture.types import Photo
from solver.kernels import threads
from solver.kernels.compilation import kernel

_LEAST_VIEWS = 2  # that must have seen a voxel, for a surface through it to count
_SWEEPS = 40  # of diffusion at each level of the pyramid
_COARSEST = 12  # voxels along the shortest side of the pyramid's top
_MOST_DIFFUSED = 160  # voxels along the longest side, of the grid that holes are closed on


@dataclass(frozen=True)
class Blending:
    """How views are averaged."""

    truncation: float = 4.0  # voxels in front of and behind the surface
    fades_behind: float = 4.0  # voxels behind the surface from which on a view counts less; by `truncation` not at all
    interpolate: bool = False  # depth between the centres of pixels, where all four show one surface


@dataclass
class Field:
    """Distances on a grid of voxels."""

    low: np.ndarray  # [3], world, the centre of the first voxel
    voxel: float  # scene unit
    blending: Blending
    distance: np.ndarray  # [X, Y, Z] float32, weighted mean in truncations, at most 1; in front of the surface above 0
    weight: np.ndarray  # [X, Y, Z] float32, sum of the views' weights
    seen_by: np.ndarray  # [X, Y, Z] uint16, how many views the mean is of

    @staticmethod
    def empty(low: np.ndarray, high: np.ndarray, voxel: float, blending: Blending) -> "Field":  # [3], [3]
        """A field that knows nothing, of a box whose corners are given."""
        shape = np.maximum(np.ceil((high - low) / voxel).astype(int) + 1, 2)
        return Field(
            low=np.array(low, np.float64),
            voxel=voxel,
            blending=blending,
            distance=np.ones(shape, np.float32),
            weight=np.zeros(shape, np.float32),
            seen_by=np.zeros(shape, np.uint16),
        )

    @property
    def truncation(self) -> float:
        """Scene unit."""
        return self.blending.truncation * self.voxel

    @property
    def known(self) -> np.ndarray:  # [X, Y, Z] bool
        """Which voxels enough views have seen."""
        return self.seen_by >= _LEAST_VIEWS

    def add(
        self,
        photo: Photo,
        depth: np.ndarray,  # [H, W], scene unit, 0 where the view says nothing
        weight: np.ndarray | None = None,  # [H, W], of the pixels; 1 each where there is none
    ) -> None:
        """Average one view in."""
        camera = photo.camera
        intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64)
        pose = np.ascontiguousarray(photo.world_to_camera[:3], np.float64)
        depth = np.ascontiguousarray(depth, np.float32)
        weights = np.ones_like(depth) if weight is None else np.ascontiguousarray(weight, np.float32)
        fades = min(self.blending.fades_behind * self.voxel, self.truncation)
        count = self.distance.shape[0]

        def share(part: int, parts: int) -> None:
            _add(
                self.distance,
                self.weight,
                self.seen_by,
                self.low,
                self.voxel,
                self.truncation,
                fades,
                intrinsics,
                pose,
                depth,
                weights,
                self.blending.interpolate,
                part * count // parts,
                (part + 1) * count // parts,
            )

        threads.run(share)

    def surface(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Vertices [V, 3], world, and faces [F, 3] of the zero level; None where there is none."""
        known = self.known
        # marching_cubes asks the mask at a cell's last corner; a cell with an unknown corner would make a surface up.
        cells = minimum_filter(known, size=2)
        if not cells.any() or self.distance[known].min() >= 0 or self.distance[known].max() <= 0:
            return None
        return self._zero_level(self.distance, cells, self.low)

    def closed_surface(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The same without any hole: what is known diffuses into what is not (Davis et al. 2002).

        Outside of the grid nothing is.
        """
        known = np.pad(self.known, 1, constant_values=True)
        values = np.pad(np.where(self.known, self.distance, 0), 1, constant_values=1.0)
        if values.min() >= 0:
            return None
        return self._zero_level(np.where(known, values, _diffused(values, known)), None, self.low - self.voxel)

    def _zero_level(
        self, values: np.ndarray, cells: np.ndarray | None, low: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        from skimage.measure import marching_cubes

        try:
            vertices, faces, _, _ = marching_cubes(values, level=0.0, mask=cells, gradient_direction="descent")
        except (ValueError, RuntimeError):  # no cell is crossed
            return None
        return (low + self.voxel * vertices, faces.astype(np.int64)) if len(faces) else None


def _diffused(values: np.ndarray, known: np.ndarray) -> np.ndarray:  # [X, Y, Z], [X, Y, Z] bool -> [X, Y, Z]
    """Values whose Laplacian is 0 where they are not known, from coarse to fine."""
    if max(values.shape) > _MOST_DIFFUSED:
        coarse = _diffused(*_halved(values, known))
        return _enlarged(coarse, values.shape)
    result = values.astype(np.float32)
    if min(values.shape) > _COARSEST:
        result = np.where(known, result, _enlarged(_diffused(*_halved(values, known)), values.shape))
    for _ in range(_SWEEPS):
        padded = np.pad(result, 1, mode="edge")
        mean = (
            padded[2:, 1:-1, 1:-1]
            + padded[:-2, 1:-1, 1:-1]
            + padded[1:-1, 2:, 1:-1]
            + padded[1:-1, :-2, 1:-1]
            + padded[1:-1, 1:-1, 2:]
            + padded[1:-1, 1:-1, :-2]
        ) / 6
        result = np.where(known, result, mean)
    return result


def _halved(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of the known values of two by two by two voxels, and where there are some."""
    wide = [(0, n % 2) for n in values.shape]
    padded, counted = np.pad(np.where(known, values, 0), wide), np.pad(known, wide).astype(np.float32)
    x, y, z = (n // 2 for n in padded.shape)
    sums, counts = (a.reshape(x, 2, y, 2, z, 2).sum((1, 3, 5)) for a in (padded, counted))
    return sums / np.maximum(counts, 1), counts > 0


def _enlarged(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:  # [x, y, z] -> [X, Y, Z]
    larger = zoom(values, 2, order=1, mode="nearest", grid_mode=True)
    return larger[: shape[0], : shape[1], : shape[2]]


@kernel("void(f4[:,:,::1],f4[:,:,::1],u2[:,:,::1],f8[::1],f8,f8,f8,f8[::1],f8[:,::1],f4[:,::1],f4[:,::1],b1,i8,i8)")
def _add(
    distance,  # [X, Y, Z], changed
    weight,  # [X, Y, Z], changed
    seen_by,  # [X, Y, Z], changed
    low,  # [3]
    voxel,
    truncation,  # scene unit
    fades,  # scene unit behind the surface
    intrinsics,  # [4]: fx, fy, cx, cy
    pose,  # [3, 4] world_to_camera
    depth,  # [H, W]
    weights,  # [H, W]
    interpolate,
    begin,  # of the slabs
    end,
):
    height, width = depth.shape
    for i in range(begin, end):
        x = low[0] + voxel * i
        for j in range(distance.shape[1]):
            y = low[1] + voxel * j
            for k in range(distance.shape[2]):
                z = low[2] + voxel * k
                deep = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2] * z + pose[2, 3]
                if deep <= 0:
                    continue
                u = intrinsics[0] * (pose[0, 0] * x + pose[0, 1] * y + pose[0, 2] * z + pose[0, 3]) / deep
                v = intrinsics[1] * (pose[1, 0] * x + pose[1, 1] * y + pose[1, 2] * z + pose[1, 3]) / deep
                u += intrinsics[2]
                v += intrinsics[3]
                if u < 0 or v < 0 or u >= width or v >= height:
                    continue
                row, column = int(v), int(u)
                surface = depth[row, column]
                if surface <= 0:
                    continue
                if interpolate:
                    left, top = math.floor(u - 0.5), math.floor(v - 0.5)
                    if left >= 0 and top >= 0 and left + 1 < width and top + 1 < height:
                        a, b = depth[top, left], depth[top, left + 1]
                        c, d = depth[top + 1, left], depth[top + 1, left + 1]
                        nearest, farthest = min(a, b, c, d), max(a, b, c, d)
                        if nearest > 0 and farthest - nearest < truncation:  # else an edge runs between them
                            across, down = u - 0.5 - left, v - 0.5 - top
                            upper = a + across * (b - a)
                            surface = upper + down * (c + across * (d - c) - upper)
                signed = surface - deep
                if signed <= -truncation:
                    continue
                share = weights[row, column]
                if signed < -fades:
                    share *= (truncation + signed) / (truncation - fades)
                if share <= 0:
                    continue
                seen_by[i, j, k] += 1
                weight[i, j, k] += share
                value = min(signed / truncation, 1.0)
                distance[i, j, k] += share * (value - distance[i, j, k]) / weight[i, j, k]
