# SPDX-License-Identifier: GPL-3.0-or-later
"""The depth of the surface, as a quantile of what makes a pixel: against sorted weights, one Gaussian at a time."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from solver.capture.types import Camera, Capture, Photo
from solver.config import settings_for
from solver.defocus.lens import Lens
from solver.fusion.volume import Mesh
from solver.gaussians.model import SH_C0, Gaussians
from solver.surface.depth_views import render_sharp
from solver.surface.mesh_making import MeshOptions, make_mesh
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo
from solver.training.surface_depth import surface_depth

CAMERA = Camera(width=64, height=48, fx=320.0, fy=320.0, cx=32.0, cy=24.0)


def photo(name: str, centre=(0.0, 0, 0)) -> Photo:
    """One that looks along Z."""
    pose = np.eye(4)
    pose[:3, 3] = -np.asarray(centre, float)
    return Photo(name, Path(f"{name}.png"), CAMERA, pose)


def walls(*depths: float) -> Reconstruction:
    """Opaque walls across the view of two photos."""
    x, y = np.meshgrid(np.arange(-13, 13.5, 0.5), np.arange(-10, 10.5, 0.5))
    means = np.concatenate([np.stack([x, y, np.full_like(x, z)], -1).reshape(-1, 3) for z in depths])
    n = len(means)
    photos = (photo("left"), photo("right", (1, 0, 0)))
    return Reconstruction(
        gaussians=Gaussians(
            means=torch.tensor(means, dtype=torch.float32),
            log_scales=torch.tensor([0.4, 0.4, 0.01]).log().repeat(n, 1),
            quaternions=torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
            opacity_logits=torch.full((n,), 3.0),
            sh_constant=torch.full((n, 1, 3), 0.1 / SH_C0),
            sh_rest=torch.zeros(n, 0, 3),
        ),
        background=torch.zeros(3),
        lens=Lens(
            log_pupil_diameters=[torch.tensor(1.0).log()],
            inverse_focus_distances=[torch.tensor(1 / 100), torch.tensor(1 / 130)],
            pupil_of_photo=[0, 0],
            f_numbers=[4.0],
            nominal_pupil_diameters_mm=[1.0],
            initial_pupil_diameters=[1.0],
        ),
        capture=Capture(Path("capture"), photos, unit_mm=1.0),
        settings=settings_for("draft"),
        backend="cpu",
        scene_centre=np.array([0.0, 0, 100]),
        scene_size=10.0,
        active_sh_degree=0,
    )


def layers(depths: np.ndarray, opacity: float) -> Reconstruction:
    """Wide flat Gaussians across the view, one at each depth, and a wall far behind them."""
    scene = walls(150.0)
    n = len(depths)
    means = np.stack([np.zeros(n), np.zeros(n), depths], axis=1)
    added = Gaussians(
        means=torch.tensor(means, dtype=torch.float32),
        log_scales=torch.tensor([300.0, 300.0, 0.01]).log().repeat(n, 1),
        quaternions=torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
        opacity_logits=torch.full((n,), float(np.log(opacity / (1 - opacity)))),
        sh_constant=torch.zeros(n, 1, 3),
        sh_rest=torch.zeros(n, 0, 3),
    )
    joined = {name: torch.cat([tensor, added.tensors()[name]]) for name, tensor in scene.gaussians.tensors().items()}
    return dataclasses.replace(scene, gaussians=Gaussians(**joined))


def slow_quantile(scene: Reconstruction, share: float, row: int, column: int) -> float:
    """Of one pixel: weights of the Gaussians, found by rendering each as the only one with a feature."""
    view = view_of_photo(scene.capture.photos[0], scene.device)
    depths = scene.gaussians.means[:, 2]
    weights = np.zeros(len(depths))
    for start in range(0, len(depths), 16):
        chosen = torch.arange(start, min(start + 16, len(depths)))
        features = torch.zeros(len(depths), len(chosen))
        features[chosen, torch.arange(len(chosen))] = 1
        with torch.no_grad():
            weights[chosen] = scene.render(view, extras=features).extras[row, column].numpy()
    order = np.argsort(depths.numpy(), kind="stable")
    passed = np.cumsum(weights[order]) / weights.sum()
    return float(depths.numpy()[order][np.searchsorted(passed, share)])


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_depth_is_that_of_sorted_weights(share):
    depths = np.linspace(100, 110, 81)
    scene = layers(depths, 0.05)
    found = surface_depth(scene, view_of_photo(scene.capture.photos[0], scene.device), share).numpy()
    exact = slow_quantile(scene, share, 24, 32)
    assert 100 < exact < 110
    assert found[24, 32] == pytest.approx(exact, abs=0.3)  # a bin is about 2
    mean = expected_depth(scene.render(view_of_photo(scene.capture.photos[0], scene.device)))[24, 32]
    assert abs(float(mean) - exact) > 0.5


@pytest.mark.parametrize("depth", [100.0, 100.7, 103.3])
def test_a_thin_surface_is_where_it_is(depth):
    scene = walls(depth)
    found = surface_depth(scene, view_of_photo(scene.capture.photos[0], scene.device)).numpy()
    known = found[5:-5, 5:-5]
    np.testing.assert_allclose(known, depth, rtol=2e-4)


def test_at_an_edge_depth_does_not_float():
    """A wall before half of another: pixels have the depth of one or the other."""
    scene = walls(100, 120)
    g = scene.gaussians
    kept = (g.means[:, 2] > 110) | (g.means[:, 0] < 0)
    scene = dataclasses.replace(scene, gaussians=g.map(lambda tensor: tensor[kept]))
    found = surface_depth(scene, view_of_photo(scene.capture.photos[0], scene.device)).numpy()
    found = found[8:-8, 8:-8]
    assert (found < 110).any() and (found > 110).any()
    nearest = np.minimum(np.abs(found - 100), np.abs(found - 120))
    assert np.quantile(nearest, 0.99) < 0.5
    mean = expected_depth(scene.render(view_of_photo(scene.capture.photos[0], scene.device)))[8:-8, 8:-8].numpy()
    assert np.minimum(np.abs(mean - 100), np.abs(mean - 120)).max() > 4  # which does


def test_where_nothing_is_there_is_no_depth():
    scene = walls(100)
    away = photo("away", (0, 0, 200))
    assert not surface_depth(scene, view_of_photo(away, scene.device)).any()


def test_a_wall_becomes_a_mesh_where_it_was():
    scene = walls(100)
    views = [render_sharp(scene, one) for one in scene.capture.photos]
    done = []
    mesh = make_mesh(scene, views, [None, None], [True, True], MeshOptions(48), lambda *step: done.append(step))
    assert isinstance(mesh, Mesh)
    assert done[-1][0] == done[-1][1] == len(done)
    assert np.abs(mesh.vertices[:, 2] - 100).mean() < 0.1
    assert mesh.confidence.max() == 2
    half = np.zeros((scene.capture.photos[0].camera.height, scene.capture.photos[0].camera.width), np.float32)
    half[:, : half.shape[1] // 2] = 1
    masked = make_mesh(scene, views, [half, half], [True, True], MeshOptions(48))
    assert masked.vertices[:, 0].max() < mesh.vertices[:, 0].max() - 2
    empty = np.zeros_like(half)
    assert make_mesh(scene, views, [empty, empty], [True, True], MeshOptions(48)) is None


def test_photos_held_out_of_training_do_not_vouch_for_a_surface():
    scene = walls(100)
    views = [render_sharp(scene, one) for one in (*scene.capture.photos, photo("another", (0, 4, 0)))]
    with_it, without = (
        make_mesh(scene, views, [None] * 3, [True, True, chosen], MeshOptions(48)) for chosen in (True, False)
    )
    two = make_mesh(scene, views[:2], [None] * 2, [True] * 2, MeshOptions(48))
    assert with_it.confidence.max() == 3 and without.confidence.max() == 2
    np.testing.assert_array_equal(without.vertices, two.vertices)
    np.testing.assert_array_equal(without.colours, two.colours)
