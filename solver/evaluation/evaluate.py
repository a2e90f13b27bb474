# SPDX-License-Identifier: GPL-3.0-or-later
"""A result, or a folder of images, against the ground truth of a capture.

A result is rendered at the true cameras, so that results whose poses were found by photogrammetry are measured in
the same way: their world is aligned to the true one by a similarity, from the cameras alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from solver.capture.images import IMAGE_SUFFIXES, image_size, load_photo
from solver.errors import SolverError
from solver.evaluation.alignment import Similarity, align_cameras
from solver.evaluation.mesh_scores import MeshScores, Triangles, read_triangles, score_mesh
from solver.evaluation.perceptual import LEAST_SIZE_PX, NETWORKS, Lpips, load_lpips
from solver.evaluation.scores import COC_BINS, ErrorMap, Scores
from solver.evaluation.truth import GroundTruth, TrueView, read_ground_truth
from solver.export.load import load_reconstruction
from solver.optics.colour import linear_to_srgb
from solver.training.reconstruction import Reconstruction, view_of
from solver.training.surface_depth import surface_depth

Progress = Callable[[int, int], None]
Picture = tuple[np.ndarray, np.ndarray | None]  # sRGB [H, W, 3], and depth [H, W] where there is one

_SLOW_NETWORK, _SLOW_INTERVAL = "vgg16", 4  # looks at every fourth photo, whose mean says the same


def evaluate(result: Path, ground_truth: Path, progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Measure a result; numbers are None where there is nothing to measure.

    Images are compared in sRGB at the true cameras: `psnr_*` in dB, `ssim_*` up to 1, `lpips_*` from 0 and only where
    its weights are there. `*_deblurred` are the photos' own views, `*_novel` the held-out ones, `*_recoverable` only
    the pixels that the photos hold in focus, whose part of all is `recoverable_share`; `psnr_*_by_coc` has PSNR by the
    smallest circle of confusion, px, and `share_*_by_coc` the parts of the pixels (`solver.evaluation.scores`). Where
    the capture has masks, only the subject's pixels count.
    `depth_error_median*` and `focus_distance_error_median` are in the capture's scene unit; `pupil_diameter_error` is
    relative and signed; where blur was not modelled, both are those of the start. `mesh_*` compares the result's mesh
    with the true one (`solver.evaluation.mesh_scores`), lengths in the capture's scene unit. `alignment_scale` is how
    much larger the result's world is than the capture's.

    Args:
        result: a result folder, or a folder of images named like the photos or held-out views, those that it has.
        ground_truth: the capture folder that has `ground_truth/`.
        progress: called with (images done, images).

    Raises:
        SolverError: one of the folders is incomplete, or they have no photo in common.
    """
    if not (result / "result.json").exists() and result.is_dir() and ground_truth.is_dir():
        truth = read_ground_truth(ground_truth)
        images = _images(result, truth)
        if images:
            return _evaluate_images(images, truth, progress)
    scene = load_reconstruction(result)
    truth = read_ground_truth(ground_truth)
    alignment = _alignment(scene, truth)
    return {
        **_score(truth.photos, truth.novel, lambda view: _rendered(scene, alignment, view), progress),
        **_lens_errors(scene, truth, alignment),
        **_mesh_numbers(_mesh_scores(result, truth, alignment)),
        "photos": len(truth.photos),
        "novel_views": len(truth.novel),
        "alignment_scale": alignment.scale,
    }


def _evaluate_images(images: dict[str, Path], truth: GroundTruth, progress: Progress) -> dict[str, Any]:
    photos, novel = ([view for view in views if view.name in images] for views in (truth.photos, truth.novel))
    return {
        **_score(photos, novel, lambda view: (_decoded(images[view.name], view), None), progress),
        "focus_distance_error_median": None,
        "pupil_diameter_error": None,
        **_mesh_numbers(None),
        "photos": len(photos),
        "novel_views": len(novel),
        "alignment_scale": None,
    }


def _score(
    photos: list[TrueView], novel: list[TrueView], picture_of: Callable[[TrueView], Picture], progress: Progress
) -> dict[str, Any]:
    """Everything that images tell; `picture_of` makes the image to be held against a view."""
    networks = _perceptual_maps()
    quick = {name: network for name, network in networks.items() if name != _SLOW_NETWORK}
    deblurred, held_out = Scores(), Scores()
    total = len(photos) + len(novel)
    for done, view in enumerate([*photos, *novel]):
        measures: Mapping[str, ErrorMap] = quick if done < len(photos) and done % _SLOW_INTERVAL else networks
        if min(view.photo.camera.width, view.photo.camera.height) < LEAST_SIZE_PX:
            measures = {}
        image, depth = picture_of(view)
        (deblurred if done < len(photos) else held_out).add(image, view, depth, measures)
        progress(done + 1, total)
    return _numbers(deblurred, held_out)


