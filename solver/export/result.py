# SPDX-License-Identifier: GPL-3.0-or-later
"""The result folder: images, maps, splats, mesh, cameras, and `result.json` last (docs/formats.md)."""

import dataclasses
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

import solver
from solver.capture.transforms import write_transforms
from solver.capture.types import Photo, Scale
from solver.export.images import write_exr, write_png
from solver.export.meshes import mesh_entry, remove_mesh, write_mesh
from solver.export.splats import write_splats
from solver.files import write_json
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.optics.circle_of_confusion import SHARP_COC_PX, SIGMAS_PER_DIAMETER, circle_of_confusion_px
from solver.surface.coverage import Coverage
from solver.surface.texture import Texture
from solver.training.reconstruction import Reconstruction, view_of_photo

FORMAT_VERSION = 1
_VERSIONED = ("torch", "numpy", "numba", "gsplat", "pycolmap", "scikit-image")


@dataclass(frozen=True)
class RunRecord:
    """What a run knows about itself besides the reconstruction."""

    command: list[str]
    device: str
    held_out: list[bool]  # for each photo
    psnr: list[float | None]  # for each photo: defocused rendering against the photo, dB
    timings_s: dict[str, float]
    warnings: list[str] = field(default_factory=list)
    camera_refinement: dict[str, Any] | None = None  # how far the cameras went, where they learned
    blur_scale: Scale | None = None  # what blur says of the scene's unit, whatever else is known of it
    history: dict[str, Any] | None = None  # curves of loss and PSNR


def write_images(
    folder: Path,
    scene: Reconstruction,
    views: list[SharpView],
    progress: Callable[[int, int], None],
    coverage: Coverage | None = None,
) -> None:
    """Write `sharp/`, `depth/`, `coc/` and, where it is known, `coverage/` for every photo.

    Args:
        folder: the result.
        scene: whose lens gives the circles of confusion.
        views: of the capture's photos, in their order.
        progress: called with (photos done, photos).
        coverage: of the scene.
    """
    for index, view in enumerate(views):
        name = view.photo.name
        write_png(folder / sharp_path(name), view.colour)
        write_exr(folder / depth_path(name), "Z", view.depth)
        write_exr(folder / coc_path(name), "V", circle_of_confusion_map(scene, index, view))
        if coverage is not None:
            write_exr(folder / coverage_path(name), "V", coverage.maps[index].smallest_coc_px)
        progress(index + 1, len(views))


def circle_of_confusion_map(scene: Reconstruction, index: int, view: SharpView) -> np.ndarray:  # [H, W], px
    """The defocus kernel's diameter at each pixel of a photo; 0 where there is no surface.

    Where BlurNet corrects the lens, that of the disc which has its Gaussian's variance.
    """
    known = view.depth > 0
    if scene.blurnet is not None:
        with torch.no_grad():
            depth = torch.as_tensor(np.where(known, view.depth, 1.0), dtype=torch.float32, device=scene.device)
            camera = view_of_photo(view.photo, scene.device)
            variance, _ = scene.kernel_variance(index, camera, depth, scene.lens.aperture(index))
        return np.where(known, variance.sqrt().cpu().numpy() / SIGMAS_PER_DIAMETER, 0).astype(np.float32)
    coc = circle_of_confusion_px(
        np.where(known, view.depth, 1.0),
        scene.lens.pupil_diameter(index),
        scene.lens.inverse_focus_distance(index),
        view.photo.camera.fx,
    )
    return np.where(known, coc, 0).astype(np.float32)


def write_result(
    folder: Path,
    scene: Reconstruction,
    mesh: Mesh | None,
    record: RunRecord,
    coverage: Coverage | None = None,
    texture: Texture | None = None,
    before_description: Callable[[dict[str, Any]], None] = lambda content: None,
) -> None:
    """Write splats, mesh, cameras, curves and, last, `result.json`.

    Args:
        folder: the result.
        scene: what was found.
        mesh: its surface, if there is one.
        record: of the run.
        coverage: of the scene.
        texture: of the mesh.
        before_description: called with the content of `result.json` when all other files are there.
    """
    splats, vertices = (None, None) if coverage is None else (coverage.splats, coverage.vertices)
    write_splats(folder / "splats.ply", scene.gaussians, splats.attributes if splats else None)
    if mesh is None:
        remove_mesh(folder)
    else:
        write_mesh(folder, mesh, scene.capture.unit_mm, vertices.attributes if vertices else None, texture)
    write_transforms(
        folder / "transforms.json",
        [
            (
                str(photo.image_path.absolute()),
                photo.camera,
                photo.world_to_camera,
                {
                    "focus_distance": _focus_distance(scene, index),
                    "f_number": photo.f_number,
                    "focal_length_mm": photo.focal_length_mm,
                    "pupil_diameter": scene.lens.pupil_diameter(index),
                    "sharp_path": sharp_path(photo.name),
                    "mask_path": str(photo.mask_path.absolute()) if photo.mask_path else None,
                },
            )
            for index, photo in enumerate(scene.capture.photos)
        ],
        unit_mm=scene.capture.unit_mm,
    )
    if record.history is not None:
        write_json(folder / "history.json", record.history)
    content = _result(scene, mesh, record, coverage, texture)
    before_description(content)
    write_json(folder / "result.json", content)


