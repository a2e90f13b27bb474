# SPDX-License-Identifier: GPL-3.0-or-later
"""Measuring against ground truth, on results that are written down rather than trained."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from solver.capture.transforms import read_transforms
from solver.capture.types import Capture, Photo
from solver.config import settings_for
from solver.defocus.lens import Lens
from solver.errors import SolverError
from solver.evaluation.alignment import Similarity, align_cameras
from solver.evaluation.evaluate import evaluate
from solver.evaluation.metrics import psnr, squared_error, ssim_map
from solver.evaluation.render import render
from solver.export.images import read_exr
from solver.export.load import load_reconstruction
from solver.export.result import RunRecord, write_result
from solver.gaussians.model import Gaussians
from solver.training.checkpoint import load_checkpoint, save_checkpoint, scene_state
from solver.training.reconstruction import Reconstruction


def random_pose(rng: np.random.Generator) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.random(random_state=int(rng.integers(1 << 30))).as_matrix()
    pose[:3, 3] = rng.normal(size=3) * 5
    return pose


SIMILARITY = Similarity(3.7, Rotation.from_rotvec([0.4, -1.1, 0.3]).as_matrix(), np.array([10.0, -4, 25]))

# alignment


def test_cameras_are_mapped_like_points():
    """A mapped camera sees the mapped points at the same pixels, `scale` times as far away."""
    rng = np.random.default_rng(0)
    points, pose = rng.normal(size=(20, 3)), random_pose(rng)
    before = points @ pose[:3, :3].T + pose[:3, 3]
    mapped = SIMILARITY.camera(pose)
    after = SIMILARITY.apply(points) @ mapped[:3, :3].T + mapped[:3, 3]
    np.testing.assert_allclose(after, SIMILARITY.scale * before, atol=1e-9)
    np.testing.assert_allclose(mapped[:3, :3] @ mapped[:3, :3].T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 12])
def test_alignment_finds_the_similarity(count):
    rng = np.random.default_rng(count)
    poses = [random_pose(rng) for _ in range(count)]
    found = align_cameras(poses, [SIMILARITY.camera(pose) for pose in poses])
    assert found.scale == pytest.approx(SIMILARITY.scale)
    np.testing.assert_allclose(found.rotation, SIMILARITY.rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, SIMILARITY.translation, atol=1e-8)


def test_alignment_of_noisy_poses_is_close_and_a_rotation():
    rng = np.random.default_rng(5)
    poses = [random_pose(rng) for _ in range(20)]
    noisy = []
    for pose in poses:
        moved = SIMILARITY.camera(pose)
        moved[:3, :3] = Rotation.from_rotvec(rng.normal(size=3) * 0.01).as_matrix() @ moved[:3, :3]
        moved[:3, 3] += rng.normal(size=3) * 0.05
        noisy.append(moved)
    found = align_cameras(poses, noisy)
    assert found.scale == pytest.approx(SIMILARITY.scale, rel=0.01)
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    np.testing.assert_allclose(found.rotation, SIMILARITY.rotation, atol=0.01)


def test_cameras_in_one_place_leave_the_scale_alone():
    rng = np.random.default_rng(1)
    poses = []
    for _ in range(4):
        pose = random_pose(rng)
        pose[:3, 3] = -pose[:3, :3] @ np.array([1.0, 2, 3])
        poses.append(pose)
    found = align_cameras(poses, poses)
    assert found.scale == 1
    np.testing.assert_allclose(found.apply(np.ones((1, 3))), np.ones((1, 3)), atol=1e-9)


# measures


def test_psnr_of_known_errors():
    assert psnr(0.01 * 50, 50) == pytest.approx(20)
    assert psnr(0.0, 50) == pytest.approx(100)
    assert psnr(0.0, 0) is None
    a = np.zeros((2, 2, 3), np.float32)
    b = a.copy()
    b[0, 1] = [0.3, 0.0, 0.6]
    np.testing.assert_allclose(squared_error(a, b), [[0, 0.15], [0, 0]], atol=1e-8)


def test_ssim_of_flat_images_is_its_luminance_term():
    a, b = np.full((24, 24, 3), 0.5, np.float32), np.full((24, 24, 3), 0.6, np.float32)
    expected = (2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)
    np.testing.assert_allclose(ssim_map(a, b), expected, rtol=1e-4)
    noise = np.random.default_rng(0).uniform(size=(24, 24, 3)).astype(np.float32)
    np.testing.assert_allclose(ssim_map(noise, noise), 1, rtol=1e-5)
    assert ssim_map(noise, 1 - noise).mean() < 0


# whole results


def true_scene(tiny_capture) -> Reconstruction:
    """The very scene that the capture was rendered from, as a reconstruction."""
    file = read_transforms(tiny_capture.folder / "ground_truth" / "transforms.json")
    photos = tuple(
        Photo(f.name, f.image_path, f.camera, f.world_to_camera, f_number=5.0, focal_length_mm=60.0)
        for f in file.frames
    )
    return Reconstruction(
        gaussians=tiny_capture.gaussians,
        background=torch.full((3,), 0.3),
        lens=Lens(
            log_pupil_diameters=[torch.tensor(tiny_capture.pupil_diameter).log()],
            inverse_focus_distances=[torch.tensor(1 / f.frame["focus_distance"]) for f in file.frames],
            pupil_of_photo=[0] * len(photos),
            f_numbers=[5.0],
            nominal_pupil_diameters_mm=[12.0],
            initial_pupil_diameters=[12.0],
        ),
        capture=Capture(tiny_capture.folder, photos, unit_mm=1.0),
        settings=settings_for("draft", antialiased=False, sh_degree=0),
        backend="cpu",
        scene_centre=np.zeros(3),
        scene_size=22.0,
        active_sh_degree=0,
    )


def in_another_world(scene: Reconstruction, world: Similarity) -> Reconstruction:
    """The same scene, cameras and lens, seen from a world that is turned, moved and scaled."""
    g, lens, scale = scene.gaussians, scene.lens, world.scale
    turn = Rotation.from_matrix(world.rotation)
    w_first = g.quaternions.double().numpy()
    turned = (turn * Rotation.from_quat(w_first[:, [1, 2, 3, 0]])).as_quat()[:, [3, 0, 1, 2]]
    photos = tuple(
        dataclasses.replace(photo, world_to_camera=world.camera(photo.world_to_camera))
        for photo in scene.capture.photos
    )
    return dataclasses.replace(
        scene,
        gaussians=Gaussians(
            means=torch.tensor(world.apply(g.means.double().numpy()), dtype=torch.float32),
            log_scales=g.log_scales + math.log(scale),
            quaternions=torch.tensor(turned, dtype=torch.float32),
            opacity_logits=g.opacity_logits,
            sh_constant=g.sh_constant,
            sh_rest=g.sh_rest,
        ),
        lens=dataclasses.replace(
            lens,
            log_pupil_diameters=[d + math.log(scale) for d in lens.log_pupil_diameters],
            inverse_focus_distances=[v / scale for v in lens.inverse_focus_distances],
        ),
        capture=dataclasses.replace(scene.capture, photos=photos, unit_mm=None),
        scene_centre=world.apply(scene.scene_centre[None])[0],
        scene_size=scale * scene.scene_size,
    )


def write(scene: Reconstruction, folder: Path) -> Path:
    save_checkpoint(folder / "checkpoint.pt", scene_state(scene))
    count = len(scene.capture.photos)
    write_result(folder, scene, None, RunRecord([], "cpu", [False] * count, [None] * count, {}))
    return folder


def slightly_wrong(scene: Reconstruction) -> Reconstruction:
    """Errors of known size: 2 mm too far in focus, a pupil 10 % too large, splats a little off."""
    random = torch.Generator().manual_seed(1)
    means = scene.gaussians.means + 0.3 * torch.randn(scene.gaussians.means.shape, generator=random)
    return dataclasses.replace(
        scene,
        gaussians=dataclasses.replace(scene.gaussians, means=means),
        lens=dataclasses.replace(
            scene.lens,
            log_pupil_diameters=[d + math.log(1.1) for d in scene.lens.log_pupil_diameters],
            inverse_focus_distances=[1 / (1 / v + 2) for v in scene.lens.inverse_focus_distances],
        ),
    )


@pytest.fixture(scope="module")
def perfect(tiny_capture, tmp_path_factory) -> Path:
    return write(true_scene(tiny_capture), tmp_path_factory.mktemp("perfect"))


def test_the_truth_itself_has_no_errors(tiny_capture, perfect):
    steps = []
    numbers = evaluate(perfect, tiny_capture.folder, lambda *step: steps.append(step))
    assert steps == [(i + 1, 12) for i in range(12)]
    for key in ("psnr_deblurred", "psnr_novel", "psnr_deblurred_recoverable", "psnr_novel_recoverable"):
        assert numbers[key] > 50  # 8 bits
    assert numbers["ssim_deblurred"] > 0.999
    # The truth here is the mean of tilted discs, 1 mm apart, that overlap; the surface is where the nearer ones are.
    assert numbers["depth_error_median"] < 0.4
    assert numbers["depth_error_median_novel_recoverable"] < 0.4
    assert min(value for value in numbers["psnr_novel_by_coc"].values() if value is not None) > 50
    assert numbers["focus_distance_error_median"] < 1e-3
    assert abs(numbers["pupil_diameter_error"]) < 1e-5
    assert (numbers["photos"], numbers["novel_views"]) == (10, 2)
    assert numbers["alignment_scale"] == pytest.approx(1)
    assert 0.05 < numbers["recoverable_share"] < 0.95
    json.dumps(numbers, allow_nan=False)


def flat(numbers: dict, prefix: str = "") -> dict:
    """The numbers that there are, without nesting."""
    result = {}
    for key, value in numbers.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{key}/")
        elif value is not None:
            result[prefix + key] = value
    return result


def test_numbers_do_not_depend_on_the_results_world(tiny_capture, tmp_path):
    wrong = slightly_wrong(true_scene(tiny_capture))
    here = evaluate(write(wrong, tmp_path / "here"), tiny_capture.folder)
    there = evaluate(write(in_another_world(wrong, SIMILARITY), tmp_path / "there"), tiny_capture.folder)
    assert here["psnr_deblurred"] < 40
    assert here["focus_distance_error_median"] == pytest.approx(2, abs=1e-3)
    assert here["pupil_diameter_error"] == pytest.approx(0.1, abs=1e-5)
    assert here["depth_error_median"] > 0.01
    assert there.pop("alignment_scale") == pytest.approx(SIMILARITY.scale)
    assert here.pop("alignment_scale") == pytest.approx(1)
    assert flat(there) == pytest.approx(flat(here), rel=2e-3)


def test_each_photo_is_held_against_its_own_f_number(tiny_capture, perfect, tmp_path):
    """Stopped down by two in half of the frames: the pupil of the result is twice too large there."""
    capture = shutil.copytree(tiny_capture.folder, tmp_path / "capture")
    file = capture / "ground_truth" / "transforms.json"
    content = json.loads(file.read_text())
    for frame in content["frames"][:6]:
        frame["f_number"] = 2 * content["f_number"]
    file.write_text(json.dumps(content))
    assert evaluate(perfect, capture)["pupil_diameter_error"] == pytest.approx(1)


def test_evaluation_of_what_does_not_belong_together(tiny_capture, perfect, tmp_path):
    with pytest.raises(SolverError, match="has no ground truth"):
        evaluate(perfect, tmp_path)
    capture = shutil.copytree(tiny_capture.folder, tmp_path / "capture")
    Image.new("RGB", (72, 55)).save(capture / "ground_truth" / "sharp" / "view_04.png")
    with pytest.raises(SolverError, match=r"view_04\.png: the image is not of its camera's size"):
        evaluate(perfect, capture)
    (capture / "ground_truth" / "sharp" / "view_04.png").unlink()
    with pytest.raises(SolverError, match=r"view_04\.png: the image is missing"):
        evaluate(perfect, capture)
    (capture / "ground_truth" / "depth" / "view_02.exr").unlink()
    with pytest.raises(SolverError, match=r"view_02\.exr: the image is missing; render the capture again"):
        evaluate(perfect, capture)
    file = capture / "ground_truth" / "transforms.json"
    file.write_text(file.read_text().replace("view_", "other_"))
    for folder in ("sharp", "depth", "smallest_coc"):
        shutil.rmtree(capture / "ground_truth" / folder)
        shutil.copytree(tiny_capture.folder / "ground_truth" / folder, capture / "ground_truth" / folder)
        for path in (capture / "ground_truth" / folder).iterdir():
            path.rename(path.with_name(path.name.replace("view_", "other_")))
    with pytest.raises(SolverError, match="have no photos in common"):
        evaluate(perfect, capture)


# reading a result back


def test_a_result_reads_back_as_it_was(tiny_capture, perfect):
    scene, loaded = true_scene(tiny_capture), load_reconstruction(perfect)
    for name, tensor in scene.gaussians.tensors().items():
        assert torch.equal(getattr(loaded.gaussians, name).cpu(), tensor)
    assert loaded.settings == scene.settings
    assert [p.name for p in loaded.capture.photos] == [p.name for p in scene.capture.photos]
    for ours, theirs in zip(loaded.capture.photos, scene.capture.photos, strict=True):
        assert ours.camera == theirs.camera
        np.testing.assert_allclose(ours.world_to_camera, theirs.world_to_camera, atol=1e-9)
    assert loaded.lens.inverse_focus_distance(3) == scene.lens.inverse_focus_distance(3)


def test_cameras_keep_their_working_size_beside_larger_photos(tiny_capture, tmp_path):
    """Reconstructed at half the photos' size: the result's cameras are those of its own images."""
    scene = true_scene(tiny_capture)
    halved = tuple(dataclasses.replace(p, camera=p.camera.resized(36, 27)) for p in scene.capture.photos)
    scene = dataclasses.replace(scene, capture=scene.capture.with_photos(halved))
    folder = write(scene, tmp_path / "half")
    assert {photo.camera.width for photo in load_reconstruction(folder).capture.photos} == {36}
    assert render(folder, folder / "transforms.json", tmp_path / "images") == 10
    with Image.open(tmp_path / "images" / "view_03.png") as image:
        assert image.size == (36, 27)


def test_photos_of_one_name_in_two_folders(tiny_capture, tmp_path):
    scene = true_scene(tiny_capture)
    photos = tuple(
        dataclasses.replace(photo, name=f"{folder}_p{i}", image_path=tmp_path / folder / f"p{i}.jpg")
        for photo, (folder, i) in zip(
            scene.capture.photos, [(folder, i) for folder in ("left", "right") for i in range(5)], strict=True
        )
    )
    folder = write(dataclasses.replace(scene, capture=scene.capture.with_photos(photos)), tmp_path / "result")
    loaded = load_reconstruction(folder).capture.photos
    assert [photo.name for photo in loaded] == [photo.name for photo in photos]
    for ours, theirs in zip(loaded, photos, strict=True):
        np.testing.assert_allclose(ours.world_to_camera, theirs.world_to_camera, atol=1e-9)


DAMAGES = {
    "no description": lambda folder: (folder / "result.json").unlink(),
    "description of a list": lambda folder: (folder / "result.json").write_text("[1, 2]"),
    "half a description": lambda folder: (folder / "result.json").write_text('{"photos": [{"na'),
    "description of photos that have no camera": lambda folder: edit(
        folder, lambda r: r["photos"][0].update(sharp="x")
    ),
    "description without apertures": lambda folder: edit(folder, lambda r: r.update(apertures=[])),
    "no cameras": lambda folder: (folder / "transforms.json").unlink(),
    "no checkpoint": lambda folder: (folder / "checkpoint.pt").unlink(),
    "checkpoint of text": lambda folder: (folder / "checkpoint.pt").write_text("tensors"),
    "half a checkpoint": lambda folder: (folder / "checkpoint.pt").write_bytes(
        (folder / "checkpoint.pt").read_bytes()[:20_000]
    ),
    "empty checkpoint": lambda folder: (folder / "checkpoint.pt").write_bytes(b""),
    "checkpoint of another version": lambda folder: tamper(folder, format_version=99),
    "checkpoint without a lens": lambda folder: tamper(folder, log_pupil_diameters=[]),
    "checkpoint of other photos": lambda folder: tamper(folder, pupil_of_photo=[0]),
    "checkpoint of another shape": lambda folder: tamper(folder, background=torch.zeros(4)),
    "checkpoint without finite numbers": lambda folder: tamper(folder, background=torch.full((3,), float("nan"))),
    "checkpoint of words": lambda folder: tamper(folder, gaussians={"means": "here"}),
    "settings of another version": lambda folder: tamper(folder, settings='{"magic": 1}'),
}


def edit(folder: Path, change) -> None:
    content = json.loads((folder / "result.json").read_text())
    change(content)
    (folder / "result.json").write_text(json.dumps(content))


def tamper(folder: Path, **changes) -> None:
    content = load_checkpoint(folder / "checkpoint.pt")
    torch.save({**content, **changes}, folder / "checkpoint.pt")


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_results_are_told(perfect, tmp_path, damage):
    folder = shutil.copytree(perfect, tmp_path / "result")
    DAMAGES[damage](folder)
    with pytest.raises(SolverError) as caught:
        load_reconstruction(folder)
    assert str(folder) in caught.value.where
    assert caught.value.remedy
    assert "\n" not in caught.value.sentence


def test_checkpoints_hold_no_code(tmp_path):
    """A pickle that would run something is refused unread."""
    path = tmp_path / "checkpoint.pt"
    torch.save({"format_version": 1, "path": Path("x")}, path)
    with pytest.raises(SolverError, match="is damaged"):
        load_checkpoint(path)


# rendering


def cameras_file(path: Path, *file_paths: str) -> Path:
    frame = {"transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 100], [0, 0, 0, 1]]}
    path.write_text(
        json.dumps({"fl_x": 160, "w": 72, "h": 54, "frames": [{**frame, "file_path": name} for name in file_paths]})
    )
    return path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_renderings_are_named_after_their_frames(perfect, tmp_path):
    cameras = cameras_file(tmp_path / "cameras.json", "novel/a.jpg", "b.0001", "./c.png", "d")
    assert render(perfect, cameras, tmp_path / "out") == 4
    assert files(tmp_path / "out") == {
        *("novel/a.png", "novel/a.exr", "b.0001.png", "b.0001.exr", "c.png", "c.exr", "d.png", "d.exr")
    }
    depth = read_exr(tmp_path / "out" / "novel" / "a.exr", "Z")
    assert np.median(depth[25:29, 34:38]) == pytest.approx(94, abs=0.3)  # the raised square
    assert np.median(depth[:5, :5]) == pytest.approx(100, abs=0.3)  # the plate


def test_absolute_file_paths_stay_inside_the_folder(perfect, tmp_path):
    cameras = cameras_file(tmp_path / "cameras.json", "/elsewhere/a.png", "/other/a.png", "C:\\photos\\b.png")
    render(perfect, cameras, tmp_path / "out")
    assert len(files(tmp_path / "out")) == 6
    assert all("/" not in name for name in files(tmp_path / "out"))


def test_paths_that_lead_out_are_refused(perfect, tmp_path):
    cameras = cameras_file(tmp_path / "cameras.json", "a.png", "../b.png")
    with pytest.raises(SolverError, match="leads out of the output folder"):
        render(perfect, cameras, tmp_path / "out")
    assert not (tmp_path / "out").exists()
