# SPDX-License-Identifier: GPL-3.0-or-later
"""The unknowns of defocus: one entrance pupil diameter per f-number, and one inverse focus distance per photo.

Inverse distance, because blur is linear in it; logarithm of the diameter, because it must stay positive and may start
a factor off.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from solver.capture.types import Capture, Photo, SparsePoints
from solver.defocus.pupil import sample_dilation
from solver.rasterization.types import Aperture

_START_COC_PX = 2.0  # median circle of confusion to start from where neither EXIF nor scale tells the pupil
_MIN_POINTS = 5  # of one photo, for a median of their depths to mean something


@dataclass
class Lens:
    """Parameters of defocus for all photos of a capture."""

    log_pupil_diameters: list[Tensor]  # A tensors [], log of scene unit, one for each distinct f-number
    inverse_focus_distances: list[Tensor]  # P tensors [], 1 / scene unit, one for each photo
    pupil_of_photo: list[int]  # P indices into log_pupil_diameters
    f_numbers: list[float | None]  # A, None where the photos do not say
    nominal_pupil_diameters_mm: list[float | None]  # A, focal length over f-number
    initial_pupil_diameters: list[float]  # A, scene unit

    def aperture(self, photo: int, samples: Tensor | None = None) -> Aperture:
        """The lens as it was for one photo, looked through as a whole or at `samples` [M, 2] of `pupil_samples`."""
        return Aperture(
            pupil_diameter=self.log_pupil_diameters[self.pupil_of_photo[photo]].exp(),
            inverse_focus_distance=self.inverse_focus_distances[photo],
            samples=samples,
            residual=1.0 if samples is None else sample_dilation(len(samples)),
        )

    def pupil_diameter(self, photo: int) -> float:
        """Scene unit."""
        return float(self.log_pupil_diameters[self.pupil_of_photo[photo]].detach().exp())

    def inverse_focus_distance(self, photo: int) -> float:
        """1 / scene unit."""
        return float(self.inverse_focus_distances[photo].detach())


@dataclass(frozen=True)
class DepthSamples:
    """What is known of one photo's depths before training."""

    depths: np.ndarray  # [P], scene unit, > 0
    sharpness: np.ndarray  # [P], >= 0: local detail of the photo where each depth was seen


def initial_lens(capture: Capture, samples: list[DepthSamples], pupil_start: float = 1.0) -> Lens:
    """A start for the optimization.

    Pupils come from focal length over f-number where the scene's unit is known in millimetres; else from the blur
    that they would give. Focus distances come from the file where it has them, else from the depths at which the
    photo is sharp.

    Args:
        capture: photos with poses.
        samples: of each photo.
        pupil_start: factor on all pupil diameters, to start the search off the mark.
    """
    inverse_focus = [
        1 / photo.focus_distance if photo.focus_distance else 1 / _sharp_depth(sample)
        for photo, sample in zip(capture.photos, samples, strict=True)
    ]
    keys = [(photo.f_number, photo.focal_length_mm) for photo in capture.photos]
    distinct = list(dict.fromkeys(keys))
    nominal = [f / n if f and n else None for n, f in distinct]
    guess = _pupil_from_blur(capture.photos, samples, inverse_focus)
    known = [diameter for diameter in nominal if diameter]
    typical = float(np.median(known)) if known else None

    initial = []
    for diameter_mm in nominal:
        if diameter_mm and capture.unit_mm:
            initial.append(diameter_mm / capture.unit_mm)
        elif diameter_mm and typical:  # the ratio between f-numbers is known even where the unit is not
            initial.append(guess * diameter_mm / typical)
        else:
            initial.append(guess)
    initial = [diameter * pupil_start for diameter in initial]
    return Lens(
        log_pupil_diameters=[torch.tensor(np.log(d), dtype=torch.float32) for d in initial],
        inverse_focus_distances=[torch.tensor(v, dtype=torch.float32) for v in inverse_focus],
        pupil_of_photo=[distinct.index(key) for key in keys],
        f_numbers=[n for n, _ in distinct],
        nominal_pupil_diameters_mm=nominal,
        initial_pupil_diameters=[float(d) for d in initial],
    )


def depth_samples(
    photo: Photo, points: SparsePoints | None, scene_centre: np.ndarray, sharpness: np.ndarray
) -> DepthSamples:
    """Depths of the sparse points that a photo sees, with its local sharpness there.

    Args:
        photo: the photo, with the camera of its working size.
        points: of the capture; None or too few points in this photo fall back to the scene's centre.
        scene_centre: [3], world.
        sharpness: [H, W], of the photo at its camera's size.
    """
    if points is not None:
        seen = points.seen_by.get(photo.name)
        positions = points.positions if seen is None else points.positions[seen]
        pixels, depths, inside = photo.project(positions)
        if inside.sum() >= _MIN_POINTS:
            columns, rows = pixels[inside].astype(int).T
            return DepthSamples(depths[inside], sharpness[rows, columns])
    depth = float(photo.world_to_camera[2, :3] @ scene_centre + photo.world_to_camera[2, 3])
    return DepthSamples(np.array([max(depth, 1e-6)]), np.ones(1))


def _sharp_depth(sample: DepthSamples) -> float:
    """The median depth, points weighted by the square of the sharpness they are seen with."""
    order = np.argsort(sample.depths)
    weights = np.cumsum(sample.sharpness[order] ** 2 + 1e-12)
    return float(sample.depths[order][np.searchsorted(weights, 0.5 * weights[-1])])


def _pupil_from_blur(photos: tuple[Photo, ...], samples: list[DepthSamples], inverse_focus: list[float]) -> float:
    spreads = [
        photo.camera.fx * np.median(np.abs(1 / sample.depths - focus))
        for photo, sample, focus in zip(photos, samples, inverse_focus, strict=True)
        if len(sample.depths) >= _MIN_POINTS
    ]
    if spreads and np.median(spreads) > 0:
        return float(_START_COC_PX / np.median(spreads))
    # No depths to compare: assume that a fifth of the distance lies between the focus plane and a typical point.
    return float(
        np.median([_START_COC_PX / (0.2 * f * photo.camera.fx) for photo, f in zip(photos, inverse_focus, strict=True)])
    )
