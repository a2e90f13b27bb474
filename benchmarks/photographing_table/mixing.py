# SPDX-License-Identifier: GPL-3.0-or-later
"""Two captures of one scene as one: single photos and brackets together."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_table.cells import write_aside
from solver.export.images import read_exr, write_exr
from synthetic.lens import Lens
from synthetic.recoverable import Taken, smallest_circle_of_confusion

_TRUTH = ("sharp", "depth", "mask", "coc")  # kinds that are each photo's own


def mix(parts: list[Path], target: Path) -> None:
    """Make the capture `target` of all photos of `parts`, which have the same lens and held-out views.

    The photos of the first part are called a_..., those of the second b_... What is recoverable is found anew, for a
    surface point can be sharp in photos of either. transforms.json is written last.
    """
    told, true = (
        [_read(part / name) for part in parts] for name in ("transforms.json", "ground_truth/transforms.json")
    )
    shutil.copytree(parts[0] / "ground_truth" / "novel", target / "ground_truth" / "novel", dirs_exist_ok=True)
    for letter, part in zip("ab", parts, strict=True):
        for place in ("images", *(f"ground_truth/{kind}" for kind in _TRUTH)):
            for path in (part / place).iterdir():
                _copy(path, target / place / f"{letter}_{path.name}")
    frames = [frame for letter, content in zip("ab", true, strict=True) for frame in _renamed(content, letter)]
    lens = Lens(*(true[0][name] for name in ("focal_length_mm", "f_number", "sensor_width_mm")))
    truth = target / "ground_truth"
    _copy(parts[0] / "ground_truth" / "settings.json", truth / "settings.json")
    taken = [Taken(np.array(f["transform_matrix"]), _depth(truth, _stem(f)), (f["focus_distance"],)) for f in frames]
    novel = _read(truth / "novel" / "transforms.json")["frames"]
    for folder, views in ((truth, frames), (truth / "novel", novel)):
        for view in views:
            depth = _depth(folder, _stem(view))
            coc = smallest_circle_of_confusion(np.array(view["transform_matrix"]), depth, taken, lens)
            (folder / "smallest_coc").mkdir(parents=True, exist_ok=True)
            write_exr(folder / "smallest_coc" / f"{_stem(view)}.exr", "V", coc)
    write_aside(truth / "transforms.json", json.dumps({**true[0], "frames": frames}))
    frames = [frame for letter, content in zip("ab", told, strict=True) for frame in _renamed(content, letter)]
    write_aside(target / "transforms.json", json.dumps({**told[0], "frames": frames}))


def _renamed(content: dict[str, Any], letter: str) -> list[dict[str, Any]]:
    """The frames with the photos' new names in all paths."""
    return [
        {
            key: Path(value).with_name(f"{letter}_{Path(value).name}").as_posix() if key.endswith("_path") else value
            for key, value in frame.items()
        }
        for frame in content["frames"]
    ]


def _stem(frame: dict[str, Any]) -> str:
    return Path(frame["file_path"]).stem


def _depth(folder: Path, name: str) -> np.ndarray:  # [H, W], float32, mm
    return read_exr(folder / "depth" / f"{name}.exr", "Z", "render the capture again").astype(np.float32)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
