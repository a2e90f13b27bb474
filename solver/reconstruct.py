# SPDX-License-Identifier: GPL-3.0-or-later
"""A reconstruction from beginning to end: read, find poses, train, make a surface, write the result."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.capture.loading import UprightChoice
from solver.capture.mask_making import MakeMasks
from solver.capture.overrides import LensOverrides
from solver.capture.photos import list_images
from solver.capture.types import Capture, Scale
from solver.config import DeviceChoice, ReconstructionSettings
from solver.defocus.focus_plan import EQUAL_FOCUS, equal_focus_warning
from solver.errors import Cancelled, SolverError
from solver.events import Reporter
from solver.export.meshes import TEXTURE
from solver.export.result import RunRecord, write_images, write_result
from solver.files import no_empty_folder_left, read_json, require_writable_folder
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.rasterization import Backend, choose_backend, prepare
from solver.report.page import PAGE, write_report
from solver.run_lock import only_run_in
from solver.steering import Steering
from solver.surface.coverage import Coverage, cover, coverage_warning
from solver.surface.depth_views import render_sharp
from solver.surface.mesh_making import MeshOptions, make_mesh
from solver.surface.texture import Texture, bake, texture_views
from solver.training.held_out import is_held_out, psnr_of_photo
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction
from solver.training.scale_from_blur import contradiction, scale_from_blur
from solver.training.stages import uses_defocus
from solver.training.torch_threads import single_threaded_torch
from solver.training.trainer import Trainer

_VAGUE_SCALE = 0.1  # relative uncertainty of the scene's unit that is worth a warning

_CHECKPOINT, _PREVIEW, _DESCRIPTION = "checkpoint.pt", "preview.png", "result.json"
_FILES = ("transforms.json", "splats.ply", "mesh.glb", "mesh.ply", TEXTURE, "history.json", PAGE)
_FOLDERS = ("sharp", "depth", "coc", "coverage")


@dataclass(frozen=True)
class Job:
    """What to reconstruct, how, and where to."""

    capture: Path
    output: Path
    settings: ReconstructionSettings
    masks: Path | None = None
    make_masks: MakeMasks = "no"  # where there are none
    photos: Path | None = None  # folder of them, where it is not beside the file of cameras
    upright: UprightChoice = "auto"
    scale_bar: Path | None = None  # file of picked points
    marker_mm: float | None = None  # side of the ArUco markers
    lens: LensOverrides | None = None  # what the user says about it
    device: DeviceChoice = "auto"
    resume: bool = False
    command: list[str] = field(default_factory=list)  # arguments that repeat the run, for the record


def reconstruct(job: Job, reporter: Reporter, cancellation: Cancellation | None = None) -> Path:
    """Run `job` and return the result folder.

    Raises:
        SolverError: the input or the surroundings do not allow it; nothing half-written is left.
        Cancelled: it was asked to stop; a checkpoint is left if training had begun.
    """
    output = job.output.absolute()
    steering = Steering(output)
    with no_empty_folder_left(output), _taken_over(output, job.capture, steering):
        backend, device = choose_backend(job.device)
        capture = _read(job, output, reporter)

        reporter.stage("prepare", "Preparing the renderer")
        prepare(backend)
        trainer = _trainer(job, capture, backend, device, reporter, cancellation or Cancellation(), steering)

        reporter.stage("train", "Optimizing scene and lens")
        scene = trainer.run()
        if not scene.is_finite:
            raise SolverError("the optimization diverged", where=output, remedy="run again with another --seed")

        reporter.stage("surface", "Looking at the photos again")
        progress = _unless_cancelled(reporter, steering)
        trainer.fit_held_out(progress)
        defocused = uses_defocus(job.settings)
        with single_threaded_torch(device):
            psnr = [psnr_of_photo(scene, i, p, defocused=defocused) for i, p in enumerate(trainer.photos)]
        trainer.save()  # again, with what was found of photos that were held out
        masks = _masks(trainer.photos)
        blur_scale = None
        focus_varies = equal_focus_warning(scene.capture, scene.lens, trainer.training_indices) is None
        if uses_defocus(job.settings) and focus_varies:  # else blur does not tell the pupil, nor the pupil the scale
            reporter.stage("surface", "Measuring the scale from blur")
            blur_scale = scale_from_blur(scene, trainer.photos, trainer.training_indices, progress)
            _adopt_scale(scene, blur_scale, reporter)
        refinement = None if trainer.cameras is None else trainer.cameras.summary()
        history = trainer.history.curves()
        reporter.stage("surface", "Making the surface")
        del trainer  # and with it the photos and the optimizers' moments: gigabytes in a large run
        views = [render_sharp(scene, photo) for photo in scene.capture.photos]
        used = [not is_held_out(index, job.settings) for index in range(len(capture.photos))]
        mesh, texture = _textured_mesh(scene, views, masks, used, reporter, progress)

        reporter.stage("coverage", "Looking for what no photo holds in focus")
        coverage = cover(scene, views, masks, used, mesh, progress)
        if uses_defocus(job.settings):
            _warn_of_focus(scene, coverage, used, reporter)

        reporter.stage("export", "Writing the result")
        (output / _DESCRIPTION).unlink(missing_ok=True)  # of a result that is gone on with: files change from here on
        write_images(output, scene, views, progress, coverage)
        reporter.finish_stage()
        record = RunRecord(
            command=job.command,
            device=str(device),
            held_out=[not seen for seen in used],
            psnr=psnr,
            timings_s=dict(reporter.timings_s),
            warnings=list(reporter.warnings),
            camera_refinement=refinement,
            blur_scale=blur_scale,
            history=history,
        )
        write_result(output, scene, mesh, record, coverage, texture, lambda content: _report(output, content, reporter))
    reporter.done(output)
    return output


@contextmanager
def _taken_over(output: Path, capture: Path, steering: Steering) -> Iterator[None]:
    """Have the output folder alone. Wishes of an earlier run are not for this one, nor this one's for a later."""
    _require_place_for_result(output, capture)
    output.mkdir(parents=True, exist_ok=True)
    with only_run_in(output):
        steering.forget()
        try:
            yield
        finally:
            steering.forget()


