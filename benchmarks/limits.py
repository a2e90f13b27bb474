# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between our sharpness and the oracle's: the way there, or what blurred photos can tell.

    python benchmarks/limits.py CAPTURE [CAPTURE ...] [--json PATH]

The oracle is trained on sharp photos. Then its Gaussians are trained on the blurred ones, with the true lens: if they
stay sharp, our runs do not find what is there to be found; if they get worse while they fit the photos better, the
photos do not hold it. Our default runs beside it, at equal steps and Gaussians.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from solver.cancellation import Cancellation  # noqa: E402
from solver.capture import load_capture  # noqa: E402
from solver.config import settings_for  # noqa: E402
from solver.errors import SolverError  # noqa: E402
from solver.evaluation.metrics import psnr, squared_error  # noqa: E402
from solver.evaluation.truth import TrueView, read_ground_truth  # noqa: E402
from solver.events import Reporter  # noqa: E402
from solver.optics.circle_of_confusion import SHARP_COC_PX  # noqa: E402
from solver.optics.colour import linear_to_srgb  # noqa: E402
from solver.rasterization import choose_backend, prepare  # noqa: E402
from solver.training.held_out import psnr_of_photo  # noqa: E402
from solver.training.reconstruction import Reconstruction, view_of_photo  # noqa: E402
from solver.training.trainer import Trainer  # noqa: E402


@dataclass(frozen=True)
class Score:
    """How a scene stands, dB."""

    sharp: float  # PSNR of the deblurred photos against the truth, on recoverable pixels
    photos: float  # mean PSNR of the blurred photos as rendered through the lens


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table and write JSON where asked; 0 if that went well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("captures", nargs="+", type=Path, help="generated captures with ground truth")
    parser.add_argument("--iterations", type=int, default=2000, help="of each training")
    parser.add_argument("--gaussians", type=int, default=40_000, help="budget of each training")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    options = parser.parse_args(arguments)
    try:
        table = {path.name: _measure(path, options.iterations, options.gaussians) for path in options.captures}
    except SolverError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'PSNR, dB':44s} {'sharp':>8s} {'photos':>8s}")
    for scene, rows in table.items():
        for name, score in rows.items():
            print(f"{scene:15s} {name:28s} {score.sharp:8.2f} {score.photos:8.2f}")
    if options.json is not None:
        numbers = {scene: {name: vars(score) for name, score in rows.items()} for scene, rows in table.items()}
        options.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    return 0


def _measure(capture: Path, iterations: int, gaussians: int) -> dict[str, Score]:
    truth = sorted(read_ground_truth(capture).photos, key=lambda view: view.name)  # as photos are
    budget = {"iterations": iterations, "max_gaussians": gaussians, "surface": False}
    # Nothing but the photos pulls at the oracle's Gaussians: the lens is true and stays, none is added, moved or reset.
    undisturbed = {
        "focus_rate": 0.0,
        "pupil_rate": 0.0,
        "opacity_regularization": 0.0,
        "scale_regularization": 0.0,
        "densify_until": 0.0,
        "resurface_at": 1.0,
        "sh_degree_interval": 0.001,
        "defocus_warm_up": 0.0,
        "pupil_from": 0.0,
    }
    with tempfile.TemporaryDirectory() as folder:
        ours = _trainer(capture, Path(folder), budget)
        _train(ours)
        oracle = _trainer(capture, Path(folder), {**budget, "train_on": "sharp"})
        _train(oracle)
        pulled = _trainer(capture, Path(folder), {**budget, **undisturbed})
        _take_over(pulled, oracle.scene, truth)
        start = _score(pulled, truth)
        _train(pulled)
        return {"ours": _score(ours, truth), "the oracle": start, "the oracle trained on photos": _score(pulled, truth)}


def _trainer(capture: Path, folder: Path, settings: dict[str, Any]) -> Trainer:
    reporter, chosen = Reporter(), settings_for("standard", **settings)
    backend, device = choose_backend("auto")
    prepare(backend)
    sharp = chosen.train_on == "sharp"
    return Trainer(
        load_capture(
            capture, poses_folder=folder / "poses", max_size=chosen.max_size, train_on_sharp=sharp, reporter=reporter
        ),
        chosen,
        backend=backend,
        device=device,
        checkpoint_path=folder / "checkpoint.pt",
        preview_path=folder / "preview.png",
        reporter=reporter,
        cancellation=Cancellation(),
    )


def _train(trainer: Trainer) -> None:
    total = trainer.settings.iterations
    while trainer.step < total:
        trainer.train_one_step()
        trainer.step += 1
        if sys.stderr.isatty():
            print(f"\r{trainer.step}/{total}", end="" if trainer.step < total else "\r", file=sys.stderr)


def _take_over(trainer: Trainer, oracle: Reconstruction, truth: Sequence[TrueView]) -> None:
    """Give a trainer the oracle's scene and the true lens."""
    trainer.start_from(oracle.gaussians.detached())
    scene = trainer.scene
    scene.active_sh_degree = scene.settings.sh_degree
    with torch.no_grad():
        scene.background.copy_(oracle.background)
        for log_diameter, pupil in zip(scene.lens.log_pupil_diameters, _pupils(scene, truth), strict=True):
            log_diameter.fill_(float(np.log(pupil)))
        for inverse_focus_distance, view in zip(scene.lens.inverse_focus_distances, truth, strict=True):
            if view.photo.focus_distance is None:
                raise SolverError(f"the truth does not say where {view.name} is focused", remedy="render it again")
            inverse_focus_distance.fill_(1 / view.photo.focus_distance)


def _pupils(scene: Reconstruction, truth: Sequence[TrueView]) -> list[float]:
    """The true diameter of each pupil, scene unit."""
    known = dict(zip(scene.lens.pupil_of_photo, (view.pupil_diameter for view in truth), strict=True))
    found = [diameter for _, diameter in sorted(known.items()) if diameter is not None]
    if len(found) < len(known):
        raise SolverError(
            "the truth does not say how wide its pupils are", where=truth[0].folder, remedy="render the capture again"
        )
    return found


def _score(trainer: Trainer, truth: Sequence[TrueView]) -> Score:
    scene, error, count, fits = trainer.scene, 0.0, 0, []
    for index, (view, photo) in enumerate(zip(truth, trainer.photos, strict=True)):
        smallest = view.smallest_coc()
        recoverable = view.subject() & (smallest >= 0) & (smallest <= SHARP_COC_PX)
        with torch.no_grad():
            rendering = scene.render(view_of_photo(photo.photo, scene.device))
        sharp = linear_to_srgb(rendering.colour).clamp(0, 1).cpu().numpy()
        error += float(squared_error(sharp, view.image())[recoverable].sum())
        count += int(recoverable.sum())
        fits.append(psnr_of_photo(scene, index, photo, defocused=True) or 0.0)
    return Score(psnr(error, count) or 0.0, float(np.mean(fits)))


if __name__ == "__main__":
    sys.exit(main())
