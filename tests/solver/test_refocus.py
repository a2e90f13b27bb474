# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures through another lens: against kernels in closed form, a thin lens, and other programs' readers."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import OpenEXR
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from benchmarks.refocus import SETTINGS, measure
from solver.capture.transforms import read_transforms, write_transforms
from solver.capture.types import Camera, Capture, Photo
from solver.cli import main
from solver.config import settings_for
from solver.defocus import lens as learned
from solver.defocus.kernel import kernel
from solver.errors import Cancelled
from solver.evaluation.metrics import psnr, squared_error
from solver.evaluation.truth import read_ground_truth
from solver.export.result import RunRecord, write_result
from solver.gaussians.model import SH_C0, Gaussians
from solver.optics.colour import linear_to_srgb
from solver.rasterization import Aperture
from solver.refocus.aperture import Lens, sample_count, sampled
from solver.refocus.films import write_film
from solver.refocus.paths import focus_sweep, orbit
from solver.refocus.pictures import write_picture
from solver.refocus.rendering import photograph
from solver.training.checkpoint import save_checkpoint, scene_state
from solver.training.reconstruction import Reconstruction, view_of, view_of_photo

FOCAL_PX, SIDE = 200.0, 96


def tiles(means: np.ndarray, colours: np.ndarray, sigma: float) -> Gaussians:  # [N, 3], [N, 3] linear
    """Flat opaque discs that face the z axis."""
    count = len(means)
    return Gaussians(
        means=torch.tensor(means, dtype=torch.float32),
        log_scales=torch.tensor([sigma, sigma, 0.01]).log().repeat(count, 1),
        quaternions=torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        opacity_logits=torch.full((count,), 6.0),
        sh_constant=torch.tensor((colours - 0.5) / SH_C0, dtype=torch.float32)[:, None],
        sh_rest=torch.zeros(count, 0, 3),
    )


def scene_of(gaussians: Gaussians, photos: tuple[Photo, ...], pupil: float, focus: list[float], **others):
    """A finished scene with one lens."""
    return Reconstruction(
        gaussians=gaussians,
        background=torch.full((3,), others.pop("background", 0.0)),
        lens=learned.Lens(
            log_pupil_diameters=[torch.tensor(math.log(pupil))],
            inverse_focus_distances=[torch.tensor(1 / d) for d in focus],
            pupil_of_photo=[0] * len(photos),
            f_numbers=[others.pop("f_number", None)],
            nominal_pupil_diameters_mm=[others.pop("nominal", None)],
            initial_pupil_diameters=[pupil],
        ),
        capture=Capture(Path("capture").absolute(), photos, unit_mm=others.pop("unit_mm", None)),
        settings=settings_for("draft", **others.pop("settings", {})),
        backend="cpu",
        scene_centre=np.array(others.pop("centre", [0.0, 0, 0])),
        scene_size=others.pop("size", 20.0),
        active_sh_degree=0,
    )


def front_camera(name: str = "front") -> Photo:
    """At the origin, looks along z."""
    return Photo(
        name, Path(f"{name}.png").absolute(), Camera(SIDE, SIDE, FOCAL_PX, FOCAL_PX, SIDE / 2, SIDE / 2), np.eye(4)
    )


@pytest.fixture(scope="module")
def plane() -> Reconstruction:
    """A wall of coloured tiles at depth 100, wider than the picture."""
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(-40, 41, 1.0), np.arange(-40, 41, 1.0))
    means = np.stack([x, y, np.full_like(x, 100.0)], -1).reshape(-1, 3)
    colours = (rng.uniform(size=(27, 27, 3)) ** 3).repeat(3, 0).repeat(3, 1).reshape(-1, 3)
    return scene_of(tiles(means, colours, 0.6), (front_camera(),), 5.0, [100.0], centre=[0, 0, 100.0])


