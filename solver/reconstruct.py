# SPDX-License-Identifier: GPL-3.0-or-later
"""A reconstruction from beginning to end: read, find poses, train, make a surface, write the result."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import DeviceChoice, ReconstructionSettings
from solver.events import Reporter
from solver.files import require_writable_folder

_MESH_RESOLUTION = {"draft": 128, "standard": 192, "high": 320}  # voxels along the longest side


@dataclass(frozen=True)
class Job:
    """What to reconstruct, how, and where to."""

    capture: Path
    output: Path
    settings: ReconstructionSettings
    masks: Path | None = None
    device: DeviceChoice = "auto"
    resume: bool = False
    command: list[str] = field(default_factory=list)  # arguments that repeat the run, for the record


def reconstruct(job: Job, reporter: Reporter, cancellation: Cancellation | None = None) -> Path:
    """Run `job` and return the result folder.

    Raises:
        SolverError: the input or the surroundings do not allow it; nothing half-written is left.
        Cancelled: it was asked to stop; a checkpoint is left if training had begun.
    """
    cancellation = cancellation or Cancellation()
    output = job.output.absolute()
    require_writable_folder(output)

    capture = load_capture(
        job.capture,
        masks=job.masks,
        poses_folder=output / "poses",
        max_size=job.settings.max_size,
        train_on_sharp=job.settings.train_on == "sharp",
        reporter=reporter,
    )
    for photo in capture.unregistered:
        reporter.warning(f"{photo.name} was not used: {photo.reason}")

    from solver.rasterization import choose_backend, prepare

    reporter.stage("prepare", "Preparing the renderer")
    backend, device = choose_backend(job.device)
    prepare(backend)

    from solver.export.result import RunRecord, write_images, write_result
    from solver.surface.depth_views import render_sharp
    from solver.surface.fusion import fuse
    from solver.training.held_out import fit_focus, psnr_of_photo
    from solver.training.trainer import Trainer, is_held_out, uses_defocus

    trainer = Trainer(
        capture,
        job.settings,
        backend=backend,
        device=device,
        checkpoint_path=output / "checkpoint.pt",
        preview_path=output / "preview.png",
        reporter=reporter,
        cancellation=cancellation,
    )
    if job.resume and trainer.checkpoint_path.is_file():
        trainer.resume()
    else:
        _remove_previous_result(output)

    reporter.stage("train", "Optimizing scene and lens")
    scene = trainer.run()

    reporter.stage("surface", "Making the surface")
    held_out = [is_held_out(index, job.settings) for index in range(len(capture.photos))]
    defocused = uses_defocus(job.settings)
    psnr = []
    for index, target in enumerate(trainer.photos):
        if held_out[index] and defocused:
            fit_focus(scene, index, target)
        psnr.append(psnr_of_photo(scene, index, target, defocused=defocused))
    views = [render_sharp(scene, photo) for photo in capture.photos]
    masks = [None if target.mask is None else target.mask.cpu().numpy() for target in trainer.photos]
    mesh = fuse(views, masks, _MESH_RESOLUTION[job.settings.preset], reporter.progress)
    if mesh is None:
        reporter.warning("no surface was found; the result has splats and images only")

    reporter.stage("export", "Writing the result")
    trainer.save()
    write_images(output, scene, views, reporter.progress)
    reporter.finish_stage()
    record = RunRecord(
        command=job.command,
        device=str(device),
        held_out=held_out,
        psnr=psnr,
        timings_s=dict(reporter.timings_s),
        warnings=reporter.warnings,
    )
    write_result(output, scene, mesh, record)
    reporter.done(output)
    return output


def _remove_previous_result(output: Path) -> None:
    """Make way for a new run. `result.json` goes first: it vouches for the rest. Poses are kept: they may still fit."""
    for name in ("result.json", "checkpoint.pt", "transforms.json", "splats.ply", "mesh.glb", "mesh.ply"):
        (output / name).unlink(missing_ok=True)
    for name in ("sharp", "depth", "coc"):
        if (output / name).is_dir():
            shutil.rmtree(output / name)
