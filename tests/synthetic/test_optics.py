# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator's camera against the optics that its ground truth claims."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthetic.lens import Lens
from synthetic.transforms import View, transforms

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="the bpy package is not installed")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bench")
    script = Path(__file__).with_name("optical_bench.py")
    run = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder, json.loads((folder / "results.json").read_text())


def test_blur_discs_are_as_wide_as_the_equation_says(bench: tuple[Path, dict[str, Any]]) -> None:
    rows = bench[1]["blur_discs"]
    assert len(rows) == 4
    for row in rows:
        assert row["expected_px"] > 10
        assert row["measured_px"] == pytest.approx(row["expected_px"], rel=0.03), row


def test_points_land_where_transforms_json_says(bench: tuple[Path, dict[str, Any]]) -> None:
    for row in bench[1]["projections"]:
        width, height = row["size"]
        view = View("bench", np.array(row["pose"]), None)
        content = transforms([view], Lens(100.0, 8.0, 24.0), width, height, "images", with_focus=False)
        world_to_camera = np.linalg.inv(content["frames"][0]["transform_matrix"])
        x, y, z = (world_to_camera @ [*row["centre"], 1.0])[:3]
        expected = (content["cx"] + content["fl_x"] * x / -z, content["cy"] - content["fl_y"] * y / -z)
        assert row["pixel"] == pytest.approx(expected, abs=0.1)


def test_depth_is_planar_and_exact_at_pixel_centres(bench: tuple[Path, dict[str, Any]]) -> None:
    depths = bench[1]["depths"]
    assert depths["seen_sphere"] > 0.1
    assert depths["formula_error"] < 2e-3  # mm
    assert depths["point_error"] < 2e-3  # mm


def test_depth_is_what_cycles_renders(bench: tuple[Path, dict[str, Any]]) -> None:
    openexr = pytest.importorskip("OpenEXR")
    folder = bench[0]
    rendered = None
    with openexr.File(str(folder / "passes.exr"), separate_channels=True) as file:
        for part in file.parts:
            for name, channel in part.channels.items():
                if name.endswith("Depth.Z"):
                    rendered = channel.pixels * 1000  # metres
    assert rendered is not None
    error = abs(rendered - np.load(folder / "cast.npy"))[~np.load(folder / "rim.npy")]
    assert error.max() < 5e-3  # mm