def _result(
    scene: Reconstruction,
    mesh: Mesh | None,
    record: RunRecord,
    coverage: Coverage | None,
    texture: Texture | None,
) -> dict[str, Any]:
    capture, lens = scene.capture, scene.lens
    return {
        "format_version": FORMAT_VERSION,
        "versions": _versions(),
        "command": record.command,
        "settings": dataclasses.asdict(scene.settings),
        "capture": str(capture.root.absolute()),
        "backend": scene.backend,
        "device": record.device,
        "unit_mm": capture.unit_mm,
        "scale": _scale(scene, record.blur_scale),
        "apertures": [
            {
                "f_number": f_number,
                "pupil_diameter": float(log_diameter.detach().exp()),
                "pupil_diameter_initial": initial,
                "nominal_pupil_diameter_mm": nominal,
            }
            for f_number, log_diameter, initial, nominal in zip(
                lens.f_numbers,
                lens.log_pupil_diameters,
                lens.initial_pupil_diameters,
                lens.nominal_pupil_diameters_mm,
                strict=True,
            )
        ],
        "photos": [_photo(scene, index, photo, record, coverage) for index, photo in enumerate(capture.photos)],
        "camera_refinement": record.camera_refinement,
        "unregistered": [{"name": entry.name, "reason": entry.reason} for entry in capture.unregistered],
        "background_colour": [float(value) for value in scene.background.detach().clamp(min=0)],
        "splats": {"file": "splats.ply", "count": len(scene.gaussians)},
        "mesh": None if mesh is None else mesh_entry(mesh, texture),
        "coverage": None if coverage is None else _coverage(coverage),
        "metrics": {
            "psnr_train": _mean(p for p, held in zip(record.psnr, record.held_out, strict=True) if not held),
            "psnr_held_out": _mean(p for p, held in zip(record.psnr, record.held_out, strict=True) if held),
            "reprojection_error_px": capture.reprojection_error_px,
        },
        "timings_s": record.timings_s,
        "warnings": record.warnings,
    }


def _scale(scene: Reconstruction, blur: Scale | None) -> dict[str, Any] | None:
    capture = scene.capture
    known = capture.scale or (Scale(capture.unit_mm, "file") if capture.unit_mm else None)
    return None if known is None else {**dataclasses.asdict(known), "from_blur": blur and dataclasses.asdict(blur)}


def _coverage(coverage: Coverage) -> dict[str, float | None]:
    return {
        "limit_px": SHARP_COC_PX,
        "never_in_focus_share": coverage.summary.never_in_focus_share,
        "sharp_in_two_share": coverage.summary.sharp_in_two_share,
        "smallest_coc_median_px": coverage.summary.smallest_coc_median_px,
    }


def _photo(
    scene: Reconstruction, index: int, photo: Photo, record: RunRecord, coverage: Coverage | None
) -> dict[str, Any]:
    return {
        "name": photo.name,
        "image": str(photo.image_path.absolute()),
        "sharp": sharp_path(photo.name),
        "depth": depth_path(photo.name),
        "coc": coc_path(photo.name),
        "f_number": photo.f_number,
        "pupil_diameter": scene.lens.pupil_diameter(index),
        "focus_distance": _focus_distance(scene, index),
        "exposure": None if scene.exposures is None else scene.exposures.gains(index),
        "held_out": record.held_out[index],
        "psnr": record.psnr[index],
        "coverage": None if coverage is None else coverage_path(photo.name),
        "in_focus_share": None if coverage is None else coverage.summary.in_focus_shares[index],
    }


def _focus_distance(scene: Reconstruction, index: int) -> float | None:
    """Scene unit; None at infinity."""
    inverse = scene.lens.inverse_focus_distance(index)
    return 1 / inverse if inverse > 0 else None


def _versions() -> dict[str, str]:
    versions = {"solver": solver.__version__, "python": platform.python_version()}
    for name in _VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that are known; None where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def sharp_path(name: str) -> str:
    """Relative to the result folder."""
    return f"sharp/{name}.png"


def depth_path(name: str) -> str:
    """Relative to the result folder."""
    return f"depth/{name}.exr"


def coc_path(name: str) -> str:
    """Relative to the result folder."""
    return f"coc/{name}.exr"


def coverage_path(name: str) -> str:
    """Relative to the result folder."""
    return f"coverage/{name}.exr"
