# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished reconstruction, read back from its result folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.camera_file import CameraFile
from solver.capture.transforms import read_transforms
from solver.capture.types import Capture, Photo
from solver.config import ReconstructionSettings
from solver.defocus.blurnet import BlurNet
from solver.defocus.lens import Lens
from solver.errors import SolverError
from solver.files import read_json
from solver.gaussians.model import Gaussians
from solver.rasterization import choose_backend, prepare
from solver.training.checkpoint import load_checkpoint
from solver.training.exposures import Exposures
from solver.training.reconstruction import Reconstruction

CHECKPOINT = "checkpoint.pt"


def load_reconstruction(folder: Path) -> Reconstruction:
    """Read scene, lens and cameras of a result; the photos themselves need not exist any more.

    Raises:
        SolverError: it is not a whole result folder, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise SolverError("the result folder does not exist", where=folder, remedy="check the path")
    result = read_json(folder / "result.json", "the result's description")
    cameras = read_transforms(folder / "transforms.json", images_required=False)
    backend, device = choose_backend("auto")
    prepare(backend)
    content = load_checkpoint(folder / CHECKPOINT, device)
    try:
        scene = Reconstruction(
            gaussians=Gaussians(**content["gaussians"]),
            background=content["background"],
            lens=_lens(content, result["apertures"]),
            capture=Capture(Path(result["capture"]), _photos(result["photos"], cameras), unit_mm=result["unit_mm"]),
            settings=ReconstructionSettings(**json.loads(content["settings"])),
            backend=backend,
            scene_centre=np.array(content["scene_centre"], dtype=np.float64),
            scene_size=content["scene_size"],
            active_sh_degree=content["active_sh_degree"],
            blurnet=_blurnet(content),
            exposures=_exposures(content),
        )
        _check(scene)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SolverError(
            f"the result is incomplete or of another version ({type(error).__name__}: {error})",
            where=folder,
            remedy="reconstruct again",
        ) from None
    return scene


def _photos(entries: list[dict[str, Any]], cameras: CameraFile) -> tuple[Photo, ...]:
    """The photos of result.json with the cameras of transforms.json; what is sharp of them tells which is which."""
    frames = {frame.frame["sharp_path"]: frame for frame in cameras.frames}
    return tuple(
        Photo(
            name=entry["name"],
            image_path=Path(entry["image"]),
            camera=frames[entry["sharp"]].camera,
            world_to_camera=frames[entry["sharp"]].world_to_camera,
            mask_path=Path(mask) if (mask := frames[entry["sharp"]].frame.get("mask_path")) else None,
            f_number=entry["f_number"],
        )
        for entry in entries
    )


def _lens(content: dict[str, Any], apertures: list[dict[str, Any]]) -> Lens:
    return Lens(
        log_pupil_diameters=list(content["log_pupil_diameters"]),
        inverse_focus_distances=list(content["inverse_focus_distances"]),
        pupil_of_photo=list(content["pupil_of_photo"]),
        f_numbers=[aperture["f_number"] for aperture in apertures],
        nominal_pupil_diameters_mm=[aperture["nominal_pupil_diameter_mm"] for aperture in apertures],
        initial_pupil_diameters=[aperture["pupil_diameter_initial"] for aperture in apertures],
    )


def _exposures(content: dict[str, Any]) -> Exposures | None:
    log_gains = content.get("log_gains")
    return None if log_gains is None else Exposures(list(log_gains))


def _blurnet(content: dict[str, Any]) -> BlurNet | None:
    state = content.get("blurnet")
    if state is None:
        return None
    blurnet = BlurNet(len(content["photos"])).to(content["background"].device)
    try:
        blurnet.load_state_dict(state)
    except RuntimeError:  # torch's word for layers of other names or shapes
        raise ValueError("BlurNet has other layers") from None
    return blurnet


def _check(scene: Reconstruction) -> None:
    """Raise ValueError where the parts, which come from several files, do not fit together."""
    g, lens, photos = scene.gaussians, scene.lens, len(scene.capture.photos)
    count, coefficients = len(g), 1 + g.sh_rest.shape[1]
    shapes = {
        "means": (count, 3),
        "log_scales": (count, 3),
        "quaternions": (count, 4),
        "opacity_logits": (count,),
        "sh_constant": (count, 1, 3),
        "sh_rest": (count, coefficients - 1, 3),
    }
    for name, tensor in g.tensors().items():
        if tuple(tensor.shape) != shapes[name]:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}")
    if not 0 <= scene.active_sh_degree <= 3 or (scene.active_sh_degree + 1) ** 2 > coefficients:
        raise ValueError(f"{coefficients} colour coefficients are too few")
    if scene.background.shape != (3,) or scene.scene_centre.shape != (3,):
        raise ValueError("background or centre is no triple")
    if len(lens.inverse_focus_distances) != photos or len(lens.pupil_of_photo) != photos:
        raise ValueError("the checkpoint belongs to other photos")
    if scene.exposures is not None and [tuple(gain.shape) for gain in scene.exposures.log_gains] != [(3,)] * photos:
        raise ValueError("the exposures belong to other photos")
    if not set(lens.pupil_of_photo) <= set(range(len(lens.log_pupil_diameters))):
        raise ValueError("a photo has a lens that is not there")
    if len(lens.f_numbers) != len(lens.log_pupil_diameters):
        raise ValueError("the checkpoint belongs to other apertures")
    if not scene.is_finite:
        raise ValueError("some numbers are not finite")
