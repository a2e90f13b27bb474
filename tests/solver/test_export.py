# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file that a user takes away, read back by another program's reader."""

import json
import re
import struct
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
import trimesh
from PIL import Image
from plyfile import PlyData

from solver.capture.transforms import read_cameras
from solver.capture.types import Camera, Capture, Photo, UnregisteredPhoto
from solver.config import settings_for
from solver.defocus.lens import Lens
from solver.errors import SolverError
from solver.export.images import read_exr, write_exr, write_png
from solver.export.meshes import write_glb, write_ply
from solver.export.result import RunRecord, circle_of_confusion_map, write_images, write_result
from solver.export.splats import write_splats
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb
from solver.rasterization import spherical_harmonics
from solver.surface.coverage import Coverage, CoverageMap, CoverageSummary, PointCoverage, Shot
from solver.training.reconstruction import Reconstruction

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"


def some_gaussians(count: int = 40, degree: int = 3, seed: int = 0) -> Gaussians:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random)

    return Gaussians(
        means=5 * normal(count, 3),
        log_scales=normal(count, 3) - 2,
        quaternions=3 * normal(count, 4),
        opacity_logits=2 * normal(count),
        sh_constant=0.4 * normal(count, 1, 3),
        sh_rest=0.04 * normal(count, (degree + 1) ** 2 - 1, 3),
    )


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    """A lopsided tetrahedron."""
    return Mesh(
        vertices=np.array([[0, 0, 0], [30.0, 0, 0], [0, 20, 0], [0, 0, 10]]),
        faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
        colours=np.array([[0.001, 0.002, 0.003], [1, 0, 0], [0.5, 0.25, 0.125], [0.0005, 0.9, 0.3]]),
    )


@pytest.fixture
def scene(tmp_path) -> Reconstruction:
    """Three photos, two f-numbers, one focused at infinity; nothing of it was trained."""
    camera = Camera(24, 18, 40.0, 40.0, 12.5, 8.75)
    photos = []
    for i in range(3):
        pose = np.eye(4)
        pose[:3, 3] = [0.5 * i, -0.25, 20]
        mask = tmp_path / "masks" / "photo_2.png" if i == 2 else None
        image = tmp_path / "photos" / f"photo_{i}.jpg"
        photos.append(Photo(f"photo_{i}", image, camera, pose, mask, f_number=(4.0, 4.0, 8.0)[i], focal_length_mm=60))
    gaussians = some_gaussians(degree=1)
    return Reconstruction(
        gaussians=gaussians,
        background=torch.tensor([0.1, -0.2, 0.3]),
        lens=Lens(
            log_pupil_diameters=[torch.tensor(2.0).log().requires_grad_(), torch.tensor(1.0).log()],
            inverse_focus_distances=[torch.tensor(0.05), torch.tensor(0.0), torch.tensor(0.04)],
            pupil_of_photo=[0, 0, 1],
            f_numbers=[4.0, 8.0],
            nominal_pupil_diameters_mm=[15.0, 7.5],
            initial_pupil_diameters=[2.5, 1.25],
        ),
        capture=Capture(tmp_path, tuple(photos), None, 7.5, (UnregisteredPhoto("lost", "too blurred"),), 0.4),
        settings=settings_for("draft"),
        backend="cpu",
        scene_centre=np.zeros(3),
        scene_size=5.0,
        active_sh_degree=1,
    )


RECORD = RunRecord(
    command=["reconstruct", "photos", "--output", "result"],
    device="cpu",
    held_out=[True, False, False],
    psnr=[21.0, 30.0, None],
    timings_s={"train": 1.5},
    warnings=["lost was not used: too blurred"],
)

# splats.ply


