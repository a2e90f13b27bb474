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

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="the bpy package is not installed")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("bench")
    script = Path(__file__).with_name("optical_bench.py")
    run = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder, json.loads((folder / "results.json").read_text())


def test_blur_discs_are_as_wide_as_the_equation_says(bench: tuple[Path, dict[str, Any]]) -> None:
    rows = [row for row in bench[1]["blur_discs"] if not row["blades"] and row["unit_mm"] > 1]
    lenses = {(row["focal_length_mm"], row["f_number"]) for row in rows}
    assert len(lenses) == 4
    for lens in lenses:
        sides = [row["depth_mm"] > row["focus_mm"] for row in rows if (row["focal_length_mm"], row["f_number"]) == lens]
        assert sorted(sides) == [False, False, True, True]
    for row in rows:
        assert row["expected_px"] > 9
        assert row["measured_px"] == pytest.approx(row["expected_px"], rel=0.03), row


def test_a_scene_in_millimetres_has_the_same_blur(bench: tuple[Path, dict[str, Any]]) -> None:
    rows = [row for row in bench[1]["blur_discs"] if row["unit_mm"] == 1]
    assert len(rows) == 2
    for row in rows:
        assert row["measured_px"] == pytest.approx(row["expected_px"], rel=0.03), row


@pytest.mark.parametrize("blades", [5, 6])
def test_blades_make_the_polygon_in_the_disc(bench: tuple[Path, dict[str, Any]], blades: int) -> None:
    rows = [row for row in bench[1]["blur_discs"] if row["blades"] == blades]
    assert [row["depth_mm"] > row["focus_mm"] for row in rows] == [True, False]
    step = 360 / blades
    for row in rows:
        assert row["measured_px"] == pytest.approx(row["expected_px"], rel=0.03), row
        difference = row["corner_measured_degrees"] - row["corner_expected_degrees"]
        assert abs((difference + step / 2) % step - step / 2) < 2, row


def test_points_land_where_transforms_json_says(bench: tuple[Path, dict[str, Any]]) -> None:
    rows = bench[1]["projections"]
    assert len(rows) == 6
    for row in rows:
        assert row["measured"] == pytest.approx(row["expected"], abs=0.1)
        assert 5 < row["expected"][0] < row["size"][0] - 5


def test_a_turned_subject_is_where_its_own_frame_says(bench: tuple[Path, dict[str, Any]]) -> None:
    rows = bench[1]["turntable"]
    assert len({row["turn_degrees"] for row in rows}) == 3
    for row in rows:
        assert row["camera"] == pytest.approx(rows[0]["camera"])  # it stays; the subject turns
        assert row["measured"] == pytest.approx(row["expected"], abs=0.1)
        assert row["depth_error"] < 2e-3  # mm
        assert row["mask_pixels"] > 80
        assert row["mask_error"] == 0


def test_developed_radiance_is_blenders_own_picture(bench: tuple[Path, dict[str, Any]]) -> None:
    assert bench[1]["development"] <= 1


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
