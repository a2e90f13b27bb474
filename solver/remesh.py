# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of a finished result made again: from its Gaussians, without its photos."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.images import load_mask
from solver.capture.types import Photo
from solver.errors import SolverError
from solver.events import Reporter
from solver.export.load import load_reconstruction
from solver.export.meshes import mesh_entry, remove_mesh, write_mesh
from solver.files import read_json, require_writable_folder, write_json
from solver.report.page import PAGE, report
from solver.run_lock import only_run_in
from solver.surface.coverage import cover_vertices
from solver.surface.depth_views import render_sharp
from solver.surface.mesh_making import MeshOptions, make_mesh
from solver.surface.texture import bake, texture_views
from solver.training.reconstruction import Reconstruction

_BOUNDS = {"triangles": (4, 100_000_000), "texture_size": (0, 8192), "resolution": (8, 4096)}


def remesh(
    result: Path,
    reporter: Reporter,
    *,
    triangles: int | None = None,
    texture_size: int | None = None,
    close_holes: bool = False,
    resolution: int | None = None,
) -> None:
    """Replace a result's mesh, texture, what `result.json` says of them, and its report; all else stays as it is.

    While files are replaced the result says that it has no mesh, so that an end half way leaves nothing that is wrong.

    Args:
        result: the folder.
        reporter: told of the stages.
        triangles: at most so many.
        texture_size: texels along a side; 0 for none.
        close_holes: whether to make a solid.
        resolution: voxels along the subject's longest side.

    What is None is as the run's settings have it.

    Raises:
        SolverError: the result is not whole, a number is out of its range, or a run writes to the folder.
    """
    given = {"triangles": triangles, "texture_size": texture_size, "resolution": resolution}
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        low, high = _BOUNDS[name]
        if not low <= value <= high:
            raise SolverError(f"{name.replace('_', ' ')} is {value}", remedy=f"choose a number from {low} to {high}")
    scene = load_reconstruction(result)
    require_writable_folder(result)
    options = MeshOptions.of(scene.settings)
    options = replace(options, close_holes=close_holes or options.close_holes, **chosen)
    with only_run_in(result):
        description = read_json(result / "result.json", "the result's description")
        used = [not photo["held_out"] for photo in description["photos"]]
        entry = _replace(result, scene, used, description, options, reporter)
        write_json(result / "result.json", {**description, "mesh": entry})
        _renew_report(result, scene.capture.photos, reporter)
    reporter.done(result)


def _replace(
    result: Path,
    scene: Reconstruction,
    used: list[bool],
    description: dict[str, Any],
    options: MeshOptions,
    reporter: Reporter,
) -> dict[str, Any] | None:
    """Make the mesh and replace its files; returns what `result.json` is to say of it."""
    reporter.stage("surface", "Making the surface")
    masks = _masks(scene.capture.photos, reporter)
    views = [render_sharp(scene, photo) for photo in scene.capture.photos]
    mesh = make_mesh(scene, views, masks, used, options, reporter.progress)
    if mesh is None:
        reporter.warning("No surface was found; the result has splats and images only")
        write_json(result / "result.json", {**description, "mesh": None})
        remove_mesh(result)
        return None

    texture = None
    if options.texture_size:
        reporter.stage("texture", "Painting the texture")
        texture = bake(mesh, texture_views(scene, views, masks, used), options.texture_size, reporter.progress)

    reporter.stage("coverage", "Looking for what no photo holds in focus")
    coverage = cover_vertices(scene, views, masks, used, mesh, reporter.progress)
    write_json(result / "result.json", {**description, "mesh": None})
    write_mesh(result, mesh, scene.capture.unit_mm, coverage.attributes, texture)
    return mesh_entry(mesh, texture)


def _renew_report(result: Path, photos: tuple[Photo, ...], reporter: Reporter) -> None:
    """Let an earlier report tell of the new mesh, unless photos that it shows are gone."""
    if not (result / PAGE).exists():
        return
    if not all(photo.image_path.is_file() for photo in photos):
        reporter.warning("The report tells of the earlier mesh still, since photos that it shows are gone")
        return
    reporter.stage("report", "Writing the report")
    report(result, reporter.progress)


def _masks(photos: tuple[Photo, ...], reporter: Reporter) -> list[np.ndarray | None]:
    """Of the photos, at their cameras' size; a warning where some are not there any more."""
    masks: list[np.ndarray | None] = []
    missing = []
    for photo in photos:
        there = photo.mask_path is not None and photo.mask_path.is_file()
        masks.append(load_mask(photo, photo.camera.width, photo.camera.height) if there else None)
        if photo.mask_path is not None and not there:
            missing.append(photo.name)
    if missing:
        reporter.warning(f"The masks of {len(missing)} photos are not there any more, and what lies outside is meshed")
    return masks
