# SPDX-License-Identifier: GPL-3.0-or-later
"""A result against the ground truth of its capture.

Everything is rendered at the true cameras, so that results whose poses were found by photogrammetry are measured in
the same way: their world is aligned to the true one by a similarity, from the cameras alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from solver.capture.images import image_size, load_photo
from solver.capture.transforms import CameraFrame, number, read_transforms
from solver.capture.types import Photo
from solver.errors import SolverError
from solver.evaluation.alignment import Similarity, align_cameras
from solver.evaluation.load import load_reconstruction
from solver.evaluation.metrics import psnr, squared_error, ssim_map
from solver.evaluation.recoverable import TruePhoto, recoverable_pixels
from solver.export.images import read_exr
from solver.optics.colour import linear_to_srgb
from solver.training.reconstruction import Reconstruction, expected_depth, view_of


def evaluate(
    result: Path, ground_truth: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Measure a result; numbers are None where there is nothing to measure.

    Images are compared in sRGB at the true cameras: `psnr_*` in dB, `ssim_*` up to 1. `*_deblurred` are the photos'
    own views, `*_novel` the held-out ones, `*_recoverable` only the pixels that the photos hold in focus
    (`solver.evaluation.recoverable`), whose part of all is `recoverable_share`. `depth_error_median` and
    `focus_distance_error_median` are in the capture's scene unit; `pupil_diameter_error` is relative and signed.
    `alignment_scale` is how much larger the result's world is than the capture's.

    Args:
        result: a result folder.
        ground_truth: the capture folder that has `ground_truth/`.
        progress: called with (images done, images).

    Raises:
        SolverError: one of the folders is incomplete, or they have no photo in common.
    """
    scene = load_reconstruction(result)
    truth = _read_truth(ground_truth)
    alignment = _alignment(scene, truth)
    photos = list(truth.values())
    novel = _read_novel(ground_truth / "ground_truth" / "novel")
    deblurred, held_out = _Tally(), _Tally()
    done, total = 0, len(photos) + len(novel)
    for tally, entries in ((deblurred, _training_images(ground_truth, photos)), (held_out, novel)):
        for photo, depth in entries:
            tally.add(scene, alignment, photo, depth, recoverable_pixels(photo, depth, photos))
            done += 1
            progress(done, total)
    return {
        **{f"psnr_deblurred{key}": value for key, value in deblurred.psnr().items()},
        **{f"psnr_novel{key}": value for key, value in held_out.psnr().items()},
        **{f"ssim_deblurred{key}": value for key, value in deblurred.ssim().items()},
        **{f"ssim_novel{key}": value for key, value in held_out.ssim().items()},
        **{f"depth_error_median{key}": value for key, value in deblurred.depth_error().items()},
        "recoverable_share": deblurred.recoverable_share(),
        **_lens_errors(scene, truth, alignment),
        "photos": len(photos),
        "novel_views": len(novel),
        "alignment_scale": alignment.scale,
    }


class _Tally:
    """Sums over the pixels of several images: over all, and over the recoverable ones."""

    def __init__(self) -> None:
        self._pixels: dict[str, int] = {"": 0, "_recoverable": 0}
        self._squared = dict.fromkeys(self._pixels, 0.0)
        self._ssim = dict.fromkeys(self._pixels, 0.0)
        self._depth_errors: dict[str, list[np.ndarray]] = {"": [], "_recoverable": []}

    def add(
        self, scene: Reconstruction, alignment: Similarity, photo: Photo, depth: np.ndarray, recoverable: np.ndarray
    ) -> None:
        camera = photo.camera
        if image_size(photo.image_path) != (camera.width, camera.height):
            raise SolverError(
                "the image is not of its camera's size", where=photo.image_path, remedy="render the capture again"
            )
        truth = linear_to_srgb(load_photo(photo, camera.width, camera.height))
        with torch.no_grad():
            rendering = scene.render(view_of(camera, alignment.camera(photo.world_to_camera), scene.device))
            image = linear_to_srgb(rendering.colour.clamp(0, 1)).cpu().numpy()
            rendered_depth = expected_depth(rendering).cpu().numpy() / alignment.scale
        squared, similarity = squared_error(image, truth), ssim_map(image, truth)
        for key, chosen in (("", np.ones_like(recoverable)), ("_recoverable", recoverable)):
            self._pixels[key] += int(chosen.sum())
            self._squared[key] += float(squared[chosen].sum())
            self._ssim[key] += float(similarity[chosen].sum())
            both = chosen & (depth > 0) & (rendered_depth > 0)
            self._depth_errors[key].append(np.abs(rendered_depth[both] - depth[both]))

    def psnr(self) -> dict[str, float | None]:
        return {key: psnr(self._squared[key], n) for key, n in self._pixels.items()}

    def ssim(self) -> dict[str, float | None]:
        return {key: self._ssim[key] / n if n else None for key, n in self._pixels.items()}

    def depth_error(self) -> dict[str, float | None]:
        return {key: _median(np.concatenate(errors)) if errors else None for key, errors in self._depth_errors.items()}

    def recoverable_share(self) -> float:
        return self._pixels["_recoverable"] / max(self._pixels[""], 1)


