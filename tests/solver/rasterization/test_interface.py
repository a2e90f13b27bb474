# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing a rasterizer, checks of its input, and where its machine code goes."""

import pytest
import torch

from solver.errors import SolverError
from solver.rasterization import Aperture, View, available_backends, choose_backend, prepare, rasterize


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


@pytest.mark.parametrize("shape", [(0, 2), (2,), (3, 3)])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_pupil_samples_that_are_none_are_refused(make_scene, backend, shape):
    tensors = make_scene(3).tensors
    names = ("means", "quaternions", "scales", "opacities", "sh_coefficients")
    view = View(tensors["world_to_camera"], tensors["K"], 8, 8)
    aperture = Aperture(torch.tensor(0.1), torch.tensor(0.4), samples=torch.zeros(shape))
    with pytest.raises(ValueError, match=r"must be \[M, 2\] with M of at least 1"):
        rasterize(*(tensors[key] for key in names), view, sh_degree=1, aperture=aperture, backend=backend)


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
