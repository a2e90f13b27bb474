# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings to a capture: build the scene, choose the views, render them, write the ground truth."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import bpy

from . import ground_truth, ply, render, scenes
from .arguments import Settings
from .comparison import compare
from .device import choose_device
from .errors import GeneratorError
from .events import Reporter
from .files import write_json
from .frames import Frame, Studio, held_out_views, photos, told_poses
from .lens import Lens
from .recipe import MASKS, PHOTOS, begin_folder, recipe, require_usable_folder
from .scenes.construction import MacroScene
from .transforms import View, transforms
from .turntable import Turntable


def generate(settings: Settings, reporter: Reporter) -> None:
    """Render a capture as docs/formats.md has it. transforms.json is written last.

    Raises:
        GeneratorError: the output folder cannot be used, or Blender cannot render.
        RenderCancelled: Blender was interrupted; --resume goes on from there.
    """
    denoise = _denoise(settings, reporter)
    if settings.scene == scenes.CURRENT:
        scenes.open_current(settings.blend)
    else:
        bpy.ops.wm.read_factory_settings(use_empty=True)
    choose_device(settings.device)
    content = recipe(settings, denoise=denoise)
    require_usable_folder(settings, content)
    reporter.stage("build", f"Building the scene {settings.scene}")
    studio = _studio(settings, denoise=denoise)
    begin_folder(settings, content)
    ply.write_mesh(
        studio.truth / "mesh.ply", *ground_truth.subject_mesh(studio.scene.subject, studio.scene.units_per_mm)
    )

    reporter.stage("render", "Rendering photos and held-out views")
    total = settings.views + settings.held_out
    views = _followed(chain(photos(studio), held_out_views(studio)), total, reporter)
    taken, held_out = views[: settings.views], views[settings.views :]
    reporter.stage("compare", "Looking for what the photos hold in focus")
    _followed(compare(studio, taken, held_out), total, reporter)

    if held_out:
        _write_transforms(studio, studio.novel, held_out, true=True)
    _write_transforms(studio, studio.truth, taken, true=True)
    _write_transforms(studio, settings.output, told_poses(settings, taken), true=False)
    reporter.done(settings.output)


def _followed(frames: Iterable[Frame], total: int, reporter: Reporter) -> list[View]:
    """The views of all `frames`, each reported when it is done."""
    reporter.progress(0, total)
    done = []
    for frame in frames:
        done.append(frame.view)
        reporter.progress(len(done), total, kept=frame.kept)
    return done


def _studio(settings: Settings, *, denoise: bool) -> Studio:
    scene = scenes.build(settings.scene, settings.subject)
    lens = settings.lens(scene.f_number)
    _require_room(lens, scene)
    render.set_up_cycles(*settings.resolution, denoise=denoise)
    camera = render.add_camera(lens, scene.units_per_mm)
    bpy.context.view_layer.update()
    plan = settings.plan or scene.view_plan
    table = Turntable(scene.subject, scene.centre_mm, scene.units_per_mm) if plan == "turntable" else None
    return Studio(settings, scene, lens, plan, camera, table)


def _require_room(lens: Lens, scene: MacroScene) -> None:
    """Refuse a lens with which the subject would not be wholly before the camera; no view is nearer than 0.96 of this.

    Raises:
        GeneratorError: its field of view is too wide, or too narrow.
    """
    distance = lens.distance_mm(scene.field_width_mm)
    if 0.96 * distance - scene.radius_mm < render.NEAREST_MM:
        remedy = "give a longer --focal-length-mm or a smaller --sensor-width-mm"
        raise GeneratorError("with so short a lens the camera would stand inside the subject", remedy=remedy)
    if distance + scene.radius_mm > render.FARTHEST_MM / 2:
        remedy = "give a shorter --focal-length-mm or a larger --sensor-width-mm"
        raise GeneratorError("with so long a lens the camera would stand over 50 m away", remedy=remedy)


def _denoise(settings: Settings, reporter: Reporter) -> bool:
    available = render.has_denoiser()
    if settings.denoise and not available:
        raise GeneratorError("this Blender was built without OpenImageDenoise", remedy="leave --denoise out")
    if settings.denoise is None and not available:
        reporter.warning("This Blender has no denoiser; give --samples 128 or more for clean images.")
    return available if settings.denoise is None else settings.denoise


def _write_transforms(studio: Studio, folder: Path, views: Sequence[View], *, true: bool) -> None:
    content = transforms(
        views,
        studio.lens,
        *studio.settings.resolution,
        "sharp" if true else PHOTOS,
        true=true,
        masks=MASKS if studio.subject_only and not true else None,
    )
    write_json(folder / "transforms.json", content)
