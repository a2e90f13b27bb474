# SPDX-License-Identifier: GPL-3.0-or-later
"""The ablation: its rows, its numbers, and the command on cells that are done. Nothing is rendered or trained."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from benchmarks import ablation
from benchmarks.ablation_variants import DEFAULT, VARIANTS, Variant, changes, method_of, pupil_starts
from benchmarks.quality_table.cells import Cell, Store, write_aside
from benchmarks.quality_table.chains import Chain, chain_of
from benchmarks.quality_table.command import networks_with_weights, place_of
from benchmarks.quality_table.methods import BUDGETS, METHODS, Method
from benchmarks.quality_table.report import Measure, text
from benchmarks.quality_table.summary import MEAN, Entry, summarize
from solver.config import ReconstructionSettings, parse_overrides, settings_for
from solver.errors import SolverError

MINI = BUDGETS["mini"]
USUAL = ReconstructionSettings()
BY_NAME = {variant.name: variant for variant in VARIANTS}
PHOTOS = {method.training: method for method in METHODS if method.source == "photos"}


def settings_of(method: Method) -> ReconstructionSettings:
    """As the command line would read the budget and the method's settings."""
    arguments = MINI.arguments(method.settings)
    assignments = tuple(arguments[arguments.index("--set") + 1 :])
    return settings_for("standard", **{"iterations": MINI.iterations, **parse_overrides(assignments)})


# the rows


def test_names_can_be_told_apart():
    assert len(BY_NAME) == len(VARIANTS)
    assert VARIANTS[0] is DEFAULT
    assert not any("-" in name or " " in name for name in BY_NAME)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
@pytest.mark.parametrize("preset", BUDGETS)
def test_every_row_can_be_trained(variant, preset):
    """With settings that exist and are within their bounds, and that come back from the command line unchanged."""
    changed = changes(variant, BUDGETS[preset])
    method = method_of(variant, BUDGETS[preset])
    read = parse_overrides(method.settings)
    assert read == {name: value for name, value in changed.items() if name != "defocus"}
    assert method.training == ("--defocus", changed.get("defocus", USUAL.defocus))
    assert "-" not in method.name


def test_rows_that_quality_has_too_share_its_cells():
    assert method_of(DEFAULT, MINI) is PHOTOS["--defocus", USUAL.defocus]
    assert method_of(Variant("a", "", {"defocus": "none"}), MINI) is PHOTOS["--defocus", "none"]


