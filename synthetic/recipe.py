# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capture is rendered from, so that --resume goes on only with the same."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .arguments import Settings
from .errors import GeneratorError
from .files import read_json, require_writable_folder, write_json
from .fingerprint import file_fingerprint, fingerprint, state_fingerprint
from .scenes import CURRENT

GROUND_TRUTH = "ground_truth"
PHOTOS, MASKS = "images", "masks"
_RECORD = f"{GROUND_TRUTH}/settings.json"
_NOT_SEEN = ("output", "blend", "resume", "overwrite", "events")  # in the frames
_TITLES = {
    "generator": "version of the generator",
    "blender": "version of Blender",
    "numpy": "version of NumPy",
    "blend": "version of the .blend file",
    "linked_files": "version of a texture or library",
}


def recipe(settings: Settings, *, denoise: bool) -> dict[str, Any]:
    """Everything that decides what the frames look like; null is what the scene itself decides.

    Args:
        settings: of the capture.
        denoise: what was made of `settings.denoise`.
    """
    options = {name: value for name, value in asdict(settings).items() if name not in _NOT_SEEN}
    content = {
        **options,
        "resolution": list(settings.resolution),
        "denoise": denoise,
        "blender": bpy.app.version_string,
        "generator": fingerprint(settings.scene),
    }
    if settings.scene == CURRENT:
        content["blend"] = file_fingerprint(Path(bpy.data.filepath))
        content["linked_files"] = state_fingerprint(map(Path, bpy.utils.blend_paths(absolute=True)))
    if settings.imperfections.full_well_electrons is not None:  # its random numbers may differ between versions
        content["numpy"] = np.__version__
    return content


def require_usable_folder(settings: Settings, content: dict[str, Any]) -> None:
    """Find out whether frames of the recipe `content` may go into the output folder, before anything is changed.

    Raises:
        GeneratorError: it cannot be written to; it holds other files, a capture that is neither to be resumed nor to be
            overwritten, or one to be resumed that was begun with another recipe.
    """
    output = settings.output
    require_writable_folder(output)
    record = output / _RECORD
    if not record.exists():
        if output.exists() and any(output.iterdir()):
            raise GeneratorError("the output folder holds other files", where=output, remedy="choose an empty folder")
    elif settings.resume:
        _require_same(output, read_json(record), content)
    elif not settings.overwrite:
        raise GeneratorError(
            "the output folder holds a capture already", where=output, remedy="give --resume or --overwrite"
        )


def begin_folder(settings: Settings, content: dict[str, Any]) -> None:
    """Remove what is to be overwritten, and write the recipe down."""
    output = settings.output
    if settings.overwrite:
        (output / "transforms.json").unlink(missing_ok=True)  # first: without it, it is no whole capture
        truth = output / GROUND_TRUTH
        for path in (output / PHOTOS, output / MASKS, *(truth.iterdir() if truth.exists() else ())):
            if path.is_dir():
                shutil.rmtree(path)
            elif path != output / _RECORD:  # which goes last: without it, the rest would be a stranger's files
                path.unlink(missing_ok=True)
    write_json(output / _RECORD, content)


def _require_same(output: Path, earlier: Any, content: dict[str, Any]) -> None:
    for name, value in content.items():
        if not isinstance(earlier, dict) or earlier.get(name) != value:
            what = _TITLES.get(name, name.replace("_", "-"))
            raise GeneratorError(
                f"the capture was begun with a different {what}",
                where=output,
                remedy="repeat the command that began it, or give --overwrite",
            )
