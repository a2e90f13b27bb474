# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ablation changes: the rows of its table. A new one is a new line."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from benchmarks.quality_table.methods import METHODS, Budget, Method
from solver.config import ReconstructionSettings, settings_for


@dataclass(frozen=True)
class Variant:
    """One row: the default with some settings changed."""

    name: str  # on the command line and in JSON; no dashes
    sentence: str  # what is different, for people
    values: Mapping[str, Any] = field(default_factory=dict)  # settings of solver/config.py, `defocus` among them
    factors: Mapping[str, float] = field(default_factory=dict)  # on the default's number, or on the budget's

    @property
    def title(self) -> str:
        """For tables."""
        return self.name.replace("_", " ")


DEFAULT = Variant("default", "as `solver reconstruct` does it")

VARIANTS = (
    DEFAULT,
    Variant("no_focus_weighting", "pixels in focus count as the others all along", {"focus_weighting_from": 1.0}),
    Variant("harder_focus_weighting", "half the blur halves a pixel's weight", {"focus_weight_coc": 1.5}),
    Variant("no_noise", "Gaussians do not walk at random", {"noise": 0.0}),
    Variant("colour_degree_0", "one colour from all sides", {"sh_degree": 0}),
    Variant("colour_degree_1", "colour changes slowly with direction", {"sh_degree": 1}),
    Variant("half_the_gaussians", "half the budget of Gaussians", factors={"max_gaussians": 0.5}),
    Variant("twice_the_gaussians", "double the budget of Gaussians", factors={"max_gaussians": 2}),
    Variant("dilation_only", "no views through points of the pupil at the end", {"defocus": "dilation"}),
    Variant("pupil_earlier", "views through the pupil after two fifths of the run", {"pupil_from": 0.4}),
    Variant("pupil_4_samples", "four of them", {"pupil_samples": 4}),
    Variant("no_resurfacing", "Gaussians are never set anew on the surface", {"resurface_at": 1.0}),
    Variant("all_resurfaced", "none of the old ones stay then", {"resurface_share": 1.0}),
    Variant("slower_focus", "focus distances learn at a sixth of the rate", {"focus_rate": 0.02}),
    Variant("cheaper_opacity", "opacity costs half", factors={"opacity_regularization": 0.5}),
    Variant("no_depth_spread", "depth along rays in focus may spread", {"depth_spread_weight": 0.0}),
    Variant("thinner_surfaces", "depth along rays in focus is drawn together", {"depth_spread_weight": 0.1}),
    Variant("faster_colours", "double the learning rate of colours", factors={"colours_rate": 2}),
    Variant("faster_scales", "double the learning rate of scales", factors={"scales_rate": 2}),
    Variant(
        "no_regularization",
        "opacities and scales are free",
        {"opacity_regularization": 0.0, "scale_regularization": 0.0},
    ),
    Variant("twice_the_steps", "double the iterations", factors={"iterations": 2}),
    Variant("pupil_start_0.5", "the pupil starts at half the truth", {"pupil_start": 0.5}),
    Variant("pupil_start_0.625", "the pupil starts at five eighths of the truth", {"pupil_start": 0.625}),
    Variant("pupil_start_1.6", "the pupil starts at 1.6 times the truth", {"pupil_start": 1.6}),
    Variant("pupil_start_2", "the pupil starts at twice the truth", {"pupil_start": 2.0}),
)


def changes(variant: Variant, budget: Budget) -> dict[str, Any]:
    """The settings of a variant that are not the default row's, by name, in the order of solver/config.py.

    A value that has become the default is none of them: such a row equals the default's and costs nothing.

    Raises:
        SolverError: a value is out of its range.
    """
    usual = _usual(budget)
    scaled = {
        name: type(value)(round(value * factor) if isinstance(value, int) else value * factor)
        for name, factor in variant.factors.items()
        for value in (getattr(usual, name),)
    }
    wanted = {**variant.values, **scaled}
    settings_for("standard", **wanted)
    names = [known.name for known in fields(ReconstructionSettings)]
    return {name: wanted[name] for name in sorted(wanted, key=names.index) if wanted[name] != getattr(usual, name)}


def method_of(variant: Variant, budget: Budget) -> Method:
    """How the table's machinery trains a variant: as a method that exists where that does the same.

    Cells of such a method are shared with `benchmarks/quality.py`.
    """
    changed = changes(variant, budget)
    defocus = changed.pop("defocus", _usual(budget).defocus)
    training = ("--defocus", defocus)
    settings = tuple(f"{name}={_told(value)}" for name, value in changed.items())
    for method in METHODS:
        if (method.source, method.training, method.settings) == ("photos", training, settings):
            return method
    name = "variant_" + "_".join([defocus, *(setting.replace("=", "_") for setting in settings)]).replace("-", "m")
    return Method(name, variant.title, "photos", training, defocus != "none", settings)


def pupil_starts(variants: tuple[Variant, ...]) -> list[tuple[float, Variant]]:
    """The variants that start the pupil elsewhere, and the default, by factor on the truth; none without others."""
    found = [
        (float(variant.values.get("pupil_start", 1.0)), variant)
        for variant in variants
        if variant is DEFAULT or "pupil_start" in variant.values
    ]
    return sorted(found, key=lambda pair: pair[0]) if len(found) > 1 else []


def _usual(budget: Budget) -> ReconstructionSettings:
    return settings_for(
        "standard",
        iterations=budget.iterations,
        max_gaussians=budget.max_gaussians,
        initial_gaussians=budget.initial_gaussians,
        surface=False,
    )


def _told(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
