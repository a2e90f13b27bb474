# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame at a time: its surfaces, its focus, its photo and its ground truth. What is there already is kept."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import bpy
import numpy as np

from . import exif, exr, ground_truth, imperfections, photo, png, render, views
from .arguments import Settings
from .errors import GeneratorError
from .files import written_aside
from .focus import focus_distance
from .lens import Lens
from .recipe import GROUND_TRUTH, MASKS, PHOTOS
from .scenes.construction import MacroScene
from .streams import Stream, generator
from .transforms import View
from .turntable import Turntable

_TRUTH_SAMPLES = 2  # times those of a photo: its noise is the floor of all that is measured


@dataclass(frozen=True)
class Studio:
    """The built scene with all that photos are taken with."""

    settings: Settings
    scene: MacroScene
    lens: Lens
    plan: str  # of the views
    camera: bpy.types.Object
    turntable: Turntable | None

    @property
    def subject_only(self) -> bool:
        """Whether what is not the subject has no place in the subject's frame, or is not wanted there."""
        return self.scene.masked or self.turntable is not None

    @property
    def truth(self) -> Path:
        """Folder of the photos' ground truth."""
        return self.settings.output / GROUND_TRUTH

    @property
    def novel(self) -> Path:
        """Folder of the held-out views."""
        return self.truth / "novel"

    def in_room(self, view: View) -> View:
        """The same view where the camera stands in Blender's scene; turns the subject."""
        if self.turntable is None:
            return view
        self.turntable.turn_to(view.turn_degrees)
        motion = views.turn(view.turn_degrees, self.scene.centre_mm)
        return replace(view, camera_to_world=motion @ view.camera_to_world)


@dataclass(frozen=True)
class Surfaces:
    """What the pixels' centres of a view see."""

    depth: np.ndarray  # [H, W], mm, 0 where nothing is
    subject: np.ndarray  # [H, W], bool


@dataclass(frozen=True)
class Frame:
    """A view that is done."""

    view: View
    kept: bool  # all of it that takes time was there already


def held_out_views(studio: Studio) -> Iterator[Frame]:
    """Render the sharp views that no photo was taken from, one after the other."""
    settings = studio.settings
    for index, stand in enumerate(_stands(studio, settings.held_out, Stream.HELD_OUT_POSES)):
        view = _view(f"novel_{index:03d}", stand)
        surfaces = _surfaces(studio, view, studio.novel)
        rng = generator(settings.seed, Stream.HELD_OUT_FOCUS, index)
        view = _focused(studio, view, surfaces, "random", 0, rng)
        seed = _sampling_seeds(settings.seed, Stream.HELD_OUT_SAMPLING, index)[0]
        rendered = _sharp(studio, view, studio.novel, seed)
        yield Frame(view, kept=not rendered)


