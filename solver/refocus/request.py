# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, checked as far as that goes without the result, and what it comes to: cameras and lenses."""

import difflib
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from solver.capture.transforms import number, read_cameras
from solver.capture.types import Camera, Photo
from solver.errors import SolverError
from solver.refocus.aperture import Lens
from solver.refocus.films import FILM_SUFFIXES
from solver.refocus.pictures import PICTURE_SUFFIXES
from solver.training.reconstruction import Reconstruction

_LARGEST_SIDE, _SMALLEST_SIDE = 8192, 16  # px
_MOST_FRAMES = 3600
_MOST_SAMPLES = 65_536
_BLADES = range(3, 17)
_F_NUMBERS = (0.1, 1e4)


@dataclass(frozen=True)
class Request:
    """The command line of `refocus`, see there."""

    result: Path
    output: Path
    view: str | None = None
    camera: Path | None = None
    focus_mm: float | None = None
    focus_at: tuple[int, int] | None = None
    f_number: float | None = None
    blades: int = 0
    blade_rotation_degrees: float = 0.0
    all_in_focus: bool = False
    sweep: bool = False
    orbit: bool = False
    samples: int | None = None
    size: int | None = None
    fps: float = 24.0
    seconds: float = 6.0

    @property
    def films(self) -> bool:
        """Whether the output is a film."""
        return self.output.suffix.lower() in FILM_SUFFIXES

    @property
    def frames(self) -> int:
        """Of a sweep or an orbit."""
        return max(1, round(self.fps * self.seconds))

    @property
    def pinhole(self) -> bool:
        """Whether all is in focus: where that is asked for, and on an orbit that nobody gave a lens."""
        lens = self.focus_mm is not None or self.focus_at is not None or self.f_number is not None
        return self.all_in_focus or (self.orbit and not lens)


@dataclass(frozen=True)
class Shot:
    """One picture to take."""

    name: str
    camera: Camera
    world_to_camera: np.ndarray  # [4, 4]
    pupil_diameter: float  # scene unit
    inverse_focus_distance: float  # 1 / scene unit
    nominal_pupil_mm: float | None  # engraved focal length over f-number of the photo whose lens this is
    f_number: float | None  # of that photo


def check(request: Request) -> None:
    """Refuse what contradicts itself or asks for too much.

    Raises:
        SolverError: says which options.
    """
    if (request.view is None) == (request.camera is None):
        raise SolverError(
            "a picture is taken of one photo or by the cameras of a file", remedy="give either --view or --camera"
        )
    _exclude(request.all_in_focus, "--all-in-focus", {
        "--focus-mm": request.focus_mm is not None,
        "--focus-at": request.focus_at is not None,
        "--f-number": request.f_number is not None,
        "--blades": bool(request.blades),
        "--sweep": request.sweep,
    })  # fmt: skip
    _exclude(request.focus_mm is not None, "--focus-mm", {"--focus-at": request.focus_at is not None})
    _exclude(request.sweep, "--sweep", {
        "--focus-mm": request.focus_mm is not None,
        "--focus-at": request.focus_at is not None,
        "--orbit": request.orbit,
    })  # fmt: skip
    _check_number("--fps", request.fps, 1, 120)
    _check_number("--seconds", request.seconds, 0.1, 3600)
    if request.frames > _MOST_FRAMES:
        raise SolverError(
            f"the film would have {request.frames} frames", remedy=f"lower --seconds or --fps, to {_MOST_FRAMES} frames"
        )
    if request.size is not None:
        _check_number("--size", request.size, _SMALLEST_SIDE, _LARGEST_SIDE)
    if request.samples is not None:
        _check_number("--samples", request.samples, 1, _MOST_SAMPLES)
    if request.blades and request.blades not in _BLADES:
        raise SolverError("--blades must be 0 or between 3 and 16", remedy="give the number of blades, or 0")
    _check_number("--blade-rotation-degrees", request.blade_rotation_degrees, -360, 360)
    if request.f_number is not None:
        _check_number("--f-number", request.f_number, *_F_NUMBERS)
    if request.focus_mm is not None and not request.focus_mm > 0:
        raise SolverError(
            f"a focus of {request.focus_mm:g} does not lie in front of the camera",
            remedy="give --focus-mm a number above 0, or inf",
        )
    _check_suffix(request)


def _check_suffix(request: Request) -> None:
    suffix = request.output.suffix.lower()
    if suffix not in (*PICTURE_SUFFIXES, *FILM_SUFFIXES):
        raise SolverError(
            "the output is neither a picture nor a film",
            where=request.output,
            remedy="let its name end in .png, .tif, .exr, .mp4 or .gif",
        )
    if (request.sweep or request.orbit) and not request.films:
        raise SolverError(
            "--sweep and --orbit make a film", where=request.output, remedy="let its name end in .mp4 or .gif"
        )
    if request.films and request.camera is None and not (request.sweep or request.orbit):
        raise SolverError(
            "one picture makes no film", where=request.output, remedy="give --sweep, --orbit or a file with --camera"
        )


def _exclude(given: bool, name: str, others: dict[str, bool]) -> None:
    for other, present in others.items():
        if given and present:
            raise SolverError(f"{name} and {other} exclude each other", remedy="leave one out")


