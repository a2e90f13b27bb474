# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing a rasterizer, checks of its input, and where its machine code goes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import solver
from solver.errors import SolverError
from solver.kernels import threads
from solver.rasterization import View, available_backends, choose_backend, prepare, rasterize


def test_cpu_can_always_be_chosen():
    assert choose_backend("cpu") == ("cpu", torch.device("cpu"))
    prepare("cpu")


def test_every_backend_is_accounted_for():
    states = {state.name: state for state in available_backends()}
    assert set(states) == {"cpu", "gsplat", "reference"}
    assert states["cpu"].usable
    assert all(state.reason for state in states.values())
    assert choose_backend("auto")[0] == ("gsplat" if states["gsplat"].usable else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_is_refused_with_a_reason():
    with pytest.raises(SolverError, match="no CUDA device"):
        choose_backend("cuda")


@pytest.mark.parametrize(
    ("name", "shape"), [("means", (3, 2)), ("scales", (2, 3)), ("opacities", (3, 1)), ("sh_coefficients", (3, 4, 2))]
)
def test_shapes_that_do_not_fit_are_refused(make_scene, name, shape):
    scene = make_scene(3)
    tensors = scene.tensors | {name: torch.zeros(shape)}
    names = ("means", "quaternions", "scales", "opacities", "sh_coefficients")
    view = View(tensors["world_to_camera"], tensors["K"], 8, 8)
    with pytest.raises(ValueError, match=name):
        rasterize(*(tensors[key] for key in names), view, sh_degree=1)


def test_degree_needs_its_coefficients(make_scene):
    tensors = make_scene(3).tensors
    view = View(tensors["world_to_camera"], tensors["K"], 8, 8)
    with pytest.raises(ValueError, match="degree 2"):
        rasterize(
            tensors["means"],
            tensors["quaternions"],
            tensors["scales"],
            tensors["opacities"],
            tensors["sh_coefficients"][:, :4],
            view,
            sh_degree=2,
        )


def test_threads_can_be_limited(monkeypatch):
    monkeypatch.setenv(threads.ENVIRONMENT_VARIABLE, "3")
    assert threads.thread_count() == 3
    monkeypatch.setenv(threads.ENVIRONMENT_VARIABLE, "many")
    assert threads.thread_count() >= 1


def test_a_failing_share_is_reported():
    def share(part, parts):
        if part == parts - 1:
            raise RuntimeError("the last part")

    threads.set_thread_count(2)
    try:
        with pytest.raises(RuntimeError, match="the last part"):
            threads.run(share)
    finally:
        threads.set_thread_count(None)


_PROBE = """
from solver.kernels.compilation import CACHED, kernel

@kernel("float32(float32)")
def double(x):
    return x + x

print(CACHED, double(2.0))
"""


def _probe_cache(folder: Path, **environment: str) -> str:
    """Compile a kernel in a fresh process."""
    script = folder / "probe.py"
    script.write_text(_PROBE)
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    inherited["PYTHONPATH"] = str(Path(solver.__file__).parents[1])
    finished = subprocess.run(
        [sys.executable, str(script)], env=inherited | environment, capture_output=True, text=True, check=True
    )
    return finished.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME is Linux's")
def test_machine_code_goes_to_the_users_cache(tmp_path):
    assert _probe_cache(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) == "True 4.0"
    assert list((tmp_path / "cache" / "macro-reconstruction").rglob("*.nbi"))


def test_a_cache_folder_that_is_set_wins(tmp_path):
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "NUMBA_CACHE_DIR": str(tmp_path / "chosen")}
    assert _probe_cache(tmp_path, **environment) == "True 4.0"
    assert list((tmp_path / "chosen").rglob("*.nbi"))
    assert not (tmp_path / "cache").exists()


def test_kernels_compile_without_a_cache(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    assert _probe_cache(tmp_path, NUMBA_CACHE_DIR=str(blocked / "folder")) == "False 4.0"
