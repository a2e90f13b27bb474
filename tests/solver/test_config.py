# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: presets, bounds and NAME=VALUE."""

import dataclasses

import pytest

from solver.config import ReconstructionSettings, parse_overrides, settings_for
from solver.errors import SolverError

FIELDS = {field.name: field for field in dataclasses.fields(ReconstructionSettings)}


@pytest.mark.parametrize("preset", ["draft", "standard", "high"])
def test_presets_are_within_the_bounds_and_say_their_name(preset):
    assert settings_for(preset).preset == preset


def test_presets_grow():
    draft, standard, high = (settings_for(preset) for preset in ("draft", "standard", "high"))
    for name in ("iterations", "max_size", "max_gaussians"):
        assert getattr(draft, name) < getattr(standard, name) < getattr(high, name)


def test_overrides_win_and_none_is_nothing():
    settings = settings_for("draft", iterations=7, max_size=None)
    assert settings.iterations == 7
    assert settings.max_size == settings_for("draft").max_size


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("iterations", 0, "choose a number from 1 to 1e+06"),
        ("max_size", 15, "choose a number from 16 to 10000"),
        ("max_gaussians", 10, "choose a number from 100 to 1e+07"),
        ("sh_degree", 4, "choose a number from 0 to 3"),
        ("seed", -1, "choose a number from 0 to 2.14748e+09"),
        ("hold_out", 1, "choose 2 or more"),
        ("ssim_weight", 1.5, "choose a number from 0 to 1"),
        ("densify_interval", 0, "choose a number from 1 to 1e+06"),
        ("checkpoint_interval", 0, "choose a number from 1 to 1e+06"),
        ("preview_interval", 0, "choose a number from 1 to 1e+06"),
        ("sh_degree_interval", 0.0, "choose a number from 0.001 to 1"),
        ("means_rate", -1.0, "choose a number of at least 0"),
    ],
)
def test_bounds(name, value, remedy):
    with pytest.raises(SolverError) as caught:
        settings_for("standard", **{name: value})
    assert name in caught.value.what
    assert str(value) in caught.value.what
    assert caught.value.remedy == remedy


def test_values_at_the_bounds():
    settings = settings_for("draft", iterations=1, max_size=16, sh_degree=0, hold_out=2, ssim_weight=1.0)
    assert (settings.iterations, settings.max_size, settings.sh_degree, settings.hold_out) == (1, 16, 0, 2)


def test_assignments_take_the_type_of_their_field():
    parsed = parse_overrides(("iterations=12", "ssim-weight = 0.5", "antialiased=False", "defocus=none", "noise=1e4"))
    assert parsed == {"iterations": 12, "ssim_weight": 0.5, "antialiased": False, "defocus": "none", "noise": 1e4}
    for name, value in parsed.items():
        assert type(value) in (FIELDS[name].type, str)


def test_every_setting_can_be_assigned():
    settings = settings_for("standard")
    assignments = tuple(f"{name}={getattr(settings, name)}" for name in FIELDS if name != "preset")
    assert settings_for("standard", **parse_overrides(assignments)) == settings


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("speed=3", "there is no setting 'speed'"),
        ("", "there is no setting ''"),
        ("iterations", "iterations= is not possible; give a whole number"),
        ("iterations=1.5", "iterations=1.5 is not possible; give a whole number"),
        ("ssim_weight=much", "ssim_weight=much is not possible; give a number"),
        ("ssim_weight=nan", "ssim_weight=nan is not possible"),
        ("noise=inf", "noise=inf is not possible"),
        ("antialiased=maybe", "antialiased=maybe is not possible; choose true or false"),
        ("defocus=magic", "defocus=magic is not possible; choose one of"),
        ("preset=high", "choose it with --preset"),
    ],
)
def test_assignments_that_cannot_be(assignment, message):
    with pytest.raises(SolverError) as caught:
        parse_overrides((assignment,))
    assert message in caught.value.sentence
    assert caught.value.remedy


def test_every_field_says_what_it_does():
    """The same-line comments are the help that a reader gets."""
    import inspect

    for line in inspect.getsource(ReconstructionSettings).splitlines():
        if ": " in line and " = " in line and not line.lstrip().startswith("#"):
            assert "  # " in line, line
