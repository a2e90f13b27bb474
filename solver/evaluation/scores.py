# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores of images against the truth, whatever made them: renderings, deconvolved photos, the blurred photos.

Every measure is taken over all pixels that count and over the recoverable ones: surface points that at least three
training photos see, one of them with a circle of confusion of at most `SHARP_COC_PX`. PSNR is also taken by bins of
the smallest circle of confusion, which tells how a method fares as less and less detail reaches the photos.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from solver.evaluation.metrics import psnr, squared_error, ssim_map
from solver.evaluation.truth import TrueView
from solver.optics.circle_of_confusion import SHARP_COC_PX

COC_EDGES_PX = (0.0, 0.75, 1.5, 3.0, 6.0, np.inf)
COC_BINS = ("under 0.75", "0.75-1.5", "1.5-3", "3-6", "over 6")  # px, the names of what lies between the edges

ErrorMap = Callable[[np.ndarray, np.ndarray], np.ndarray]  # sRGB [H, W, 3], [H, W, 3] -> [H, W]

_REGIONS = ("", "_recoverable")


class _Sums:
    """Sums of a measure over pixels, and their number, by region."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: np.ndarray, regions: Mapping[str, np.ndarray]) -> None:
        for name, chosen in regions.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(values[chosen].sum(dtype=np.float64))
            self._counts[name] = self._counts.get(name, 0) + int(chosen.sum())

    def mean(self, region: str) -> float | None:
        count = self._counts.get(region, 0)
        return self._sums[region] / count if count else None

    def psnr(self, region: str) -> float | None:
        return psnr(self._sums.get(region, 0.0), self._counts.get(region, 0))

    def share(self, region: str) -> float | None:
        whole = self._counts.get("", 0)
        return self._counts.get(region, 0) / whole if whole else None


class Scores:
    """Measures over the pixels of several images."""

    def __init__(self) -> None:
        self._squared, self._ssim = _Sums(), _Sums()
        self._perceptual: dict[str, _Sums] = {}
        self._depth_errors: dict[str, list[np.ndarray]] = {region: [] for region in _REGIONS}

    def add(
        self,
        image: np.ndarray,  # [H, W, 3], sRGB
        view: TrueView,
        depth: np.ndarray | None = None,  # [H, W], scene unit, 0 where there is no surface
        perceptual: Mapping[str, ErrorMap] | None = None,
    ) -> None:
        """Hold an image against its view.

        Args:
            image: what is scored.
            view: the truth.
            depth: of the image's own surface, where the method has one.
            perceptual: further error maps by name, as `solver.evaluation.perceptual` makes them.
        """
        subject, smallest_coc, truth = view.subject(), view.smallest_coc(), view.image()
        regions = {
            "": subject,
            "_recoverable": subject & (smallest_coc >= 0) & (smallest_coc <= SHARP_COC_PX),
            **coc_bins(smallest_coc, subject),
        }
        # Neighbourhoods at the subject's edge must not see what does not count.
        image = np.where(subject[..., None], image, truth)
        self._squared.add(squared_error(image, truth), regions)
        self._ssim.add(ssim_map(image, truth), regions)
        for name, error_map in (perceptual or {}).items():
            self._perceptual.setdefault(name, _Sums()).add(error_map(image, truth), regions)
        if depth is not None:
            true_depth = view.depth()
            for region in _REGIONS:
                both = regions[region] & (true_depth > 0) & (depth > 0)
                self._depth_errors[region].append(np.abs(depth[both] - true_depth[both]))

    def psnr(self, region: str = "") -> float | None:
        """PSNR in dB over "" (all), "_recoverable", or one of `COC_BINS`."""
        return self._squared.psnr(region)

    def psnr_by_coc(self) -> dict[str, float | None]:
        """PSNR in dB by smallest circle of confusion."""
        return {name: self._squared.psnr(name) for name in COC_BINS}

    def ssim(self, region: str = "") -> float | None:
        """Mean structural similarity."""
        return self._ssim.mean(region)

    def perceptual(self, name: str, region: str = "") -> float | None:
        """Mean of a further error map, over the images that it was given for."""
        return self._perceptual[name].mean(region) if name in self._perceptual else None

    def depth_error(self, region: str = "") -> float | None:
        """Median of the absolute depth error, scene unit."""
        errors = self._depth_errors[region]
        values = np.concatenate(errors) if errors else np.empty(0)
        return float(np.median(values)) if len(values) else None

    def share(self, region: str) -> float | None:
        """The part of the pixels that count which is in a region."""
        return self._squared.share(region)


def coc_bins(smallest_coc: np.ndarray, subject: np.ndarray) -> dict[str, np.ndarray]:  # [H, W] each
    """The pixels of each of `COC_BINS`; an upper edge belongs to its bin, as 1.5 px does to what is recoverable."""
    masks = {}
    for name, (low, high) in zip(COC_BINS, pairwise(COC_EDGES_PX), strict=True):
        above = smallest_coc >= 0 if low == 0 else smallest_coc > low
        masks[name] = subject & above & (smallest_coc <= high)
    return masks