def _read(job: Job, output: Path, reporter: Reporter) -> Capture:
    capture = load_capture(
        job.capture,
        photos=job.photos,
        masks=job.masks,
        mask_making=job.make_masks,
        upright=job.upright,
        scale_bar=job.scale_bar,
        marker_mm=job.marker_mm,
        overrides=job.lens,
        poses_folder=output / "poses",
        max_size=job.settings.max_size,
        train_on_sharp=job.settings.train_on == "sharp",
        reporter=reporter,
    )
    for photo in capture.unregistered:
        reporter.warning(f"{photo.name} was not used: {photo.reason}")
    return capture


def _trainer(
    job: Job,
    capture: Capture,
    backend: Backend,
    device: torch.device,
    reporter: Reporter,
    cancellation: Cancellation,
    steering: Steering,
) -> Trainer:
    """A trainer at its beginning, or at the output folder's checkpoint."""
    output = job.output.absolute()
    trainer = Trainer(
        capture,
        job.settings,
        backend=backend,
        device=device,
        checkpoint_path=output / _CHECKPOINT,
        preview_path=output / _PREVIEW,
        reporter=reporter,
        cancellation=cancellation,
        steering=steering,
    )
    if job.resume and trainer.checkpoint_path.is_file():
        trainer.resume()
    else:
        _remove_previous_result(output)
    return trainer


def _unless_cancelled(reporter: Reporter, steering: Steering) -> Callable[[int, int], None]:
    """Progress after training, when nobody asks for wishes any more but the one that there be no result."""

    def progress(done: int, total: int) -> None:
        if steering.wish() == "cancel":
            raise Cancelled
        reporter.progress(done, total)

    return progress


