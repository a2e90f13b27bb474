# SPDX-License-Identifier: GPL-3.0-or-later
"""What each choice of the method is worth, in one command: train it with one thing changed, and tell the difference.

    python benchmarks/ablation.py --preset mini

The rows are in ablation_variants.py. It goes on where it was stopped and shares captures and cells with quality.py.
"""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro
from rich.console import Console
from rich.table import Table as RichTable

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.ablation_variants import DEFAULT, VARIANTS, Variant, changes, method_of, pupil_starts  # noqa: E402
from benchmarks.quality_table.captures import CapturePlan  # noqa: E402
from benchmarks.quality_table.cells import Store, write_aside  # noqa: E402
from benchmarks.quality_table.chains import Chain, chain_of  # noqa: E402
from benchmarks.quality_table.children import Children  # noqa: E402
from benchmarks.quality_table.command import (  # noqa: E402
    each_once,
    guesses_s,
    networks_with_weights,
    place_of,
    run_stoppable,
    seconds_by_kind,
    tell_failures,
    told_command,
)
from benchmarks.quality_table.display import Display  # noqa: E402
from benchmarks.quality_table.machine import describe  # noqa: E402
from benchmarks.quality_table.methods import BUDGETS, Method  # noqa: E402
from benchmarks.quality_table.report import (  # noqa: E402
    DEBLURRED,
    NOVEL,
    Measure,
    Report,
    as_json,
    by_scene,
    count_of,
    making,
    markdown,
    section,
    text,
    told_seeds,
    wrapped,
)
from benchmarks.quality_table.schedule import Forecast, Schedule  # noqa: E402
from benchmarks.quality_table.summary import MEAN, Table, summarize  # noqa: E402
from synthetic.arguments import PRESETS  # noqa: E402
from synthetic.scenes import SCENES  # noqa: E402

_PUPIL = Measure("pupil_diameter_error", "Pupil diameter error", "+.1%")
_PUPIL_MEAN = Measure("pupil_diameter_error_absolute", "Pupil diameter error, without its sign", ".1%")
_GAIN_DEBLURRED = Measure("gain_deblurred", "Deblurred photos: gain over the default, dB", "+.2f")
_GAIN_NOVEL = Measure("gain_novel", "Held-out views: gain over the default, dB", "+.2f")
_DEPTH = Measure("depth_error_median_recoverable", "Median depth error on recoverable pixels of photos, mm", ".3f")
_SECONDS = Measure("training_seconds", "Training, s", ".1f")
_MEASURES = (DEBLURRED, _GAIN_DEBLURRED, NOVEL, _GAIN_NOVEL, _DEPTH, _PUPIL_MEAN, _SECONDS)
_SHORT = ("deblurred, dB", "gain", "held out, dB", "gain", "depth error, mm", "pupil error", "training, s")


@dataclass(frozen=True)
class Arguments:
    """Change one thing at a time in the default and tell what it is worth. Ctrl-C stops; the same command goes on."""

    preset: Literal["tiny", "mini", "small", "full"] = "mini"  # size of the captures and budget of the training
    scenes: tuple[str, ...] = SCENES  # of synthetic/scenes
    variants: tuple[str, ...] = tuple(variant.name for variant in VARIANTS)  # rows; the default is always among them
    seeds: tuple[int, ...] = (0,)  # of the training; several show the spread
    work: Path = ROOT / "output" / "quality"  # captures, results and cells, those of quality.py among them
    workers: int = 2  # trainings at a time; the cores are shared out among them
    page: Path | None = None  # Markdown, .json beside it; in benchmarks/results for whole tables, else the work folder
    keep_captures: bool = False  # take finished captures whichever version of the generator made them


def main() -> int:
    """Fill the table; 0 if all of it is there, 1 if something failed, 130 if it was stopped."""
    arguments = each_once(tyro.cli(Arguments, description=Arguments.__doc__))
    unknown = set(arguments.variants) - {v.name for v in VARIANTS} | set(arguments.scenes) - set(SCENES)
    if unknown or not arguments.scenes or not arguments.seeds or arguments.workers < 1:
        told = ", ".join(sorted(unknown)) or "nothing"
        print(f"There is no way to run {told}: see --help for what there is.", file=sys.stderr)
        return 2
    variants = tuple(variant for variant in VARIANTS if variant is DEFAULT or variant.name in arguments.variants)
    return run_stoppable(lambda children: _run(arguments, variants, children))


def _run(arguments: Arguments, variants: tuple[Variant, ...], children: Children) -> int:
    work, budget = arguments.work.absolute() / arguments.preset, BUDGETS[arguments.preset]
    methods = {variant.name: method_of(variant, budget) for variant in variants}
    distinct = {method.name: method for method in methods.values()}  # equal variants are trained once
    plans = [CapturePlan(scene, arguments.preset, work / "captures" / scene) for scene in arguments.scenes]
    trainings = len(plans) * len(distinct) * len(arguments.seeds)
    forecast = Forecast(guesses_s(budget), arguments.workers)
    for kind, count in (("render", len(plans)), ("train", trainings), ("measure", trainings)):
        forecast.expect(kind, count)
    display = Display(len(plans) + 2 * trainings)
    schedule = Schedule(Store(work / "cells"), children, display, forecast, work / "logs", arguments.workers)
    try:
        whole = schedule.render(plans, keep=arguments.keep_captures)
        chains = [
            chain_of(place_of(work, plan.scene), method, seed, budget, "", networks_with_weights())
            for plan in whole
            for method in distinct.values()
            for seed in arguments.seeds
        ]
        schedule.run(chains)
    finally:
        display.close()
    if children.stopping.is_set():
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    report = Report(
        preset=arguments.preset,
        command=told_command("benchmarks/ablation.py", arguments),
        scenes=arguments.scenes,
        methods=tuple(replace(methods[v.name], name=v.name, title=v.title) for v in variants),
        seeds=arguments.seeds,
        workers=arguments.workers,
        budget=budget,
        table=_table(methods, chains, schedule, arguments.scenes),
        renders={plan.name: (plan, cell) for plan in plans if (cell := schedule.cells.get(plan.name)) and cell.seconds},
        step_seconds=seconds_by_kind(schedule.cells),
        machine=describe(),
        failures=schedule.failures,
    )
    _write(arguments, report, variants)
    Console(width=None if sys.stdout.isatty() else 160).print(terminal_table(report))
    return tell_failures(report.failures, work / "logs")


