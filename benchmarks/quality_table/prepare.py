# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that a classical method makes of a capture, as a program of its own: one child of the benchmark."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.baselines.deconvolution import deconvolve
from benchmarks.baselines.focus_stack import stacked_capture
from solver.capture.images import load_photo
from solver.errors import SolverError
from solver.evaluation.truth import read_ground_truth
from solver.export.images import write_png


def deconvolve_capture(capture: Path, output: Path) -> None:
    """Write each photo of `capture`, deconvolved with its true circles of confusion, as `output`/NAME.png."""
    for view in read_ground_truth(capture).photos:
        path = capture / "images" / f"{view.name}.png"
        camera = view.photo.camera
        photo = load_photo(replace(view.photo, image_path=path), camera.width, camera.height)
        write_png(output / f"{view.name}.png", deconvolve(photo, view.coc()).astype(np.float32))


def stack_capture(bracket: Path, capture: Path, output: Path) -> None:
    """Fuse `bracket` into the capture `output`, whose held-out views are those of `capture`."""
    aside = output.with_name(f".{output.name}")
    for folder in (aside, output):
        if folder.exists():
            shutil.rmtree(folder)
    stacked_capture(bracket, aside)
    novel = Path("ground_truth", "novel")
    if (aside / novel).exists():
        shutil.rmtree(aside / novel)
    shutil.copytree(capture / novel, aside / novel)
    aside.replace(output)


def main(arguments: list[str]) -> int:
    """Run one of the two by its name in `benchmarks.quality_table.methods`."""
    kind, *paths = arguments
    try:
        if kind == "deconvolved":
            deconvolve_capture(*map(Path, paths))
        else:
            stack_capture(*map(Path, paths))
    except SolverError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
