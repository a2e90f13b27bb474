# SPDX-License-Identifier: GPL-3.0-or-later
"""How to photograph for this, in numbers: views, aperture, focus, brackets, and poses found from blurred photos.

    python benchmarks/photographing.py

Renders what is missing, reconstructs and measures it, one thing after the other, and writes
benchmarks/results/photographing.md and .json. It goes on where it was stopped: each reconstruction and table of
shares is a cell, a JSON file in the work folder, and is kept until it is deleted or asked for otherwise; so is each
capture. The first capture of each scene is that of quality.py, and taken from its folder.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.photographing_table.mixing import mix  # noqa: E402
from benchmarks.photographing_table.page import Findings, as_json, as_markdown  # noqa: E402
from benchmarks.photographing_table.plan import SECTIONS, SHARE_SCENES, Section, trials_of  # noqa: E402
from benchmarks.photographing_table.shoots import Shoot, lend_truth, truth_plan  # noqa: E402
from benchmarks.photographing_table.trial import Trial  # noqa: E402
from benchmarks.photographing_table.trial import arguments as trial_arguments  # noqa: E402
from benchmarks.quality_table.cells import Cell, Store, key_of, write_aside  # noqa: E402
from benchmarks.quality_table.children import Children, Outcome  # noqa: E402
from benchmarks.quality_table.command import run_stoppable  # noqa: E402
from benchmarks.quality_table.display import duration  # noqa: E402
from benchmarks.quality_table.machine import describe  # noqa: E402


@dataclass(frozen=True)
class Arguments:
    """Measure how to photograph. Ctrl-C stops; the same command goes on."""

    sections: tuple[Section, ...] = SECTIONS  # parts of the page to work on; the page shows all that is there
    scenes: tuple[str, ...] = SHARE_SCENES  # to work on, likewise
    iterations: int = 800  # of each reconstruction
    gaussians: int = 12_000  # at most
    work: Path = ROOT / "output" / "photographing"  # captures, results and cells
    captures: Path = ROOT / "output" / "quality" / "mini" / "captures"  # of quality.py --preset mini
    page: Path = ROOT / "benchmarks" / "results" / "photographing.md"  # .json beside it
    minutes: float = 0.0  # begin nothing new after so many; 0 does all


class Work:
    """Does cells one after the other."""

    def __init__(self, arguments: Arguments, children: Children) -> None:
        self.arguments, self.children = arguments, children
        self.folder = arguments.work.absolute()
        self.store = Store(self.folder / "cells")
        self.failures: dict[str, str] = {}
        self._clock, self._started = time.monotonic, time.monotonic()

    @property
    def stopped(self) -> bool:
        """Whether nothing new is to begin."""
        limit = 60 * self.arguments.minutes
        return self.children.stopping.is_set() or (limit > 0 and self._clock() - self._started > limit)

    def shares(self, scene: str) -> None:
        """The shares in focus of a scene."""
        name, key = f"{scene}-shares", key_of("shares", 2)
        output = self.folder / f"{name}.json"
        self._do(name, key, ["-m", "benchmarks.photographing_table.shares", scene, output], output)

    def trial(self, trial: Trial) -> None:
        """A reconstruction, its capture before it."""
        key = self.trial_key(trial)
        if self.store.read(trial.name, key) is not None or self.stopped:
            return
        capture = self._capture(trial.shoot)
        if capture is None or self.stopped:
            return
        numbers = self.folder / "numbers" / f"{trial.name}.json"
        output = self.folder / "runs" / trial.name
        budget = (self.arguments.iterations, self.arguments.gaussians)
        self._do(trial.name, key, trial_arguments(trial, capture, output, numbers, *budget), numbers)

    def trial_key(self, trial: Trial) -> str:
        """Of its cell."""
        return key_of(asdict(trial.shoot), trial.poses, self.arguments.iterations, self.arguments.gaussians)

    def _capture(self, shoot: Shoot) -> Path | None:
        plan = truth_plan(shoot.scene, self.arguments.captures.absolute())
        if not plan.is_whole:
            self._do(f"{shoot.scene}-truth", "", plan.arguments(), plan.folder / "transforms.json", read=False)
        if not plan.is_whole:
            return None
        if shoot.is_truth:
            return plan.folder
        folder = self.folder / "captures" / shoot.name
        whole = folder / "transforms.json"
        parts = [self._capture(part) for part in shoot.parts]
        if parts and not whole.exists():
            if None not in parts:
                mix([part for part in parts if part is not None], folder)
        elif not whole.exists():
            lend_truth(shoot, plan.folder, folder)
            self._do(f"{shoot.name}-capture", "", shoot.arguments(folder), whole, read=False)
        return folder if whole.exists() else None

    def _do(self, name: str, key: str, arguments: list, output: Path, *, read: bool = True) -> None:
        if self.stopped or (read and self.store.read(name, key) is not None):
            return
        print(f"{name} ...", file=sys.stderr, flush=True)
        outcome: Outcome = self.children.run(arguments, self.folder / "logs" / f"{name}.log", threads=1)
        if outcome.code == 0:
            numbers = json.loads(output.read_text(encoding="utf-8")) if read else {}
            numbers = numbers if isinstance(numbers, dict) else {"rows": numbers}
            self.store.write(name, Cell(key, round(outcome.seconds, 2), outcome.peak_memory_mib, numbers))
            print(f"{name}: {duration(outcome.seconds)}", file=sys.stderr, flush=True)
        elif not self.children.stopping.is_set():
            self.failures[name] = outcome.error
            print(f"{name} failed: {outcome.error}", file=sys.stderr, flush=True)


def main() -> int:
    """Fill the tables; 0 if all of it is there, 1 if something failed, 130 if it was stopped before its end."""
    arguments = tyro.cli(Arguments, description=Arguments.__doc__)
    return run_stoppable(lambda children: _run(arguments, children))


def _run(arguments: Arguments, children: Children) -> int:
    work = Work(arguments, children)
    if "shares" in arguments.sections:
        for scene in arguments.scenes:
            work.shares(scene)
    for trial in trials_of(arguments.sections):
        if trial.shoot.scene in arguments.scenes:
            work.trial(trial)
    findings = _findings(work)
    write_aside(arguments.page, as_markdown(findings))
    write_aside(arguments.page.with_suffix(".json"), json.dumps(as_json(findings), indent=1, allow_nan=False) + "\n")
    print(as_markdown(findings))
    print(os.path.relpath(arguments.page), file=sys.stderr)
    if work.failures:
        return 1
    return 130 if work.stopped else 0


def told_command(arguments: Arguments) -> str:
    """The command that makes the whole page with these numbers."""
    words, usual = ["python benchmarks/photographing.py"], Arguments()
    for name in ("iterations", "gaussians"):
        if getattr(arguments, name) != getattr(usual, name):
            words.append(f"--{name} {getattr(arguments, name)}")
    return " ".join(words)


def _findings(work: Work) -> Findings:
    """Everything that the work folder has, whichever sections were asked for."""
    found = {}
    for trial in trials_of(SECTIONS):
        cell = work.store.read(trial.name, work.trial_key(trial))
        if cell is not None:
            found[trial] = cell.numbers
    cells = {scene: work.store.read(f"{scene}-shares", None) for scene in SHARE_SCENES}
    shares = {scene: cell.numbers["rows"] for scene, cell in cells.items() if cell is not None}
    return Findings(
        found, shares, told_command(work.arguments), work.arguments.iterations, work.arguments.gaussians, describe()
    )


if __name__ == "__main__":
    sys.exit(main())
