# SPDX-License-Identifier: GPL-3.0-or-later
"""Which photos show the same thing from the same place, whatever they are focused on.

Photos are compared in a band of middle frequencies: their coarsest part is light, which differs between exposures, and
their finest is what focus changes. Turning the focus ring of a macro lens also scales the picture a little ("focus
breathing"), so two photos of one pose agree up to a scale about a point. Any change of the viewpoint, or of the subject
on its turntable, moves near things past far ones, and then no single scale and shift fits all parts of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

_OVERVIEW_PX = 64  # longest side at which every pair is compared
_OVERVIEW_BAND_PX = (1.0, 4.0)
_ALL_PAIRS = 200  # photos up to which each is compared with every other
_REACH = 40  # in order, beyond
_BAND = (0.008, 0.03)  # the band's two standard deviations, of the longest side
_TILES = 7  # along the longer side, half overlapping
_LARGEST_SHIFT = 0.12  # of the longest side, between photos of one pose
_STEPS = 3  # of aligning

_TEXTURED = 1.5 / 255  # standard deviation of the band in a tile that can be matched
_TILE_AGREES = 0.6  # correlation of two aligned tiles of one pose
_RESIDUAL = 0.005  # of the longest side: displacement that is left where poses are one
_LEAST_TILES = 6  # that must be textured for a decision
_AGREEING_SHARE = 0.4  # of the textured tiles, where poses are one; different blur makes the others differ
_CONTRADICTS = 0.85  # correlation of two tiles from which blur is no excuse for
_CONTRADICTION = 0.01  # displacement, of the longest side
_CONTRADICTING_SHARE = 0.15  # of the textured tiles, at most


@dataclass(frozen=True)
class Overview:
    """A tiny version of a photo for comparing it with every other."""

    spectrum: np.ndarray  # [h, w // 2 + 1] complex, of the band, whose norm is 1
    light: np.ndarray  # [h, w] float32, linear light; NaN where clipped or black


@dataclass(frozen=True)
class Likeness:
    """How one photo lies over another."""

    correlation: float  # of their bands, -1 to 1
    shift: tuple[int, int]  # rows and columns by which the second is moved, overview px


@dataclass(frozen=True)
class Alignment:
    """The scale and shift that lay the second of two photos over the first, and whether they make it fit."""

    scale: float
    shift: tuple[float, float]  # rows and columns, of the longest side
    agreeing_share: float  # of the textured tiles
    contradicting_share: float  # of the textured tiles, that are alike and yet lie elsewhere
    textured_tiles: int

    @property
    def same_pose(self) -> bool:
        """Whether all parts of the frame agree."""
        return (
            self.textured_tiles >= _LEAST_TILES
            and self.agreeing_share >= _AGREEING_SHARE
            and self.contradicting_share <= _CONTRADICTING_SHARE
        )


def overview(photo: np.ndarray) -> Overview:  # [h, w, 3] uint8, sRGB
    """Prepare a photo for `likeness`."""
    from solver.inspection.photos import reduced
    from solver.optics.colour import srgb_to_linear

    small = reduced(photo, _OVERVIEW_PX)
    low, high = small.min(axis=2), small.max(axis=2)
    light = srgb_to_linear(small.astype(np.float32) / 255) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    light = np.where((high < 245) & (low > 8), light, np.nan).astype(np.float32)
    band = _band(_luminance(small), _OVERVIEW_BAND_PX)
    band *= np.outer(np.hanning(band.shape[0] + 2)[1:-1], np.hanning(band.shape[1] + 2)[1:-1])
    norm = float(np.sqrt((band**2).sum()))
    # Twice the size, so that a shift does not bring in the other side.
    shape = (2 * band.shape[0], 2 * band.shape[1])
    return Overview(np.fft.rfft2(band / max(norm, 1e-6), shape), light)


def likeness(first: Overview, second: Overview) -> Likeness:
    """How well the second photo fits on the first, at the best whole shift; 0 for photos of another shape."""
    if first.light.shape != second.light.shape:
        return Likeness(0.0, (0, 0))
    rows, columns = 2 * first.light.shape[0], 2 * first.light.shape[1]
    surface = np.fft.irfft2(first.spectrum * second.spectrum.conj(), (rows, columns))
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    shift = (int((row + rows // 2) % rows - rows // 2), int((column + columns // 2) % columns - columns // 2))
    return Likeness(float(surface[row, column]), shift)


def likenesses(overviews: Sequence[Overview]) -> dict[tuple[int, int], Likeness]:
    """`likeness` of all pairs, by their indices, the smaller first; in a large folder, of those close in order."""
    count = len(overviews)
    reach = count if count <= _ALL_PAIRS else _REACH
    return {
        (i, j): likeness(overviews[i], overviews[j]) for i in range(count) for j in range(i + 1, min(count, i + reach))
    }


def align(first: np.ndarray, second: np.ndarray) -> Alignment:  # each [h, w, 3] uint8, sRGB
    """Find the scale and the shift that lay the second photo over the first, from the displacements of tiles."""
    longest = max(first.shape[:2])
    sigmas = (_BAND[0] * longest, _BAND[1] * longest)
    fixed, moving = (_band(_luminance(photo), sigmas) for photo in (first, second))
    scale, shift = 1.0, np.zeros(2)
    tiles = _tiles(fixed.shape)
    for step in range(_STEPS):
        warped = _warped(moving, scale, shift)
        centres, displacements, correlations, textured = _match(fixed, warped, tiles, longest)
        good = textured & (correlations > _TILE_AGREES)
        if good.sum() < _LEAST_TILES:
            break
        more_scale, more_shift, residuals = _fit(centres, displacements, good)
        if step == _STEPS - 1:
            agrees = good & (residuals <= _RESIDUAL * longest)
            contradicts = textured & (correlations > _CONTRADICTS) & (residuals > _CONTRADICTION * longest)
            count = int(textured.sum())
            return Alignment(
                scale=float(scale),
                shift=_relative(shift, longest),
                agreeing_share=float(agrees.sum() / count),
                contradicting_share=float(contradicts.sum() / count),
                textured_tiles=count,
            )
        scale, shift = scale * more_scale, shift + more_shift
    return Alignment(float(scale), _relative(shift, longest), 0.0, 0.0, int(textured.sum()))


def _relative(shift: np.ndarray, longest: int) -> tuple[float, float]:
    return float(shift[0] / longest), float(shift[1] / longest)


def _luminance(photo: np.ndarray) -> np.ndarray:
    return (photo @ np.array([0.2126, 0.7152, 0.0722], np.float32)) / np.float32(255)


def _band(luminance: np.ndarray, sigmas: tuple[float, float]) -> np.ndarray:
    return gaussian_filter(luminance, sigmas[0]) - gaussian_filter(luminance, sigmas[1])


def _warped(image: np.ndarray, scale: float, shift: np.ndarray) -> np.ndarray:
    """`image` scaled about its centre and then shifted by rows and columns."""
    centre = (np.array(image.shape) - 1) / 2
    return affine_transform(image, [1 / scale] * 2, centre - (centre + shift) / scale, order=1, mode="nearest")


def _tiles(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Half overlapping squares that cover an image."""
    side = max(8, 2 * max(shape) // (_TILES + 1))
    starts = [np.unique(np.linspace(0, max(0, n - side), max(1, round(2 * n / side) - 1)).astype(int)) for n in shape]
    return [(slice(row, row + side), slice(column, column + side)) for row in starts[0] for column in starts[1]]


def _match(
    fixed: np.ndarray, warped: np.ndarray, tiles: Sequence[tuple[slice, slice]], longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Displacement of each tile that takes `warped` onto `fixed`.

    Returns:
        centres [T, 2] px from the image's centre, displacements [T, 2] px, correlations [T], and whether the tile has
        texture in both images [T] bool.
    """
    first = np.stack([fixed[tile] for tile in tiles])
    second = np.stack([warped[tile] for tile in tiles])
    rows, columns = first.shape[1:]
    window = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1])
    textured = np.minimum(first.std(axis=(1, 2)), second.std(axis=(1, 2))) > _TEXTURED
    first, second = ((tile - tile.mean(axis=(1, 2), keepdims=True)) * window for tile in (first, second))
    norms = np.sqrt((first**2).sum(axis=(1, 2)) * (second**2).sum(axis=(1, 2)))
    product = np.fft.rfft2(first) * np.fft.rfft2(second).conj()
    surfaces = np.fft.fftshift(np.fft.irfft2(product, (rows, columns)), axes=(1, 2))
    middle = np.array([rows // 2, columns // 2])
    reach = max(2, min(round(_LARGEST_SHIFT * longest), rows // 2 - 1))
    near = surfaces[:, middle[0] - reach : middle[0] + reach + 1, middle[1] - reach : middle[1] + reach + 1]
    peaks = np.stack(np.unravel_index(near.reshape(len(near), -1).argmax(axis=1), near.shape[1:]), axis=1)
    displacements = np.stack([_subpixel(surface, peak) for surface, peak in zip(near, peaks, strict=True)]) - reach
    correlations = near.reshape(len(near), -1).max(axis=1) / np.maximum(norms, 1e-9)
    origin = (np.array(fixed.shape) - 1) / 2
    centres = (
        np.array([[(tile[0].start + (rows - 1) / 2), (tile[1].start + (columns - 1) / 2)] for tile in tiles]) - origin
    )
    return centres, displacements, correlations, textured


def _subpixel(surface: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """The top of the parabolas through the peak and its neighbours, along rows and columns."""
    place = peak.astype(float)
    for axis in (0, 1):
        if 0 < peak[axis] < surface.shape[axis] - 1:
            step = np.eye(2, dtype=int)[axis]
            before, top, after = (surface[tuple(peak + k * step)] for k in (-1, 0, 1))
            curve = before - 2 * top + after
            if curve < 0:
                place[axis] += 0.5 * (before - after) / curve
    return place


def _fit(centres: np.ndarray, displacements: np.ndarray, good: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The scale and shift that explain most displacements (least squares, the farthest third left out once), and the
    length of what is left of each, px.
    """
    chosen = good
    for _ in range(2):
        x, d = centres[chosen], displacements[chosen]
        x_mean, d_mean = x.mean(axis=0), d.mean(axis=0)
        growth = float(((x - x_mean) * (d - d_mean)).sum() / max(float(((x - x_mean) ** 2).sum()), 1e-9))
        shift = d_mean - growth * x_mean
        residuals = np.linalg.norm(displacements - growth * centres - shift, axis=1)
        chosen = good & (residuals <= np.quantile(residuals[good], 0.67))
    return 1 + growth, shift, residuals
