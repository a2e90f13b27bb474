# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m solver export`: every format is read back by a reader that is not ours."""

import dataclasses
import gzip
import io
import json
import shutil
import struct
import zipfile
from pathlib import Path

import gsply
import numpy as np
import OpenEXR
import pycolmap
import pytest
import tifffile
import torch
import trimesh
from PIL import Image, ImageCms
from plyfile import PlyData
from scipy.spatial.transform import Rotation

from solver.capture.transforms import read_transforms
from solver.capture.types import Capture, Photo
from solver.cli import main
from solver.config import settings_for
from solver.defocus.lens import Lens
from solver.errors import Cancelled, SolverError
from solver.events import Reporter
from solver.export.command import MANIFEST, export
from solver.export.formats import tasks_of
from solver.export.importance import importance
from solver.export.load import load_reconstruction
from solver.export.meshes import write_mesh
from solver.export.result import RunRecord, write_images, write_result
from solver.export.source import Source, SplatChoice
from solver.export.splats import Splats, read_splat_file, splats_of, write_splat_file
from solver.export.spz import write_spz
from solver.export.surface_file import read_surface
from solver.export.usdz import write_usdz
from solver.export.viewer_colours import fitted_to_viewers
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb, srgb_to_linear
from solver.rasterization import View, rasterize
from solver.surface.texture import Texture
from solver.training.checkpoint import save_checkpoint, scene_state
from solver.training.reconstruction import Reconstruction, expected_depth, view_of_photo

UNIT_MM = 2.0
TEXTURE_SIZE = 8
Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])


def box() -> Mesh:
    """A box of 24 x 16 x 8 about the origin, its corners in colours."""
    cube = trimesh.creation.box((24, 16, 8))
    colours = np.random.default_rng(1).uniform(0.05, 0.95, (len(cube.vertices), 3))
    return Mesh(np.array(cube.vertices), np.array(cube.faces), colours)


def some_texture(mesh: Mesh) -> Texture:
    """Each triangle is an island of its own; the picture is noise."""
    random = np.random.default_rng(2)
    coordinates = random.uniform(size=(len(mesh.faces), 3, 2)).astype(np.float32)
    return Texture(coordinates, random.uniform(size=(TEXTURE_SIZE, TEXTURE_SIZE, 3)).astype(np.float32))


def write_scene(folder: Path, tiny_capture, mesh: Mesh | None) -> Reconstruction:
    """A whole result folder of the very scene that the tiny capture was rendered from, with colours by direction."""
    file = read_transforms(tiny_capture.folder / "ground_truth" / "transforms.json")
    photos = tuple(Photo(f.name, f.image_path, f.camera, f.world_to_camera, f_number=5.0) for f in file.frames)
    true = tiny_capture.gaussians
    random = torch.Generator().manual_seed(0)
    harmonics = 0.05 * torch.randn((len(true), 15, 3), generator=random)
    tilt = torch.randn((len(true), 4), generator=random) * 0.05
    scene = Reconstruction(
        gaussians=Gaussians(**{**true.tensors(), "sh_rest": harmonics, "quaternions": true.quaternions + tilt}),
        background=torch.full((3,), 0.3),
        lens=Lens(
            log_pupil_diameters=[torch.tensor(tiny_capture.pupil_diameter).log()],
            inverse_focus_distances=[torch.tensor(1 / f.frame["focus_distance"]) for f in file.frames],
            pupil_of_photo=[0] * len(photos),
            f_numbers=[5.0],
            nominal_pupil_diameters_mm=[12.0],
            initial_pupil_diameters=[12.0],
        ),
        capture=Capture(tiny_capture.folder, photos, unit_mm=UNIT_MM),
        settings=settings_for("draft", antialiased=False, sh_degree=3),
        backend="cpu",
        scene_centre=np.zeros(3),
        scene_size=22.0,
        active_sh_degree=3,
    )
    views = []
    with torch.no_grad():
        for photo in photos:
            rendering = scene.render(view_of_photo(photo, scene.device))
            views.append(SharpView(photo, rendering.colour.numpy(), expected_depth(rendering).numpy()))
    write_images(folder, scene, views, lambda done, total: None)
    record = RunRecord(["reconstruct"], "cpu", [False] * len(photos), [30.0] * len(photos), {})
    save_checkpoint(folder / "checkpoint.pt", scene_state(scene))
    write_result(folder, scene, mesh, record)
    return scene


@pytest.fixture(scope="module")
def plain(tiny_capture, tmp_path_factory) -> Path:
    """A result whose mesh has colours at its vertices and no texture."""
    folder = tmp_path_factory.mktemp("plain") / "result"
    write_scene(folder, tiny_capture, box())
    return folder


