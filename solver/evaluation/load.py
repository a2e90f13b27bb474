# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished reconstruction, read back from its result folder."""

import json
from pathlib import Path

import numpy as np

from solver.capture.transforms import read_transforms
from solver.capture.types import Capture, Photo
from solver.config import ReconstructionSettings
from solver.defocus.lens import Lens
from solver.errors import SolverError
from solver.files import read_json
from solver.gaussians.model import Gaussians
from solver.rasterization import choose_backend
from solver.training.checkpoint import load_checkpoint
from solver.training.reconstruction import Reconstruction


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
    content = load_checkpoint(folder / "checkpoint.pt", device)
    by_name = {frame.name: frame for frame in cameras.frames}
    try:
        photos = tuple(
            Photo(
                name=entry["name"],
                image_path=Path(entry["image"]),
                camera=by_name[entry["name"]].camera,
                world_to_camera=by_name[entry["name"]].world_to_camera,
                f_number=entry["f_number"],
            )
            for entry in result["photos"]
        )
        apertures = result["apertures"]
        lens = Lens(
            log_pupil_diameters=list(content["log_pupil_diameters"]),
            inverse_focus_distances=list(content["inverse_focus_distances"]),
            pupil_of_photo=list(content["pupil_of_photo"]),
            f_numbers=[aperture["f_number"] for aperture in apertures],
            nominal_pupil_diameters_mm=[aperture["nominal_pupil_diameter_mm"] for aperture in apertures],
            initial_pupil_diameters=[aperture["pupil_diameter_initial"] for aperture in apertures],
        )
        return Reconstruction(
            gaussians=Gaussians(**content["gaussians"]),
            background=content["background"],
            lens=lens,
            capture=Capture(root=Path(result["capture"]), photos=photos, unit_mm=result["unit_mm"]),
            settings=ReconstructionSettings(**json.loads(content["settings"])),
            backend=backend,
            scene_centre=np.array(content["scene_centre"]),
            scene_size=content["scene_size"],
            active_sh_degree=content["active_sh_degree"],
        )
    except (KeyError, TypeError) as error:
        raise SolverError(
            f"the result is incomplete or of another version ({error})", where=folder, remedy="reconstruct again"
        ) from None
