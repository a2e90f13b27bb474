# SPDX-License-Identifier: GPL-3.0-or-later
"""How well `refocus` takes pictures with lenses that no photo was taken with.

    python benchmarks/refocus.py CAPTURE=RESULT... --work FOLDER [--json FILE]

Held-out views of generated captures are rendered by Cycles at other f-numbers and focus distances than any photo's, and
taken again from the results; beside that, the PSNR of the same views sharp. Both over all pixels of all views, sRGB.
Results must know their scale, and poses must be those of the capture; `python -m solver reconstruct CAPTURE` does.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from solver.errors import SolverError  # noqa: E402
from solver.evaluation.metrics import psnr, squared_error  # noqa: E402
from solver.evaluation.truth import TrueView, read_ground_truth  # noqa: E402
from solver.export.load import load_reconstruction  # noqa: E402
from solver.optics.colour import linear_to_srgb  # noqa: E402
from solver.refocus.aperture import Lens  # noqa: E402
from solver.refocus.rendering import photograph  # noqa: E402
from solver.training.reconstruction import Reconstruction, view_of_photo  # noqa: E402

LIMIT_DB = 1.5  # that refocused pictures may lie below sharp ones


@dataclass(frozen=True)
class Setting:
    """A lens that no photo had, by what it changes."""

    name: str
    f_number_factor: float  # on that of the capture
    focus_quantile: float  # of the depths in view
    blades: int = 0


SETTINGS = (
    Setting("one stop wider, near", 2**-0.5, 0.15),
    Setting("two stops narrower, far", 2.0, 0.85),
    Setting("6 blades, middle", 1.0, 0.5, blades=6),
)


@dataclass(frozen=True)
class Score:
    """Of a scene; PSNR in dB."""

    views: int  # held out, that were compared
    sharp: float  # held-out views without defocus
    refocused: dict[str, float]  # by setting
    unfocused: dict[str, float]  # by setting: what the sharp rendering has there, to show what is at stake


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and write JSON where asked; 0 where every setting is within the limit."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pairs", nargs="+", metavar="CAPTURE=RESULT", help="generated captures and their results")
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for what Cycles renders; kept for the next time"
    )
    parser.add_argument("--views", type=int, help="of each scene (default: all that were held out)")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    options = parser.parse_args(arguments)
    try:
        scores = {}
        for pair in options.pairs:
            capture, _, result = pair.partition("=")
            work = options.work / Path(capture).name
            scores[Path(capture).name] = measure(Path(capture), Path(result), work, options.views)
    except SolverError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'PSNR of held-out views, dB':40s} {'sharp':>8s} {'refocused':>10s} {'not refocused':>14s}")
    for scene, score in scores.items():
        for name, value in score.refocused.items():
            print(f"{scene:15s} {name:24s} {score.sharp:8.2f} {value:10.2f} {score.unfocused[name]:14.2f}")
    if options.json is not None:
        numbers = {scene: asdict(score) for scene, score in scores.items()}
        options.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    worst = min(value - score.sharp for score in scores.values() for value in score.refocused.values())
    return 0 if worst >= -LIMIT_DB else 1


def measure(capture: Path, result: Path, work: Path, views: int | None = None) -> Score:
    """Render what is missing of the truth, and compare."""
    novel = read_ground_truth(capture).novel[:views]
    if not novel:
        raise SolverError("the capture has no held-out views", where=capture, remedy="render it with --held-out")
    scene = load_reconstruction(result)
    f_number = novel[0].photo.f_number
    focal_length_mm, unit_mm = novel[0].photo.focal_length_mm, scene.capture.unit_mm
    if not (f_number and focal_length_mm and unit_mm):
        raise SolverError("the capture or the result does not know its lens and scale", where=result)
    _render_truth(capture, _shots(novel, f_number), work)
    refocused, unfocused = {}, {}
    pinhole = [_srgb(scene, view, None) for view in novel]
    sharp = [squared_error(image, view.image()) for view, image in zip(novel, pinhole, strict=True)]
    for number, setting in enumerate(SETTINGS):
        pupil = focal_length_mm / (f_number * setting.f_number_factor) / unit_mm
        errors, without = [], []
        for view, image in zip(novel, pinhole, strict=True):
            path = work / f"{number}_{view.name}.png"
            truth = replace(view, photo=replace(view.photo, image_path=path)).image()
            lens = Lens(pupil, 1 / _focus(view, setting), setting.blades)
            errors.append(squared_error(_srgb(scene, view, lens), truth))
            without.append(squared_error(image, truth))
        refocused[setting.name], unfocused[setting.name] = _psnr(errors), _psnr(without)
    return Score(len(novel), _psnr(sharp), refocused, unfocused)


def _shots(novel: Sequence[TrueView], f_number: float) -> list[dict[str, Any]]:
    """What benchmarks/refocus_truth.py is to render."""
    return [
        {
            "file": f"{number}_{view.name}.png",
            "view": view.name,
            "focus_distance": _focus(view, setting),
            "f_number": f_number * setting.f_number_factor,
            "blades": setting.blades,
        }
        for number, setting in enumerate(SETTINGS)
        for view in novel
    ]


def _focus(view: TrueView, setting: Setting) -> float:
    depth = view.depth()
    return float(np.quantile(depth[depth > 0], setting.focus_quantile))


def _srgb(scene: Reconstruction, view: TrueView, lens: Lens | None) -> np.ndarray:  # [H, W, 3]
    image = photograph(scene, view_of_photo(view.photo, scene.device), lens)
    return linear_to_srgb(image).clip(0, 1)


def _psnr(errors: Sequence[np.ndarray]) -> float:
    return psnr(float(sum(error.sum(dtype=np.float64) for error in errors)), sum(error.size for error in errors)) or 0.0


def _render_truth(capture: Path, shots: list[dict[str, Any]], work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    (work / "shots.json").write_text(json.dumps(shots, indent=2) + "\n", encoding="utf-8")
    script = ROOT / "benchmarks" / "refocus_truth.py"
    command: list[str | Path] = [sys.executable, script, capture, work / "shots.json", work]
    if not all((work / shot["file"]).exists() for shot in shots):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
