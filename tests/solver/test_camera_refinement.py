# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses and principal distances that learn: their gradients, what stays fixed, and whether they find the truth."""

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.capture.transforms import read_transforms
from solver.capture.types import Camera, Photo
from solver.config import settings_for
from solver.defocus.pupil import pupil_samples, sample_dilation
from solver.evaluation.alignment import align_cameras
from solver.events import Reporter
from solver.rasterization import Aperture, View, rasterize
from solver.reconstruct import Job, reconstruct
from solver.training.camera_refinement import CameraRefinement, moved, refines_cameras
from solver.training.trainer import Trainer

WIDTH, HEIGHT, FOCAL_PX, SIZE = 8, 7, 12.0, 0.6


def photograph(way: str, increment: Tensor, log_factor: Tensor) -> Tensor:  # [6], [] -> [H, W, 3]
    """Five Gaussians, larger than a pixel, seen by a camera that has moved, in float64."""
    random = torch.Generator().manual_seed(3)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=random, dtype=torch.float64)

    depths = torch.linspace(1.6, 2.6, 5, dtype=torch.float64)
    means = torch.cat([(uniform(5, 2) - 0.5) * depths[:, None] * 0.4, depths[:, None]], 1)
    K = torch.tensor([[FOCAL_PX, 0, WIDTH / 2], [0, FOCAL_PX, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    K = K + (log_factor.exp() - 1) * FOCAL_PX * torch.diag(torch.tensor([1.0, 1, 0], dtype=torch.float64))
    pupil, focus = torch.tensor(0.9, dtype=torch.float64), torch.tensor(1 / 3.2, dtype=torch.float64)
    samples = pupil_samples(3, 0.4)
    aperture = {
        "plain": None,
        "dilation": Aperture(pupil, focus),
        "pupil": Aperture(pupil, focus, samples, sample_dilation(3)),
    }
    pivot = torch.tensor([0.0, 0, 2], dtype=torch.float64)
    return rasterize(
        means,
        uniform(5, 4) - 0.5,
        0.15 + 0.2 * uniform(5, 3),
        0.5 + 0.4 * uniform(5),
        uniform(5, 1, 3) - 0.5,
        View(moved(torch.eye(4, dtype=torch.float64), increment, pivot, SIZE), K, WIDTH, HEIGHT),
        sh_degree=0,
        aperture=aperture[way],
        background=torch.full((3,), 0.2, dtype=torch.float64),
        backend="reference",
    ).colour


@pytest.mark.parametrize("start", [[0.0] * 6, [0.05, -0.08, 0.2, 0.3, -0.2, 0.4]])
@pytest.mark.parametrize("way", ["plain", "dilation", "pupil"])
def test_gradients_are_those_of_finite_differences(way, start):
    """Of the motion, at rest and away from it, and of the principal distance; none is zero in every pixel."""
    increment = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    log_factor = torch.tensor(0.01, dtype=torch.float64, requires_grad=True)
    inputs = increment, log_factor

    def function(*values: Tensor) -> Tensor:
        return photograph(way, *values)

    assert torch.autograd.gradcheck(function, inputs, eps=1e-6, atol=1e-6, rtol=1e-4)
    for jacobian in torch.autograd.functional.jacobian(function, inputs):
        assert (jacobian.reshape(HEIGHT * WIDTH * 3, -1).abs().amax(0) > 1e-3).all()


def ring(count: int) -> tuple[Photo, ...]:
    """Photos by two cameras that stand round the origin."""
    photos = []
    for i in range(count):
        turn = Rotation.from_euler("zx", [360 * i / count, 100 + 20 * (i % 3)], degrees=True).as_matrix()
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn.T, [0.1, -0.2, 10 + i % 2]
        photos.append(Photo(f"{i}", Path(), Camera(60, 40, 90.0 + 10 * (i % 2), 90.0, 30, 20), pose))
    return tuple(photos)


def refinement(count: int) -> CameraRefinement:
    return CameraRefinement.none_yet(ring(count), np.zeros(3), 3.0, range(count))


def test_at_first_cameras_are_as_given():
    cameras = refinement(6)
    for index, photo in enumerate(cameras.photos):
        assert cameras.photo(index).camera == photo.camera
        np.testing.assert_allclose(cameras.photo(index).world_to_camera, photo.world_to_camera, atol=1e-14)
    assert cameras.lens_of_photo == [0, 1, 0, 1, 0, 1]


def test_a_lens_has_one_factor_however_the_camera_was_held_and_focused():
    """Held upright, focused closer, and with a principal point of its own; another focal length is another lens."""
    photo = ring(1)[0]
    across, upright = Camera(60, 40, 90.0, 91.0, 30, 20), Camera(40, 60, 91.0, 90.0, 20, 30)
    closer = replace(across, fx=93.0, fy=94.0, cx=30.4)
    unknown = [replace(photo, name=f"c{i}", camera=c) for i, c in enumerate((across, upright, closer))]
    known = [replace(each, name=f"a{i}", focal_length_mm=60.0) for i, each in enumerate(unknown)]
    other = replace(photo, name="b", camera=across, focal_length_mm=100.0)
    cameras = CameraRefinement.none_yet((*known, other, *unknown), np.zeros(3), 3.0, range(7))
    assert cameras.lens_of_photo == [0, 0, 0, 1, 2, 2, 3]
    with torch.no_grad():
        cameras.log_focal_factors[1] += 0.1
    factors = cameras.summary()["focal_length_factors"]
    assert [each["photos"] for each in factors] == [["a0", "a1", "a2"], ["b"], ["c0", "c1"], ["c2"]]
    assert [each["factor"] for each in factors] == pytest.approx([1, math.exp(0.1), 1, 1])


def test_view_and_photo_are_the_same_camera():
    cameras = refinement(6)
    with torch.no_grad():
        cameras.increments[3] += torch.tensor([0.1, -0.2, 0.3, 0.2, 0.1, -0.3])
        cameras.log_focal_factors[1] += 0.05
    view, photo = cameras.view(3), cameras.photo(3)
    np.testing.assert_allclose(view.world_to_camera.detach().numpy(), photo.world_to_camera, atol=1e-6)
    np.testing.assert_allclose(view.K.detach().numpy(), photo.camera.K, rtol=1e-6)
    assert photo.camera.fx == pytest.approx(100 * math.exp(0.05))
    assert cameras.photo(2).camera.fx == 90
    turn = photo.world_to_camera[:3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)


def test_settling_leaves_nothing_in_common():
    """The increments that shift, turn and enlarge the world are taken out whole."""
    cameras = refinement(8)
    shift, turn, growth = np.array([0.02, -0.01, 0.03]), Rotation.from_rotvec([0.002, 0.001, -0.003]), 1.002
    goal = []
    for photo in cameras.photos:
        pose = photo.world_to_camera.copy()
        pose[:3, :3] = pose[:3, :3] @ turn.as_matrix()
        pose[:3, 3] = growth * photo.world_to_camera[:3, 3] + photo.world_to_camera[:3, :3] @ shift
        goal.append(pose)
    for index, pose in enumerate(goal):  # what increments make these poses, by Newton's method
        given = torch.from_numpy(cameras.photos[index].world_to_camera)
        pivot = given[:3, 3].clone()

        def residual(x: Tensor, given: Tensor = given, pivot: Tensor = pivot, pose: np.ndarray = pose) -> Tensor:
            return (moved(given, x, pivot, 3.0) - torch.from_numpy(pose))[:3].flatten()

        x = torch.zeros(6, dtype=torch.float64)
        for _ in range(5):
            jacobian = torch.autograd.functional.jacobian(residual, x)
            x = x - torch.linalg.lstsq(jacobian, residual(x)[:, None]).solution[:, 0]
        assert residual(x).abs().max() < 1e-10
        with torch.no_grad():
            cameras.increments[index] += x
    before = torch.stack([each.detach() for each in cameras.increments]).norm()
    cameras.settle()
    after = torch.stack([each.detach() for each in cameras.increments]).norm()
    assert after < 0.02 * before  # what is left is of second order


def test_photos_not_trained_on_stay():
    cameras = CameraRefinement.none_yet(ring(6), np.zeros(3), 3.0, [0, 1, 2, 4, 5])
    with torch.no_grad():
        cameras.increments[0] += 0.1
    cameras.settle()
    assert cameras.increments[3].abs().sum() == 0
    assert cameras.increments[1].abs().sum() > 0


def test_auto_refines_what_was_found_and_leaves_what_was_given(tiny_capture, tmp_path):
    capture = load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False)
    assert not refines_cameras(settings_for("draft"), capture)
    assert refines_cameras(settings_for("draft"), replace(capture, poses_found=True))
    assert refines_cameras(settings_for("draft", refine_poses="on"), capture)
    assert not refines_cameras(settings_for("draft", refine_poses="off"), replace(capture, poses_found=True))


QUICK = {"max_gaussians": 3000, "initial_gaussians": 2000, "sh_degree": 0, "surface": False, "refine_poses": "on"}


@pytest.fixture(scope="module")
def noisy_capture(tiny_capture, tmp_path_factory) -> Path:
    """The tiny capture with poses turned by 0.8 degrees and shifted by 0.8 % of the distance."""
    folder = tmp_path_factory.mktemp("noisy")
    content = json.loads((tiny_capture.folder / "transforms.json").read_text())
    random = np.random.default_rng(4)
    for frame in content["frames"]:
        frame["file_path"] = str(tiny_capture.folder / frame["file_path"])
        pose = np.array(frame["transform_matrix"])
        axis, way = (v / np.linalg.norm(v) for v in random.normal(size=(2, 3)))
        pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(np.radians(0.8) * axis).as_matrix()
        pose[:3, 3] += 0.008 * np.linalg.norm(pose[:3, 3]) * way
        frame["transform_matrix"] = pose.tolist()
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder


def reprojection_error(cameras: Path, truth: Path) -> float:
    """How far off the cameras show points of the subject, px on average, after a similarity."""
    found, true = ({f.name: f for f in read_transforms(folder).frames} for folder in (cameras, truth))
    names = sorted(found)
    alignment = align_cameras([true[n].world_to_camera for n in names], [found[n].world_to_camera for n in names])
    points = np.random.default_rng(0).uniform([-15, -15, 0], [15, 15, 6], size=(50, 3))
    errors = []
    for name in names:
        photo = Photo(name, Path(), found[name].camera, found[name].world_to_camera)
        theirs = Photo(name, Path(), true[name].camera, true[name].world_to_camera)
        difference = photo.project(alignment.apply(points))[0] - theirs.project(points)[0]
        errors.append(np.linalg.norm(difference, axis=1).mean())
    return float(np.mean(errors))


def test_wrong_poses_are_mended(tiny_capture, noisy_capture, tmp_path):
    """By a factor of two and more, in the result's cameras; a photo that is held out gets its pose as well."""
    settings = settings_for("draft", **QUICK, iterations=900, hold_out=9)
    result = reconstruct(Job(noisy_capture, tmp_path / "result", settings, device="cpu"), Reporter())
    before = reprojection_error(noisy_capture, tiny_capture.folder)
    after = reprojection_error(result, tiny_capture.folder)
    assert before > 1.0
    assert after < 0.5 * before
    told = json.loads((result / "result.json").read_text())
    assert told["camera_refinement"]["shift_median_px"] > 0.3
    assert told["metrics"]["psnr_held_out"] > 15


def camera_error(found: Photo, true: Camera, world_to_camera: np.ndarray) -> float:
    """How far off points of the subject are shown, px on average."""
    points = np.random.default_rng(0).uniform([-15, -15, 0], [15, 15, 6], size=(50, 3))
    theirs = Photo(found.name, Path(), true, world_to_camera)
    return float(np.linalg.norm(found.project(points)[0] - theirs.project(points)[0], axis=1).mean())


def test_a_photo_kept_out_gets_its_pose_from_the_scene_and_the_same_again(tiny_capture, noisy_capture, tmp_path):
    """Of the true scene; a finished run that is resumed does it a second time."""
    trainer = Trainer(
        load_capture(noisy_capture, poses_folder=tmp_path / "poses", find_points=False),
        settings_for("draft", **QUICK, hold_out=9),
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    trainer.start_from(tiny_capture.gaussians)
    with torch.no_grad():
        trainer.scene.lens.log_pupil_diameters[0].fill_(math.log(tiny_capture.pupil_diameter))
    true = {frame.name: frame for frame in read_transforms(tiny_capture.folder).frames}
    held_out = [index for index in range(len(trainer.photos)) if index % 9 == 0]

    def errors() -> list[float]:
        photos = [trainer.photos[index].photo for index in held_out]
        return [camera_error(photo, true[photo.name].camera, true[photo.name].world_to_camera) for photo in photos]

    before = errors()
    trainer.fit_held_out()
    after, poses = errors(), [trainer.photos[index].photo.world_to_camera for index in held_out]
    assert np.mean(after) < 0.5 * np.mean(before)
    trainer.fit_held_out()
    for index, pose in zip(held_out, poses, strict=True):
        np.testing.assert_array_equal(trainer.photos[index].photo.world_to_camera, pose)


def test_a_kernel_learns_the_principal_distance_as_well(noisy_capture, tmp_path):
    """BlurNet's lens is asked through the camera that learns, and PyTorch has nothing to warn of."""
    trainer = Trainer(
        load_capture(noisy_capture, poses_folder=tmp_path / "poses", find_points=False),
        settings_for("draft", **QUICK, defocus="blurnet"),
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    scene, cameras = trainer.scene, trainer.cameras
    view = cameras.view(0)
    depth = torch.full((view.height, view.width), 1.2 * scene.centre_depth(view.world_to_camera))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        variance, _ = scene.kernel_variance(0, view, depth, scene.lens.aperture(0))
    (slope,) = torch.autograd.grad(variance.mean(), cameras.log_focal_factors[0])
    assert slope > 0.1 * variance.mean()


def test_a_broken_run_ends_as_an_unbroken_one(noisy_capture, tmp_path):
    """To the last bit, cameras included."""
    capture = load_capture(noisy_capture, poses_folder=tmp_path / "poses", find_points=False)

    def trainer(name: str) -> Trainer:
        return Trainer(
            capture,
            settings_for("draft", **QUICK, iterations=60, densify_interval=20),
            backend="cpu",
            device=torch.device("cpu"),
            checkpoint_path=tmp_path / f"{name}.pt",
            preview_path=tmp_path / f"{name}.png",
            reporter=Reporter(),
            cancellation=Cancellation(),
        )

    unbroken = trainer("a")
    unbroken.run()
    broken = trainer("b")
    for _ in range(31):
        broken.train_one_step()
        broken.step += 1
    broken.save()
    resumed = trainer("b")
    resumed.resume()
    resumed.run()
    assert torch.equal(unbroken.scene.gaussians.means, resumed.scene.gaussians.means)
    for index in range(len(capture.photos)):
        ours, theirs = (t.scene.capture.photos[index] for t in (unbroken, resumed))
        assert np.array_equal(ours.world_to_camera, theirs.world_to_camera)
        assert ours.camera == theirs.camera
        assert not np.allclose(ours.world_to_camera, capture.photos[index].world_to_camera, atol=1e-5)