def _textured_mesh(
    scene: Reconstruction,
    views: list[SharpView],
    masks: list[np.ndarray | None],
    used: list[bool],
    reporter: Reporter,
    progress: Callable[[int, int], None],
) -> tuple[Mesh | None, Texture | None]:
    """What the settings want and the scene allows of both."""
    settings = scene.settings
    if not settings.surface:
        return None, None
    mesh = make_mesh(scene, views, masks, used, MeshOptions.of(settings), progress)
    if mesh is None:
        reporter.warning("No surface was found; the result has splats and images only")
        return None, None
    if not settings.texture_size:
        return mesh, None
    reporter.stage("texture", "Painting the texture")
    return mesh, bake(mesh, texture_views(scene, views, masks, used), settings.texture_size, progress)


def _report(output: Path, content: dict[str, Any], reporter: Reporter) -> None:
    """Write the page; where that fails, `content` (of result.json) says so, and the result is whole without it."""
    reporter.stage("report", "Writing the report")
    try:
        write_report(output, content, reporter.progress)
    except Exception as error:  # whatever it is, it must not cost the result
        with suppress(OSError):
            (output / PAGE).unlink()  # that of an earlier run
        reporter.warning(f"The report could not be written ({type(error).__name__}: {error})")
        content["warnings"] = list(reporter.warnings)
    reporter.finish_stage()


def _adopt_scale(scene: Reconstruction, scale: Scale | None, reporter: Reporter) -> None:
    """Let the scene have the unit that blur tells, where nothing better does; warn where that says another."""
    if scale is None:
        return
    if scene.capture.unit_mm is not None:
        told = contradiction(scene.capture.scale or Scale(scene.capture.unit_mm, "file"), scale)
        if told is not None:
            reporter.warning(told)
        return
    scene.capture = scene.capture.with_scale(scale)
    uncertainty = scale.relative_uncertainty or 0.0
    if uncertainty > _VAGUE_SCALE:
        reporter.warning(
            f"The model's size comes from blur alone and is sure to {100 * uncertainty:.0f} % only; two picked points "
            "or a marker of known size would tell it"
        )


def _warn_of_focus(scene: Reconstruction, coverage: Coverage, used: list[bool], reporter: Reporter) -> None:
    equal = equal_focus_warning(scene.capture, scene.lens, [index for index, seen in enumerate(used) if seen])
    if equal is not None and not any(told.startswith(EQUAL_FOCUS) for told in reporter.warnings):
        reporter.warning(equal)
    blurred = coverage_warning(coverage.summary)
    if blurred is not None:
        reporter.warning(blurred)


def _masks(photos: list[TrainingPhoto]) -> list[np.ndarray | None]:
    return [None if photo.mask is None else photo.mask.cpu().numpy() for photo in photos]


def _require_place_for_result(output: Path, capture: Path) -> None:
    """Refuse folders in which a result would overwrite what is not a result, or be taken for photos."""
    require_writable_folder(output)
    if not output.is_dir():
        return
    remedy = "choose another output folder"
    if capture.exists() and output.samefile(capture):
        raise SolverError("the output folder is the capture itself", where=output, remedy=remedy, mend="output")
    if any(image.name not in (_PREVIEW, TEXTURE) for image in list_images(output)):
        raise SolverError("the output folder holds photos", where=output, remedy=remedy, mend="output")
    if not (output / _CHECKPOINT).exists() and not _is_result(output):
        foreign = [name for name in (_DESCRIPTION, *_FILES, *_FOLDERS) if (output / name).exists()]
        if foreign:
            what = f"the output folder holds {foreign[0]} of something else"
            raise SolverError(what, where=output, remedy=remedy, mend="output")


def _is_result(folder: Path) -> bool:
    """Whether the folder's description is one of ours; other programs write a result.json too."""
    try:
        content = read_json(folder / _DESCRIPTION, "the result's description")
    except SolverError:
        return False
    return isinstance(content, dict) and {"format_version", "splats", "photos"} <= content.keys()


def _remove_previous_result(output: Path) -> None:
    """Make way for a new run. The description goes first: it vouches for the rest; poses stay: they may still fit.

    The checkpoint goes last: as long as it is there, the folder is known to be ours.
    """
    for name in (_DESCRIPTION, _PREVIEW, *_FILES):
        (output / name).unlink(missing_ok=True)
    for name in _FOLDERS:
        if (output / name).is_dir():
            shutil.rmtree(output / name)
    (output / _CHECKPOINT).unlink(missing_ok=True)