def polygon_kernel(diameter: float, blades: int, rotation_degrees: float, *, turned: bool) -> np.ndarray:  # [K, K]
    """The regular polygon inscribed in the circle, counted on a fine grid; y points down."""
    half, fine = int(diameter / 2) + 2, 16
    place = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    x, y = np.meshgrid(place, -place)
    if turned:
        x, y = -x, -y
    inside = np.ones(x.shape, bool)
    for edge in range(blades):
        angle = math.radians(rotation_degrees) + 2 * math.pi * edge / blades
        inside &= x * math.cos(angle) + y * math.sin(angle) <= diameter / 2 * math.cos(math.pi / blades)
    counted = inside.reshape(2 * half + 1, fine, 2 * half + 1, fine).mean((1, 3))
    return counted / counted.sum()


def blurred(sharp: np.ndarray, kernel: np.ndarray) -> np.ndarray:  # [H, W, 3], [K, K]
    return np.stack([fftconvolve(sharp[..., c], kernel, mode="same") for c in range(3)], -1)


def inner_psnr(image: np.ndarray, other: np.ndarray, margin: int = 16) -> float:
    inner = (image - other)[margin:-margin, margin:-margin]
    return float(-10 * np.log10((inner**2).mean()))


# points of the pupil


@pytest.mark.parametrize("blades", [0, 3, 5, 6, 16])
@pytest.mark.parametrize("count", [1, 16, 100, 320])
def test_points_and_their_dilation_have_the_variance_of_the_pupil(blades, count):
    lens = Lens(1.0, 0.01, blades, 17.0)
    points, residual = sampled(lens, count)
    assert points.shape == (count, 2)
    assert float((points**2).sum(1).mean()) / 2 + residual**2 / 16 == pytest.approx(lens.variance, rel=1e-6)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-9)


@pytest.mark.parametrize("blades", [3, 6])
def test_variance_of_a_polygon(blades):
    shape = polygon_kernel(60.0, blades, 17.0, turned=False)
    steps = np.arange(len(shape)) - len(shape) // 2
    assert (shape * steps**2).sum() - 1 / 12 == pytest.approx(60**2 * Lens(1.0, 0.01, blades).variance, rel=2e-3)


@pytest.mark.parametrize(("blades", "rotation"), [(3, 0.0), (6, -11.0)])
def test_points_fill_the_polygon_evenly(blades, rotation):
    points, _ = sampled(Lens(1.0, 0.01, blades, rotation), 4000)
    shape = polygon_kernel(40.0, blades, rotation, turned=False)
    edges = np.arange(len(shape) + 1) - len(shape) / 2
    found, _, _ = np.histogram2d(40 * points[:, 1].numpy(), 40 * points[:, 0].numpy(), bins=[edges, edges])
    coarse = [gaussian_filter(image, 2.0) for image in (found / 4000, shape)]
    assert abs(coarse[0] - coarse[1]).max() < 0.06 * coarse[1].max()


def test_more_blur_takes_more_points_within_bounds():
    lens = Lens(5.0, 0.01)
    counts = [sample_count(lens, coc) for coc in (0, 2, 20, 40, 1e5)]
    assert counts == sorted(counts)
    assert counts[0] == counts[1] == 16
    assert counts[3] == pytest.approx(4 * counts[2], rel=0.05)
    assert counts[4] == 320


# pictures


@pytest.mark.parametrize(
    ("blades", "rotation", "focus"),
    [(0, 0.0, 80.0), (0, 0.0, 130.0), (3, 20.0, 80.0), (3, 20.0, 130.0), (6, 5.0, 80.0)],
)
def test_a_plane_is_convolved_with_the_kernel_of_the_aperture(plane, blades, rotation, focus):
    """Focused before it the kernel is as the camera sees its aperture; behind it, turned by half a turn."""
    view = view_of_photo(plane.capture.photos[0], plane.device)
    coc = 20.0
    pupil = coc / FOCAL_PX / abs(1 / 100 - 1 / focus)
    image = photograph(plane, view, Lens(pupil, 1 / focus, blades, rotation))
    sharp = photograph(plane, view, None)

    def expected(turned: bool) -> np.ndarray:
        return blurred(sharp, polygon_kernel(coc, blades, rotation, turned=turned) if blades else kernel(coc))

    right = inner_psnr(image, expected(focus > 100))
    assert right > 41
    if blades == 3:
        assert right > inner_psnr(image, expected(focus < 100)) + 8
        assert right > inner_psnr(image, blurred(sharp, kernel(coc))) + 8