def test_splats_are_laid_out_as_3dgs_viewers_read_them(tmp_path):
    """Names and order of properties as in `construct_list_of_attributes` of the original code."""
    gaussians = some_gaussians()
    write_splats(tmp_path / "splats.ply", gaussians)
    ply = PlyData.read(str(tmp_path / "splats.ply"))
    assert not ply.text
    assert ply.byte_order == "<"
    table = ply["vertex"].data
    assert list(table.dtype.names) == [
        *("x", "y", "z", "nx", "ny", "nz"),
        *(f"f_dc_{i}" for i in range(3)),
        *(f"f_rest_{i}" for i in range(45)),
        "opacity",
        *(f"scale_{i}" for i in range(3)),
        *(f"rot_{i}" for i in range(4)),
    ]
    assert {table.dtype[name].str for name in table.dtype.names} == {"<f4"}
    np.testing.assert_array_equal(np.stack([table[n] for n in "xyz"], 1), gaussians.means.numpy())
    np.testing.assert_array_equal(table["opacity"], gaussians.opacity_logits.numpy())
    np.testing.assert_array_equal(np.stack([table[f"scale_{i}"] for i in range(3)], 1), gaussians.log_scales.numpy())
    rotations = np.stack([table[f"rot_{i}"] for i in range(4)], 1)
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=1), 1, rtol=1e-6)
    given = gaussians.quaternions.numpy()
    np.testing.assert_allclose(rotations * np.linalg.norm(given, axis=1, keepdims=True), given, rtol=1e-5)


def test_further_attributes_follow_the_layout(tmp_path):
    values = {"smallest_coc_px": np.arange(40) / 8, "sharp_photo_count": np.arange(40)}
    write_splats(tmp_path / "plain.ply", some_gaussians())
    write_splats(tmp_path / "splats.ply", some_gaussians(), values)
    plain, table = (PlyData.read(str(tmp_path / name))["vertex"].data for name in ("plain.ply", "splats.ply"))
    assert table.dtype.names == (*plain.dtype.names, "smallest_coc_px", "sharp_photo_count")
    assert {table.dtype[name].str for name in table.dtype.names} == {"<f4"}
    for name in plain.dtype.names:
        np.testing.assert_array_equal(table[name], plain[name])
    for name in values:
        np.testing.assert_array_equal(table[name], values[name])


def directions(count: int = 500) -> np.ndarray:
    found = np.random.default_rng(3).normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def viewer_colours(table: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """What a 3DGS viewer shows, [N, D, 3]: f_rest is channel-major, the basis that of the original shader."""
    x, y, z = unit.T
    basis = np.stack(
        [
            0.28209479177387814 * np.ones_like(x),
            *(-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x),
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    )  # [16, D]
    rest = sum(name.startswith("f_rest_") for name in table.dtype.names) // 3
    colours = []
    for channel in range(3):
        names = [f"f_dc_{channel}", *(f"f_rest_{channel * rest + k}" for k in range(rest))]
        coefficients = np.stack([table[name] for name in names], axis=1)
        colours.append(coefficients @ basis[: rest + 1] + 0.5)
    return np.stack(colours, axis=-1)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_splat_colours_are_the_srgb_of_ours_from_all_sides(tmp_path, degree):
    gaussians = some_gaussians(degree=degree)
    write_splats(tmp_path / "splats.ply", gaussians)
    table = PlyData.read(str(tmp_path / "splats.ply"))["vertex"].data
    unit = directions()
    linear = torch.stack(
        [
            spherical_harmonics.evaluate(
                degree, torch.from_numpy(d).float().expand(len(gaussians), 3), gaussians.sh_coefficients
            )
            for d in unit
        ],
        dim=1,
    )
    expected = linear_to_srgb((linear + 0.5).clamp(min=0)).numpy()
    bright = (linear + 0.5 > 0.05).all(1).all(1).numpy()  # where the curve is smooth enough for degree 3
    assert bright.sum() > 10
    errors = np.abs(viewer_colours(table, unit)[bright] - expected[bright])
    assert np.median(errors) < 0.003
    assert errors.max() < 0.05


def test_no_splats_and_one(tmp_path):
    for count in (0, 1):
        write_splats(tmp_path / "splats.ply", some_gaussians(count))
        assert len(PlyData.read(str(tmp_path / "splats.ply"))["vertex"].data) == count


# meshes


def gltf(path: Path) -> tuple[dict, bytes]:
    """JSON and binary chunk of a GLB, without a library in between."""
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    (size,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + size]), content[20 + size + 8 :]


def test_glb_is_y_up_in_metres(tmp_path, mesh):
    write_glb(tmp_path / "mesh.glb", mesh, unit_mm=2.0)
    loaded = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    assert (len(loaded.vertices), len(loaded.faces)) == (4, 4)
    x, y, z = 0.002 * mesh.vertices.T
    np.testing.assert_allclose(loaded.vertices, np.stack([x, z, -y], axis=1), atol=1e-9)
    np.testing.assert_array_equal(loaded.faces, mesh.faces)
    assert loaded.volume > 0  # still wound outwards
    write_glb(tmp_path / "mesh.glb", mesh, unit_mm=None)
    assert trimesh.load(tmp_path / "mesh.glb", force="mesh").extents.max() == pytest.approx(30)


def test_glb_colours_are_linear_with_sixteen_bits(tmp_path, mesh):
    write_glb(tmp_path / "mesh.glb", mesh, unit_mm=1.0)
    tree, binary = gltf(tmp_path / "mesh.glb")
    (primitive,) = tree["meshes"][0]["primitives"]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "COLOR_0"}
    accessor = tree["accessors"][primitive["attributes"]["COLOR_0"]]
    assert (accessor["componentType"], accessor["type"], accessor["normalized"]) == (5123, "VEC4", True)
    start = tree["bufferViews"][accessor["bufferView"]].get("byteOffset", 0) + accessor.get("byteOffset", 0)
    colours = np.frombuffer(binary, "<u2", 16, start).reshape(4, 4) / 65535
    np.testing.assert_allclose(colours[:, :3], mesh.colours, atol=1e-5)
    assert (colours[:, 3] == 1).all()
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0


