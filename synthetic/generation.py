# SPDX-License-Identifier: GPL-3.0-or-later
"""From settings to a capture: build the scene, choose the views, render them, write the ground truth."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import exr, ground_truth, ply, render, scenes, views
from .arguments import Settings
from .errors import GeneratorError
from .events import Reporter
from .files import read_json, require_writable_folder, write_json
from .scenes.construction import MacroScene
from .transforms import View, transforms

_GROUND_TRUTH = "ground_truth"
_SETTINGS_FILE = f"{_GROUND_TRUTH}/settings.json"  # written first: what --resume must agree with


def generate(settings: Settings, reporter: Reporter) -> None:
    """Render a capture as docs/formats.md has it, in a fresh Blender file. transforms.json is written last.

    Raises:
        GeneratorError: the output folder cannot be used, or Blender cannot render.
        RenderCancelled: Blender was interrupted; --resume goes on from there.
    """
    denoise = _denoise(settings, reporter)
    recipe = _recipe(settings, denoise)
    _prepare_folder(settings, recipe)
    width, height = settings.resolution
    truth = settings.output / _GROUND_TRUTH

    reporter.stage("build", f"Building the scene {settings.scene}")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = scenes.build(settings.scene)
    render.set_up_cycles(width, height, settings.samples, denoise=denoise)
    camera = render.add_camera(settings.lens)
    bpy.context.view_layer.update()
    ply.write_mesh(truth / "mesh.ply", *ground_truth.subject_mesh(scene.subject))

    photos, held_out = _views(settings, scene)
    reporter.stage("render", "Rendering photos and held-out views")
    frames = [(view, truth) for view in photos] + [(view, truth / "novel") for view in held_out]
    finished = []
    for index, (view, folder) in enumerate(frames):
        reporter.progress(index, len(frames))
        rng = np.random.default_rng([settings.seed, index])
        depth = _depth(folder / "depth" / f"{view.name}.exr", view, settings)
        focus_distance = _focus_distance(depth, view, scene, settings, rng)
        view = replace(view, focus_distance_mm=focus_distance)
        finished.append(view)
        seeds = [int(number) for number in rng.integers(2**31 - 1, size=2)]
        sharp = folder / "sharp" / f"{view.name}.png"
        if not sharp.exists():
            render.render_view(camera, view, sharp, defocus=False, seed=seeds[0])
        if folder is truth:
            coc = truth / "coc" / f"{view.name}.exr"
            if not coc.exists():
                exr.write_channel(coc, settings.lens.circle_of_confusion_px(depth, focus_distance, width), "V")
            photo = settings.output / "images" / f"{view.name}.png"
            if not photo.exists():
                render.render_view(camera, view, photo, defocus=True, seed=seeds[1])
    reporter.progress(len(frames), len(frames))

    if held_out:
        _write_transforms(truth / "novel" / "transforms.json", finished[len(photos) :], settings, "sharp")
    _write_transforms(truth / "transforms.json", finished[: len(photos)], settings, "sharp")
    _write_transforms(settings.output / "transforms.json", finished[: len(photos)], settings, "images")
    reporter.done(settings.output)


def _denoise(settings: Settings, reporter: Reporter) -> bool:
    available = render.has_denoiser()
    if settings.denoise and not available:
        raise GeneratorError("this Blender was built without OpenImageDenoise", remedy="leave --denoise out")
    if settings.denoise is None and not available:
        reporter.warning("This Blender has no denoiser; give --samples 128 or more for clean images.")
    return available if settings.denoise is None else settings.denoise


def _recipe(settings: Settings, denoise: bool) -> dict[str, Any]:
    """Everything that decides what the frames look like."""
    return {
        "scene": settings.scene,
        "views": settings.views,
        "held_out": settings.held_out,
        "resolution": list(settings.resolution),
        **asdict(settings.lens),
        "samples": settings.samples,
        "seed": settings.seed,
        "denoise": denoise,
        "blender": bpy.app.version_string,
        "generator": _fingerprint(),
    }


def _fingerprint() -> str:
    """Of the generator's source: frames of two versions do not belong into one capture."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(package.rglob("*.py")):
        digest.update(source.relative_to(package).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _prepare_folder(settings: Settings, recipe: dict[str, Any]) -> None:
    output = settings.output
    require_writable_folder(output)
    record = output / _SETTINGS_FILE
    if not record.exists():
        if output.exists() and any(output.iterdir()):
            raise GeneratorError("the output folder holds other files", where=output, remedy="choose an empty folder")
    elif settings.resume:
        earlier = read_json(record)
        for name, value in recipe.items():
            if not isinstance(earlier, dict) or earlier.get(name) != value:
                raise GeneratorError(
                    f"the capture was begun with a different {name.replace('_', '-')}",
                    where=output,
                    remedy="repeat the command that began it, or give --overwrite",
                )
    elif settings.overwrite:
        (output / "transforms.json").unlink(missing_ok=True)  # first: without it, it is no whole capture
        for folder in ("images", _GROUND_TRUTH):
            if (output / folder).exists():
                shutil.rmtree(output / folder)
    else:
        raise GeneratorError(
            "the output folder holds a capture already", where=output, remedy="give --resume or --overwrite"
        )
    write_json(record, recipe)


def _views(settings: Settings, scene: MacroScene) -> tuple[list[View], list[View]]:
    """The photos, and the held-out views between them."""
    rng = np.random.default_rng(settings.seed)
    distance = settings.lens.distance_mm(scene.field_width_mm)

    def named(prefix: str, count: int) -> list[View]:
        poses = views.hemisphere(count, scene.centre_mm, distance, rng, scene.elevations)
        return [View(f"{prefix}_{index:03d}", pose, None) for index, pose in enumerate(poses)]

    return named("view", settings.views), named("novel", settings.held_out)


def _depth(path: Path, view: View, settings: Settings) -> np.ndarray:
    if not path.exists():
        depth = ground_truth.depth_map(view.camera_to_world, settings.lens, *settings.resolution)
        exr.write_channel(path, depth, "Z")
    return exr.read_channel(path, "Z")


def _focus_distance(
    depth: np.ndarray,  # [H, W], mm
    view: View,
    scene: MacroScene,
    settings: Settings,
    rng: np.random.Generator,
) -> float:
    """The depth of a random surface point in view, on the subject or the ground round it, mm."""
    points = ground_truth.surface_points(depth, view.camera_to_world, settings.lens)
    near = (depth > 0) & (np.linalg.norm(points - scene.centre_mm, axis=-1) < scene.radius_mm)
    if not near.any():
        raise GeneratorError(f"no surface to focus on is in view of {view.name}", remedy="choose another lens")
    return float(rng.choice(depth[near]))


def _write_transforms(path: Path, photos: Sequence[View], settings: Settings, folder: str) -> None:
    with_focus = _GROUND_TRUTH in path.relative_to(settings.output).parts
    write_json(path, transforms(photos, settings.lens, *settings.resolution, folder, with_focus=with_focus))