def test_a_point_of_light_becomes_a_disc_without_ghosts():
    """Flat inside, dark outside, and as much light as it has in focus."""
    point = tiles(np.array([[0.0, 0, 100]]), np.array([[1.0, 1, 1]]), 0.3)
    scene = scene_of(point, (front_camera(),), 5.0, [100.0])
    view = view_of_photo(scene.capture.photos[0], scene.device)
    coc = 40.0
    image = photograph(scene, view, Lens(coc / FOCAL_PX / (1 / 80 - 1 / 100), 1 / 80))[..., 1]
    sharp = photograph(scene, view, None)[..., 1]
    assert image.sum() == pytest.approx(sharp.sum(), rel=0.05)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5 - SIDE / 2
    radius = np.hypot(rows, columns)
    inside = image[radius < coc / 2 - 4]
    assert inside.std() < 0.06 * inside.mean()
    assert image[radius > coc / 2 + 4].max() < 0.02 * inside.mean()


@pytest.fixture(scope="module")
def relief(tiny_capture) -> Reconstruction:
    """The tiny capture's own scene and lens, as if found without a mistake."""
    truth = read_transforms(tiny_capture.folder / "ground_truth", images_required=False)
    photos = tuple(
        Photo(f.name, tiny_capture.folder / "images" / f"{f.name}.png", f.camera, f.world_to_camera, f_number=2.5)
        for f in truth.frames
    )
    focus = [f.frame["focus_distance"] for f in truth.frames]
    return scene_of(
        tiny_capture.gaussians,
        photos,
        tiny_capture.pupil_diameter,
        focus,
        f_number=2.5,
        nominal=24.0,
        unit_mm=1.0,
        background=0.3,
        settings={"antialiased": False},
        centre=[0.0, 0, 2],
        size=22.0,
    )