def test_ply_mesh_has_world_coordinates_and_srgb_colours(tmp_path, mesh):
    write_ply(tmp_path / "mesh.ply", mesh)
    ply = PlyData.read(str(tmp_path / "mesh.ply"))
    assert not ply.text
    vertices = ply["vertex"].data
    np.testing.assert_allclose(np.stack([vertices[n] for n in "xyz"], 1), mesh.vertices)
    colours = np.stack([vertices[n] for n in ("red", "green", "blue")], axis=1)
    np.testing.assert_allclose(colours, linear_to_srgb(mesh.colours) * 255, atol=0.51)
    np.testing.assert_array_equal(np.stack(ply["face"].data["vertex_indices"]), mesh.faces)


def test_ply_mesh_has_further_attributes_as_floats(tmp_path, mesh):
    values = {"smallest_coc_px": np.array([-1, 0, 0.25, 9]), "sharp_photo_count": np.array([0, 3, 2, 1], np.int32)}
    write_ply(tmp_path / "mesh.ply", mesh, values)
    vertices = PlyData.read(str(tmp_path / "mesh.ply"))["vertex"].data
    for name in values:
        assert vertices.dtype[name].str == "<f4"
        np.testing.assert_array_equal(vertices[name], values[name])
    np.testing.assert_allclose(np.stack([vertices[n] for n in "xyz"], 1), mesh.vertices)
    colours = np.stack([vertices[n] for n in ("red", "green", "blue")], axis=1)
    np.testing.assert_allclose(colours, linear_to_srgb(mesh.colours) * 255, atol=0.51)


# images


def test_png_is_srgb(tmp_path):
    linear = np.array([[[0.0, 0.215861, 1.0], [0.0031308, -1.0, 7.0]]])
    write_png(tmp_path / "a.png", linear)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), [[[0, 128, 255], [10, 0, 255]]])


def test_exr_round_trip(tmp_path):
    values = np.random.default_rng(0).uniform(-5, 5, (5, 7)).astype(np.float32)
    values[0, 0], values[0, 1] = 1e30, 0
    write_exr(tmp_path / "a.exr", "Z", values)
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr", "Z"), values)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        assert list(file.channels()) == ["Z"]
        assert file.channels()["Z"].pixels.dtype == np.float32
    with pytest.raises(SolverError, match=r"a\.exr: the image has no channel V; reconstruct again"):
        read_exr(tmp_path / "a.exr", "V")


def test_exr_that_is_none(tmp_path):
    with pytest.raises(SolverError, match="is missing; reconstruct again"):
        read_exr(tmp_path / "gone.exr", "Z")
    (tmp_path / "text.exr").write_text("no picture")
    with pytest.raises(SolverError, match=r"text\.exr: the image cannot be read .*; render the scan again"):
        read_exr(tmp_path / "text.exr", "Z", "render the scan again")
    write_exr(tmp_path / "short.exr", "Z", np.random.default_rng(0).normal(size=(40, 40)))
    (tmp_path / "short.exr").write_bytes((tmp_path / "short.exr").read_bytes()[:900])
    with pytest.raises(SolverError, match=r"short\.exr: the image cannot be read"):
        read_exr(tmp_path / "short.exr", "Z")


