# SPDX-License-Identifier: GPL-3.0-or-later
"""The macro benchmark in one command: render what is missing, run the methods, print and write the table.

    python benchmarks/quality.py --preset mini

It goes on where it was stopped: what is finished is done again only where the code or the capture that decides it has
changed.
"""

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.quality_table.captures import CapturePlan  # noqa: E402
from benchmarks.quality_table.cells import Cell, Store, code_hash, key_of, write_aside  # noqa: E402
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
from benchmarks.quality_table.crops import Crop, choose_crop, stacked, strip  # noqa: E402
from benchmarks.quality_table.display import Display  # noqa: E402
from benchmarks.quality_table.machine import describe  # noqa: E402
from benchmarks.quality_table.methods import BUDGETS, METHODS, Method  # noqa: E402
from benchmarks.quality_table.report import Report, as_json, as_markdown, terminal_tables  # noqa: E402
from benchmarks.quality_table.schedule import Forecast, Schedule  # noqa: E402
from benchmarks.quality_table.summary import summarize  # noqa: E402
from solver.errors import SolverError  # noqa: E402
from synthetic.scenes import SCENES  # noqa: E402

_CROP_CODE = ("benchmarks/quality_table/crops.py", "solver/evaluation/truth.py")


@dataclass(frozen=True)
class Arguments:
    """Rank the methods on the macro scenes. Ctrl-C stops; the same command goes on."""

    preset: Literal["tiny", "mini", "small", "full"] = "mini"  # size of the captures and budget of the training
    scenes: tuple[str, ...] = SCENES  # of synthetic/scenes
    methods: tuple[str, ...] = tuple(method.name for method in METHODS)  # rows, in the table's order
    seeds: tuple[int, ...] = (0,)  # of the training; several show the spread
    work: Path = ROOT / "output" / "quality"  # captures, results and cells
    workers: int = 2  # trainings at a time; the cores are shared out among them
    page: Path | None = None  # Markdown; docs/benchmark_PRESET.md for whole tables, else in the work folder
    json: Path | None = None  # numbers; benchmarks/results/quality_PRESET.json for whole tables, else beside the page
    keep_captures: bool = False  # take finished captures whichever version of the generator made them


def main() -> int:
    """Fill the table; 0 if all of it is there, 1 if something failed, 130 if it was stopped."""
    arguments = each_once(tyro.cli(Arguments, description=Arguments.__doc__))
    methods = tuple(method for method in METHODS if method.name in arguments.methods)
    unknown = set(arguments.methods) - {m.name for m in METHODS} | set(arguments.scenes) - set(SCENES)
    if unknown or not methods or not arguments.scenes or not arguments.seeds or arguments.workers < 1:
        told = ", ".join(sorted(unknown)) or "nothing"
        print(f"There is no way to run {told}: see --help for what there is.", file=sys.stderr)
        return 2
    return run_stoppable(lambda children: _run(arguments, methods, children))


def _run(arguments: Arguments, methods: tuple[Method, ...], children: Children) -> int:
    work = arguments.work.absolute() / arguments.preset
    budget = BUDGETS[arguments.preset]
    plans = _plans(arguments, methods, work)
    forecast = Forecast(guesses_s(budget), arguments.workers)
    kinds = _kinds(arguments, methods, len(plans))
    for kind, count in kinds.items():
        forecast.expect(kind, count)
    display = Display(kinds.total())
    schedule = Schedule(Store(work / "cells"), children, display, forecast, work / "logs", arguments.workers)
    try:
        chains, crops = _fill(arguments, methods, plans, schedule, work)
    finally:
        display.close()
    if children.stopping.is_set():
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        return 130
    report = Report(
        preset=arguments.preset,
        command=told_command("benchmarks/quality.py", arguments),
        scenes=arguments.scenes,
        methods=methods,
        seeds=arguments.seeds,
        workers=arguments.workers,
        budget=budget,
        table=summarize(chains, schedule.cells, arguments.scenes),
        renders={plan.name: (plan, cell) for plan in plans if (cell := schedule.cells.get(plan.name)) and cell.seconds},
        step_seconds=seconds_by_kind(schedule.cells),
        machine=describe(),
        failures=schedule.failures,
    )
    _write(arguments, report, _pictures(arguments.scenes, methods, chains, crops, work))
    return _tell(report, work / "logs")


