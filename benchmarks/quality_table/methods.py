# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared, and with how much work."""

from dataclasses import dataclass
from typing import Literal

Source = Literal["photos", "deconvolved", "stack"]


@dataclass(frozen=True)
class Method:
    """One row of the table."""

    name: str  # on the command line and in JSON
    title: str  # for people
    source: Source  # which images it starts from
    training: tuple[str, ...] | None = None  # arguments of `solver reconstruct`; None: the images are measured
    finds_lens: bool = False  # whether focus distances and pupil are its own
    settings: tuple[str, ...] = ()  # NAME=VALUE of `solver reconstruct --set`; they win over the budget's


METHODS = (
    Method("blurred", "blurred photos", "photos"),
    Method("deconvolution", "deconvolution", "deconvolved"),
    Method("stack", "focus stack", "stack", ("--defocus", "none")),
    Method("plain", "plain splatting", "photos", ("--defocus", "none")),
    Method("blurnet", "the macro paper's: BlurNet", "photos", ("--defocus", "blurnet"), finds_lens=True),
    Method("dilation", "ours: dilation", "photos", ("--defocus", "dilation"), finds_lens=True),
    Method("pupil", "ours: dilation, then pupil", "photos", ("--defocus", "pupil"), finds_lens=True),
    Method("oracle", "oracle: sharp photos", "photos", ("--train-on", "sharp")),
)
FLOOR, CEILING = "plain", "oracle"  # what recovery is measured between


@dataclass(frozen=True)
class Budget:
    """What every training run of a preset may use, and the bracket that a focus stack gets."""

    iterations: int
    max_gaussians: int
    initial_gaussians: int
    bracket_size: int  # photos a pose
    expected_training_s: float  # on one core; a first guess for the time left
    expected_frame_s: float  # of rendering

    def arguments(self, further: tuple[str, ...] = ()) -> list[str]:
        """The arguments of `solver reconstruct`, with `further` settings.

        No training makes a mesh, and every method is told that the photos are exposed alike, as it is told their poses.
        """
        settings = (
            f"max_gaussians={self.max_gaussians}",
            f"initial_gaussians={self.initial_gaussians}",
            "surface=false",
            "learn_exposure=off",
            *further,
        )
        return ["--preset", "standard", "--iterations", str(self.iterations), "--set", *settings]


BUDGETS = {
    "tiny": Budget(60, 3_000, 2_000, 2, 8, 1),
    "mini": Budget(2_000, 40_000, 15_000, 4, 100, 3),
    "small": Budget(4_000, 80_000, 20_000, 4, 600, 10),
    "full": Budget(10_000, 300_000, 50_000, 4, 10_000, 150),
}