def _numbers(deblurred: Scores, held_out: Scores) -> dict[str, Any]:
    pairs = (("deblurred", deblurred), ("novel", held_out))
    regions = ("", "_recoverable")
    numbers: dict[str, Any] = {f"psnr_{name}{r}": scores.psnr(r) for name, scores in pairs for r in regions}
    numbers |= {f"psnr_{name}_by_coc": scores.psnr_by_coc() for name, scores in pairs}
    numbers |= {f"ssim_{name}{r}": scores.ssim(r) for name, scores in pairs for r in regions}
    for network in NETWORKS:
        numbers |= {
            f"lpips_{network}_{name}{r}": scores.perceptual(network, r) for name, scores in pairs for r in regions
        }
    numbers |= {f"depth_error_median{r}": deblurred.depth_error(r) for r in regions}
    numbers |= {f"depth_error_median_novel{r}": held_out.depth_error(r) for r in regions}
    numbers |= {"recoverable_share": deblurred.share("_recoverable")}
    numbers |= {f"share_{name}_by_coc": {b: scores.share(b) for b in COC_BINS} for name, scores in pairs}
    return numbers


def _perceptual_maps() -> dict[str, ErrorMap]:
    """LPIPS by network, as far as the weights are there."""

    def error_map(lpips: Lpips) -> ErrorMap:
        return lambda a, b: lpips.distance(lpips.features(a), lpips.features(b)).map

    found = {name: load_lpips(None, name) for name in NETWORKS}
    return {name: error_map(lpips) for name, lpips in found.items() if lpips is not None}


def _rendered(scene: Reconstruction, alignment: Similarity, view: TrueView) -> Picture:
    with torch.no_grad():
        camera = view_of(view.photo.camera, alignment.camera(view.photo.world_to_camera), scene.device)
        rendering = scene.render(camera)
        image = linear_to_srgb(rendering.colour.clamp(0, 1)).cpu().numpy()
        return image, surface_depth(scene, camera).cpu().numpy() / alignment.scale


def _images(folder: Path, truth: GroundTruth) -> dict[str, Path]:
    """Files of `folder` that are named like a view."""
    names = {view.name for view in (*truth.photos, *truth.novel)}
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    return {path.stem: path for path in files if path.stem in names}


def _decoded(path: Path, view: TrueView) -> np.ndarray:
    camera = view.photo.camera
    if image_size(path) != (camera.width, camera.height):
        raise SolverError(
            f"the image is not {camera.width} x {camera.height} pixels, as its view is",
            where=path,
            remedy="write it at that size",
        )
    return linear_to_srgb(load_photo(replace(view.photo, image_path=path), camera.width, camera.height))


def _alignment(scene: Reconstruction, truth: GroundTruth) -> Similarity:
    """From the true world to the result's."""
    true = {view.name: view.photo for view in truth.photos}
    common = [photo for photo in scene.capture.photos if photo.name in true]
    if len(common) < 2:
        raise _other_capture("have no photos in common", scene)
    alignment = align_cameras(
        [true[photo.name].world_to_camera for photo in common], [photo.world_to_camera for photo in common]
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


def _lens_errors(scene: Reconstruction, truth: GroundTruth, alignment: Similarity) -> dict[str, float | None]:
    """Errors of focus distance (scene unit of the capture) and pupil diameter (relative)."""
    true = {view.name: view for view in truth.photos}
    focus_errors, pupil_errors = [], []
    for index, photo in enumerate(scene.capture.photos):
        if photo.name not in true:
            continue
        view = true[photo.name]
        inverse = scene.lens.inverse_focus_distance(index)
        if view.photo.focus_distance and inverse > 0:
            focus_errors.append(abs(1 / inverse / alignment.scale - view.photo.focus_distance))
        if view.pupil_diameter:
            pupil_errors.append(scene.lens.pupil_diameter(index) / alignment.scale / view.pupil_diameter - 1)
    return {
        "focus_distance_error_median": _median(focus_errors),
        "pupil_diameter_error": _median(pupil_errors),
    }


def _mesh_scores(result: Path, truth: GroundTruth, alignment: Similarity) -> MeshScores | None:
    """None where one of both has no mesh."""
    path = result / "mesh.ply"
    if truth.mesh_path is None or not path.exists():
        return None
    mesh = read_triangles(path)
    in_truth = alignment.inverse().apply(mesh.vertices)
    return score_mesh(Triangles(in_truth, mesh.faces), read_triangles(truth.mesh_path), truth.photos)


def _mesh_numbers(scores: MeshScores | None) -> dict[str, float | None]:
    names = [field.name for field in fields(MeshScores)]
    return {f"mesh_{name}": None if scores is None else getattr(scores, name) for name in names}


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None