@pytest.fixture(scope="module")
def textured(tiny_capture, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("textured") / "result"
    write_scene(folder, tiny_capture, box())
    write_mesh(folder, box(), UNIT_MM, texture=some_texture(box()))
    return folder


@pytest.fixture(scope="module")
def meshless(tiny_capture, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("meshless") / "result"
    write_scene(folder, tiny_capture, None)
    return folder


def run(result: Path, output: Path, *formats: str, **options) -> Path:
    """Splats keep the result's colours unless `fit` is given."""
    chosen = {key: options.pop(key) for key in ("crop", "count", "degree", "fit") if key in options}
    export(result, output, formats, Reporter(), choice=SplatChoice(**{"fit": False, **chosen}), **options)
    return output


def covariances(quaternions: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """[N, 3, 3] of quaternions [N, 4], x y z w, and standard deviations [N, 3]."""
    axes = Rotation.from_quat(quaternions).as_matrix() * scales[:, None]
    return axes @ axes.transpose(0, 2, 1)


def random_splats(count: int = 300, degree: int = 3) -> Splats:
    random = np.random.default_rng(4)
    quaternions = random.normal(size=(count, 4))
    return Splats(
        means=5 * random.normal(size=(count, 3)).astype(np.float32),
        log_scales=random.normal(size=(count, 3)).astype(np.float32) - 3,
        quaternions=(quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).astype(np.float32),
        opacity_logits=2 * random.normal(size=count).astype(np.float32),
        coefficients=0.2 * random.normal(size=(count, (degree + 1) ** 2, 3)).astype(np.float32),
    )


# splats


def test_splats_read_back_as_they_were(tmp_path):
    for degree in range(4):
        given = random_splats(degree=degree)
        write_splat_file(tmp_path / "a.ply", given)
        found = read_splat_file(tmp_path / "a.ply")
        for name in ("means", "log_scales", "quaternions", "opacity_logits", "coefficients"):
            np.testing.assert_array_equal(getattr(found, name), getattr(given, name))


def test_exported_splats_are_those_of_the_result(plain, tmp_path):
    run(plain, tmp_path, "splats-ply")
    ours, theirs = (PlyData.read(str(folder / "splats.ply"))["vertex"].data for folder in (tmp_path, plain))
    np.testing.assert_array_equal(ours, theirs)


def test_turned_splats_look_the_same_from_the_turned_side():
    """Rendered by the rasterizer before and after, the camera turned and moved with the scene."""
    splats = random_splats(60)
    splats = Splats(0.3 * splats.means, *list(vars(splats).values())[1:])
    turn, scale = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix(), 2.5
    pose = np.eye(4)
    pose[2, 3] = 12
    after = pose.copy()
    after[:3, :3], after[:3, 3] = pose[:3, :3] @ turn.T, scale * pose[:3, 3]
    images = []
    for shown, camera in ((splats, pose), (splats.moved(turn, scale), after)):
        images.append(
            rasterize(
                torch.from_numpy(shown.means),
                torch.from_numpy(shown.quaternions),
                torch.from_numpy(shown.scales),
                torch.from_numpy(shown.opacities),
                torch.from_numpy(np.ascontiguousarray(shown.coefficients)),
                View(
                    torch.tensor(camera, dtype=torch.float32),
                    torch.tensor([[60.0, 0, 24], [0, 60, 20], [0, 0, 1]]),
                    48,
                    40,
                ),
                sh_degree=3,
                background=torch.zeros(3),
                backend="reference",
            ).colour.numpy()
        )
    assert images[0].std() > 0.05
    np.testing.assert_allclose(images[1], images[0], atol=2e-4)


def read_spz(path: Path) -> dict[str, np.ndarray]:
    """Decode an SPZ of version 3 as Niantic's README and loader have it, splat by splat, in 64 bits."""
    data = gzip.decompress(path.read_bytes())
    magic, version, count, degree, fraction_bits, flags, reserved = struct.unpack_from("<4sIIBBBB", data)
    assert (magic, version, reserved) == (b"NGSP", 3, 0)
    harmonics = (degree + 1) ** 2 - 1
    sizes = {"position": 9, "alpha": 1, "colour": 3, "scale": 3, "rotation": 4, "harmonics": 3 * harmonics}
    assert len(data) == 16 + count * sum(sizes.values())
    parts, start = {}, 16
    for name, size in sizes.items():
        parts[name] = [data[start + i * size : start + (i + 1) * size] for i in range(count)]
        start += count * size
    quaternions = []
    for packed in parts["rotation"]:
        bits = int.from_bytes(packed, "little")
        largest, xyzw = bits >> 30, [0.0] * 4
        for i in (3, 2, 1, 0):
            if i != largest:
                xyzw[i] = (bits & 511) / 511 * 0.5**0.5 * (-1 if bits >> 9 & 1 else 1)
                bits >>= 10
        xyzw[largest] = (1 - sum(value**2 for value in xyzw)) ** 0.5
        quaternions.append(xyzw)
    positions = [
        [int.from_bytes(p[k : k + 3], "little", signed=True) / 2**fraction_bits for k in (0, 3, 6)]
        for p in parts["position"]
    ]
    return {
        "positions": np.array(positions),
        "opacities": np.array([a[0] / 255 for a in parts["alpha"]]),
        "constant": np.array([[(b / 255 - 0.5) / 0.15 for b in c] for c in parts["colour"]]),
        "log_scales": np.array([[b / 16 - 10 for b in s] for s in parts["scale"]]),
        "quaternions": np.array(quaternions),
        "harmonics": np.array([[(b - 128) / 128 for b in h] for h in parts["harmonics"]]).reshape(count, harmonics, 3),
        "antialiased": np.array(bool(flags & 1)),
    }


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_spz_decodes_to_within_its_steps(tmp_path, degree):
    splats = random_splats(degree=degree)
    write_spz(tmp_path / "a.spz", splats, antialiased=degree == 1)
    found = read_spz(tmp_path / "a.spz")
    assert found["antialiased"] == (degree == 1)
    np.testing.assert_allclose(found["positions"], splats.means, atol=2**-18)
    np.testing.assert_allclose(found["opacities"], splats.opacities, atol=0.501 / 255)
    np.testing.assert_allclose(found["constant"], splats.coefficients[:, 0], atol=0.501 / 255 / 0.15)
    np.testing.assert_allclose(found["log_scales"], splats.log_scales, atol=0.501 / 16)
    xyzw = np.roll(splats.quaternions, -1, axis=1)
    assert np.abs((found["quaternions"] * xyzw).sum(1)).min() > 1 - 1e-5  # q and -q are one rotation
    errors = np.abs(found["harmonics"] - splats.coefficients[:, 1:])
    assert errors[:, :3].max(initial=0) <= 4.5 / 128
    assert errors[:, 3:].max(initial=0) <= 8.5 / 128
    assert (tmp_path / "a.spz").stat().st_size < 0.5 * 4 * len(splats) * (14 + 3 * (degree + 1) ** 2)


@pytest.mark.parametrize("degree", [0, 1, 3])
def test_another_program_reads_spz_alike(tmp_path, degree):
    splats = random_splats(degree=degree)
    write_spz(tmp_path / "a.spz", splats, antialiased=False)
    found = gsply.read_spz(tmp_path / "a.spz")
    np.testing.assert_allclose(found.means, splats.means, atol=2**-18)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.opacities)), splats.opacities, atol=0.501 / 255)
    np.testing.assert_allclose(found.sh0, splats.coefficients[:, 0], atol=0.501 / 255 / 0.15)
    np.testing.assert_allclose(found.scales, splats.log_scales, atol=0.501 / 16)
    assert np.abs((found.quats * splats.quaternions).sum(1)).min() > 1 - 1e-5  # q and -q are one rotation
    if degree:
        np.testing.assert_allclose(found.shN, splats.coefficients[:, 1:], atol=8.5 / 128)


