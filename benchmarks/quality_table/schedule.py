# SPDX-License-Identifier: GPL-3.0-or-later
"""Doing what is not done yet: renders one by one, for Blender uses all processors, then chains side by side."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path

from benchmarks.quality_table.captures import CapturePlan
from benchmarks.quality_table.cells import Cell, Store
from benchmarks.quality_table.chains import Chain, Step
from benchmarks.quality_table.children import ROOT, Children, Event, Outcome
from benchmarks.quality_table.display import Display
from benchmarks.quality_table.machine import cores

_STOPPED_CODES = (130, -2, -15)  # of a child that was asked to stop


class Forecast:
    """Time left for the whole table, from what steps of each kind took so far."""

    def __init__(self, guesses: dict[str, float], workers: int) -> None:
        self._guesses, self._workers = guesses, workers
        self._taken: dict[str, list[float]] = {}
        self._pending: Counter[str] = Counter()
        self._running: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def expect(self, kind: str, count: int = 1) -> None:
        """More work is to come."""
        with self._lock:
            self._pending[kind] += count

    def begin(self, name: str, kind: str) -> None:
        """A piece of it has begun."""
        with self._lock:
            self._running[name] = (kind, time.monotonic())

    def end(self, name: str, kind: str, seconds: float | None = None) -> None:
        """It ended, or needed not be done; `seconds` teaches how long its kind takes."""
        with self._lock:
            self._running.pop(name, None)
            self._pending[kind] -= 1
            if seconds is not None:
                self._taken.setdefault(kind, []).append(seconds)

    def seconds_left(self) -> float:
        """For everything that is expected."""
        with self._lock:
            now, total = time.monotonic(), 0.0
            for kind, count in self._pending.items():
                taken = self._taken.get(kind)
                each = sum(taken) / len(taken) if taken else self._guesses.get(kind, 5.0)
                begun = sum(min(now - start, each) for other, start in self._running.values() if other == kind)
                total += max(count * each - begun, 0) / (1 if kind == "render" else self._workers)
            return total


class Schedule:
    """Runs renders and chains; what fails is told and left out."""

    def __init__(
        self, store: Store, children: Children, display: Display, forecast: Forecast, logs: Path, workers: int
    ) -> None:
        self._store, self._children, self._display, self._forecast = store, children, display, forecast
        self._logs, self._workers = logs, workers
        self.failures: dict[str, str] = {}  # sentence by name of the cell
        self.cells: dict[str, Cell] = {}  # what is done, by name

    def render(self, plans: Sequence[CapturePlan], *, keep: bool) -> list[CapturePlan]:
        """Render what is missing and return the captures that are whole.

        Args:
            plans: what is wanted.
            keep: take a finished capture whatever version of the generator made it.
        """
        whole = []
        for plan in plans:
            cell = self._store.read(plan.name, None if keep else plan.key)
            if plan.is_whole and (cell or keep):
                self.cells[plan.name] = cell or Cell(plan.key, 0.0)
                self._display.kept()
                self._forecast.end(plan.name, "render")
                whole.append(plan)
                continue
            self._run(plan.name, "render", plan.key, plan.arguments(), None)
            if self._children.stopping.is_set():
                break
            if plan.name in self.cells:
                whole.append(plan)
        return whole

    def run(self, chains: Iterable[Chain]) -> None:
        """Do all chains, as many at a time as there are workers.

        The seeds of one method on one scene must follow each other, for they are done one after the other: they
        share the images that the method prepares.
        """
        chains = list(chains)
        if any(step.kind == "train" and step.name not in self._kept(chain) for chain in chains for step in chain.steps):
            self._compile_kernels()
        groups = [list(group) for _, group in groupby(chains, key=lambda chain: (chain.scene, chain.method.name))]
        with ThreadPoolExecutor(self._workers) as pool:
            pending = {pool.submit(self._in_turn, group) for group in groups}
            try:
                while pending:
                    finished, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
            except BaseException:
                self._children.stop()
                raise

    def _compile_kernels(self) -> None:
        """Once and before all, so that it is in no training's time. What goes wrong the trainings will tell."""
        sources = sorted(path for path in (ROOT / "solver").rglob("*.py") if "\n@kernel(" in path.read_text("utf-8"))
        modules = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources)
        self._display.note("Compiling kernels where the code has changed")
        self._children.run(("-c", f"import {', '.join(modules)}"), self._logs / "kernels.log")

    def _in_turn(self, chains: Sequence[Chain]) -> None:
        for chain in chains:
            self._chain(chain)

    def _chain(self, chain: Chain) -> None:
        done = self._kept(chain)
        for step in chain.steps:
            if step.name in done:
                self.cells[step.name] = done[step.name]
                self._display.kept()
                self._forecast.end(step.name, step.kind)
                continue
            if self._children.stopping.is_set():
                return
            step.begin()
            self._run(step.name, step.kind, step.key, step.arguments, step)
            if step.name not in self.cells:
                for skipped in chain.steps[chain.steps.index(step) + 1 :]:
                    self._forecast.end(skipped.name, skipped.kind)
                    self._display.kept()
                return

    def _kept(self, chain: Chain) -> dict[str, Cell]:
        """The steps that need not be done again."""
        cells = {step.name: self._store.read(step.name, step.key) for step in chain.steps}
        return {
            step.name: cell for step in chain.steps if (cell := cells[step.name]) is not None and step.output.exists()
        }

    def _run(self, name: str, kind: str, key: str, arguments: Sequence[str | Path], step: Step | None) -> None:
        self._forecast.begin(name, kind)
        self._display.begin(name)

        def watch(event: Event) -> None:
            if event.get("event") == "progress":
                self._display.progress(name, event["done"], event["total"], self._forecast.seconds_left())

        threads = None if kind == "render" else max(1, cores() // self._workers)
        outcome = self._children.run(arguments, self._logs / f"{name}.log", threads, watch)
        if outcome.code == 0:
            earlier = self._store.spent(name, key)
            seconds, numbers = round(earlier + outcome.seconds, 2), step.read() if step else {}
            cell = Cell(key, seconds, outcome.peak_memory_mib, numbers, round(earlier, 2))
            self._store.write(name, cell)
            self.cells[name] = cell
        elif self._children.stopping.is_set() or outcome.code in _STOPPED_CODES:
            if not self._children.stopping.is_set():  # only this one was told; asked twice, the others are killed
                self._children.stop()
            self._store.write_attempt(name, key, outcome.seconds)
        else:
            self.failures[name] = outcome.error
        self._forecast.end(name, kind, outcome.seconds if outcome.code == 0 else None)
        self._tell(name, outcome)

    def _tell(self, name: str, outcome: Outcome) -> None:
        left = self._forecast.seconds_left()
        if name in self.failures:
            self._display.failed(name, self.failures[name], left)
        elif outcome.code == 0:
            self._display.end(name, outcome.seconds, left)
        else:
            self._display.stopped(name)
