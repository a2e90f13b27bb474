# SPDX-License-Identifier: GPL-3.0-or-later
"""How light each photo is: factors on red, green and blue of linear light, which a photo has and the scene has not.

Automatic exposure, automatic white balance and light that changes make photos of one scene differ by such factors. What
all photos have in common belongs to the scene: `settle` keeps the mean of the logarithms at 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solver.config import ReconstructionSettings

_ALIKE_WEIGHT = 30.0  # of all differences, where the photos tell of none
_TINT_WEIGHT = 10.0  # of what differs between the colours, against what they share: light changes more than its colour


def learns_exposure(settings: ReconstructionSettings) -> bool:
    """Whether exposure and white balance of each photo learn too; sharp training images all have the same."""
    return settings.learn_exposure == "on" or (settings.learn_exposure == "auto" and settings.train_on == "photos")


@dataclass
class Exposures:
    """Factors on the light of the photos of a capture."""

    log_gains: list[Tensor]  # P tensors [3], of red, green and blue
    trained: Sequence[int] = ()  # indices of the photos that are trained on
    alike: bool = False  # whether the photos tell that they were exposed alike

    @classmethod
    def equal(
        cls, count: int, trained: Sequence[int], *, alike: bool = False, device: torch.device | str = "cpu"
    ) -> "Exposures":
        """Factors of 1, with gradients to come."""
        return cls([torch.zeros(3, device=device, requires_grad=True) for _ in range(count)], trained, alike)

    def exposed(self, colour: Tensor, index: int) -> Tensor:  # [..., 3] -> the same, linear light
        """Light of the scene as the photo at `index` has it."""
        return colour * self.log_gains[index].exp()

    def penalty(self, index: int) -> Tensor:  # []
        """How unlikely a photo's factors are: squared logarithm of the exposure, and squared tint times its weight.

        Where cameras were set alike, what is left is little: light that flickers, and macro lenses that grow darker as
        they focus nearer. There a subject that shines from one side only must not pass for photos of different light.
        """
        log_gain = self.log_gains[index]
        exposure = log_gain.mean()
        penalty = exposure.square() + _TINT_WEIGHT * (log_gain - exposure).square().mean()
        return _ALIKE_WEIGHT * penalty if self.alike else penalty

    def settle(self) -> None:
        """Take out of the factors what the trained photos have in common."""
        with torch.no_grad():
            common = torch.stack([self.log_gains[index] for index in self.trained]).mean(0)
            for index in self.trained:
                self.log_gains[index] -= common

    def gains(self, index: int) -> list[float]:
        """Factors on red, green and blue."""
        return [float(gain) for gain in self.log_gains[index].detach().exp()]
