# SPDX-License-Identifier: GPL-3.0-or-later
"""The training state on disk. It holds tensors, numbers and text only, so that it can be read without pickle.

What rendering needs of it is made and taken up here; the rest is the trainer's.
"""

import dataclasses
import json
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from solver.errors import SolverError
from solver.files import written_aside
from solver.gaussians.model import Gaussians
from solver.training.reconstruction import Reconstruction

FORMAT_VERSION = 1
# What torch raises on broken files: it reads them with code that trusts them.
_DAMAGES = (
    *(RuntimeError, OSError, ValueError, EOFError, LookupError),
    *(UnpicklingError, AssertionError, TypeError, AttributeError),
)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers, text, and lists and dictionaries of them, atomically.

    Raises:
        SolverError: it cannot be written, as on a full disk.
    """
    try:
        with written_aside(path) as temporary:
            torch.save({"format_version": FORMAT_VERSION, **content}, temporary)
    except RuntimeError:  # torch's word for a write that failed; its text is about torch's insides
        raise SolverError(
            "the checkpoint cannot be written", where=path, remedy="check the space on the disk, then use --resume"
        ) from None


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Raises:
        SolverError: the file is absent, damaged, or of another version.
    """
    if not path.is_file():
        raise SolverError("there is no checkpoint", where=path, remedy="reconstruct first")
    try:
        if not zipfile.is_zipfile(path):  # torch would take it for its oldest format, and warn
            raise ValueError("it is cut off, or something else")
        content = torch.load(path, map_location=device, weights_only=True)
    except _DAMAGES as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SolverError(
            f"the checkpoint is damaged ({reason})",
            where=path,
            remedy="reconstruct again without --resume",
            mend="fresh",
        ) from None
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        raise SolverError(
            "the checkpoint is of another version",
            where=path,
            remedy="reconstruct again without --resume",
            mend="fresh",
        )
    return content


def scene_state(scene: Reconstruction) -> dict[str, Any]:
    """The part of a checkpoint that rendering needs."""
    lens = scene.lens
    return {
        "settings": json.dumps(dataclasses.asdict(scene.settings)),
        "photos": [photo.name for photo in scene.capture.photos],
        "gaussians": {name: tensor.detach() for name, tensor in scene.gaussians.tensors().items()},
        "background": scene.background.detach(),
        "log_pupil_diameters": [tensor.detach() for tensor in lens.log_pupil_diameters],
        "inverse_focus_distances": [tensor.detach() for tensor in lens.inverse_focus_distances],
        "pupil_of_photo": list(lens.pupil_of_photo),
        "scene_centre": [float(x) for x in scene.scene_centre],
        "scene_size": float(scene.scene_size),
        "active_sh_degree": scene.active_sh_degree,
        "blurnet": None if scene.blurnet is None else dict(scene.blurnet.state_dict()),
        "log_gains": None if scene.exposures is None else [tensor.detach() for tensor in scene.exposures.log_gains],
    }


def require_same_run(content: dict[str, Any], scene: Reconstruction, *, cameras_learn: bool, path: Path) -> None:
    """Refuse a checkpoint that a run cannot go on from.

    Args:
        content: of the checkpoint.
        scene: of the run, as it begins.
        cameras_learn: whether poses and principal distances learn in it.
        path: of the checkpoint, to name it.

    Raises:
        SolverError: it belongs to other photos, poses or settings.
    """
    present = scene_state(scene)
    same_poses = np.allclose(
        [*content["scene_centre"], content["scene_size"]], [*present["scene_centre"], present["scene_size"]]
    )
    if content["photos"] != present["photos"] or not same_poses:
        raise SolverError(
            f"the checkpoint belongs to other {'photos' if same_poses else 'poses'}",
            where=path,
            remedy="run without --resume",
            mend="fresh",
        )
    previous, wanted = json.loads(content["settings"]), dataclasses.asdict(scene.settings)
    changed = sorted(name for name in wanted if wanted[name] != previous.get(name))
    if changed:
        raise SolverError(
            f"the checkpoint was made with other settings ({', '.join(changed)})",
            where=path,
            remedy="repeat them, or run without --resume",
            mend="fresh",
        )
    if cameras_learn != (content.get("cameras") is not None):
        raise SolverError(
            "the checkpoint's poses were found in another way", where=path, remedy="run without --resume", mend="fresh"
        )


def restore_scene(scene: Reconstruction, content: dict[str, Any]) -> None:
    """Put the values of a checkpoint into `scene`."""
    scene.gaussians = Gaussians(**content["gaussians"])
    scene.background = content["background"]
    scene.lens.log_pupil_diameters = list(content["log_pupil_diameters"])
    scene.lens.inverse_focus_distances = list(content["inverse_focus_distances"])
    scene.active_sh_degree = int(content["active_sh_degree"])
    if scene.blurnet is not None:
        scene.blurnet.load_state_dict(content["blurnet"])
    if scene.exposures is not None:
        scene.exposures.log_gains = [gain.requires_grad_() for gain in content["log_gains"]]
