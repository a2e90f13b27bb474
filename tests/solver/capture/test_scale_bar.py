# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.distortion import BrownLens, Distortion
from solver.capture.markers import find_markers, marker_side
from solver.capture.scale_bar import measured, read_scale_bars, scale_of_bars
from solver.capture.sightings import distance, noise_px, sight
from solver.capture.transforms import transform_matrix_of
from solver.capture.types import Camera, Capture, Photo
from solver.errors import SolverError
from solver.events import Reporter
from solver.optics.colour import linear_to_srgb

CAMERA = Camera(640, 480, 1100.0, 1100.0, 322.0, 238.0)
UNIT_MM = 12.5  # millimetres that one unit of the scene is long
MARKER_MM = 15.0
# Middle and turn about Z of each marker on the plane z = 0, scene unit.
PLACES = {3: (-1.5, -0.6, 0.1), 7: (1.5, -0.3, -0.7), 11: (0.0, 1.3, 2.0)}


def look_at(eye, target):
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ eye
    return pose


POSES = [
    look_at(np.array([8 * np.sin(a), -8 * np.cos(a), h]), np.array([0, 0.2, 0]))
    for a, h in zip(np.radians([-40, -20, 0, 20, 40, 70]), [6, 8, 7, 9, 6, 8], strict=True)
]


def corners(number: int, side: float = MARKER_MM / UNIT_MM) -> np.ndarray:
    """The marker's corners in the order of OpenCV, [4, 3], on z = 0."""
    x, y, turn = PLACES[number]
    square = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * side / 2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.concatenate([square @ rotation.T + [x, y], np.zeros((4, 1))], axis=1)


