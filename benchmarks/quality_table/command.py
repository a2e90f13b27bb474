# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands that fill tables share: stopping, telling, and where things are."""

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.quality_table.cells import Cell
from benchmarks.quality_table.chains import Place, code_has_changed
from benchmarks.quality_table.children import Children
from benchmarks.quality_table.methods import Budget
from solver.errors import SolverError
from solver.evaluation.perceptual import NETWORKS, weights_folder

_Arguments = TypeVar("_Arguments")


def run_stoppable(work: Callable[[Children], int]) -> int:
    """Do `work` with children that SIGINT and SIGTERM stop; returns its exit code, or 1 with a sentence."""
    children = Children()
    previous = {s: signal.signal(s, lambda *_: children.stop()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        return work(children)
    except (SolverError, OSError) as error:
        children.stop()
        print(f"Error: {error}", file=sys.stderr)
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def each_once(arguments: _Arguments) -> _Arguments:
    """Lists without repetitions: two of the same would work on the same files at the same time."""
    once = {name: tuple(dict.fromkeys(values)) for name, values in _lists(arguments).items()}
    return replace(arguments, **once)  # type: ignore[type-var]


def told_command(script: str, arguments: Any) -> str:
    """The command with all that decides the numbers, and no folders: they are this machine's.

    Args:
        script: below the repository's root.
        arguments: with `preset`, `workers`, `keep_captures` and lists; their class without arguments has what is usual.
    """
    usual, words = type(arguments)(), [f"python {script}", "--preset", arguments.preset]
    for name, values in _lists(arguments).items():
        if values != getattr(usual, name):
            words += [f"--{name}", *map(str, values)]
    if arguments.workers != usual.workers:
        words += ["--workers", str(arguments.workers)]
    return " ".join([*words, "--keep-captures"] if arguments.keep_captures else words)


def _lists(arguments: Any) -> dict[str, tuple[Any, ...]]:
    return {name: values for name, values in vars(arguments).items() if isinstance(values, tuple)}


def guesses_s(budget: Budget) -> dict[str, float]:
    """How long a step of each kind may take, before any has been seen."""
    return {
        "prepare": 15.0,
        "mesh": 30.0,
        "measure": 15.0,
        "picture": 5.0,
        "train": budget.expected_training_s,
        "render": 40 * budget.expected_frame_s,
    }


def place_of(work: Path, scene: str) -> Place:
    """Where a scene's captures and runs are in the folder of a preset."""
    captures = work / "captures"
    return Place(scene, captures / scene, captures / f"{scene}_bracket", work / "runs" / scene)


def networks_with_weights() -> str:
    """Which perceptual networks can be measured with."""
    return ",".join(name for name in NETWORKS if (weights_folder() / f"{name}.ckpt").exists())


def seconds_by_kind(cells: Mapping[str, Cell]) -> dict[str, float]:
    """Sums over all cells, by kind of step."""
    sums: dict[str, float] = {}
    for name, cell in cells.items():
        kind = name.rpartition("-")[2]
        sums[kind] = sums.get(kind, 0.0) + cell.seconds
    return sums


def tell_failures(failures: Mapping[str, str], logs: Path) -> int:
    """Say on standard error what went wrong; returns the exit code."""
    for name, sentence in failures.items():
        log = logs / f"{name}.log"
        print(f"{name} failed: {sentence}" + (f" (see {log})" if log.exists() else ""), file=sys.stderr)
    if code_has_changed():
        print("The code was changed meanwhile, so the cells are not all of one version; run again.", file=sys.stderr)
        return 1
    return 1 if failures else 0
