# SPDX-License-Identifier: GPL-3.0-or-later
"""The held-out views of a generated capture as they would be with other lenses, rendered by Cycles.

    python benchmarks/refocus_truth.py CAPTURE SHOTS.json OUTPUT

SHOTS.json is a list of {"file", "view", "focus_distance", "f_number", "blades"}; each becomes OUTPUT/file. What is
there already is kept.
"""

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import bpy  # noqa: E402

from synthetic import render, scenes  # noqa: E402
from synthetic.lens import Lens  # noqa: E402
from synthetic.transforms import View  # noqa: E402


def main(capture: Path, shots: list[dict[str, Any]], output: Path) -> None:
    """Render each shot with as many light paths as the capture's photos."""
    settings = json.loads((capture / "ground_truth" / "settings.json").read_text(encoding="utf-8"))
    poses = json.loads((capture / "ground_truth" / "novel" / "transforms.json").read_text(encoding="utf-8"))
    pose_of = {Path(frame["file_path"]).stem: np.array(frame["transform_matrix"]) for frame in poses["frames"]}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = scenes.build(settings["scene"])
    render.set_up_cycles(*settings["resolution"], denoise=settings["denoise"])
    missing = [shot for shot in shots if not (output / shot["file"]).exists()]
    for (f_number, blades), some in groupby(missing, key=lambda shot: (shot["f_number"], shot["blades"])):
        lens = Lens(settings["focal_length_mm"], f_number, settings["sensor_width_mm"], blades)
        camera = render.add_camera(lens, scene.units_per_mm)
        for index, shot in enumerate(some):
            render.render_view(
                camera,
                View(shot["view"], pose_of[shot["view"]], shot["focus_distance"]),
                output / shot["file"],
                defocus=True,
                samples=settings["samples"],
                seed=1000 + index,
                units_per_mm=scene.units_per_mm,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")), Path(sys.argv[3]))
