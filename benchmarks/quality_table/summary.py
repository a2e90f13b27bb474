# SPDX-License-Identifier: GPL-3.0-or-later
"""From cells to the table's numbers: recovery, means over seeds and over scenes, spreads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from benchmarks.quality_table.cells import Cell
from benchmarks.quality_table.chains import Chain
from benchmarks.quality_table.methods import CEILING, FLOOR

Numbers = dict[str, float | None]  # by key; those by bin have "KEY/BIN"

MEAN = "mean"  # the column beside the scenes
_VIEWS = ("deblurred", "novel")
LEAST_WAY_DB = 0.5  # from floor to ceiling; on less, recovery would be noise
_LENS = ("focus_distance_error_median", "pupil_diameter_error")


@dataclass(frozen=True)
class Entry:
    """One method on one scene, or on all."""

    values: Numbers  # means over the seeds
    spreads: Numbers  # their standard deviations; None for one seed

    def __getitem__(self, key: str) -> float | None:
        return self.values.get(key)


Table = dict[str, dict[str, Entry]]  # by method, then by scene and MEAN; what failed is not there


def summarize(
    chains: Sequence[Chain], cells: Mapping[str, Cell], scenes: Sequence[str], baseline: str | None = None
) -> Table:
    """The table of all chains whose measurement is among the cells.

    Args:
        chains: of all methods, scenes and seeds.
        cells: what is done, by name.
        scenes: those that a mean is over.
        baseline: the method that `gain_deblurred` and `gain_novel`, in dB, are counted from, seed by seed.
    """
    runs: dict[tuple[str, str, int], Numbers] = {}
    for chain in chains:
        if chain.measure.name in cells:
            runs[chain.method.name, chain.scene, chain.seed] = _numbers(chain, cells)
    for (_, scene, seed), numbers in runs.items():
        for views in _VIEWS:
            key = f"psnr_{views}_recoverable"
            floor, ceiling = (runs.get((name, scene, seed), {}).get(key) for name in (FLOOR, CEILING))
            numbers[f"recovery_{views}"] = recovery(numbers.get(key), floor, ceiling)
            if baseline is not None:
                numbers[f"gain_{views}"] = _difference(numbers.get(key), runs.get((baseline, scene, seed), {}).get(key))
    methods = list(dict.fromkeys(chain.method.name for chain in chains))
    table: Table = {}
    for name in methods:
        of_method = {
            scene: [numbers for (method, place, _), numbers in runs.items() if (method, place) == (name, scene)]
            for scene in scenes
        }
        row = {scene: _over_seeds(found) for scene, found in of_method.items() if found}
        if len(row) == len(scenes):  # the mean of other scenes could not be compared
            row[MEAN] = _over_scenes([row[scene] for scene in scenes])
        table[name] = row
    return table


def recovery(value: float | None, floor: float | None, ceiling: float | None) -> float | None:
    """How much of the way from the floor to the ceiling a value is; None where there is no way to go."""
    if value is None or floor is None or ceiling is None or ceiling - floor < LEAST_WAY_DB:
        return None
    return (value - floor) / (ceiling - floor)


def _difference(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _numbers(chain: Chain, cells: Mapping[str, Cell]) -> Numbers:
    """Everything that is known of one chain, without what means nothing for its method."""
    numbers = flat(cells[chain.measure.name].numbers)
    if not chain.method.finds_lens:
        numbers |= dict.fromkeys(_LENS)
    if (error := numbers.get("pupil_diameter_error")) is not None:
        numbers["pupil_diameter_error_absolute"] = abs(error)  # too large and too small must not cancel in a mean
    if chain.method.source == "stack":
        numbers = {key: value for key, value in numbers.items() if "novel" in key or key.startswith("mesh_")}
    work = [cells[step.name] for step in chain.steps if step.kind in ("prepare", "train") and step.name in cells]
    if work:
        numbers["seconds"] = sum(cell.seconds for cell in work)
        stages = [(cell.numbers.get("timings_s", {}).get("train"), cell.earlier_s) for cell in work]
        trained = [spent + earlier for spent, earlier in stages if spent is not None]
        numbers["training_seconds"] = sum(trained) if trained else None
        peaks = [cell.peak_memory_mib for cell in work if cell.peak_memory_mib is not None]
        numbers["peak_memory_mib"] = max(peaks, default=None)
    for step in chain.steps:
        if step.kind == "measure" and step is not chain.measure and step.name in cells:
            fused = flat(cells[step.name].numbers)
            numbers |= {key.replace("deblurred", "fused"): fused[key] for key in fused if "deblurred" in key}
    return numbers


def flat(numbers: Mapping[str, Any]) -> Numbers:
    """Nested numbers by "KEY/BIN"."""
    result: Numbers = {}
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            result |= {f"{key}/{name}": inner for name, inner in value.items()}
        else:
            result[key] = value
    return result


def _over_seeds(runs: Sequence[Numbers]) -> Entry:
    keys = list(dict.fromkeys(key for run in runs for key in run))
    found = {key: [value for run in runs if (value := run.get(key)) is not None] for key in keys}
    return Entry(
        {key: fmean(values) if values else None for key, values in found.items()},
        {key: stdev(values) if len(values) > 1 else None for key, values in found.items()},
    )


def _over_scenes(entries: Sequence[Entry]) -> Entry:
    """The mean over the scenes that have a number; which ones do is decided by the truth, not by the method."""
    keys = list(dict.fromkeys(key for entry in entries for key in entry.values))
    found = {key: [value for entry in entries if (value := entry[key]) is not None] for key in keys}
    spreads = {key: [value for entry in entries if (value := entry.spreads.get(key)) is not None] for key in keys}
    return Entry(
        {key: fmean(values) if values else None for key, values in found.items()},
        {key: _of_mean(spreads[key]) if len(spreads[key]) == len(found[key]) else None for key in keys},
    )


def _of_mean(spreads: Sequence[float]) -> float | None:
    """The standard deviation of the mean of independent numbers that have these."""
    return sum(spread**2 for spread in spreads) ** 0.5 / len(spreads) if spreads else None
