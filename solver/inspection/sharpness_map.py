# SPDX-License-Identifier: GPL-3.0-or-later
"""How blurred each part of a single photo is, in pixels, whatever it shows.

How much fine detail an area has depends on what is there as well as on its blur, so no amount of it tells blur. What
blur changes in the same way everywhere is how fast detail dies away towards the finest scale. Let E(s) be the energy
of the gradient of the photo smoothed by a Gaussian of standard deviation s px, averaged over a small window, and

    q = (log2 E(0)/E(1) - 1/4) / log2 E(1)/E(2)                                           (1)

A texture whose power spectrum falls as k^-a, blurred by a Gaussian of variance v, has E(s) ~ (v + s^2 + t^2)^(a/2 - 2),
where t belongs to the pixel: both logarithms grow alike with roughness, contrast drops out, and their ratio is a
function of v alone. That is the idea behind estimating blur from the gradients of a photo and its reblurred copy (Zhuo
and Sim, "Defocus map estimation from a single image", Pattern Recognition 2011), for areas instead of edges. Discs are
no Gaussians and pixels no points, so q is turned into a circle of confusion by a table, `_CALIBRATION`, measured on 64
photos of the generated benchmark, whose circles of confusion are known, and on dead leaves (Lee, Mumford and Huang,
"Occlusion models for natural images", IJCV 2001), the standard model of what photos show; the 1/4 is what makes the
scenes of the benchmark agree. On those photos the estimated share in focus is off by 0.05 (root mean square), at most
by 0.19.

Where an area has too little contrast for its finest detail to stand out over the noise if it were sharp, nothing is
known of its blur. The same holds beside clipped highlights, whose outlines are sharp however blurred they are.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

from solver.optics.circle_of_confusion import SHARP_COC_PX

_SCALES_PX = (0.0, 1.0, 2.0)  # s of the energies
_WINDOW_PX = 3.0  # standard deviation of the window that they are averaged over
_OFFSET = 0.25
_CALIBRATION = (  # circle of confusion, px, and q
    (0.0, 0.88),
    (1.0, 0.74),
    (1.5, 0.66),
    (2.0, 0.61),
    (3.0, 0.51),
    (4.0, 0.42),
    (5.0, 0.34),
    (6.0, 0.27),
    (8.0, 0.17),
    (10.0, 0.07),
    (14.0, -0.08),
)
LARGEST_COC_PX = _CALIBRATION[-1][0]  # larger ones are told as this
_LEAST_SLOPE = 0.15  # of log2 E(1)/E(2): below it the area is smooth at all scales, which is blur

_LEAST_DETAIL = 1e-5  # detail at the coarsest scale that tells anything: 0.8 grey levels of 255 a pixel
_SHADING_PX = 5.0  # standard deviation of the window whose mean gradient is shading
_DETAIL_OVER_NOISE = 3.0  # E(0) of an area, were it sharp, over that of noise
_SHARP_RISE = 6.0  # E(0)/E(2) of an area with a circle of confusion of `SHARP_COC_PX`
_NOISE_MARGIN = 1.3  # of the noise is taken off, so that where it is loud it does not pass for fine detail
_NOISE_GAINS = (1.0, 0.051, 0.0044)  # E(s) of white noise of variance 1
_LEAST_NOISE = 1 / (255 * 12**0.5)  # the steps of 8 bits
_LARGEST_NOISE = 6 / 255  # what is more, even in the quietest areas, is texture
_CLIPPED = 0.985  # sRGB value from which a pixel counts as clipped
_CLIPPED_MARGIN_PX = 6  # as far as the coarsest scale carries the edge of a highlight
_BORDER_PX = 2  # of the frame, where differences are one-sided
_LEAST_WEIGHT = 0.2  # of a window, not clipped
_QUIET_SHARE = 0.1  # of a photo that is taken to show nothing but noise


@dataclass(frozen=True)
class SharpnessMap:
    """The blur of each pixel of a photo, as far as it shows."""

    coc_px: np.ndarray  # [H, W] float32, px, at most LARGEST_COC_PX; NaN where nothing is known
    noise: float  # standard deviation at a pixel, of 1

    def known_share(self, subject: np.ndarray | None = None) -> float:  # [H, W] bool
        """The share of the (subject's) pixels whose blur is known."""
        known = np.isfinite(self._within(subject))
        return float(known.mean()) if known.size else 0.0

    def share_in_focus(self, subject: np.ndarray | None = None) -> float | None:  # [H, W] bool
        """The share, of the (subject's) pixels whose blur is known, of those in focus; None where none is known."""
        blur = self._known(subject)
        return float((blur <= SHARP_COC_PX).mean()) if blur.size else None

    def sharpest_px(self, subject: np.ndarray | None = None) -> float | None:  # [H, W] bool
        """The circle of confusion up to which the sharpest tenth of what is known goes, px; None where nothing is."""
        blur = self._known(subject)
        return float(np.percentile(blur, 10)) if blur.size else None

    def _known(self, subject: np.ndarray | None) -> np.ndarray:
        blur = self._within(subject)
        return blur[np.isfinite(blur)]

    def _within(self, subject: np.ndarray | None) -> np.ndarray:
        return self.coc_px.ravel() if subject is None else self.coc_px[subject]


def sharpness_map(image: np.ndarray) -> SharpnessMap:  # [H, W, 3] uint8, sRGB
    """Estimate the circle of confusion around each pixel of a photo.

    It is that of the pixels given: reduce the photo first to the size that it will be used at.
    """
    luminance, valid = luminance_of(image), ~clipped_or_border(image)
    weight = np.maximum(gaussian_filter(valid.astype(np.float32), _WINDOW_PX), 1e-3)
    noise = noise_of(luminance, valid)
    gradients = [np.gradient(gaussian_filter(luminance, s) if s else luminance) for s in _SCALES_PX]
    energies = [gaussian_filter((down**2 + right**2) * valid, _WINDOW_PX) / weight for down, right in gradients]
    fine, middle, coarse = (
        np.maximum(energy - _NOISE_MARGIN * gain * noise**2, 1e-9)
        for energy, gain in zip(energies, _NOISE_GAINS, strict=True)
    )
    quotient = (np.log2(fine / middle) - _OFFSET) / np.maximum(np.log2(middle / coarse), _LEAST_SLOPE)
    circles, quotients = np.array(_CALIBRATION, np.float32).T
    coc = np.interp(-quotient, -quotients, circles)
    # Were it sharp, an area's finest detail would have to stand out over the noise.
    least = max(_LEAST_DETAIL, _DETAIL_OVER_NOISE * _NOISE_GAINS[0] * noise**2 / _SHARP_RISE)
    known = valid & (weight > _LEAST_WEIGHT) & (_detail(*(part * valid for part in gradients[-1])) > least)
    return SharpnessMap(np.where(known, coc, np.nan).astype(np.float32), noise)


def _detail(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Energy of a gradient without that of its mean over a window, since even shading is no detail, [H, W]."""
    means = gaussian_filter(down, _SHADING_PX) ** 2 + gaussian_filter(right, _SHADING_PX) ** 2
    return gaussian_filter(down**2 + right**2, _SHADING_PX) - means


def luminance_of(image: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8, sRGB -> [H, W] float32
    """As the photo encodes it, 0 to 1."""
    return (image @ np.array([0.2126, 0.7152, 0.0722], np.float32)) / np.float32(255)


def clipped_or_border(image: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8, sRGB -> [H, W] bool
    """Pixels that say nothing of blur: about clipped highlights, and at the frame."""
    useless = binary_dilation((image >= _CLIPPED * 255).any(axis=2), iterations=_CLIPPED_MARGIN_PX)
    useless[:_BORDER_PX] = useless[-_BORDER_PX:] = useless[:, :_BORDER_PX] = useless[:, -_BORDER_PX:] = True
    return useless


def noise_of(luminance: np.ndarray, valid: np.ndarray) -> float:  # [H, W], [H, W] bool
    """Standard deviation of the noise, from the quietest areas of the photo.

    The diagonal difference of each 2 x 2 pixels, which holds the least of the picture (the finest diagonal wavelet
    of Donoho and Johnstone 1994), averaged over windows; a low percentile of these is an area without detail.
    """
    diagonal = np.zeros_like(luminance)
    diagonal[:-1, :-1] = (luminance[:-1, :-1] - luminance[1:, :-1] - luminance[:-1, 1:] + luminance[1:, 1:]) / 2
    if not valid.any():
        return _LEAST_NOISE
    power = gaussian_filter(diagonal**2, _WINDOW_PX)[valid]
    return float(np.clip(np.sqrt(np.percentile(power, 100 * _QUIET_SHARE) / 0.86), _LEAST_NOISE, _LARGEST_NOISE))