def _check_number(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN is not
        raise SolverError(
            f"{name} must be between {least:g} and {most:g}, not {value:g}", remedy="choose such a number"
        )


def shots(request: Request, scene: Reconstruction) -> list[Shot]:
    """The cameras that were asked for at the size of the pictures, each with the lens that it has as yet.

    That of a photo is the photo's own. That of a file's frame is what the frame says (`focus_distance`,
    `pupil_diameter`, as in the result's transforms.json); what it does not say is as in the nearest photo.

    Raises:
        SolverError: there is no such photo, or something is wrong with the file.
    """
    photos = scene.capture.photos
    if request.view is not None:
        index = _find(request.view, photos, request.result)
        photo = photos[index]
        found = [_shot(photo.name, photo.camera, photo.world_to_camera, scene, index)]
    else:
        assert request.camera is not None
        found = []
        for frame in read_cameras(request.camera):
            place = f"{request.camera}, frame {frame.name}"
            index = _nearest(frame.world_to_camera, photos)
            shot = _shot(frame.name, frame.camera, frame.world_to_camera, scene, index)
            focus = number(frame.frame, "focus_distance", place, positive=True)
            pupil = number(frame.frame, "pupil_diameter", place, positive=True)
            found.append(
                replace(
                    shot,
                    inverse_focus_distance=1 / focus if focus else shot.inverse_focus_distance,
                    pupil_diameter=pupil or shot.pupil_diameter,
                )
            )
        if len(found) > 1 and (request.sweep or request.orbit):
            raise SolverError(
                f"--sweep and --orbit begin at one camera, and the file has {len(found)}",
                where=request.camera,
                remedy="name a photo with --view, or leave one frame in the file",
            )
        if request.films and len(found) > _MOST_FRAMES:
            raise SolverError(
                f"the film would have {len(found)} frames", where=request.camera, remedy=f"keep {_MOST_FRAMES} at most"
            )
    sized = [replace(shot, camera=_sized(shot.camera, request)) for shot in found]
    if request.films and len({(shot.camera.width, shot.camera.height) for shot in sized}) > 1:
        raise SolverError(
            "the cameras of a film must have one size", where=request.camera, remedy="give all frames the same w and h"
        )
    return sized


def lens_of(
    request: Request,
    shot: Shot,
    unit_mm: float | None,
    focus_depth: float | None,  # scene unit, of what --focus-at points at
) -> Lens:
    """The shot's lens with what was asked of it.

    Raises:
        SolverError: an f-number was asked for, and neither scale nor photo tells how wide its pupil is.
    """
    inverse_focus = shot.inverse_focus_distance
    if focus_depth is not None:
        inverse_focus = 1 / focus_depth
    if request.focus_mm is not None:
        inverse_focus = (unit_mm or 1.0) / request.focus_mm
    pupil = shot.pupil_diameter
    if request.f_number is not None:
        pupil = _pupil_at(request.f_number, shot, unit_mm)
    return Lens(pupil, inverse_focus, request.blades, request.blade_rotation_degrees)


def _pupil_at(f_number: float, shot: Shot, unit_mm: float | None) -> float:
    """Engraved focal length over f-number where the scale is known, else in proportion to the learned pupil."""
    if shot.f_number is None:
        raise SolverError(
            f"the photos do not say their f-number, so that nobody knows how wide the pupil is at f/{f_number:g}",
            remedy="leave --f-number out, or reconstruct with --focal-length-mm and --f-number",
        )
    if unit_mm and shot.nominal_pupil_mm:
        return shot.nominal_pupil_mm * shot.f_number / f_number / unit_mm
    return shot.pupil_diameter * shot.f_number / f_number


def _shot(name: str, camera: Camera, world_to_camera: np.ndarray, scene: Reconstruction, index: int) -> Shot:
    lens = scene.lens
    return Shot(
        name=name,
        camera=camera,
        world_to_camera=world_to_camera,
        pupil_diameter=lens.pupil_diameter(index),
        inverse_focus_distance=max(lens.inverse_focus_distance(index), 0.0),
        nominal_pupil_mm=lens.nominal_pupil_diameters_mm[lens.pupil_of_photo[index]],
        f_number=lens.f_numbers[lens.pupil_of_photo[index]],
    )


def _find(name: str, photos: tuple[Photo, ...], result: Path) -> int:
    names = [photo.name for photo in photos]
    for candidate in (name, Path(name).stem):
        if candidate in names:
            return names.index(candidate)
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    told = ", ".join(close or names[:4]) + (f" and {len(names) - 4} more" if not close and len(names) > 4 else "")
    raise SolverError(
        f'the result has no photo "{name}"',
        where=result,
        remedy=f"did you mean {told}" if close else f"name one of its photos: {told}",
    )


def _nearest(world_to_camera: np.ndarray, photos: tuple[Photo, ...]) -> int:
    centre = -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]
    return int(np.argmin([np.linalg.norm(photo.centre - centre) for photo in photos]))


def _sized(camera: Camera, request: Request) -> Camera:
    """The camera at the size that was asked for; of a film, less an odd last row or column."""
    longest = max(camera.width, camera.height)
    if longest > _LARGEST_SIDE and request.size is None:
        raise SolverError(
            f"the picture would have {camera.width} x {camera.height} pixels",
            remedy=f"give --size, at most {_LARGEST_SIDE}",
        )
    if request.size is not None:
        factor = request.size / longest
        camera = camera.resized(*(max(1, math.floor(side * factor + 0.5)) for side in (camera.width, camera.height)))
    if request.films:
        camera = replace(camera, width=max(2, camera.width // 2 * 2), height=max(2, camera.height // 2 * 2))
    return camera
