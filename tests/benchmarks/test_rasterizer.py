# SPDX-License-Identifier: GPL-3.0-or-later
"""That the rasterizer's benchmark compares like with like."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed import tiled_torch
from benchmarks.speed.compiled import compile_kernels
from benchmarks.speed.kernels import Kernels
from benchmarks.speed.scenes import make_scene

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "rasterizer.py"


@pytest.mark.parametrize("sizes", ["initial", "trained"])
@pytest.mark.parametrize("dilated", [False, True])
def test_plain_torch_renders_the_same(sizes, dilated):
    scene = make_scene(400, sizes, 70, 50)
    aperture = scene.aperture if dilated else None
    expected = scene.render(aperture, "reference")
    image = tiled_torch.render(scene, aperture)
    torch.testing.assert_close(image[..., :3], expected.colour, atol=1e-5, rtol=0)
    torch.testing.assert_close(image[..., 4], expected.alpha, atol=1e-5, rtol=0)
    assert expected.alpha.mean() > 0.3


@pytest.mark.parametrize("sizes", ["initial", "trained"])
def test_cpp_does_the_same(sizes, tmp_path):
    compiled, reason = compile_kernels(tmp_path)
    if compiled is None:
        pytest.skip(reason)
    kernels = Kernels(make_scene(2000, sizes, 90, 70))
    assert kernels.difference(compiled) < 1e-4
    kernels.backward(kernels.numba)
    moments, v_background = kernels.moments.copy(), kernels.v_background.copy()
    kernels.moments[:] = 0
    kernels.v_background[:] = 0
    kernels.backward(compiled)
    assert abs(kernels.moments - moments).max() < 1e-3 * abs(moments).max()
    assert abs(kernels.v_background - v_background).max() < 1e-4 * abs(v_background).max()
    assert kernels.vectors * 8 > (moments[:, 0] != 0).sum()


def test_it_writes_its_tables(tmp_path):
    command = [sys.executable, SCRIPT, "--counts", "300", "--rounds", "1", "--output", tmp_path, "--no-slow"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "rasterizer.json").read_text())
    assert [entry["sizes"] for entry in results["passes"]] == ["initial", "trained"]
    assert all(value > 0 for entry in results["iterations"] for value in entry["ms"].values())
    page = (tmp_path / "rasterizer.md").read_text()
    assert "| 300 trained |" in page
    assert str(tmp_path) not in page
