# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the processor's rasterizer is, beside the same in C++, in plain PyTorch, and in the reference.

    python benchmarks/rasterizer.py

Prints tables, and writes them as JSON and Markdown. All variants of a table take turns, so that what else the machine
does meets all of them; figures are medians.
"""

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.progress import track

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


@dataclass(frozen=True)
class Arguments:
    """Measure the rasterizer and the training iteration."""

    counts: tuple[int, ...] = (10_000, 30_000, 60_000)  # Gaussians
    rounds: int = 9  # of each variant
    slow: bool = True  # also what takes seconds: plain PyTorch and the reference
    output: Path = ROOT / "benchmarks" / "results"  # folder for rasterizer.json and rasterizer.md


def main() -> None:
    """Measure, print, write."""
    arguments = tyro.cli(Arguments, description=Arguments.__doc__)
    # After the arguments, so that --help does not wait for kernels.
    import numpy as np
    import torch

    from benchmarks.quality_table.machine import describe
    from benchmarks.speed.compiled import compile_kernels
    from benchmarks.speed.kernels import Kernels
    from benchmarks.speed.measure import measure_iteration, measure_kernels, measure_passes, measure_slow
    from benchmarks.speed.report import as_markdown
    from benchmarks.speed.scenes import SIZES, make_scene

    np.seterr(all="raise", under="ignore")
    torch.set_num_threads(1)
    console = Console()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > 0.3:
        console.print(f"The machine is busy (load {load:.1f}); what uses two threads will look slow.", style="yellow")
    results: dict[str, Any] = {"machine": describe(), "load": round(load, 2), "rounds": arguments.rounds}
    with tempfile.TemporaryDirectory() as folder:
        compiled, compiler = compile_kernels(Path(folder))
        results["compiler"] = compiler
        results["passes"] = [
            measure_passes(count, sizes, arguments.rounds)
            for count in arguments.counts
            for sizes in track(SIZES, f"Passes with {count} Gaussians", console=console)
        ]
        results["kernels"] = [
            measure_kernels(Kernels(make_scene(count, sizes)), compiled, count, sizes, arguments.rounds)
            for count in arguments.counts
            for sizes in SIZES
        ]
        results["iterations"] = [
            measure_iteration(count, sizes, Path(folder), arguments.rounds)
            for count in arguments.counts
            for sizes in track(SIZES, f"Iterations with {count} Gaussians", console=console)
        ]
        results["slow"] = measure_slow() if arguments.slow else None
    page = as_markdown(results)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "rasterizer.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "rasterizer.md").write_text(page, encoding="utf-8")
    console.print(page, markup=False)


if __name__ == "__main__":
    main()