def _read_truth(capture: Path) -> dict[str, TruePhoto]:
    folder = capture / "ground_truth"
    if not folder.is_dir():
        raise SolverError("the capture has no ground truth", where=capture, remedy="name the generated capture")
    file = read_transforms(folder / "transforms.json", images_required=False)
    return {frame.name: _true_photo(folder, frame, file.unit_mm) for frame in file.frames}


def _true_photo(folder: Path, frame: CameraFrame, unit_mm: float | None) -> TruePhoto:
    photo = _photo(frame)
    diameter_mm = photo.nominal_pupil_diameter_mm
    return TruePhoto(
        photo=photo,
        depth=_map(folder / "depth" / f"{frame.name}.exr", "Z", frame),
        coc=_map(folder / "coc" / f"{frame.name}.exr", "V", frame),
        pupil_diameter=diameter_mm / unit_mm if diameter_mm and unit_mm else None,
    )


def _training_images(capture: Path, photos: list[TruePhoto]) -> Iterable[tuple[Photo, np.ndarray]]:
    for entry in photos:
        sharp = capture / "ground_truth" / "sharp" / f"{entry.photo.name}.png"
        yield replace(entry.photo, image_path=sharp), entry.depth


def _read_novel(folder: Path) -> list[tuple[Photo, np.ndarray]]:
    if not (folder / "transforms.json").exists():
        return []
    return [
        (
            replace(_photo(frame), image_path=folder / "sharp" / f"{frame.name}.png"),
            _map(folder / "depth" / f"{frame.name}.exr", "Z", frame),
        )
        for frame in read_transforms(folder / "transforms.json", images_required=False).frames
    ]


def _photo(frame: CameraFrame) -> Photo:
    keys, place = frame.frame, f"frame {frame.name} of the ground truth"
    return Photo(
        name=frame.name,
        image_path=frame.image_path,
        camera=frame.camera,
        world_to_camera=frame.world_to_camera,
        f_number=number(keys, "f_number", place, positive=True),
        focal_length_mm=number(keys, "focal_length_mm", place, positive=True),
        focus_distance=number(keys, "focus_distance", place, positive=True),
    )


def _map(path: Path, channel: str, frame: CameraFrame) -> np.ndarray:
    values = read_exr(path, channel)
    if values.shape != (frame.camera.height, frame.camera.width):
        raise SolverError("the image is not of its camera's size", where=path, remedy="render the capture again")
    return values


def _alignment(scene: Reconstruction, truth: dict[str, TruePhoto]) -> Similarity:
    """From the true world to the result's."""
    common = [photo for photo in scene.capture.photos if photo.name in truth]
    if len(common) < 2:
        raise _other_capture("have no photos in common", scene)
    alignment = align_cameras(
        [truth[photo.name].photo.world_to_camera for photo in common], [photo.world_to_camera for photo in common]
    )
    if alignment.scale <= 0:
        raise _other_capture("have cameras that do not fit together", scene)
    return alignment


def _other_capture(what: str, scene: Reconstruction) -> SolverError:
    return SolverError(
        f"result and ground truth {what}",
        where=scene.capture.root,
        remedy="name the capture that the result was made from",
    )


def _lens_errors(scene: Reconstruction, truth: dict[str, TruePhoto], alignment: Similarity) -> dict[str, float | None]:
    """Errors of focus distance (scene unit of the capture) and pupil diameter (relative)."""
    focus_errors, pupil_errors = [], []
    for index, photo in enumerate(scene.capture.photos):
        if photo.name not in truth:
            continue
        true = truth[photo.name]
        inverse = scene.lens.inverse_focus_distance(index)
        if true.photo.focus_distance and inverse > 0:
            focus_errors.append(abs(1 / inverse / alignment.scale - true.photo.focus_distance))
        if true.pupil_diameter:
            pupil_errors.append(scene.lens.pupil_diameter(index) / alignment.scale / true.pupil_diameter - 1)
    return {
        "focus_distance_error_median": _median(np.array(focus_errors)),
        "pupil_diameter_error": _median(np.array(pupil_errors)),
    }


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None