def test_circle_of_confusion_map_is_the_disc_of_the_lens(scene):
    depth = np.full((18, 24), 25.0, np.float32)
    depth[0], depth[1] = 0, 20.0
    coc = circle_of_confusion_map(scene, 0, SharpView(scene.capture.photos[0], np.zeros((18, 24, 3)), depth))
    assert coc.dtype == np.float32
    assert (coc[0] == 0).all()
    np.testing.assert_allclose(coc[1], 0, atol=1e-6)  # focused at 20
    np.testing.assert_allclose(coc[2:], 2.0 * 40 * (1 / 20 - 1 / 25), rtol=1e-5)


# the folder


def table_keys(heading: str) -> set[str]:
    """The keys in the table of docs/formats.md that follows `heading`."""
    text = FORMATS.read_text(encoding="utf-8").split(heading, 1)[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


def strict_json(path: Path):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_result_has_the_documented_keys(scene, mesh, tmp_path):
    write_result(tmp_path / "result", scene, mesh, RECORD)
    result = strict_json(tmp_path / "result" / "result.json")
    assert set(result) == table_keys("`result.json`:")
    assert set(result["apertures"][0]) == {
        *("f_number", "pupil_diameter", "pupil_diameter_initial", "nominal_pupil_diameter_mm")
    }
    assert set(result["photos"][0]) == {
        *("name", "image", "sharp", "depth", "coc", "f_number", "pupil_diameter", "focus_distance", "held_out", "psnr"),
        *("coverage", "in_focus_share", "exposure"),
    }
    assert result["coverage"] is None
    assert result["apertures"][1] == {
        "f_number": 8.0,
        "pupil_diameter": pytest.approx(1.0),
        "pupil_diameter_initial": 1.25,
        "nominal_pupil_diameter_mm": 7.5,
    }
    assert [photo["focus_distance"] for photo in result["photos"]] == [pytest.approx(20), None, pytest.approx(25)]
    assert [photo["pupil_diameter"] for photo in result["photos"]] == [pytest.approx(d) for d in (2, 2, 1)]
    assert result["mesh"] == {"file": "mesh.glb", "vertices": 4, "faces": 4, "texture": None, "texture_size": None}
    assert result["splats"] == {"file": "splats.ply", "count": 40}
    assert result["metrics"] == {"psnr_train": 30.0, "psnr_held_out": 21.0, "reprojection_error_px": 0.4}
    assert result["unregistered"] == [{"name": "lost", "reason": "too blurred"}]
    assert result["background_colour"] == pytest.approx([0.1, 0, 0.3])
    assert result["settings"]["iterations"] == 1000
    assert {"solver", "python", "torch"} <= set(result["versions"])
    assert Path(result["photos"][0]["image"]).is_absolute()


def some_coverage(count: int) -> Coverage:
    def points(n: int) -> PointCoverage:
        return PointCoverage(np.arange(n, dtype=np.float32) / 8, np.arange(n, dtype=np.int32), np.arange(n) + 1)

    shot = Shot(
        Photo("a", Path("a.png"), Camera(24, 18, 30.0, 30.0, 12.0, 9.0), np.eye(4)), np.ones((18, 24)), 1.0, 1.0
    )
    maps = [CoverageMap(shot, 6, np.full((3, 4), i / 2, np.float32), np.full((3, 4), i)) for i in range(3)]
    return Coverage(points(count), points(4), maps, CoverageSummary(0.25, 0.5, 0.75, [0.1, None, 0.3], 0.5, "photo_1"))


def test_result_tells_its_coverage(scene, mesh, tmp_path):
    coverage, folder = some_coverage(40), tmp_path / "result"
    views = [SharpView(p, np.zeros((18, 24, 3)), np.ones((18, 24))) for p in scene.capture.photos]
    write_images(folder, scene, views, lambda done, total: None, coverage)
    write_result(folder, scene, mesh, RECORD, coverage)
    result = strict_json(folder / "result.json")
    assert result["coverage"] == {
        "limit_px": 1.5,
        "never_in_focus_share": 0.25,
        "sharp_in_two_share": 0.5,
        "smallest_coc_median_px": 0.75,
    }
    assert [photo["in_focus_share"] for photo in result["photos"]] == [0.1, None, 0.3]
    for i, photo in enumerate(result["photos"]):
        np.testing.assert_array_equal(read_exr(folder / photo["coverage"], "V"), np.full((18, 24), i / 2))
    for file, expected in (("splats.ply", coverage.splats), ("mesh.ply", coverage.vertices)):
        table = PlyData.read(str(folder / file))["vertex"].data
        np.testing.assert_array_equal(table["smallest_coc_px"], expected.smallest_coc_px)
        np.testing.assert_array_equal(table["sharp_photo_count"], expected.sharp_photo_count)


def test_result_without_a_mesh(scene, tmp_path):
    write_result(tmp_path / "result", scene, None, RECORD)
    assert strict_json(tmp_path / "result" / "result.json")["mesh"] is None
    assert {path.name for path in (tmp_path / "result").iterdir()} == {"result.json", "splats.ply", "transforms.json"}


def test_focus_beyond_infinity_is_null(scene, tmp_path):
    scene.lens.inverse_focus_distances[0] = torch.tensor(-0.01)
    write_result(tmp_path / "result", scene, None, RECORD)
    result = strict_json(tmp_path / "result" / "result.json")
    assert [photo["focus_distance"] for photo in result["photos"]] == [None, None, pytest.approx(25)]


@pytest.mark.parametrize("which", ["means", "background", "pupil", "focus"])
def test_a_diverged_scene_is_known_by_its_numbers(scene, which):
    assert scene.is_finite
    tensor = {
        "means": scene.gaussians.means,
        "background": scene.background,
        "pupil": scene.lens.log_pupil_diameters[1],
        "focus": scene.lens.inverse_focus_distances[2],
    }[which]
    tensor.view(-1)[-1] = float("inf")
    assert not scene.is_finite


def test_a_pose_that_diverged_is_known_too(scene):
    scene.capture.photos[1].world_to_camera[0, 3] = np.nan
    assert not scene.is_finite


def test_cameras_of_a_result_read_back(scene, tmp_path):
    write_result(tmp_path / "result", scene, None, RECORD)
    frames = read_cameras(tmp_path / "result" / "transforms.json")
    for photo, frame in zip(scene.capture.photos, frames, strict=True):
        assert frame.name == photo.name
        assert frame.camera == photo.camera
        np.testing.assert_allclose(frame.world_to_camera, photo.world_to_camera, atol=1e-12)
        assert frame.image_path == photo.image_path
        assert frame.frame["sharp_path"] == f"sharp/{photo.name}.png"
        assert frame.frame["f_number"] == photo.f_number
        assert frame.frame["unit_mm"] == 7.5
    assert [frame.frame.get("focus_distance") for frame in frames] == [pytest.approx(20), None, pytest.approx(25)]
    assert [frame.frame["pupil_diameter"] for frame in frames] == [pytest.approx(d) for d in (2, 2, 1)]
    assert [("mask_path" in frame.frame) for frame in frames] == [False, False, True]


def test_images_of_every_photo(scene, tmp_path):
    depth = np.full((18, 24), 20.0, np.float32)
    views = [SharpView(photo, np.full((18, 24, 3), 0.2, np.float32), depth) for photo in scene.capture.photos]
    steps = []
    write_images(tmp_path / "result", scene, views, lambda *step: steps.append(step))
    assert steps == [(1, 3), (2, 3), (3, 3)]
    assert {path.relative_to(tmp_path / "result").as_posix() for path in (tmp_path / "result").rglob("*.*")} == {
        f"{kind}/photo_{i}.{suffix}"
        for kind, suffix in (("sharp", "png"), ("depth", "exr"), ("coc", "exr"))
        for i in range(3)
    }
    np.testing.assert_array_equal(read_exr(tmp_path / "result" / "depth" / "photo_1.exr", "Z"), depth)
    np.testing.assert_allclose(read_exr(tmp_path / "result" / "coc" / "photo_1.exr", "V"), 2 * 40 / 20, rtol=1e-5)
