# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a photo is blurred along one direction, as shake does it, and not alike in all, as defocus does.

Let J(s) be the structure tensor of a tile of the photo smoothed by a Gaussian of standard deviation s px: the mean of
g g^T over its gradients g, so that u^T J(s) u is the energy of detail along the direction u. How much of it is left at
the fine scale, u^T J(0.7) u / u^T J(2) u, depends on the blur along u, and hardly on how the texture runs, which is in
both. The logarithm of J(2)^-1/2 J(0.7) J(2)^-1/2 has that for all directions; its part without trace says how much two
directions across each other differ. As a vector with twice the direction's angle, the median over tiles keeps what they
have in common, which is shake, and loses what each has by chance, or the few that show a pattern of lines.

A surface seen at a slant has finer detail along the slant, and hair across itself, in all photos alike where a camera
goes round. So a photo is held against the others of its folder. On dead leaves a move of 5 px is found up to a
circle of confusion of 3 px, one of 3 px where there is hardly any defocus; real photos without shake differ by 0.1
to 0.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from solver.inspection.sharpness_map import clipped_or_border, luminance_of, noise_of

_SCALES_PX = (0.7, 2.0)  # s of fine and coarse; what is finer, cameras and JPEG have sharpened
_TILE_PX = 32
_NOISE_GAINS = (0.146, 0.0044)  # energy of the gradient of white noise of variance 1, at both scales
_OVER_NOISE = 3.0  # of a tile's finest detail, to be listened to
_ROUND = 0.1  # of a tensor's trace that is taken to be the same in all directions, where a tile has one edge only
_LEAST_USABLE = 0.75  # of a tile's pixels, not clipped
_LEAST_TILES = 12
_LEAST_PHOTOS = 3  # for one to be held against the others
_SHAKEN_STOPS = 0.35  # off the usual photo of the folder
_SHAKEN_DEVIATIONS = 5.0  # of the photos' usual difference


@dataclass(frozen=True)
class DirectionalBlur:
    """How much less of the finest detail is left along one direction than across it."""

    stops: float  # in factors of two of energy
    angle_degrees: float  # of that direction, anticlockwise from the right, 0 to 180

    @property
    def vector(self) -> np.ndarray:  # [2]
        """With twice the angle, so that opposite directions are one."""
        angle = 2 * np.radians(self.angle_degrees)
        return self.stops * np.array([np.cos(angle), np.sin(angle)])

    @staticmethod
    def of(vector: np.ndarray) -> "DirectionalBlur":
        """That of a `vector`."""
        return DirectionalBlur(float(np.hypot(*vector)), float(np.degrees(np.arctan2(vector[1], vector[0])) / 2 % 180))


def directional_blur(image: np.ndarray) -> DirectionalBlur | None:  # [H, W, 3] uint8, sRGB
    """What a photo shows; None where too little of it has texture."""
    luminance = luminance_of(image)
    usable = ~clipped_or_border(image)
    noise = noise_of(luminance, usable)
    fine, coarse = (
        _tensors(gaussian_filter(luminance, s), usable) - gain * noise**2 / 2 * np.eye(2)
        for s, gain in zip(_SCALES_PX, _NOISE_GAINS, strict=True)
    )
    tells = np.trace(fine, axis1=1, axis2=2) > _OVER_NOISE * _NOISE_GAINS[0] * noise**2
    tells &= np.trace(coarse, axis1=1, axis2=2) > 0
    if tells.sum() < _LEAST_TILES:
        return None
    fine, coarse = _rounded(fine[tells]), _rounded(coarse[tells])
    values, axes = np.linalg.eigh(coarse)
    root = axes / np.sqrt(values)[:, None, :] @ axes.transpose(0, 2, 1)
    values, axes = np.linalg.eigh(root @ fine @ root)
    difference = np.log2(values[:, 1] / values[:, 0])
    x, y = axes[:, 0, 0], -axes[:, 1, 0]  # where least is left; y upwards
    vectors = difference[:, None] * np.stack([x * x - y * y, 2 * x * y], axis=1)
    sharpness = np.trace(fine, axis1=1, axis2=2) / np.trace(coarse, axis1=1, axis2=2)
    sharper = sharpness >= np.median(sharpness)  # where defocus does not hide it
    return DirectionalBlur.of(np.median(vectors[sharper], axis=0))


def shaken(photos: Sequence[DirectionalBlur | None]) -> list[int]:
    """Indices of the photos of a folder that look shaken."""
    known = [index for index, photo in enumerate(photos) if photo is not None]
    if not known:
        return []
    vectors = np.array([photo.vector for photo in photos if photo is not None])
    usual = np.median(vectors, axis=0) if len(known) >= _LEAST_PHOTOS else np.zeros(2)
    off = np.linalg.norm(vectors - usual, axis=1)
    limit = max(_SHAKEN_STOPS, _SHAKEN_DEVIATIONS * float(np.median(off)) if len(known) >= _LEAST_PHOTOS else 0.0)
    return [index for index, distance in zip(known, off, strict=True) if distance > limit]


def _tensors(luminance: np.ndarray, usable: np.ndarray) -> np.ndarray:  # [H, W] each -> [T, 2, 2]
    """Structure tensors, x before y, of the tiles that are usable enough."""
    rows, columns = (max(1, side // _TILE_PX) for side in luminance.shape)
    high, wide = (min(_TILE_PX, side) for side in luminance.shape)

    def tiles(values: np.ndarray) -> np.ndarray:
        return values[: rows * high, : columns * wide].reshape(rows, high, columns, wide).mean((1, 3)).ravel()

    down, right = np.gradient(luminance)
    share = tiles(usable.astype(np.float64))
    products = [tiles(a * b * usable) for a, b in ((right, right), (right, down), (down, down))]
    xx, xy, yy = (product[share > _LEAST_USABLE] / share[share > _LEAST_USABLE] for product in products)
    return np.stack([xx, xy, xy, yy], axis=-1).reshape(-1, 2, 2)


def _rounded(tensors: np.ndarray) -> np.ndarray:  # [T, 2, 2]
    trace = np.trace(tensors, axis1=1, axis2=2)[:, None, None]
    return tensors + _ROUND * np.maximum(trace, 1e-12) * np.eye(2)