def render(pose: np.ndarray, dictionary: str, places=PLACES, blur: float = 1.0) -> np.ndarray:
    """The markers on white paper as the camera sees them through a disc of `blur` px, [H, W, 3] uint8."""
    over = 3
    large = CAMERA.resized(CAMERA.width * over, CAMERA.height * over)
    photo = Photo("", Path(), large, pose)
    picture = np.full((large.height, large.width), 0.8, np.float32)  # linear light
    codes = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, dictionary))
    for number in places:
        code = cv2.aruco.generateImageMarker(codes, number, 400)
        target, _, _ = photo.project(corners(number))
        # From the code's pixels to the picture's; OpenCV counts from the first pixel's centre, -0.5 is its corner.
        source = np.array([[0, 0], [400, 0], [400, 400], [0, 400]], np.float32) - 0.5
        warp = cv2.getPerspectiveTransform(source, (target - 0.5).astype(np.float32))
        size = (large.width, large.height)
        inside = cv2.warpPerspective(np.full_like(code, 255), warp, size, flags=cv2.INTER_NEAREST) > 0
        shown = cv2.warpPerspective(code, warp, size, flags=cv2.INTER_NEAREST) > 127
        picture[inside] = np.where(shown[inside], 0.8, 0.02)
    picture = cv2.filter2D(picture, -1, disc(over * blur))
    small = cv2.resize(picture, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA)
    pixels = 255 * linear_to_srgb(small) + np.random.default_rng(0).normal(0, 3, small.shape)
    return np.repeat(pixels.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def disc(diameter: float) -> np.ndarray:
    """The kernel of a circle of confusion of that diameter, px."""
    reach = int(np.ceil(diameter / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = (np.hypot(x, y) <= max(diameter / 2, 0.5)).astype(np.float32)
    return kernel / kernel.sum()


def make(root: Path, dictionary: str = "DICT_4X4_50", places=PLACES, blur: float = 1.0) -> Capture:
    photos = []
    for i, pose in enumerate(POSES):
        Image.fromarray(render(pose, dictionary, places, blur)).save(root / f"IMG_{i}.png")
        photos.append(Photo(f"IMG_{i}", root / f"IMG_{i}.png", CAMERA, pose))
    return Capture(root, tuple(photos))


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> Capture:
    return make(tmp_path_factory.mktemp("marked"))


@pytest.mark.parametrize(
    ("dictionary", "blur"),
    [("DICT_4X4_50", 1.0), ("DICT_4X4_50", 5.0), ("DICT_6X6_50", 3.0), ("DICT_APRILTAG_36h11", 1.0)],
)
def test_markers_give_the_unit_however_blurred_they_are(tmp_path, dictionary, blur):
    capture = measured(make(tmp_path, dictionary, blur=blur), None, MARKER_MM, Reporter())
    assert capture.unit_mm == pytest.approx(UNIT_MM, rel=0.001)
    assert capture.scale.source == "markers"
    assert 1e-5 < capture.scale.relative_uncertainty < 0.001
    assert abs(capture.unit_mm / UNIT_MM - 1) < 4 * capture.scale.relative_uncertainty


def test_markers_too_blurred_to_measure_are_told(tmp_path):
    with pytest.raises(SolverError, match="no marker could be measured"):
        measured(make(tmp_path, blur=14.0), None, MARKER_MM, Reporter())


def test_working_cameras_measure_the_same(marked):
    small = marked.with_photos(
        tuple(Photo(p.name, p.image_path, p.camera.resized(160, 120), p.world_to_camera) for p in marked.photos)
    )
    found = find_markers(marked.photos, lambda done, total: None)
    assert marker_side(small.photos, found) == pytest.approx(marker_side(marked.photos, found))


def test_a_marker_that_moved_does_not_count(marked):
    found = find_markers(marked.photos, lambda done, total: None)
    for i, name in enumerate(found):
        if 7 in found[name]:
            found[name][7] = found[name][7] + [[15 * i, -10 * i]]
    side, _, count = marker_side(marked.photos, found)
    assert count == 2
    assert side * UNIT_MM == pytest.approx(MARKER_MM, rel=0.002)


def test_one_wrong_sighting_is_left_out(marked):
    found = find_markers(marked.photos, lambda done, total: None)
    found["IMG_2"][3] = np.roll(found["IMG_2"][3], 1, axis=0)
    side, _, count = marker_side(marked.photos, found)
    assert count == 3
    assert side * UNIT_MM == pytest.approx(MARKER_MM, rel=0.002)


def test_no_marker_is_an_error(capture):
    with pytest.raises(SolverError, match="no marker could be measured") as caught:
        measured(capture, None, MARKER_MM, Reporter())
    assert "--marker-mm" in caught.value.remedy
    for wrong in (-1.0, 0.0, float("nan")):  # told before the photos are looked at, which are too few here
        with pytest.raises(SolverError, match="not above 0 mm"):
            load_capture(capture.root, poses_folder=capture.root / "poses", marker_mm=wrong)


A, B = np.array([-1.5, 0.3, 0.4]), np.array([1.2, -0.4, 0.9])
LENGTH_MM = float(np.linalg.norm(B - A)) * UNIT_MM


def picks(count: int = 4, noise: float = 0.0, change=None, lens=None) -> dict:
    rng = np.random.default_rng(1)
    points = []
    for i, pose in enumerate(POSES[:count]):
        pixels, _, inside = Photo("", Path(), CAMERA, pose).project(np.stack([A, B]))
        assert inside.all()
        if lens is not None:
            pixels = lens(pixels)
        pixels = pixels + noise * rng.standard_normal((2, 2))
        points.append({"photo": f"IMG_{i}", "a": pixels[0].tolist(), "b": pixels[1].tolist()})
    content = {"distance_mm": LENGTH_MM, "points": points}
    if change is not None:
        change(content)
    return content


@pytest.fixture
def capture(tmp_path) -> Capture:
    photos = []
    for i, pose in enumerate(POSES):
        Image.new("RGB", (CAMERA.width, CAMERA.height)).save(tmp_path / f"IMG_{i}.png")
        photos.append(Photo(f"IMG_{i}", tmp_path / f"IMG_{i}.png", CAMERA, pose))
    return Capture(tmp_path, tuple(photos))


def scale(capture: Capture, content, name: str = "picks.json"):
    path = capture.root / name
    path.write_text(json.dumps(content))
    return scale_of_bars(capture, read_scale_bars(path), path)


def test_exact_picks_give_the_exact_unit(capture):
    found = scale(capture, picks())
    assert found.unit_mm == pytest.approx(UNIT_MM, rel=1e-9)
    assert found.source == "distance"
    assert 0 < found.relative_uncertainty < 0.005


def test_the_uncertainty_is_that_of_the_errors(capture):
    """Over many draws, errors and stated uncertainties agree."""
    rng = np.random.default_rng(0)
    photos = [capture.photos[i] for i in range(4)]
    exact = [np.array([photo.project(np.array([point]))[0][0] for photo in photos]) for point in (A, B)]
    ratios = []
    for _ in range(200):
        ends = [sight(photos, pixels + 2.0 * rng.standard_normal(pixels.shape)) for pixels in exact]
        length, deviation = distance(*ends, noise_px(ends, 0.5))
        ratios.append((length - np.linalg.norm(B - A)) / deviation)
    assert np.mean(ratios) == pytest.approx(0, abs=0.25)
    assert np.std(ratios) == pytest.approx(1, abs=0.3)


def test_several_distances_count_by_how_well_they_are_known(capture):
    good, bad = picks(6), picks(2, noise=3.0)
    found = scale(capture, [good, bad])
    alone = scale(capture, bad)
    assert abs(found.unit_mm - UNIT_MM) < 0.2 * abs(alone.unit_mm - UNIT_MM)
    assert found.relative_uncertainty < alone.relative_uncertainty
    contradicting = scale(capture, [good, picks(6, change=lambda c: c.update(distance_mm=1.2 * LENGTH_MM))])
    assert contradicting.relative_uncertainty > 0.05


def test_picks_in_distorted_photos(tmp_path):
    """Picks are in pixels of the photo as it came; cameras and training are of the undistorted one."""
    distortion = {"k1": -0.25, "p1": 0.004}
    lens = BrownLens(CAMERA, Distortion(**distortion))
    frames = []
    for i, pose in enumerate(POSES):
        Image.new("RGB", (CAMERA.width, CAMERA.height)).save(tmp_path / f"IMG_{i}.png")
        frames.append({"file_path": f"IMG_{i}.png", "transform_matrix": transform_matrix_of(pose).tolist()})
    keys = {
        "fl_x": CAMERA.fx,
        "fl_y": CAMERA.fy,
        "cx": CAMERA.cx,
        "cy": CAMERA.cy,
        "w": CAMERA.width,
        "h": CAMERA.height,
    }
    content = {**keys, **distortion, "unit_mm": 3.0, "frames": frames}
    (tmp_path / "transforms.json").write_text(json.dumps(content))

    def bend(pixels):
        points = (pixels - [CAMERA.cx, CAMERA.cy]) / CAMERA.fx
        return lens.distortion.apply(points) * CAMERA.fx + [CAMERA.cx, CAMERA.cy]

    options = {"poses_folder": tmp_path / "poses", "find_points": False, "max_size": 100}
    before = load_capture(tmp_path, **options)
    assert (before.unit_mm, before.scale.source) == (3.0, "file")
    (tmp_path / "scale.json").write_text(json.dumps(picks(4, lens=bend)))
    found = load_capture(tmp_path, **options)
    assert found.unit_mm == pytest.approx(UNIT_MM, rel=1e-6)
    assert found.scale.source == "distance"
    assert max(found.photos[0].camera.width, found.photos[0].camera.height) == 100
    other = tmp_path / "other.json"
    other.write_text(json.dumps(picks(4, lens=bend, change=lambda c: c.update(distance_mm=2 * LENGTH_MM))))
    assert load_capture(tmp_path, scale_bar=other, **options).unit_mm == pytest.approx(2 * UNIT_MM, rel=1e-6)


def test_picked_points_win_over_markers_and_a_contradiction_is_told(tmp_path, marked):
    path = tmp_path / "picks.json"
    path.write_text(json.dumps(picks(4, change=lambda c: c.update(distance_mm=1.1 * LENGTH_MM))))
    reporter = Reporter()
    found = measured(marked, path, MARKER_MM, reporter)
    assert found.unit_mm == pytest.approx(1.1 * UNIT_MM, rel=1e-6)
    assert found.scale.source == "distance"
    assert "the picked distance is used" in reporter.warnings[0]


def change_point(**change):
    return lambda content: content["points"][1].update(change)


BROKEN = {
    "no distance": (lambda c: c.pop("distance_mm"), '"distance_mm" is missing'),
    "negative distance": (lambda c: c.update(distance_mm=-1), '"distance_mm" is not above 0'),
    "no points": (lambda c: c.pop("points"), '"points" is missing'),
    "one photo": (lambda c: c.update(points=c["points"][:1]), "not picked in two photos"),
    "same photo twice": (change_point(photo="IMG_0"), "not picked in two photos"),
    "same photo by its file": (change_point(photo="IMG_0.png"), "not picked in two photos"),
    "no photo": (change_point(photo=None), '"photo" is missing'),
    "another photo": (change_point(photo="IMG_99"), '"IMG_99", which is no photo with a pose'),
    "no pair": (change_point(a=[1]), '"a" is not a pair of pixels'),
    "words": (change_point(b=["left", "top"]), '"b" is not a finite number'),
    "null": (change_point(b=[None, 1]), '"b" is not a pair of pixels'),
    "outside": (change_point(a=[5000, 5000]), "lies outside the photo"),
    "swapped": (lambda c: c["points"][1].update(a=c["points"][1]["b"], b=c["points"][1]["a"]), "IMG_1 is"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_wrong_picks_are_told(capture, case):
    change, message = BROKEN[case]
    with pytest.raises(SolverError) as caught:
        scale(capture, picks(change=change))
    assert message in caught.value.sentence
    assert caught.value.remedy
    assert "picks.json" in caught.value.where


@pytest.mark.parametrize("content", [[], [1], "x", None, 5])
def test_other_json_is_refused(capture, content):
    with pytest.raises(SolverError):
        scale(capture, content)


def test_photos_from_one_place_tell_no_distance(tmp_path):
    photos = []
    for i in range(3):
        Image.new("RGB", (CAMERA.width, CAMERA.height)).save(tmp_path / f"IMG_{i}.png")
        photos.append(Photo(f"IMG_{i}", tmp_path / f"IMG_{i}.png", CAMERA, POSES[0]))
    content = picks(3)
    for point in content["points"]:
        point.update(a=content["points"][0]["a"], b=content["points"][0]["b"])
    with pytest.raises(SolverError, match=r"have no point in common|too much alike"):
        scale(Capture(tmp_path, tuple(photos)), content)
