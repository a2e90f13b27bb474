# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is asked for to a file."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from solver.errors import SolverError
from solver.events import Reporter
from solver.export.load import load_reconstruction
from solver.files import require_writable_folder
from solver.rasterization import View
from solver.refocus.aperture import Lens
from solver.refocus.films import write_film
from solver.refocus.paths import focus_sweep, orbit
from solver.refocus.pictures import srgb_bytes, write_picture
from solver.refocus.rendering import largest_coc_px, photograph, sharp_depth
from solver.refocus.request import Request, Shot, check, lens_of, shots
from solver.training.reconstruction import Reconstruction, view_of

_NEIGHBOURS = 1  # px round the one that --focus-at names, over which the median depth is taken
_LEAST_SUBJECT = 0.01  # part of the picture; with less in view, all that is in view is the subject


@dataclass(frozen=True)
class Frame:
    """One picture, ready to be taken."""

    name: str
    view: View
    lens: Lens | None  # None has all in focus


def refocus(request: Request, reporter: Reporter) -> None:
    """Take the pictures, and write them as one file (pictures by several cameras: each as OUTPUT with its name).

    Raises:
        SolverError: the request or the result is wrong.
    """
    check(request)
    reporter.stage("read", "Reading the result")
    require_writable_folder(request.output.absolute().parent)
    scene = load_reconstruction(request.result)
    taken = shots(request, scene)
    _warn(request, scene, reporter)
    frames = _frames(request, scene, taken, reporter)
    reporter.stage("render", "Taking the pictures")
    if request.films:
        write_film(request.output, _pixels(request, scene, frames, reporter), request.fps)
        reporter.done(request.output.absolute())
        return
    for index, frame in enumerate(frames):
        path = request.output if len(frames) == 1 else _beside(request.output, frame.name)

        def progress(done: int, total: int, index: int = index) -> None:
            reporter.progress(index * total + done, len(frames) * total)

        write_picture(path, photograph(scene, frame.view, frame.lens, request.samples, progress))
    reporter.done(request.output.absolute() if len(frames) == 1 else request.output.absolute().parent)


def _pixels(request: Request, scene: Reconstruction, frames: list[Frame], reporter: Reporter) -> Iterator[np.ndarray]:
    """The frames of a film, [H, W, 3] uint8."""
    reporter.progress(0, len(frames))
    for index, frame in enumerate(frames):
        yield srgb_bytes(photograph(scene, frame.view, frame.lens, request.samples))
        reporter.progress(index + 1, len(frames))


def _frames(request: Request, scene: Reconstruction, taken: list[Shot], reporter: Reporter) -> list[Frame]:
    ready = []
    for shot in taken:
        ready.append(_frame(request, scene, shot))
        reporter.progress(len(ready), len(taken))
    first = ready[0]
    if request.sweep:
        assert first.lens is not None
        depths = subject_depths(scene, first.view)
        reporter.metric("nearest", float(depths.min()))
        reporter.metric("farthest", float(depths.max()))
        ready = [
            replace(first, lens=replace(first.lens, inverse_focus_distance=float(inverse)))
            for inverse in focus_sweep(depths, request.frames)
        ]
    elif request.orbit:
        positions = np.array([photo.centre for photo in scene.capture.photos])
        path = orbit(taken[0].world_to_camera, scene.scene_centre, positions, request.frames)
        ready = [replace(first, view=view_of(taken[0].camera, pose, scene.device)) for pose in path]
    return ready


def _frame(request: Request, scene: Reconstruction, shot: Shot) -> Frame:
    view = view_of(shot.camera, shot.world_to_camera, scene.device)
    if request.pinhole:
        return Frame(shot.name, view, None)
    if request.orbit:  # the distance of the scene's centre is the one that stays as it is on the way
        shot = replace(shot, inverse_focus_distance=1 / max(scene.centre_depth(view.world_to_camera), 1e-6))
    depth = sharp_depth(scene, view)
    if not (depth > 0).any():
        raise SolverError(f"nothing of the scene is in view of {shot.name}", remedy="choose another camera")
    pointed = None if request.focus_at is None else _depth_at(depth, *request.focus_at)
    lens = lens_of(request, shot, scene.capture.unit_mm, pointed)
    _require_something_to_see(lens, depth, shot, sweep=request.sweep)
    return Frame(shot.name, view, lens)


def _require_something_to_see(lens: Lens, depth: np.ndarray, shot: Shot, *, sweep: bool) -> None:  # [H, W]
    """Refuse a lens that blurs more than the picture is wide: that takes for ever, and shows nothing.

    Raises:
        SolverError: says how wide the circles of confusion would be.
    """
    seen = depth[depth > 0]
    extremes = (1 / float(seen.min()), 1 / float(seen.max()))
    widest = max(
        largest_coc_px(depth, replace(lens, inverse_focus_distance=inverse), shot.camera.fx)
        for inverse in (extremes if sweep else (lens.inverse_focus_distance,))
    )
    if widest > max(shot.camera.width, shot.camera.height):
        raise SolverError(
            f"nothing could be made out in circles of confusion of {widest:.0f} px",
            remedy="focus nearer to the subject, or choose a larger --f-number",
        )


def subject_depths(scene: Reconstruction, view: View) -> np.ndarray:  # [P]
    """Depths of the pixels that show the subject, scene unit: what lies about the scene's centre.

    All that is in view where hardly anything of it does.
    """
    depth = sharp_depth(scene, view)
    rows, columns = np.nonzero(depth > 0)
    seen = depth[rows, columns].astype(np.float64)
    K, pose = view.K.cpu().numpy(), view.world_to_camera.cpu().numpy().astype(np.float64)
    rays = np.stack([(columns + 0.5 - K[0, 2]) / K[0, 0], (rows + 0.5 - K[1, 2]) / K[1, 1], np.ones(len(rows))], 1)
    centre = pose[:3, :3] @ scene.scene_centre + pose[:3, 3]
    near = np.linalg.norm(rays * seen[:, None] - centre, axis=1) < scene.scene_size
    return seen[near] if near.sum() >= _LEAST_SUBJECT * depth.size else seen


def _depth_at(depth: np.ndarray, x: int, y: int) -> float:  # [H, W]
    height, width = depth.shape
    if not (0 <= x < width and 0 <= y < height):
        raise SolverError(
            f"pixel ({x}, {y}) lies outside the {width} x {height} pixels of the picture",
            remedy="choose another for --focus-at",
        )
    near = depth[max(y - _NEIGHBOURS, 0) : y + _NEIGHBOURS + 1, max(x - _NEIGHBOURS, 0) : x + _NEIGHBOURS + 1]
    if not (near > 0).any():
        raise SolverError(f"no surface was found at pixel ({x}, {y})", remedy="choose one that shows a surface")
    return float(np.median(near[near > 0]))


def _warn(request: Request, scene: Reconstruction, reporter: Reporter) -> None:
    settings, unit_mm = scene.settings, scene.capture.unit_mm
    if request.focus_mm is not None and unit_mm is None:
        reporter.warning(
            "The scale of this result is unknown: --focus-mm is taken in its scene units. --focus-at needs no scale."
        )
    guessed = settings.defocus == "none" or settings.train_on == "sharp"
    if guessed and not request.pinhole and (request.f_number is None or unit_mm is None):
        option = "--defocus none" if settings.defocus == "none" else "--train-on sharp"
        reporter.warning(f"This result was made with {option}, which learns no lens: its pupil and focus are guesses.")


def _beside(output: Path, name: str) -> Path:
    """Where the picture of one camera goes, where there are several."""
    return output.with_name(f"{output.stem}_{name}{output.suffix}")