def photos(studio: Studio) -> Iterator[Frame]:
    """Take the photos, one after the other; those of a bracket share pose and sharp truth."""
    settings = studio.settings
    size = settings.bracket_size
    for pose, stand in enumerate(_stands(studio, settings.views // size, Stream.POSES)):
        first: View | None = None
        for step in range(size):
            index = pose * size + step
            view = _view(f"view_{index:03d}", stand)
            if first is not None:
                _copy_truth(studio, first.name, view.name)
            surfaces = _surfaces(studio, view, studio.truth)
            seeds = _sampling_seeds(settings.seed, Stream.SAMPLING, index)
            rendered = _sharp(studio, view, studio.truth, seeds[0])
            rng = generator(settings.seed, Stream.FOCUS, index)
            view = _exposed(settings, _focused(studio, view, surfaces, settings.focus, step, rng), index)
            _circles_of_confusion(studio, view, surfaces)
            _mask(studio, view)
            rendered |= _photo(studio, view, seeds[1], index)
            first = first or view
            yield Frame(view, kept=not rendered)


def told_poses(settings: Settings, true: list[View]) -> list[View]:
    """The photos with the poses that the capture tells: the true ones, moved where pose noise was asked for.

    All photos of a bracket are taken from one tripod and told one pose.
    """
    wrong = settings.imperfections
    if not wrong.moves_poses:
        return true
    return [
        replace(
            view,
            camera_to_world=imperfections.noisy_pose(
                view.camera_to_world,
                wrong.pose_translation_mm,
                wrong.pose_rotation_degrees,
                generator(settings.seed, Stream.POSE_NOISE, index // settings.bracket_size),
            ),
        )
        for index, view in enumerate(true)
    ]


def _stands(studio: Studio, count: int, stream: Stream) -> list[views.Stand]:
    scene = studio.scene
    distance = studio.lens.distance_mm(scene.field_width_mm)
    rng = generator(studio.settings.seed, stream)
    return views.PLANS[studio.plan](count, scene.centre_mm, distance, rng, scene.elevations)


def _view(name: str, stand: views.Stand) -> View:
    return View(name, stand.camera_to_world, None, stand.turn_degrees)


def _surfaces(studio: Studio, view: View, folder: Path) -> Surfaces:
    depth_path, mask_path = folder / "depth" / f"{view.name}.exr", folder / "mask" / f"{view.name}.png"
    if not (depth_path.exists() and mask_path.exists()):
        depth, mask = ground_truth.first_surfaces(
            studio.in_room(view).camera_to_world,
            studio.lens,
            *studio.settings.resolution,
            studio.scene.subject,
            studio.scene.units_per_mm,
        )
        exr.write_channel(depth_path, depth, "Z")
        png.write(mask_path, np.where(mask, np.uint8(255), np.uint8(0)))
    return Surfaces(exr.read_channel(depth_path, "Z"), png.read(mask_path) > 127)


def _focused(studio: Studio, view: View, surfaces: Surfaces, plan: str, step: int, rng: np.random.Generator) -> View:
    scene = studio.scene
    points = ground_truth.surface_points(surfaces.depth, view.camera_to_world, studio.lens)
    try:
        distance = focus_distance(
            plan,
            surfaces.depth,
            np.linalg.norm(points - scene.centre_mm, axis=-1) < scene.radius_mm,
            surfaces.subject,
            usual=studio.lens.distance_mm(scene.field_width_mm),
            step=step,
            steps=studio.settings.bracket_size,
            rng=rng,
        )
    except GeneratorError as error:
        raise GeneratorError(error.what, where=view.name, remedy=error.remedy) from None
    return replace(view, focus_distance_mm=distance)


def _exposed(settings: Settings, view: View, index: int) -> View:
    wrong = settings.imperfections
    rng = generator(settings.seed, Stream.IMPERFECTIONS, index)
    return replace(
        view,
        exposure=imperfections.random_exposure(wrong.exposure_stops, rng),
        white_balance=imperfections.random_white_balance(wrong.white_balance, rng),
    )


def _sharp(studio: Studio, view: View, folder: Path, seed: int) -> bool:
    """Render the sharp truth; whether it was not there yet."""
    path = folder / "sharp" / f"{view.name}.png"
    if path.exists():
        return False
    render.render_view(
        studio.camera,
        studio.in_room(view),
        path,
        defocus=False,
        samples=_TRUTH_SAMPLES * studio.settings.samples,
        seed=seed,
        units_per_mm=studio.scene.units_per_mm,
    )
    return True


def _circles_of_confusion(studio: Studio, view: View, surfaces: Surfaces) -> None:
    path = studio.truth / "coc" / f"{view.name}.exr"
    if not path.exists():
        assert view.focus_distance_mm is not None
        width = studio.settings.resolution[0]
        exr.write_channel(path, studio.lens.circle_of_confusion_px(surfaces.depth, view.focus_distance_mm, width), "V")


def _mask(studio: Studio, view: View) -> None:
    """The true mask is the photographer's, too, where the background is not part of the subject's world."""
    if studio.subject_only:
        _copy(studio.truth / "mask" / f"{view.name}.png", studio.settings.output / MASKS / f"{view.name}.png")


def _photo(studio: Studio, view: View, seed: int, index: int) -> bool:
    """Take the photo; whether it was not there yet."""
    settings = studio.settings
    path = settings.output / PHOTOS / f"{view.name}.png"
    if path.exists():
        return False
    wrong, samples, units = settings.imperfections, settings.samples, studio.scene.units_per_mm
    iso = exif.iso_speed() if wrong.full_well_electrons is None else exif.iso_speed(wrong.full_well_electrons)
    block = exif.block(studio.lens, *settings.resolution, iso=iso, exposure_s=view.exposure * exif.SHUTTER_S)
    room = studio.in_room(view)
    if not wrong.develops:
        render.render_view(
            studio.camera, room, path, defocus=True, samples=samples, seed=seed, exif=block, units_per_mm=units
        )
        return True
    radiance = render.render_radiance(studio.camera, room, defocus=True, samples=samples, seed=seed, units_per_mm=units)
    pixels = photo.develop(
        radiance,
        exposure=view.exposure,
        white_balance=view.white_balance,
        full_well_electrons=wrong.full_well_electrons,
        read_noise_electrons=wrong.read_noise_electrons,
        rng=generator(settings.seed, Stream.SENSOR, index),
    )
    png.write(path, pixels, block)
    return True


def _copy_truth(studio: Studio, source: str, target: str) -> None:
    for kind, suffix in (("sharp", "png"), ("depth", "exr"), ("mask", "png")):
        _copy(studio.truth / kind / f"{source}.{suffix}", studio.truth / kind / f"{target}.{suffix}")


def _copy(source: Path, target: Path) -> None:
    if not target.exists():
        with written_aside(target) as temporary:
            shutil.copyfile(source, temporary)


def _sampling_seeds(seed: int, stream: Stream, index: int) -> tuple[int, int]:
    sharp, photo = generator(seed, stream, index).integers(2**31 - 1, size=2)
    return int(sharp), int(photo)