def _fill(
    arguments: Arguments, methods: tuple[Method, ...], plans: list[CapturePlan], schedule: Schedule, work: Path
) -> tuple[list[Chain], dict[str, Crop]]:
    """Render and run what is missing; returns the chains whose captures are there, and what the page shows."""
    whole = {(plan.scene, plan.bracket) for plan in schedule.render(plans, keep=arguments.keep_captures)}
    crops = {}
    for scene in arguments.scenes:
        try:
            if (scene, False) in whole:
                crops[scene] = _crop(Store(work / "cells"), work, scene)
        except SolverError as error:
            schedule.failures[f"{scene}-crop"] = error.sentence
    chains = [
        chain_of(
            place_of(work, scene),
            method,
            seed,
            BUDGETS[arguments.preset],
            crops[scene].view,
            networks_with_weights(),
            mesh=True,
        )
        for scene in crops
        for method in methods
        for seed in _seeds_of(method, arguments.seeds)
        if method.source != "stack" or (scene, True) in whole
    ]
    schedule.run(chains)
    return chains, crops


def _tell(report: Report, logs: Path) -> int:
    """Print the rankings and what went wrong; returns the exit code."""
    console = Console(width=None if sys.stdout.isatty() else 160)  # all scenes side by side in a log too
    for table in terminal_tables(report):
        console.print(table)
    return tell_failures(report.failures, logs)


def _plans(arguments: Arguments, methods: tuple[Method, ...], work: Path) -> list[CapturePlan]:
    stacked_too = any(method.source == "stack" for method in methods)
    return [
        CapturePlan(scene, arguments.preset, work / "captures" / (f"{scene}_bracket" if bracket else scene), bracket)
        for scene in arguments.scenes
        for bracket in ((False, True) if stacked_too else (False,))
    ]


def _kinds(arguments: Arguments, methods: tuple[Method, ...], renders: int) -> Counter[str]:
    """How many steps of each kind the whole table has."""
    kinds = Counter({"render": renders})
    for method in methods:
        count = len(arguments.scenes) * len(_seeds_of(method, arguments.seeds))
        kinds["prepare"] += count * (method.source != "photos")
        kinds["train"] += count * (method.training is not None)
        kinds["mesh"] += count * (method.training is not None)
        kinds["measure"] += count * (2 if method.source == "stack" else 1)
        kinds["picture"] += count * (method.source == "stack")
    return kinds


def _seeds_of(method: Method, seeds: tuple[int, ...]) -> tuple[int, ...]:
    return seeds[:1] if method.training is None else seeds


def _crop(store: Store, work: Path, scene: str) -> Crop:
    """The part of the scene that the page shows, chosen once."""
    capture = place_of(work, scene).capture
    settings = (capture / "ground_truth" / "settings.json").read_text(encoding="utf-8")
    name, key = f"{scene}-crop", key_of(settings, code_hash(ROOT, _CROP_CODE))
    cell = store.read(name, key)
    if cell is None:
        chosen = choose_crop(capture)
        cell = Cell(key, 0.0, None, {"view": chosen.view, "box": list(chosen.box)})
        store.write(name, cell)
    left, top, right, bottom = cell.numbers["box"]
    return Crop(cell.numbers["view"], (left, top, right, bottom))


def _pictures(
    scenes: tuple[str, ...], methods: tuple[Method, ...], chains: list[Chain], crops: dict[str, Crop], work: Path
) -> bytes | None:
    rows = []
    for scene, crop in crops.items():
        first = {chain.method.name: chain for chain in reversed(chains) if chain.scene == scene}
        images = [
            (method.title, first[method.name].picture(crop.view) if method.name in first else None)
            for method in methods
        ]
        truth = place_of(work, scene).capture / "ground_truth" / "sharp" / f"{crop.view}.png"
        rows.append(strip(scene.replace("_", " "), crop, [*images, ("truth", truth)]))
    return stacked(rows) if rows else None


def _write(arguments: Arguments, report: Report, picture: bytes | None) -> None:
    """Page, pictures and JSON; a table of a part, or with gaps, does not replace the one of all."""
    whole = len(report.scenes) == len(SCENES) and len(report.methods) == len(METHODS) and not report.failures
    usual = (ROOT / "docs" if whole else arguments.work / report.preset) / f"benchmark_{report.preset}.md"
    page = (arguments.page or usual).absolute()
    results = ROOT / "benchmarks" / "results" if whole and arguments.page is None else page.parent
    numbers = (arguments.json or results / f"quality_{report.preset}.json").absolute()
    image = page.parent / "images" / f"{page.stem}.jpg"
    if picture is not None:
        write_aside(image, picture)
    write_aside(page, as_markdown(report, f"images/{image.name}" if picture is not None else None))
    write_aside(numbers, json.dumps(as_json(report), indent=1, allow_nan=False) + "\n")
    for path in (page, numbers):
        print(os.path.relpath(path))


if __name__ == "__main__":
    sys.exit(main())