@pytest.fixture(scope="module")
def result(relief, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("refocus") / "result"
    save_checkpoint(folder / "checkpoint.pt", scene_state(relief))
    count = len(relief.capture.photos)
    write_result(folder, relief, None, RunRecord([], "cpu", [False] * count, [None] * count, {}))
    return folder


def test_a_photos_own_settings_give_the_photo(relief, result, tmp_path):
    """The photos were made by a thin lens of 48 pinholes; what training renders has 6 points of the pupil."""
    assert main(["refocus", str(result), "--view", "view_03", "-o", str(tmp_path / "again.png")]) == 0
    again = np.asarray(Image.open(tmp_path / "again.png")) / 255
    photo = np.asarray(Image.open(relief.capture.photos[3].image_path)) / 255
    view = view_of_photo(relief.capture.photos[3], relief.device)
    trained = linear_to_srgb(relief.render(view, relief.aperture(3)).colour).clamp(0, 1).numpy()
    sharp = linear_to_srgb(relief.render(view).colour).clamp(0, 1).numpy()

    def against(one: np.ndarray, other: np.ndarray) -> float:
        return psnr(float(squared_error(one, other).sum()), one.size // 3) or 0.0

    assert against(again, photo) > 38
    assert against(again, trained) > 34
    assert against(sharp, photo) < against(again, photo) - 4


def test_f_numbers_are_of_the_engraved_lens_where_the_scale_is_known(relief, result, tmp_path, monkeypatch):
    """60 mm at f/5 is a pupil of 12 mm, whatever the run has learned; without a scale it is half the learned one."""
    other = replace(relief.lens, log_pupil_diameters=[torch.tensor(math.log(20.0))])
    for unit_mm, pupil in ((2.0, 6.0), (None, 10.0)):
        folder = tmp_path / str(unit_mm)
        scene = replace(relief, lens=other, capture=replace(relief.capture, unit_mm=unit_mm))
        save_checkpoint(folder / "checkpoint.pt", scene_state(scene))
        write_result(folder, scene, None, RunRecord([], "cpu", [False] * 10, [None] * 10, {}))
        arguments = ["refocus", str(folder), "--view", "view_00", "--f-number", "5", "--focus-mm", "200"]
        assert main([*arguments, "--samples", "32", "-o", str(folder / "picture.exr")]) == 0
        with OpenEXR.File(str(folder / "picture.exr")) as file:
            written = file.channels()["RGB"].pixels
        view = view_of_photo(relief.capture.photos[0], relief.device)
        np.testing.assert_allclose(written, photograph(scene, view, Lens(pupil, (unit_mm or 1) / 200), 32), atol=1e-5)


def test_focus_goes_to_the_pixel_that_was_pointed_at(relief, result, tmp_path):
    """The same picture as with the depth of the surface there."""
    view = view_of_photo(relief.capture.photos[0], relief.device)
    sharp = relief.render(view)
    depth = float((sharp.depth / sharp.alpha)[26:29, 35:38].median())
    for name, focus in (("at", ["--focus-at", "36", "27"]), ("mm", ["--focus-mm", str(depth)])):
        assert main(["refocus", str(result), "--view", "view_00", *focus, "-o", str(tmp_path / f"{name}.png")]) == 0
    at, mm = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("at", "mm"))
    assert abs(at - mm).max() <= 1


def test_samples_at_once_do_not_matter(relief):
    """Batches add up to what one pass over all points gives."""
    view = view_of_photo(relief.capture.photos[1], relief.device)
    lens = Lens(24.0, 1 / 95)
    points, residual = sampled(lens, 40)
    whole = relief.render(view, Aperture(torch.tensor(24.0), torch.tensor(1 / 95), points, residual)).colour
    told = []
    image = photograph(relief, view, lens, 40, lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(image, whole.numpy(), atol=1e-5)
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_formats_of_pictures(result, tmp_path):
    """8 and 16 bits agree, linear light does not clip, and the size is as asked."""
    for name in ("a.png", "a.tif", "a.exr"):
        arguments = ["refocus", str(result), "--view", "view_02.png", "--all-in-focus", "--size", "36"]
        assert main([*arguments, "--output", str(tmp_path / name)]) == 0
    png = np.asarray(Image.open(tmp_path / "a.png"))
    tif = tifffile.imread(tmp_path / "a.tif")
    with OpenEXR.File(str(tmp_path / "a.exr")) as file:
        exr = file.channels()["RGB"].pixels
    assert png.shape == tif.shape == exr.shape == (27, 36, 3)
    assert tif.dtype == np.uint16
    np.testing.assert_allclose(tif / 65535, png / 255, atol=0.51 / 255)
    np.testing.assert_allclose(tif / 65535, linear_to_srgb(exr.clip(0, 1)), atol=1e-4)
    write_picture(tmp_path / "bright.exr", np.full((2, 2, 3), 7.5))
    with OpenEXR.File(str(tmp_path / "bright.exr")) as file:
        assert (file.channels()["RGB"].pixels == 7.5).all()


def test_cameras_of_a_file_are_a_picture_each(relief, result, tmp_path):
    """A frame's own focus and pupil count, as the result's transforms.json states them."""
    frames = [
        (name, replace(relief.capture.photos[4].camera, width=40), relief.capture.photos[4].world_to_camera, extra)
        for name, extra in (("near.png", {"focus_distance": 92.0, "pupil_diameter": 10.0}), ("as_photo.png", {}))
    ]
    write_transforms(tmp_path / "cameras.json", frames)
    arguments = ["refocus", str(result), "--camera", str(tmp_path / "cameras.json"), "--samples", "24"]
    assert main([*arguments, "-o", str(tmp_path / "shot.exr")]) == 0
    view = view_of(frames[0][1], frames[0][2], relief.device)
    own = Lens(24.0, relief.lens.inverse_focus_distance(4))
    for name, lens in (("near", Lens(10.0, 1 / 92.0)), ("as_photo", own)):
        with OpenEXR.File(str(tmp_path / f"shot_{name}.exr")) as file:
            np.testing.assert_allclose(file.channels()["RGB"].pixels, photograph(relief, view, lens, 24), atol=1e-5)


def through_a_lens(scene: Reconstruction, photo: Photo, pupil: float, focus: float, blades: int) -> np.ndarray:
    """The mean of pinholes thrown at random into the pupil, [H, W, 3], each framed for the plane in focus."""
    rng = np.random.default_rng(0)
    total = np.zeros((photo.camera.height, photo.camera.width, 3))
    points = rng.uniform(-0.5, 0.5, size=(600, 2))
    angles = 2 * math.pi * np.arange(blades or 64) / (blades or 64)
    edges = np.stack([np.cos(angles), -np.sin(angles)], 1)
    points = pupil * points[((points @ edges.T) <= 0.5 * math.cos(math.pi / len(angles))).all(1)]
    for u, v in points:
        moved, camera = photo.world_to_camera.copy(), photo.camera
        moved[:2, 3] -= [u, v]
        shifted = replace(camera, cx=camera.cx + camera.fx * u / focus, cy=camera.cy + camera.fy * v / focus)
        total += scene.render(view_of(shifted, moved, scene.device)).colour.numpy()
    return total / len(points)


def test_the_benchmark_holds_held_out_views_through_other_lenses_against_their_truth(
    relief, result, tiny_capture, tmp_path
):
    """A scene without a mistake: what is not refocused is far off, and what is, is met."""
    for number, setting in enumerate(SETTINGS):
        for view in read_ground_truth(tiny_capture.folder).novel:
            depth = view.depth()
            focus = float(np.quantile(depth[depth > 0], setting.focus_quantile))
            pupil = tiny_capture.pupil_diameter / setting.f_number_factor
            truth = through_a_lens(relief, view.photo, pupil, focus, setting.blades)
            write_picture(tmp_path / f"{number}_{view.name}.png", truth)
    score = measure(tiny_capture.folder, result, tmp_path)
    assert score.views == 2
    assert score.sharp > 45
    for setting in SETTINGS:
        assert score.refocused[setting.name] > 38
        assert score.refocused[setting.name] > score.unfocused[setting.name] + 5


# paths and films


def test_a_sweep_goes_once_there_and_back():
    inverse = focus_sweep(np.linspace(50.0, 80.0, 1001), 20)
    assert inverse[0] == pytest.approx(1 / 50, rel=0.02)
    assert inverse[10] == pytest.approx(1 / 80, rel=0.02)
    assert (np.diff(inverse[:11]) < 0).all()
    np.testing.assert_allclose(inverse[11:], inverse[9:0:-1])


def test_the_sharpest_plane_of_a_sweep_moves_from_near_to_far(tmp_path):
    """A wall that recedes to the right: what is sharpest moves to the right, and back."""
    rng = np.random.default_rng(5)
    x, y = np.meshgrid(np.linspace(-30, 30, 121), np.linspace(-30, 30, 121))
    z = 100 + 0.7 * x
    colours = (
        rng.integers(0, 2, size=(41, 41, 1)).repeat(3, 0).repeat(3, 1).repeat(3, 2)[:121, :121].reshape(-1, 3) * 0.9
    )
    wall = tiles(np.stack([x, y, z], -1).reshape(-1, 3), colours, 0.3)
    scene = scene_of(wall, (front_camera(),), 12.0, [100.0], centre=[0, 0, 100.0], size=30.0)
    save_checkpoint(tmp_path / "r" / "checkpoint.pt", scene_state(scene))
    write_result(tmp_path / "r", scene, None, RunRecord([], "cpu", [False], [None], {}))
    arguments = ["refocus", str(tmp_path / "r"), "--view", "front", "--sweep", "--fps", "10", "--seconds", "1.2"]
    assert main([*arguments, "--samples", "24", "-o", str(tmp_path / "sweep.mp4")]) == 0
    film = cv2.VideoCapture(str(tmp_path / "sweep.mp4"))
    sharpest = []
    while True:
        there, frame = film.read()
        if not there:
            break
        detail = np.abs(np.diff(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(float), axis=0)).max(0)
        sharpest.append(np.argmax(gaussian_filter(detail, 6.0)))
    assert len(sharpest) == 12
    assert (np.diff(sharpest[:7]) >= 0).all()
    assert (np.diff(sharpest[6:]) <= 0).all()
    assert sharpest[6] - sharpest[0] > 40


def test_an_orbit_keeps_distance_and_height_and_closes():
    centre = np.array([3.0, -2, 1])
    pose = np.eye(4)
    pose[:3, :3] = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]  # at +x, looks along -x, upright
    pose[:3, 3] = -pose[:3, :3] @ (centre + np.array([10.0, 0, 4]))
    around = centre + 10 * np.array([[math.cos(a), math.sin(a), 0.3] for a in np.arange(0, 6, 1.0)])
    poses = orbit(pose, centre, around, 12)
    positions = np.array([-p[:3, :3].T @ p[:3, 3] for p in poses]) - centre
    np.testing.assert_allclose(poses[0], pose, atol=1e-12)
    np.testing.assert_allclose(positions[:, 2], 4)
    np.testing.assert_allclose(np.hypot(*positions[:, :2].T), 10)
    azimuths = np.unwrap(np.arctan2(positions[:, 1], positions[:, 0]))
    np.testing.assert_allclose(np.diff(azimuths), 2 * math.pi / 12)
    seen = np.array([p[:3, :3] @ centre + p[:3, 3] for p in poses])
    np.testing.assert_allclose(seen, np.repeat(seen[:1], 12, 0), atol=1e-9)


def test_an_orbit_stays_among_the_photos():
    """Photos from -40 to 60 degrees: to and fro between these, from where it begins."""
    pose = np.eye(4)
    pose[:3, :3] = [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]
    pose[:3, 3] = -pose[:3, :3] @ [10.0, 0, 4]
    around = 10 * np.array([[math.cos(a), math.sin(a), 0.3] for a in np.radians([-40, 0, 25, 60])])
    poses = orbit(pose, np.zeros(3), around, 400)
    positions = np.array([-p[:3, :3].T @ p[:3, 3] for p in poses])
    azimuths = np.degrees(np.arctan2(positions[:, 1], positions[:, 0]))
    assert azimuths[0] == pytest.approx(0, abs=1e-9)
    assert azimuths.min() == pytest.approx(-40, abs=0.1)
    assert azimuths.max() == pytest.approx(60, abs=0.1)
    assert abs(azimuths[-1]) < 1.5


def test_films_are_read_by_others(result, tmp_path):
    """Frames, sizes (even in MP4), rate, and colours."""
    common = ["refocus", str(result), "--view", "view_01", "--size", "51", "--fps", "10", "--seconds", "0.8"]
    assert main([*common, "--orbit", "-o", str(tmp_path / "orbit.mp4")]) == 0
    assert main([*common, "--sweep", "--samples", "16", "-o", str(tmp_path / "sweep.gif")]) == 0
    assert main([*common, "--all-in-focus", "-o", str(tmp_path / "still.png")]) == 0
    with av.open(str(tmp_path / "orbit.mp4")) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 10
    assert len(frames) == 8
    assert frames[0].shape == (38, 50, 3)
    still = np.asarray(Image.open(tmp_path / "still.png"))
    assert still.shape == (38, 51, 3)
    for channel in range(3):  # colours survive, but for the halved chroma
        assert abs(frames[0][..., channel].mean() - still[:, :50, channel].mean()) < 4
    assert abs(frames[4].astype(int) - frames[0]).mean() > 5
    gif = Image.open(tmp_path / "sweep.gif")
    assert (gif.n_frames, gif.size, gif.info["duration"], gif.info["loop"]) == (8, (50, 38), 100, 0)


def test_a_film_that_is_cancelled_leaves_no_file(tmp_path):
    def frames():
        yield np.zeros((16, 16, 3), np.uint8)
        raise Cancelled

    for name in ("a.mp4", "a.gif"):
        with pytest.raises(Cancelled):
            write_film(tmp_path / name, frames(), 24)
    assert list(tmp_path.iterdir()) == []


# what is refused


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--view", "view_3"], 'no photo "view_3"; did you mean view_03'),
        (["--view", "zzz"], "name one of its photos: view_00, view_01, view_02, view_03 and 6 more."),
        ([], "give either --view or --camera"),
        (["--view", "view_00", "--camera", "x.json"], "give either --view or --camera"),
        (["--view", "view_00", "--focus-mm", "-3"], "a focus of -3 does not lie in front of the camera"),
        (["--view", "view_00", "--focus-mm", "nan"], "a focus of nan does not lie in front of the camera"),
        (["--view", "view_00", "--focus-at", "500", "3"], "pixel (500, 3) lies outside the 72 x 54 pixels"),
        (["--view", "view_00", "--focus-mm", "3", "--focus-at", "5", "3"], "exclude each other"),
        (
            ["--view", "view_00", "--all-in-focus", "--f-number", "4"],
            "--all-in-focus and --f-number exclude each other",
        ),
        (["--view", "view_00", "--f-number", "0"], "--f-number must be between 0.1 and 10000"),
        (["--view", "view_00", "--f-number", "0.1"], "nothing could be made out in circles of confusion of"),
        (["--view", "view_00", "--blades", "2"], "--blades must be 0 or between 3 and 16"),
        (["--view", "view_00", "--size", "100000"], "--size must be between 16 and 8192"),
        (["--view", "view_00", "--samples", "0"], "--samples must be between 1 and 65536"),
        (["--view", "view_00", "--sweep"], "--sweep and --orbit make a film; let its name end in .mp4 or .gif"),
    ],
)
def test_wrong_requests_are_told(result, tmp_path, capsys, arguments, told):
    assert main(["refocus", str(result), *arguments, "-o", str(tmp_path / "a.png")]) == 1
    assert told in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "arguments", "told"),
    [
        ("a.jpg", [], "let its name end in .png, .tif, .exr, .mp4 or .gif"),
        ("a.mp4", [], "one picture makes no film"),
        ("a.mp4", ["--sweep", "--seconds", "3000"], "the film would have 72000 frames"),
        ("a.mp4", ["--sweep", "--orbit"], "--sweep and --orbit exclude each other"),
    ],
)
def test_wrong_outputs_are_told(result, tmp_path, capsys, output, arguments, told):
    assert main(["refocus", str(result), "--view", "view_00", *arguments, "-o", str(tmp_path / output)]) == 1
    assert told in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_without_scale_and_f_number(relief, tmp_path, capsys):
    """Focus is taken in scene units and told; an f-number means nothing."""
    lens = replace(relief.lens, f_numbers=[None], nominal_pupil_diameters_mm=[None])
    photos = tuple(replace(photo, f_number=None) for photo in relief.capture.photos)
    scene = replace(relief, lens=lens, capture=replace(relief.capture, photos=photos, unit_mm=None))
    save_checkpoint(tmp_path / "r" / "checkpoint.pt", scene_state(scene))
    write_result(tmp_path / "r", scene, None, RunRecord([], "cpu", [False] * 10, [None] * 10, {}))
    common = ["refocus", str(tmp_path / "r"), "--view", "view_00", "-o", str(tmp_path / "a.png")]
    assert main([*common, "--focus-mm", "95"]) == 0
    assert "--focus-mm is taken in its scene units" in " ".join(capsys.readouterr().err.split())
    assert main([*common, "--f-number", "4"]) == 1
    assert "the photos do not say their f-number" in " ".join(capsys.readouterr().err.split())