def test_spz_of_every_largest_component_and_of_the_extremes(tmp_path):
    quaternions = np.concatenate([np.eye(4), -np.eye(4), np.full((1, 4), 0.5), [[-0.5, 0.5, -0.5, 0.5]]])
    count = len(quaternions)
    splats = Splats(
        means=np.array([[2047.5, -2047.5, 0]] * count, np.float32),
        log_scales=np.array([[-30.0, 30, 0]] * count, np.float32),
        quaternions=quaternions.astype(np.float32),
        opacity_logits=np.array([-90.0, 90] * (count // 2), np.float32),
        coefficients=np.array([[[9.0, -9, 0]] + [[2.0, -2, 0]] * 3] * count, np.float32),
    )
    write_spz(tmp_path / "a.spz", splats, antialiased=False)
    found = read_spz(tmp_path / "a.spz")
    np.testing.assert_allclose(found["positions"], splats.means, atol=2**-13)
    np.testing.assert_allclose(found["log_scales"][0], [-10, 5.9375, 0])
    assert np.abs((found["quaternions"] * np.roll(quaternions, -1, axis=1)).sum(1)).min() > 1 - 1e-5
    np.testing.assert_allclose(found["opacities"][:2], [0, 1])
    np.testing.assert_allclose(found["harmonics"][0, 0], [127 / 128, -1, 0])


def test_spz_export_is_y_up_and_leaves_out_what_does_not_fit(plain, tmp_path):
    splats = read_splat_file(plain / "splats.ply")
    found = read_spz(run(plain, tmp_path, "spz") / "splats.spz")
    x, y, z = splats.means.T
    np.testing.assert_allclose(found["positions"], np.stack([x, z, -y], axis=1), atol=1e-5)
    expected = Y_UP @ covariances(np.roll(splats.quaternions, -1, 1), splats.scales) @ Y_UP.T
    got = covariances(found["quaternions"], np.exp(found["log_scales"]))
    np.testing.assert_allclose(got, expected, atol=0.08 * expected.max())
    warnings: list[str] = []
    far = Source(plain, SplatChoice(fit=False), warn=warnings.append)
    far.splats = Splats(np.where([True, False, False], 3e3, splats.means), *list(vars(splats).values())[1:])
    (task,) = tasks_of("spz", far, link=False)
    task.write(tmp_path / "far.spz")
    assert len(read_spz(tmp_path / "far.spz")["positions"]) == 0
    assert warnings == [f"{len(splats)} splats lie too far away for SPZ and are left out of it"]


def gltf_arrays(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The tree of a GLB and the attributes of its one primitive."""
    content = path.read_bytes()
    assert struct.unpack_from("<4sII", content) == (b"glTF", 2, len(content))
    (size,) = struct.unpack_from("<I", content, 12)
    assert size % 4 == 0
    tree, binary = json.loads(content[20 : 20 + size]), content[20 + size + 8 :]
    assert tree["buffers"] == [{"byteLength": len(binary)}]
    arrays = {}
    for name, index in tree["meshes"][0]["primitives"][0]["attributes"].items():
        accessor = tree["accessors"][index]
        view = tree["bufferViews"][accessor["bufferView"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        kind = {5126: "<f4", 5123: "<u2"}[accessor["componentType"]]
        assert view["byteOffset"] % 4 == 0
        values = np.frombuffer(binary, kind, accessor["count"] * width, view["byteOffset"])
        assert values.nbytes == view["byteLength"]
        arrays[name] = values.reshape(-1, width)
    return tree, arrays


def test_splats_as_gltf(plain, tmp_path):
    """Linear scales, opacities from 0 to 1, x y z w, Y up, metres, harmonics turned with the scene."""
    splats = read_splat_file(plain / "splats.ply")
    tree, arrays = gltf_arrays(run(plain, tmp_path, "splats-glb") / "splats.glb")
    (primitive,) = tree["meshes"][0]["primitives"]
    assert tree["extensionsUsed"] == ["KHR_gaussian_splatting"]
    assert primitive["mode"] == 0
    assert primitive["extensions"] == {
        "KHR_gaussian_splatting": {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    }
    own = {name.removeprefix("KHR_gaussian_splatting:"): values for name, values in arrays.items()}
    harmonics = [f"SH_DEGREE_{degree}_COEF_{i}" for degree in range(4) for i in range(2 * degree + 1)]
    assert set(own) == {"POSITION", "COLOR_0", "ROTATION", "SCALE", "OPACITY", *harmonics}
    metres = UNIT_MM / 1000
    np.testing.assert_allclose(own["POSITION"], metres * splats.means @ Y_UP.T, rtol=1e-5, atol=1e-9)
    accessor = tree["accessors"][primitive["attributes"]["POSITION"]]
    np.testing.assert_array_equal(np.float32(accessor["min"]), own["POSITION"].min(0))
    np.testing.assert_array_equal(np.float32(accessor["max"]), own["POSITION"].max(0))
    np.testing.assert_allclose(own["OPACITY"][:, 0], splats.opacities, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(own["ROTATION"], axis=1), 1, rtol=1e-6)
    expected = metres**2 * Y_UP @ covariances(np.roll(splats.quaternions, -1, 1), splats.scales) @ Y_UP.T
    np.testing.assert_allclose(covariances(own["ROTATION"], own["SCALE"]), expected, atol=1e-5 * expected.max())
    # Degree 1 is a vector field: coefficients of -y, z, -x. Seen along a turned direction it has the same value.
    for before, after in ((splats.coefficients, np.stack([own[name] for name in harmonics], axis=1)),):
        vector = np.stack([-before[:, 3], -before[:, 1], before[:, 2]], axis=1)  # [N, xyz, 3]
        turned = np.stack([-after[:, 3], -after[:, 1], after[:, 2]], axis=1)
        np.testing.assert_allclose(turned, np.einsum("ij,njc->nic", Y_UP, vector), atol=1e-5)
        energy = [np.square(c[:, 4:9]).sum() for c in (before, after)]
        assert energy[0] == pytest.approx(energy[1], rel=1e-4)
    colour = (0.5 + 0.28209479 * splats.coefficients[:, 0]).clip(0, 1)
    np.testing.assert_allclose(own["COLOR_0"][:, :3] / 65535, srgb_to_linear(colour), atol=2e-5)
    np.testing.assert_allclose(own["COLOR_0"][:, 3] / 65535, splats.opacities, atol=1e-5)
    cloud = trimesh.load(tmp_path / "splats.glb")  # a program that does not know the extension
    assert len(next(iter(cloud.geometry.values())).vertices) == len(splats)


def test_importance_is_the_sum_of_the_weights_of_a_splat(plain):
    """Against what disappears when the splat alone is white and all others are black."""
    scene = load_reconstruction(plain)
    scene.capture = scene.capture.with_photos(scene.capture.photos[:2])
    found = importance(scene)
    assert found.shape == (len(scene.gaussians),)
    alpha = 0.0
    with torch.no_grad():
        for photo in scene.capture.photos:
            view = view_of_photo(photo, scene.device)
            alpha += scene.render(view).alpha.double().sum().item()
        assert found.sum() == pytest.approx(alpha, rel=1e-4)
        for index in (0, 512, 1012, 2000):
            alone = torch.zeros(len(scene.gaussians), 1)
            alone[index] = 1
            weight = 0.0
            for photo in scene.capture.photos:
                extras = scene.render(view_of_photo(photo, scene.device), extras=alone).extras
                weight += extras.double().sum().item()
            assert found[index] == pytest.approx(weight, rel=1e-3, abs=1e-4)


def test_a_budget_keeps_the_most_important_splats_in_their_order(plain, tmp_path):
    ranked = importance(load_reconstruction(plain))
    all_of_them = read_splat_file(plain / "splats.ply")
    kept = read_splat_file(run(plain, tmp_path, "splats-ply", count=50, degree=1) / "splats.ply")
    expected = all_of_them.subset(np.sort(np.argsort(-ranked, kind="stable")[:50]))
    np.testing.assert_array_equal(kept.means, expected.means)
    np.testing.assert_array_equal(kept.coefficients, expected.coefficients[:, :4])


def test_a_crop_leaves_what_is_in_the_box_of_the_mesh(plain, tmp_path):
    before = read_splat_file(plain / "splats.ply").means
    after = read_splat_file(run(plain, tmp_path, "splats-ply", crop=True) / "splats.ply").means
    limit = np.array([12, 8, 4]) + 0.05 * np.linalg.norm([24, 16, 8])
    np.testing.assert_array_equal(after, before[(abs(before) <= limit).all(1)])
    assert 0 < len(after) < len(before)


def test_fitted_colours_look_in_a_viewer_as_they_were_trained(plain):
    """Faint splats, which blend otherwise in sRGB than in linear light; seen from between the photos, too."""
    scene = load_reconstruction(plain)
    scene.gaussians.opacity_logits -= 6
    photos = scene.capture.photos
    middle = np.eye(4)
    turns = Rotation.from_matrix([photo.world_to_camera[:3, :3] for photo in photos[:2]])
    middle[:3, :3] = turns.mean().as_matrix()
    middle[2, 3] = photos[0].world_to_camera[2, 3]
    seen_from = [photos[0], dataclasses.replace(photos[0], world_to_camera=middle)]
    before = splats_of(scene.gaussians)
    after = fitted_to_viewers(before, scene)
    np.testing.assert_array_equal(after.means, before.means)
    for photo in seen_from:
        view = view_of_photo(photo, scene.device)
        errors = []
        with torch.no_grad():
            wanted = linear_to_srgb(scene.render(view).colour)
            for splats in (before, after):
                shown = rasterize(
                    torch.from_numpy(splats.means),
                    torch.from_numpy(splats.quaternions),
                    torch.from_numpy(splats.scales),
                    torch.from_numpy(splats.opacities),
                    torch.from_numpy(splats.coefficients),
                    view,
                    sh_degree=3,
                    background=linear_to_srgb(scene.background),
                    backend="cpu",
                )
                errors.append((shown.colour - wanted).square().mean().item())
        assert errors[1] < 0.3 * errors[0]


def test_splats_are_fitted_to_viewers_unless_nobody_wants_that(plain, tmp_path):
    """Points for other trainers keep the colours of the result."""
    command = ["export", str(plain), "--to", "splats-ply", "transforms", "--sh-degree", "1", "--output"]
    assert main([*command, str(tmp_path / "fitted")]) == 0
    assert main([*command, str(tmp_path / "kept"), "--no-fit-colours"]) == 0
    fitted, kept, theirs = (
        read_splat_file(folder / "splats.ply") for folder in (tmp_path / "fitted", tmp_path / "kept", plain)
    )
    np.testing.assert_array_equal(fitted.means, theirs.means)
    assert fitted.degree == kept.degree == 1
    np.testing.assert_array_equal(kept.coefficients, theirs.coefficients[:, :4])
    assert np.abs(fitted.coefficients - kept.coefficients).max() > 1e-4
    assert (tmp_path / "fitted" / "points.ply").read_bytes() == (tmp_path / "kept" / "points.ply").read_bytes()


def test_a_fit_takes_a_bounded_number_of_steps(plain):
    """However many photos there are."""
    scene = load_reconstruction(plain)
    many = dataclasses.replace(scene, capture=dataclasses.replace(scene.capture, photos=scene.capture.photos * 40))
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if done == 2:
            raise Cancelled

    for whole, steps in ((scene, 5 * len(scene.capture.photos)), (many, 300)):
        with pytest.raises(Cancelled):
            fitted_to_viewers(splats_of(scene.gaussians), whole, progress)
        assert told[-1] == (2, steps)


def test_splats_of_a_result_without_its_checkpoint(plain, tmp_path, capsys):
    shutil.copytree(plain, tmp_path / "result")
    (tmp_path / "result" / "checkpoint.pt").unlink()
    command = ["export", str(tmp_path / "result"), "--to", "spz", "--output", str(tmp_path / "out")]
    assert main(command) == 1
    assert "add --no-fit-colours to export the splats as they are" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--no-fit-colours"]) == 0
    assert (tmp_path / "out" / "splats.spz").is_file()


# cameras


def test_transforms_for_other_trainers(plain, tmp_path):
    run(plain, tmp_path, "transforms")
    content = json.loads((tmp_path / "transforms.json").read_text())
    original = {f.frame["sharp_path"]: f for f in read_transforms(plain, images_required=False).frames}
    assert content["unit_mm"] == UNIT_MM
    for frame in content["frames"]:
        assert frame["file_path"].startswith("images/")
        assert Image.open(tmp_path / frame["file_path"]).size == (frame["w"], frame["h"])
        theirs = original[frame["file_path"].replace("images/", "sharp/")]
        opengl = np.diag([1.0, -1, -1, 1])
        pose = np.linalg.inv(np.array(frame["transform_matrix"]) @ opengl)
        np.testing.assert_allclose(pose, theirs.world_to_camera, atol=1e-9)
    name = content["frames"][0]["file_path"]
    assert (tmp_path / name).read_bytes() == (plain / name.replace("images/", "sharp/")).read_bytes()
    points = PlyData.read(str(tmp_path / content["ply_file_path"]))["vertex"].data
    splats = read_splat_file(plain / "splats.ply")
    np.testing.assert_allclose(np.stack([points[n] for n in "xyz"], 1), splats.means, atol=1e-5)
    ours = np.stack([points[n] for n in ("red", "green", "blue")], 1)
    np.testing.assert_allclose(ours, 255 * splats.base_colours, atol=0.51)


@pytest.mark.parametrize(("kind", "suffix"), [("colmap", ".bin"), ("colmap-text", ".txt")])
def test_colmap_reads_the_model(plain, tmp_path, kind, suffix):
    run(plain, tmp_path, kind)
    model = pycolmap.Reconstruction(str(tmp_path / "sparse" / "0"))
    frames = {f.name: f for f in read_transforms(plain, images_required=False).frames}
    assert model.num_reg_images() == len(frames)
    for image_id in model.reg_image_ids():
        image = model.image(image_id)
        frame = frames[Path(image.name).stem]
        np.testing.assert_allclose(image.cam_from_world().matrix(), frame.world_to_camera[:3], atol=1e-9)
        camera = model.camera(image.camera_id)
        assert camera.model_name == "PINHOLE"
        assert (camera.width, camera.height) == Image.open(tmp_path / "images" / image.name).size
        c = frame.camera
        np.testing.assert_allclose(camera.params, [c.fx, c.fy, c.cx, c.cy], rtol=1e-12)
    assert model.num_cameras() == 1
    splats = read_splat_file(plain / "splats.ply")
    assert model.num_points3D() == len(splats)
    np.testing.assert_allclose(model.point3D(7).xyz, splats.means[6])
    np.testing.assert_allclose(model.point3D(7).color, 255 * splats.base_colours[6], atol=0.51)


def test_names_with_spaces_need_the_binary_model(plain):
    source = Source(plain)
    source.photos = (dataclasses.replace(source.photos[0], name="my photo"),)
    with pytest.raises(SolverError, match="COLMAP's text files cannot name 'my photo', which has a space; use colmap"):
        tasks_of("colmap-text", source, link=False)
    assert len(tasks_of("colmap", source, link=False)) == 4


def test_the_solver_reads_its_own_exports(plain, tmp_path):
    """Another run can start from what was exported."""
    run(plain, tmp_path, "transforms")
    frames = read_transforms(tmp_path).frames
    assert [f.image_path.parent for f in frames] == [tmp_path / "images"] * len(frames)


# images


def test_tiff_has_sixteen_bits_and_a_profile(plain, tmp_path):
    run(plain, tmp_path, "tiff", "png")
    for path in sorted((tmp_path / "images").iterdir()):
        with tifffile.TiffFile(tmp_path / "images_16bit" / f"{path.stem}.tif") as file:
            pixels = file.pages[0].asarray()
            profile = ImageCms.getOpenProfile(io.BytesIO(file.pages[0].iccprofile))
        assert pixels.dtype == np.uint16
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        np.testing.assert_allclose(pixels / 257, np.asarray(Image.open(path), np.float64), atol=0.51)
    assert len(np.unique(pixels)) > 300  # more than 8 bits hold


def test_maps_are_exr(plain, tmp_path):
    run(plain, tmp_path, "exr")
    for kind, channel in (("depth", "Z"), ("coc", "V")):
        path = next((tmp_path / kind).iterdir())
        with OpenEXR.File(str(path), separate_channels=True) as file:
            pixels = file.channels()[channel].pixels
        assert pixels.dtype == np.float32
        assert pixels.max() > 0
        assert path.read_bytes() == (plain / kind / path.name).read_bytes()


# meshes


def same_shape(mesh: trimesh.Trimesh, scale: float, turn: np.ndarray) -> None:
    """The box, turned and scaled, wound outwards."""
    expected = scale * box().vertices @ turn.T
    found = np.unique(np.round(mesh.vertices / scale, 5), axis=0)
    np.testing.assert_allclose(found, np.unique(np.round(expected / scale, 5), axis=0), atol=1e-4)
    assert len(mesh.faces) == 12
    assert mesh.volume == pytest.approx(24 * 16 * 8 * scale**3, rel=1e-4)


def corner_coordinates(mesh: trimesh.Trimesh) -> np.ndarray:
    """Position and texture coordinates, v up, of every corner, in an order not of the file, [36, 5]."""
    rows = np.concatenate([np.asarray(mesh.vertices), np.asarray(mesh.visual.uv)], axis=1)[mesh.faces.reshape(-1)]
    return rows[np.lexsort(np.round(rows, 4).T)]


def true_corners(result: Path) -> np.ndarray:
    surface = read_surface(result / "mesh.ply")
    points = UNIT_MM / 1000 * surface.vertices @ Y_UP.T
    rows = np.concatenate([points, surface.texture_coordinates], axis=1)[surface.faces.reshape(-1)]
    given = some_texture(box()).corner_coordinates.reshape(-1, 2) * [1, -1] + [0, 1]
    np.testing.assert_allclose(np.sort(rows[:, 3:], axis=0), np.sort(given, axis=0), atol=1e-6)
    return rows[np.lexsort(np.round(rows, 4).T)]


@pytest.mark.parametrize("with_texture", [False, True])
def test_mesh_ply_and_glb_are_those_of_the_result(plain, textured, tmp_path, with_texture):
    run(textured if with_texture else plain, tmp_path, "mesh-ply", "glb")
    same_shape(trimesh.load(tmp_path / "mesh.ply", process=False), 1, np.eye(3))
    glb = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    same_shape(glb, UNIT_MM / 1000, Y_UP)
    assert (tmp_path / "texture.png").exists() == with_texture
    if with_texture:
        np.testing.assert_allclose(corner_coordinates(glb), true_corners(textured), atol=1e-5)


def test_obj_with_colours_at_vertices(plain, tmp_path):
    run(plain, tmp_path, "obj")
    mesh = trimesh.load(tmp_path / "mesh.obj", process=False)
    same_shape(mesh, UNIT_MM / 1000, Y_UP)
    lines = (tmp_path / "mesh.obj").read_text().splitlines()
    rows = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    ply = PlyData.read(str(plain / "mesh.ply"))["vertex"].data
    colours = {
        tuple(np.round(p, 6)): c
        for p, c in zip(
            UNIT_MM / 1000 * np.stack([ply[n] for n in "xyz"], 1) @ Y_UP.T,
            np.stack([ply[n] for n in ("red", "green", "blue")], 1) / 255,
            strict=True,
        )
    }
    for row in rows:
        np.testing.assert_allclose(row[3:], colours[tuple(np.round(row[:3], 6))], atol=1e-6)
    assert "map_Kd" not in (tmp_path / "mesh.mtl").read_text()


def test_obj_with_a_texture(textured, tmp_path):
    run(textured, tmp_path, "obj")
    mesh = trimesh.load(tmp_path / "mesh.obj", process=False)
    same_shape(mesh, UNIT_MM / 1000, Y_UP)
    np.testing.assert_allclose(corner_coordinates(mesh), true_corners(textured), atol=1e-5)
    lines = (tmp_path / "mesh.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == 8  # no seam is open
    image = mesh.visual.material.image
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(textured / "texture.png")))
    for line in lines:
        if line.startswith("vn "):
            normal = np.array(line.split()[1:], float)
            assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-3)


def usdz_scene(path: Path) -> tuple[str, dict[str, bytes]]:
    """The scene's text and all files, with the zip's own rules checked."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        content = path.read_bytes()
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
            start = entry.header_offset + 30 + name + extra
            assert start % 64 == 0
            assert content[start : start + entry.file_size] == archive.read(entry)
        files = {name: archive.read(name) for name in archive.namelist()}
    assert next(iter(files)).endswith(".usda")
    return files["mesh.usda"].decode(), files


def usd_array(scene: str, name: str) -> np.ndarray:
    (text,) = [line.split(" = ", 1)[1] for line in scene.splitlines() if f"] {name} = " in line]
    text = text.removesuffix(" (")
    return np.array(json.loads(text.replace("(", "[").replace(")", "]")))


@pytest.mark.parametrize("with_texture", [False, True])
def test_usdz_is_a_plain_zip_of_the_mesh(plain, textured, tmp_path, with_texture):
    result = textured if with_texture else plain
    scene, files = usdz_scene(run(result, tmp_path, "usdz") / "mesh.usdz")
    assert set(files) == ({"mesh.usda", "texture.png"} if with_texture else {"mesh.usda"})
    assert 'upAxis = "Y"' in scene
    assert "metersPerUnit = 1\n" in scene
    points, faces = usd_array(scene, "points"), usd_array(scene, "faceVertexIndices").reshape(-1, 3)
    assert usd_array(scene, "faceVertexCounts").tolist() == [3] * 12
    same_shape(trimesh.Trimesh(points, faces, process=False), UNIT_MM / 1000, Y_UP)
    np.testing.assert_allclose(usd_array(scene, "extent"), [points.min(0), points.max(0)])
    normals = usd_array(scene, "normals")
    assert ((normals * points).sum(1) > 0).all()
    if with_texture:
        assert files["texture.png"] == (textured / "texture.png").read_bytes()
        rows = np.concatenate([points, usd_array(scene, "primvars:st")], axis=1)[faces.reshape(-1)]
        np.testing.assert_allclose(rows[np.lexsort(np.round(rows, 4).T)], true_corners(textured), atol=1e-5)
    else:
        expected = read_surface(plain / "mesh.ply").linear_colours
        np.testing.assert_allclose(usd_array(scene, "primvars:displayColor"), expected, atol=1e-6)


@pytest.mark.parametrize("with_texture", [False, True])
def test_pixars_reader_takes_the_usdz(plain, textured, tmp_path, with_texture):
    """Where usd-core is installed, which the project does not ask for: it is large."""
    validation = pytest.importorskip("pxr.UsdValidation")
    from pxr import Usd, UsdGeom, UsdShade

    result = textured if with_texture else plain
    stage = Usd.Stage.Open(str(run(result, tmp_path, "usdz") / "mesh.usdz"))
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/Root/Mesh"))
    assert len(mesh.GetPointsAttr().Get()) == len(read_surface(result / "mesh.ply").vertices)
    assert UsdShade.MaterialBindingAPI(mesh).ComputeBoundMaterial()[0]
    validators = validation.ValidationRegistry().GetOrLoadAllValidators()
    assert [error.GetMessage() for error in validation.ValidationContext(validators).Validate(stage)] == []


# the folder


def test_everything_at_once(textured, tmp_path, capsys):
    assert main(["export", str(textured), "--to", "all", "--output", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert files == {*manifest["files"], MANIFEST}
    assert not [f for f in files if f.endswith(".txt")]
    assert len([f for f in files if f.startswith("images/")]) == 10  # once for all formats that have them
    assert {"splats.ply", "splats.spz", "splats.glb", "mesh.usdz", "mesh.obj", "texture.png", "mesh.glb"} <= files


def test_a_result_without_a_mesh(meshless, tmp_path, capsys):
    for kind in ("mesh-ply", "obj", "glb", "usdz"):
        with pytest.raises(SolverError, match="the result has no mesh, since no surface was found; export its splats"):
            run(meshless, tmp_path / kind, kind)
        assert not (tmp_path / kind).exists()
    with pytest.raises(SolverError, match="has no mesh"):
        run(meshless, tmp_path / "crop", "splats-ply", crop=True)
    reporter = Reporter()
    export(meshless, tmp_path / "all", ["all"], reporter, choice=SplatChoice())
    assert reporter.warnings == ["the result has no mesh: only splats, cameras and images are exported"]
    assert (tmp_path / "all" / "splats.spz").is_file()


def test_files_of_others_are_left_alone(plain, textured, tmp_path):
    mine = tmp_path / "splats.spz"
    mine.write_text("mine")
    with pytest.raises(SolverError, match=r"already has splats\.spz, not from this result; choose another folder, or"):
        run(plain, tmp_path, "png", "spz")
    assert {p.name for p in tmp_path.iterdir()} == {"splats.spz"}
    run(plain, tmp_path, "spz", overwrite=True)
    assert mine.read_bytes()[:2] == b"\x1f\x8b"
    run(plain, tmp_path, "spz", "splats-ply")  # an earlier export of the same result
    with pytest.raises(SolverError, match=r"already has splats\.ply and 1 more"):
        run(textured, tmp_path, "spz", "splats-ply")


def test_the_result_is_no_output(plain):
    before = sorted(p.name for p in plain.iterdir())
    with pytest.raises(SolverError, match="the output is the result itself"):
        run(plain, plain, "png", overwrite=True)
    assert sorted(p.name for p in plain.iterdir()) == before


def test_links_in_place_of_copies(plain, tmp_path):
    for _ in range(2):
        run(plain, tmp_path, "png", "mesh-ply", link=True)
    link = tmp_path / "images" / "view_03.png"
    assert link.is_symlink()
    assert link.samefile(plain / "sharp" / "view_03.png")
    run(plain, tmp_path, "png")
    assert not link.is_symlink()
    assert (plain / "sharp" / "view_03.png").is_file()


@pytest.mark.parametrize("files_done", [0, 3])
def test_a_cancelled_export_has_no_half_file_and_goes_on(plain, tmp_path, files_done):
    class Impatient(Reporter):
        def progress(self, done: int, total: int) -> None:
            if done > files_done:
                raise Cancelled

    output = tmp_path / "out"
    with pytest.raises(Cancelled):
        export(plain, output, ("png", "mesh-ply"), Impatient(), choice=SplatChoice())
    found = [p for p in output.rglob("*") if p.is_file() and p.name != MANIFEST]
    assert len(found) == files_done + 1
    for path in found:
        assert path.read_bytes() == (plain / "sharp" / path.name).read_bytes()
    run(plain, output, "png", "mesh-ply")  # what is there is its own


def test_an_interrupted_file_leaves_nothing(plain, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise Cancelled

    monkeypatch.setattr("solver.export.spz.gzip.compress", interrupted)
    with pytest.raises(Cancelled):
        run(plain, tmp_path, "spz")
    assert [p.name for p in tmp_path.iterdir()] == [MANIFEST]


DAMAGED = {
    "splats.ply": ("splats-ply", "the result's splats are damaged"),
    "mesh.ply": ("obj", "the result's mesh is damaged"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_results_are_told(plain, tmp_path, name):
    shutil.copytree(plain, tmp_path / "result")
    kind, sentence = DAMAGED[name]
    path = tmp_path / "result" / name
    whole = path.read_bytes()
    count = next(line for line in whole.split(b"\n") if line.startswith(b"element vertex"))
    for damaged in (whole[:-7], whole[:40], b"", whole.replace(count, b"element vertex 999999999999")):
        path.write_bytes(damaged)
        with pytest.raises(SolverError, match=sentence):
            run(tmp_path / "result", tmp_path / "out", kind)
    path.unlink()
    with pytest.raises(SolverError, match="missing"):
        run(tmp_path / "result", tmp_path / "out", kind)


@pytest.mark.parametrize("name", ["../../stolen", "a/b", "", None])
def test_a_photo_has_no_way_out_of_the_folder(plain, tmp_path, name):
    description = json.loads((plain / "result.json").read_text())
    description["photos"][0]["name"] = name
    source = Source(plain)
    source.description = description
    with pytest.raises(SolverError, match="a photo of the result has no name"):
        tasks_of("png", source, link=False)


def test_no_result_and_no_format(tmp_path, capsys):
    arguments = ["export", str(tmp_path / "gone"), "--output", str(tmp_path / "out")]
    assert main([*arguments, "--to", "png"]) == 1
    assert "the result folder does not exist" in capsys.readouterr().err
    assert main([*arguments, "--to", "png", "--splats", "0"]) == 1
    assert "--splats is not above 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_equal_meshes_give_equal_files(plain, tmp_path):
    surface = read_surface(plain / "mesh.ply")
    for name in ("a.usdz", "b.usdz"):
        write_usdz(tmp_path / name, surface, None)
    assert (tmp_path / "a.usdz").read_bytes() == (tmp_path / "b.usdz").read_bytes()
