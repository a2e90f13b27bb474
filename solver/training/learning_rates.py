# SPDX-License-Identifier: GPL-3.0-or-later
"""Learning rates over a run, for each group of parameters by its name in `optimizers`."""

from dataclasses import dataclass

import numpy as np

from solver.config import ReconstructionSettings
from solver.defocus.lens import DepthSamples
from solver.training.stages import only_blur_learns

_LENS_START_SHARE = 0.1  # the lens learns at full rate from this part of the run on
_FINAL_LENS_RATE = 0.1  # of the lens's learning rates, at the end
_POSES_START_SHARE = 0.05  # of the run, in which the cameras' learning rates rise to their full
_FINAL_POSES_RATE = 0.01  # of the cameras' learning rates, at the end
_FINAL_EXPOSURE_RATE = 0.03  # of the exposures' learning rate, at the end


@dataclass(frozen=True)
class LearningRates:
    """What they depend on. Parts of the run go from 0 to 1."""

    settings: ReconstructionSettings
    scene_size: float  # scene unit
    focus_unit: float  # of inverse focus distances, 1 / scene unit: see `inverse_depth_range`
    masked: bool  # whether any photo that is trained on has a mask

    def at(self, part: float) -> dict[str, float]:
        """All of them, but that of BlurNet, which stays."""
        settings = self.settings
        lens = min(1.0, part / _LENS_START_SHARE) * _FINAL_LENS_RATE**part
        since = part - settings.refine_from
        poses = min(1.0, max(0.0, since / _POSES_START_SHARE)) * _FINAL_POSES_RATE**part
        gaussians = self._gaussians_share(part)
        return {
            "means": self.means(part),
            "log_scales": gaussians * settings.scales_rate,
            "quaternions": gaussians * settings.quaternions_rate,
            "opacity_logits": gaussians * settings.opacities_rate,
            "sh_constant": gaussians * settings.colours_rate,
            "sh_rest": gaussians * settings.colours_rate / 20,
            # Masks hide the background, and what their soft edges show of it would send it anywhere.
            "background": 0.0 if self.masked else settings.background_rate,
            "pupil": settings.pupil_rate * lens,
            "focus": settings.focus_rate * self.focus_unit * lens,
            "poses": settings.pose_rate * poses,
            "focal": settings.focal_rate * poses,
            "exposure": settings.exposure_rate * _FINAL_EXPOSURE_RATE**part,
        }

    def means(self, part: float) -> float:
        """That of the Gaussians' positions, scene unit."""
        settings = self.settings
        rate = settings.means_rate * self.scene_size * settings.means_rate_final**part
        return self._gaussians_share(part) * rate

    def _gaussians_share(self, part: float) -> float:
        return self.settings.blurnet_gaussians_share if only_blur_learns(self.settings, part) else 1.0


def inverse_depth_range(samples: list[DepthSamples], scene_size: float) -> float:
    """How much 1/d varies over the scene as a photo sees it, 1 / scene unit."""
    ranges = []
    for sample in samples:
        if len(sample.depths) > 1:
            low, high = np.percentile(1 / sample.depths, [5, 95])
            ranges.append(high - low)
    if ranges:
        return float(np.median(ranges))
    depth = float(np.median([sample.depths[0] for sample in samples]))
    return min(scene_size, 0.5 * depth) / depth**2