def test_a_camera_that_looks_away_is_told(result, tmp_path, capsys):
    pose = np.eye(4)
    pose[:3, 3] = [0, 0, -500]
    write_transforms(tmp_path / "away.json", [("a.png", Camera(40, 30, 60, 60, 20, 15), pose, {})])
    arguments = ["refocus", str(result), "--camera", str(tmp_path / "away.json"), "-o", str(tmp_path / "a.png")]
    assert main(arguments) == 1
    assert "nothing of the scene is in view of a" in " ".join(capsys.readouterr().err.split())


def test_events_tell_progress_and_the_file(result, tmp_path, capsys):
    arguments = ["refocus", str(result), "--view", "view_00", "--samples", "40", "--events", "json"]
    assert main([*arguments, "-o", str(tmp_path / "a.png")]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["name"] for event in events if event["event"] == "stage"] == ["read", "render"]
    progress = [event for event in events if event["event"] == "progress"]
    assert progress[-1]["done"] == progress[-1]["total"]
    assert events[-1] == {"event": "done", "result": str(tmp_path / "a.png")}


def test_a_result_that_is_not_whole_is_told(result, tmp_path, capsys):
    shutil.copytree(result, tmp_path / "r")
    (tmp_path / "r" / "checkpoint.pt").unlink()
    arguments = ["refocus", str(tmp_path / "r"), "--view", "view_00", "-o", str(tmp_path / "a.png")]
    assert main(arguments) == 1
    assert "there is no checkpoint" in capsys.readouterr().err
