# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of `python -m solver export`: for each, the files it is made of and how they are written."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from solver.capture.transforms import write_transforms
from solver.config import ExportFormat
from solver.errors import SolverError
from solver.export.colmap_model import FILES, PosedImages, write_colmap_file
from solver.export.images import write_tiff
from solver.export.obj import MATERIALS, OBJ, write_materials, write_obj
from solver.export.result import coc_path, depth_path
from solver.export.source import Source
from solver.export.splat_gltf import write_splat_glb
from solver.export.splats import write_splat_file
from solver.export.spz import fits, write_spz
from solver.export.surface_file import MESH, TEXTURE, Z_UP_TO_Y_UP
from solver.export.usdz import write_usdz
from solver.files import written_aside

FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
ALL: tuple[ExportFormat, ...] = tuple(kind for kind in FORMATS if kind != "colmap-text")  # which says nothing more
SPLAT_FORMATS: frozenset[ExportFormat] = frozenset({"splats-ply", "spz", "splats-glb"})
MESH_FORMATS: frozenset[ExportFormat] = frozenset({"mesh-ply", "obj", "glb", "usdz"})
_IMAGED: frozenset[ExportFormat] = frozenset({"transforms", "colmap", "colmap-text", "png"})
POINTS = "points.ply"
_POINTS = 100_000  # at most, for other trainers to start from
_LEAST_OPACITY = 0.1  # of a splat that is taken for a point of the surface


@dataclass(frozen=True)
class Task:
    """One file of an export."""

    path: str  # below the output folder
    write: Callable[[Path], None]


def tasks_of(kind: ExportFormat, source: Source, *, link: bool) -> list[Task]:
    """The files of a format, in the order in which they are to be written.

    Args:
        kind: the format.
        source: the result.
        link: make symbolic links to the result's files where they would be copied.

    Raises:
        SolverError: the result lacks what the format needs.
    """
    if kind in MESH_FORMATS:
        source.surface  # noqa: B018 - tells where there is none
    if kind in SPLAT_FORMATS:
        source.require_what_colours_are_fitted_to()

    def same(path: str, original: Path) -> Task:
        return Task(path, lambda target: _link(original, target) if link else _copy(original, target))

    images = [same(_image_path(photo.name), photo.image_path) for photo in source.photos] if kind in _IMAGED else []
    match kind:
        case "splats-ply":
            return [Task("splats.ply", lambda path: write_splat_file(path, source.viewer_splats))]
        case "spz":
            return [Task("splats.spz", lambda path: _write_spz(path, source))]
        case "splats-glb":
            return [Task("splats.glb", lambda path: _write_splat_glb(path, source))]
        case "transforms":
            return [
                *images,
                Task(POINTS, lambda path: _write_points(path, source)),
                Task("transforms.json", lambda path: _write_transforms(path, source)),
            ]
        case "colmap" | "colmap-text":
            suffix = ".bin" if kind == "colmap" else ".txt"
            if kind == "colmap-text":
                _require_words(source)
            files = [f"sparse/0/{name}{suffix}" for name in FILES]
            return [*images, *(Task(f, lambda path: write_colmap_file(path, _posed_images(source))) for f in files)]
        case "png":
            return images
        case "tiff":
            return [
                Task(f"images_16bit/{photo.name}.tif", lambda path, i=i: _write_sharp(path, source, i))  # type: ignore[misc]
                for i, photo in enumerate(source.photos)
            ]
        case "exr":
            maps = [path(photo.name) for photo in source.photos for path in (depth_path, coc_path)]
            return [same(path, source.folder / path) for path in maps]
        case "mesh-ply":
            return [same(MESH, source.folder / MESH), *_texture(source, same)]
        case "glb":
            return [same("mesh.glb", source.folder / "mesh.glb")]
        case "obj":
            textured = source.texture is not None
            return [
                *_texture(source, same),
                Task(MATERIALS, lambda path: write_materials(path, textured)),
                Task(OBJ, lambda path: write_obj(path, source.surface.moved(Z_UP_TO_Y_UP, source.metres_per_unit))),
            ]
        case "usdz":
            return [Task("mesh.usdz", lambda path: _write_usdz(path, source))]


def _image_path(name: str) -> str:
    return f"images/{name}.png"


def _texture(source: Source, same: Callable[[str, Path], Task]) -> Sequence[Task]:
    return [] if source.texture is None else [same(TEXTURE, source.texture)]


def _copy(original: Path, target: Path) -> None:
    if not original.is_file():
        raise SolverError("a file of the result is missing", where=original, remedy="reconstruct again")
    with written_aside(target) as temporary:
        shutil.copyfile(original, temporary)


def _link(original: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(original.absolute())
    except OSError:
        raise SolverError("links cannot be made here", where=target, remedy="leave --link out") from None


def _write_spz(path: Path, source: Source) -> None:
    splats = source.viewer_splats.moved(Z_UP_TO_Y_UP, 1.0)
    near = fits(splats)
    if not near.all():
        source.warn(f"{np.count_nonzero(~near)} splats lie too far away for SPZ and are left out of it")
    write_spz(path, splats.subset(near), source.antialiased)


def _write_splat_glb(path: Path, source: Source) -> None:
    write_splat_glb(path, source.viewer_splats.moved(Z_UP_TO_Y_UP, source.metres_per_unit))


def _write_usdz(path: Path, source: Source) -> None:
    write_usdz(path, source.surface.moved(Z_UP_TO_Y_UP, source.metres_per_unit), source.texture)


def _write_transforms(path: Path, source: Source) -> None:
    no_more: dict[str, Any] = {}
    frames = [(_image_path(photo.name), photo.camera, photo.world_to_camera, no_more) for photo in source.photos]
    write_transforms(path, frames, unit_mm=source.unit_mm, points=POINTS)


def _points(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Points of the surface, [P, 3], and their sRGB colours, [P, 3] uint8: middles of splats that are not faint."""
    splats = source.splats.subset(source.splats.opacities >= _LEAST_OPACITY)
    if len(splats) > _POINTS:
        chosen = np.random.default_rng(0).choice(len(splats), _POINTS, replace=False)
        splats = splats.subset(np.sort(chosen))
    return splats.means.astype(np.float64), np.rint(255 * splats.base_colours).astype(np.uint8)


def _write_points(path: Path, source: Source) -> None:
    import trimesh

    points, colours = _points(source)
    with written_aside(path) as temporary:
        trimesh.PointCloud(points, colours).export(temporary, file_type="ply")


def _posed_images(source: Source) -> PosedImages:
    points, colours = _points(source)
    names = [Path(_image_path(photo.name)).name for photo in source.photos]
    return PosedImages(source.photos, names, points, colours)


def _require_words(source: Source) -> None:
    """Fail where COLMAP's text files would be misread: they end names at spaces."""
    spaced = [photo.name for photo in source.photos if len(photo.name.split()) > 1]
    if spaced:
        raise SolverError(
            f"COLMAP's text files cannot name '{spaced[0]}', which has a space", remedy="use colmap, its binary ones"
        )


def _write_sharp(path: Path, source: Source, photo: int) -> None:
    """Render a photo's view again: the result's own image has 8 bits."""
    from solver.surface.depth_views import render_sharp

    write_tiff(path, render_sharp(source.scene, source.scene.capture.photos[photo]).colour)
