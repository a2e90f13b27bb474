# SPDX-License-Identifier: GPL-3.0-or-later
"""One reconstruction of one capture, and its measures: a child process of photographing.py."""

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.photographing_table.poses import compare
from benchmarks.photographing_table.shoots import Shoot
from benchmarks.quality_table.cells import write_aside

Poses = Literal["known", "found", "refined"]  # told; from the photos, and held; from the photos, and learning

_KEPT = (
    *(f"psnr_{views}{region}" for views in ("deblurred", "novel") for region in ("", "_recoverable")),
    "recoverable_share",
    "depth_error_median_recoverable",
    "pupil_diameter_error",
    "focus_distance_error_median",
    "alignment_scale",
)


@dataclass(frozen=True)
class Trial:
    """A reconstruction of one way to photograph."""

    shoot: Shoot
    poses: Poses = "known"

    @property
    def name(self) -> str:
        """Unique; of its cell and folder."""
        return f"{self.shoot.name}-{self.poses}"


def arguments(trial: Trial, capture: Path, output: Path, numbers: Path, iterations: int, gaussians: int) -> list[str]:
    """Of Python."""
    paths = map(str, (capture, output, numbers))
    return ["-m", __spec__.name, *paths, str(iterations), str(gaussians), trial.poses]


def main(words: list[str]) -> int:
    """Reconstruct and measure; 0, or 1 with the reason as an event."""
    from solver.errors import SolverError
    from solver.events import JsonReporter

    capture, output, numbers = map(Path, words[:3])
    poses: Poses = words[5]  # type: ignore[assignment]
    reporter = JsonReporter()
    try:
        content = _run(capture, output, int(words[3]), int(words[4]), poses, reporter)
    except SolverError as error:
        if poses == "known":
            reporter.error(error)
            return 1
        content = {"failure": error.what, "photos_with_pose": 0}  # which is a finding, too
    write_aside(numbers, json.dumps(content, indent=1) + "\n")
    return 0


def _run(capture: Path, output: Path, iterations: int, gaussians: int, poses: Poses, reporter: Any) -> dict[str, Any]:
    from solver.config import settings_for
    from solver.evaluation.evaluate import evaluate
    from solver.reconstruct import Job, reconstruct

    os.environ["MACRO_RECONSTRUCTION_LPIPS"] = os.devnull  # not measured
    settings = settings_for(
        "standard",
        iterations=iterations,
        max_gaussians=gaussians,
        initial_gaussians=gaussians // 2,
        defocus="dilation",
        surface=False,
        refine_poses="on" if poses == "refined" else "off",
    )
    known = poses == "known"
    found_already = output.with_name(output.name.rpartition("-")[0] + "-found") / "poses"
    if poses == "refined" and found_already.is_dir() and not (output / "poses").exists():
        shutil.copytree(found_already, output / "poses")
    reconstruct(Job(capture if known else capture / "images", output, settings, device="cpu"), reporter)
    measured = evaluate(output, capture)
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return {
        **{name: measured[name] for name in _KEPT},
        **own_cameras(output, capture),
        "timings_s": result["timings_s"],
        "samples": json.loads((capture / "ground_truth" / "settings.json").read_text(encoding="utf-8")).get("samples"),
        **compare(output, capture),
    }


def own_cameras(result: Path, capture: Path) -> dict[str, float | None]:
    """PSNR of the deblurred photos, dB, rendered where the result's own cameras stand.

    Photos whose distortion was undone have lost their rim. They are rendered as wide as the truth, about the same
    principal point; what distortion was found stays undone, a quarter of a pixel in the corners of these photos.
    """
    import torch

    from solver.evaluation.scores import Scores
    from solver.evaluation.truth import read_ground_truth
    from solver.export.load import load_reconstruction
    from solver.optics.colour import linear_to_srgb
    from solver.training.reconstruction import view_of

    scene = load_reconstruction(result)
    found = {photo.name: photo for photo in scene.capture.photos}
    scores = Scores()
    for view in read_ground_truth(capture).photos:
        if view.name in found:
            photo = found[view.name]
            camera = replace(view.photo.camera, fx=photo.camera.fx, fy=photo.camera.fy)
            with torch.no_grad():
                colour = scene.render(view_of(camera, photo.world_to_camera, scene.device)).colour
            scores.add(linear_to_srgb(colour.clamp(0, 1)).cpu().numpy(), view)
    return {f"psnr_own_cameras{region}": scores.psnr(region) for region in ("", "_recoverable")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