def _table(methods: dict[str, Method], chains: list[Chain], schedule: Schedule, scenes: tuple[str, ...]) -> Table:
    """By variant, where the cells are by method."""
    by_method = summarize(chains, schedule.cells, scenes, methods[DEFAULT.name].name)
    return {variant: by_method.get(method.name, {}) for variant, method in methods.items()}


def terminal_table(report: Report) -> RichTable:
    """The means over the scenes."""
    table = RichTable(title="Ablation, mean of the scenes", title_justify="left")
    table.add_column("")
    for title in _SHORT:
        table.add_column(title, justify="right")
    for method in report.methods:
        table.add_row(method.title, *_means(report, method.name))
    return table


def ablation_markdown(report: Report, variants: tuple[Variant, ...]) -> str:
    """The page: means, then each number by scene, then where the pupil went."""
    rows = [
        [variant.title, variant.sentence, _told_changes(variant, report), *_means(report, variant.name)]
        for variant in variants
    ]
    head = ["", "what is different", "settings", *_SHORT]
    blocks = [
        f"# Ablation, `{report.preset}`",
        _introduction(report),
        section("Mean of the scenes", markdown(head, rows, texts=3)),
        section("Pupil from a wrong start", _pupil_table(report, variants), _PUPIL_NOTE),
        *(section(measure.title, by_scene(report, measure)) for measure in _MEASURES),
        f"## How it was made\n\n{making(report)}",
    ]
    return "\n\n".join(wrapped(block) for block in blocks if block) + "\n"


def ablation_json(report: Report, variants: tuple[Variant, ...]) -> dict[str, Any]:
    """Everything, for programs: what quality.py tells, with what each variant changes."""
    content = as_json(report)
    del content["methods"]
    told = {v.name: {"sentence": v.sentence, "settings": changes(v, report.budget)} for v in variants}
    return {"preset": content.pop("preset"), "command": content.pop("command"), "variants": told, **content}


_PUPIL_NOTE = (
    "How far the diameter is from the truth at the end, by how far from it the search began; the last column is the "
    "mean without signs."
)


def _pupil_table(report: Report, variants: tuple[Variant, ...]) -> str:
    rows = []
    for start, variant in pupil_starts(variants):
        row = report.table.get(variant.name, {})
        ends = [text(row.get(scene), _PUPIL) for scene in report.scenes]
        rows.append([variant.title, format(start, "g"), *ends, text(row.get(MEAN), _PUPIL_MEAN)])
    head = ["", "start / truth", *(scene.replace("_", " ") for scene in report.scenes), MEAN]
    return markdown(head, rows) if rows else ""


def _introduction(report: Report) -> str:
    preset = PRESETS[report.preset]
    width, height = preset.resolution
    sentences = [
        f"The default with one thing changed at a time, on {count_of(report.scenes, 'scene')} of {preset.views} photos "
        f"of {width}x{height} px and {preset.held_out} held-out views each: {report.budget.iterations:,} steps, "
        f"{report.budget.max_gaussians:,} Gaussians where a row says nothing else, poses known, "
        f"{told_seeds(report.seeds)}.",
        "PSNR is in sRGB against the sharp truth, on recoverable pixels (docs/benchmark.md says which these are); "
        "gains are in dB over the default row, seed by seed.",
        "The pupil's error is without its sign; the files tell the true diameter, so it shows what the search does to "
        "it.",
        f"Time is that of the training alone, {report.workers} at a time.",
    ]
    if len(report.seeds) > 1:
        sentences.append("Numbers after ± are standard deviations over the seeds.")
    return " ".join(sentences)


def _told_changes(variant: Variant, report: Report) -> str:
    changed = changes(variant, report.budget)
    return ", ".join(f"`{name}={value}`" for name, value in changed.items()) or "-"


def _means(report: Report, name: str) -> list[str]:
    entry = report.table.get(name, {}).get(MEAN)
    return [text(entry, measure) for measure in _MEASURES]


def _write(arguments: Arguments, report: Report, variants: tuple[Variant, ...]) -> None:
    """Page and JSON; a table of a part, or with gaps, does not replace the one of all."""
    whole = len(report.scenes) == len(SCENES) and len(variants) == len(VARIANTS) and not report.failures
    usual = ROOT / "benchmarks" / "results" if whole else arguments.work / report.preset
    page = (arguments.page or usual / f"ablation_{report.preset}.md").absolute()
    numbers = page.with_suffix(".json")
    write_aside(page, ablation_markdown(report, variants))
    write_aside(numbers, json.dumps(ablation_json(report, variants), indent=1, allow_nan=False) + "\n")
    for path in (page, numbers):
        print(os.path.relpath(path))


if __name__ == "__main__":
    sys.exit(main())