def test_factors_are_on_the_budget_or_on_the_default():
    twice = method_of(Variant("a", "", factors={"iterations": 2, "max_gaussians": 0.5, "colours_rate": 3}), MINI)
    settings = settings_of(twice)
    assert (settings.iterations, settings.max_gaussians) == (2 * MINI.iterations, MINI.max_gaussians // 2)
    assert settings.colours_rate == pytest.approx(3 * USUAL.colours_rate)
    assert settings.initial_gaussians == MINI.initial_gaussians
    assert not settings.surface


def test_what_has_become_the_default_is_no_change():
    adopted = Variant("adopted", "", {"noise": USUAL.noise, "defocus": USUAL.defocus}, {"iterations": 1})
    assert changes(adopted, MINI) == {}
    assert method_of(adopted, MINI) is method_of(DEFAULT, MINI)


def test_values_out_of_their_bounds_are_told():
    with pytest.raises(SolverError, match="sh_degree is 7"):
        changes(Variant("a", "", {"sh_degree": 7}), MINI)


def test_what_a_row_changes_decides_its_cells_and_its_name_does_not(tmp_path):
    write_aside(tmp_path / "captures" / "coin" / "ground_truth" / "settings.json", "{}")

    def found(variant: Variant) -> dict[str, str]:
        chain = chain_of(place_of(tmp_path, "coin"), method_of(variant, MINI), 0, MINI, "", "")
        return {step.name: step.key for step in chain.steps}

    noise = found(BY_NAME["no_noise"])
    assert found(dataclasses.replace(BY_NAME["no_noise"], name="other", sentence="other")) == noise
    others = [found(DEFAULT), found(Variant("a", "", {"noise": 1e-5})), found(Variant("a", "", {"noise": 0.5}))]
    for other in others:
        assert not set(other) & set(noise)
        assert not set(other.values()) & set(noise.values())


def test_starts_of_the_pupil_are_in_order():
    assert [start for start, _ in pupil_starts(VARIANTS)] == [0.5, 0.625, 1.0, 1.6, 2.0]
    assert pupil_starts((DEFAULT, BY_NAME["no_noise"])) == []


# the numbers


def test_gains_are_counted_seed_by_seed(tmp_path):
    write_aside(tmp_path / "captures" / "coin" / "ground_truth" / "settings.json", "{}")
    methods = {name: method_of(BY_NAME[name], MINI) for name in ("default", "no_noise")}
    chains, cells = [], {}
    for name, seed, value in (("default", 0, 20.0), ("default", 1, 24.0), ("no_noise", 0, 21.0), ("no_noise", 1, 25.5)):
        chain = chain_of(place_of(tmp_path, "coin"), methods[name], seed, MINI, "", "")
        cells[chain.measure.name] = Cell("", 1.0, None, {"psnr_novel_recoverable": value})
        chains.append(chain)
    table = summarize(chains, cells, ("coin",), methods["default"].name)
    entry = table[methods["no_noise"].name]["coin"]
    assert entry["gain_novel"] == pytest.approx(1.25)
    assert entry.spreads["gain_novel"] == pytest.approx(0.5 / 2**0.5)  # not that of the PSNR
    assert entry["gain_deblurred"] is None
    assert table[methods["default"].name][MEAN]["gain_novel"] == 0
    assert "gain_novel" not in summarize(chains, cells, ("coin",))[methods["no_noise"].name]["coin"].values


def test_a_spread_has_no_sign():
    assert text(Entry({"gain": 1.25}, {"gain": 0.35}), Measure("gain", "", "+.2f")) == "+1.25 ± 0.35"


def test_time_of_training_is_without_the_other_stages_and_with_stopped_attempts(tmp_path):
    write_aside(tmp_path / "captures" / "coin" / "ground_truth" / "settings.json", "{}")
    chain = chain_of(place_of(tmp_path, "coin"), method_of(DEFAULT, MINI), 0, MINI, "", "")
    stages = {"timings_s": {"prepare": 25.0, "train": 9.0}}
    cells = {chain.steps[0].name: Cell("", 42.0, None, stages, 7.0), chain.measure.name: Cell("", 3.0)}
    entry = summarize([chain], cells, ("coin",))[chain.method.name]["coin"]
    assert entry["training_seconds"] == 16
    assert entry["seconds"] == 42
    del stages["timings_s"]
    assert summarize([chain], cells, ("coin",))[chain.method.name]["coin"]["training_seconds"] is None


# the command


def fill(work: Path, variants: tuple[str, ...], scenes: tuple[str, ...] = ("beetle", "coin")) -> dict[str, Chain]:
    """Make it look as if these had been done; returns the chains of the last scene."""
    chains = {}
    for index, scene in enumerate(scenes):
        capture = work / "captures" / scene
        write_aside(capture / "ground_truth" / "settings.json", "{}")
        write_aside(capture / "transforms.json", "{}")
        for name in variants:
            variant = BY_NAME[name]
            chain = chain_of(
                place_of(work, scene),
                method_of(variant, BUDGETS["tiny"]),
                0,
                BUDGETS["tiny"],
                "",
                networks_with_weights(),
            )
            start = variant.values.get("pupil_start", 1.0)
            numbers = {
                "psnr_deblurred_recoverable": 20.0 + index + start,
                "psnr_novel_recoverable": 18.0 + index - start,
                "depth_error_median_recoverable": 0.125,
                "pupil_diameter_error": 0.04 * start * (-1) ** index,
            }
            timings = {"timings_s": {"prepare": 20.0, "train": 9.0}}
            for step in chain.steps:
                step.output.parent.mkdir(parents=True, exist_ok=True)
                step.output.touch()
                cell = Cell(step.key, 30.0, 300.0, timings if step.kind == "train" else numbers)
                Store(work / "cells").write(step.name, cell)
            chains[name] = chain
    return chains


def command(monkeypatch, work: Path, *variants: str) -> int:
    words = ["ablation.py", "--preset", "tiny", "--scenes", "beetle", "coin", "--variants", *variants]
    words += ["--work", str(work), "--keep-captures"]
    monkeypatch.setattr(sys, "argv", words)
    return ablation.main()


def test_what_is_done_is_told_and_not_done_again(tmp_path, monkeypatch, capsys):
    variants = ("default", "no_noise", "pupil_start_2", "pupil_start_0.5")
    fill(tmp_path / "tiny", variants)
    assert command(monkeypatch, tmp_path, *variants[1:]) == 0, capsys.readouterr().err  # the default comes by itself
    page = (tmp_path / "tiny" / "ablation_tiny.md").read_text()
    assert (
        "| default | as `solver reconstruct` does it | - | 21.50 | +0.00 | 17.50 | +0.00 | 0.125 | 4.0% | 9.0 |" in page
    )
    assert "| `pupil_start=2.0` | 22.50 | +1.00 | 16.50 | -1.00 | 0.125 | 8.0% | 9.0 |" in page
    assert "| no noise | Gaussians do not walk at random | `noise=0.0` | 21.50 | +0.00 |" in page
    starts = page[page.index("## Pupil from a wrong start") : page.index("## Deblurred photos")]
    rows = [line for line in starts.splitlines() if line.startswith(("| pupil start", "| default"))]
    assert rows == [
        "| pupil start 0.5 | 0.5 | +2.0% | -2.0% | 2.0% |",
        "| default | 1 | +4.0% | -4.0% | 4.0% |",
        "| pupil start 2 | 2 | +8.0% | -8.0% | 8.0% |",
    ]
    assert all(len(line) <= 120 for line in page.splitlines() if not line.startswith(("|", "    ")))
    content = json.loads((tmp_path / "tiny" / "ablation_tiny.json").read_text())
    assert content["variants"]["pupil_start_2"]["settings"] == {"pupil_start": 2.0}
    assert content["results"]["pupil_start_2"]["coin"]["values"]["gain_novel"] == -1
    told = "python benchmarks/ablation.py --preset tiny --scenes beetle coin --variants no_noise pupil_start_2"
    assert content["command"] == f"{told} pupil_start_0.5 --keep-captures"
    assert not (tmp_path / "tiny" / "logs").exists()  # no child was needed
    assert str(tmp_path) not in page + json.dumps(content)


def test_a_row_that_fails_is_told_and_the_others_stay(tmp_path, monkeypatch, capsys):
    variants = ("default", "no_noise")
    chain = fill(tmp_path / "tiny", variants)["no_noise"]
    (tmp_path / "tiny" / "cells" / f"{chain.steps[0].name}.json").unlink()  # and its capture is no capture
    assert command(monkeypatch, tmp_path, *variants) == 1
    assert f"{chain.steps[0].name} failed: " in capsys.readouterr().err
    page = (tmp_path / "tiny" / "ablation_tiny.md").read_text()
    assert "| `noise=0.0` | - | - | - | - | - | - | - |" in page  # the mean of one scene could not be compared
    assert "| no noise | 21.00 | - | - |" in page
    assert "| default | 21.00 | 22.00 | 21.50 |" in page


@pytest.mark.parametrize("wrong", [("--variants", "magic"), ("--scenes", "unicorn"), ("--workers", "0")])
def test_wrong_usage(wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ablation.py", "--work", str(tmp_path), *wrong])
    assert ablation.main() == 2
    assert "There is no way to run" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("variants", "kept"), [(VARIANTS, True), (VARIANTS[:-1], False)])
def test_only_a_whole_table_is_among_the_results(tmp_path, monkeypatch, variants, kept):
    monkeypatch.setattr(ablation, "ROOT", tmp_path / "root")
    arguments = ablation.Arguments(work=tmp_path / "work")
    methods = tuple(dataclasses.replace(METHODS[0], name=v.name, title=v.title) for v in variants)
    report = ablation.Report(
        preset="mini",
        command="python benchmarks/ablation.py",
        scenes=arguments.scenes,
        methods=methods,
        seeds=(0, 1),
        workers=2,
        budget=MINI,
        table={},
        renders={},
        step_seconds={},
        machine={"processor": "P", "cores": 2, "system": "S", "versions": {}},
        failures={},
    )
    ablation._write(arguments, report, variants)
    for name in ("ablation_mini.md", "ablation_mini.json"):
        assert (tmp_path / "root" / "benchmarks" / "results" / name).exists() == kept
        assert (tmp_path / "work" / "mini" / name).exists() != kept
