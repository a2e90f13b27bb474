# SPDX-License-Identifier: GPL-3.0-or-later
"""An object of a user's file, and what only other plans and imperfections bring; such a scene is quick to build."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthetic import exr, png, views
from synthetic.lens import Lens

pytestmark = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="the bpy package is not installed")

SCRIPT = Path(__file__).resolve().parents[2] / "synthetic" / "make_dataset.py"
WIDTH, HEIGHT = 48, 36
TINY = ["--resolution", str(WIDTH), str(HEIGHT), "--samples", "4", "--views", "3", "--held-out", "1"]


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blend") / "mine.blend"
    script = Path(__file__).with_name("own_scene.py")
    run = subprocess.run([sys.executable, script, path], capture_output=True, text=True)
    assert path.is_file(), run.stderr
    return path


def make(blend: Path | None, subject: str, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    file = ["--blend", str(blend)] if blend else []
    command = [sys.executable, SCRIPT, "--output", output, "--scene", "current", "--subject", subject, *file]
    return subprocess.run([*map(str, command), *TINY, *options], capture_output=True, text=True)


def made(blend: Path, output: Path, *options: str) -> Path:
    run = make(blend, "Die", output, *options)
    assert run.returncode == 0, run.stderr
    return output


def frames(path: Path) -> list[dict[str, Any]]:
    return json.loads((path / "transforms.json").read_text())["frames"]


def poses(path: Path) -> np.ndarray:
    return np.array([frame["transform_matrix"] for frame in frames(path)])


@pytest.fixture(scope="module")
def still(blend: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    before = blend.read_bytes()
    folder = made(blend, tmp_path_factory.mktemp("still") / "capture")
    assert blend.read_bytes() == before
    return folder


@pytest.fixture(scope="module")
def turned(blend: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On a turntable, with everything wrong that can be."""
    wrong = ["--exposure-jitter", "0.4", "--white-balance-jitter", "0.1", "--full-well", "2000", "--read-noise", "3"]
    noise = ["--pose-noise-mm", "0.2", "--pose-noise-degrees", "0.3"]
    return made(blend, tmp_path_factory.mktemp("turned") / "capture", "--plan", "turntable", *wrong, *noise)


@pytest.fixture(scope="module")
def bracket(blend: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ["--focus", "bracket", "--bracket-size", "3", "--f-number", "4"]
    return made(blend, tmp_path_factory.mktemp("bracket") / "capture", *options)


def test_the_mesh_is_the_object_with_its_children_in_millimetres(still: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.load(still / "ground_truth" / "mesh.ply", process=False)
    np.testing.assert_allclose(mesh.bounds, [[0, -2, 0], [6, 4, 8.5]], atol=1e-4)


def test_the_subject_fills_the_frame_and_hidden_objects_hide_nothing(still: Path) -> None:
    content = json.loads((still / "transforms.json").read_text())
    for frame in content["frames"]:
        mask = png.read(still / "ground_truth" / "mask" / Path(frame["file_path"]).name) > 127
        depth = exr.read_channel(still / "ground_truth" / "depth" / f"{Path(frame['file_path']).stem}.exr", "Z")
        assert 0.1 < mask.mean() < 0.6
        assert not mask[0].any()
        assert not mask[-1].any()
        distance = np.linalg.norm(np.array(frame["transform_matrix"])[:3, 3] - [3, 1, 4.25])
        assert np.abs(depth[mask] - distance).max() < 8


def test_a_point_of_the_subject_is_the_same_in_the_room_and_turned_with_it(turned: Path) -> None:
    """Depth that a turned scene gave, taken back into the subject's frame, lies on the subject."""
    trimesh = pytest.importorskip("trimesh")
    lens = Lens(100.0, 9.0, 23.5)
    mesh = trimesh.load(turned / "ground_truth" / "mesh.ply", process=False)
    cube = np.array([[0, -2, 0], [6, 4, 6]])
    turns = set()
    for frame in frames(turned / "ground_truth"):
        name, pose = Path(frame["file_path"]).stem, np.array(frame["transform_matrix"])
        turns.add(frame["turn_degrees"])
        depth = exr.read_channel(turned / "ground_truth" / "depth" / f"{name}.exr", "Z")
        mask = png.read(turned / "ground_truth" / "mask" / f"{name}.png") > 127
        focal = lens.principal_distance_px(WIDTH)
        rows, columns = np.nonzero(mask)
        local = np.stack([(columns + 0.5 - WIDTH / 2) / focal, -(rows + 0.5 - HEIGHT / 2) / focal, -np.ones(len(rows))])
        points = (pose[:3, :3] @ (local * depth[mask])).T + pose[:3, 3]
        to_cube = np.linalg.norm(points - points.clip(*cube), axis=1)
        to_knob = abs(np.linalg.norm(points - [3, 1, 7], axis=1) - 1.5)
        assert np.minimum(to_cube, to_knob).max() < 0.03  # the knob's facets lie inside the sphere
        assert np.ptp(points, axis=0)[2] > 5
        assert (
            png.read(turned / "masks" / f"{name}.png").tobytes()
            == png.read(turned / "ground_truth" / "mask" / f"{name}.png").tobytes()
        )
    assert len(turns) == 3
    assert len(mesh.vertices) > 100


def test_on_a_turntable_camera_and_background_stay(turned: Path) -> None:
    centre = np.array([3, 1, 4.25])
    truth = frames(turned / "ground_truth")
    room = [views.turn(frame["turn_degrees"], centre) @ np.array(frame["transform_matrix"]) for frame in truth]
    np.testing.assert_allclose(room, [room[0]] * 3, atol=1e-6)
    depths, masks = (
        [read(turned / "ground_truth" / kind / f"view_00{index}.{suffix}") for index in range(3)]
        for kind, suffix, read in [
            ("depth", "exr", lambda path: exr.read_channel(path, "Z")),
            ("mask", "png", lambda path: png.read(path) > 127),
        ]
    )
    background = ~(masks[0] | masks[1] | masks[2])
    np.testing.assert_allclose(depths[1][background], depths[0][background], atol=1e-3)
    assert (masks[0] != masks[1]).any()  # the subject does not


def test_nothing_but_the_subject_is_recoverable_on_a_turntable(turned: Path) -> None:
    for index in range(3):
        name = f"view_00{index}"
        coc = exr.read_channel(turned / "ground_truth" / "smallest_coc" / f"{name}.exr", "V")
        mask = png.read(turned / "ground_truth" / "mask" / f"{name}.png") > 127
        recoverable = png.read(turned / "ground_truth" / "recoverable" / f"{name}.png") > 127
        assert (coc[~mask] == -1).all()
        np.testing.assert_array_equal(recoverable, (coc >= 0) & (coc <= 1.5))


def test_what_went_wrong_is_told_in_the_truth_only(still: Path, turned: Path) -> None:
    truth, told = frames(turned / "ground_truth"), frames(turned)
    assert len({frame["exposure"] for frame in truth}) == len({tuple(f["white_balance"]) for f in truth}) == 3
    assert "exposure" not in json.dumps(told)
    offsets = np.linalg.norm(poses(turned)[:, :3, 3] - poses(turned / "ground_truth")[:, :3, 3], axis=1)
    assert offsets.min() > 0.02
    assert offsets.max() < 1.0
    np.testing.assert_array_equal(poses(still), poses(still / "ground_truth"))
    assert "exposure" not in (still / "ground_truth" / "transforms.json").read_text()


def test_photos_are_as_bright_as_they_are_exposed(turned: Path) -> None:
    def green(path: Path) -> float:  # linear light
        srgb = png.read(path)[..., 1] / 255
        return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).mean()

    for frame in frames(turned / "ground_truth"):
        name = Path(frame["file_path"]).name
        ratio = green(turned / "images" / name) / green(turned / "ground_truth" / "sharp" / name)
        assert ratio == pytest.approx(frame["exposure"], rel=0.05)


def test_a_photo_tells_its_camera(still: Path, turned: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for folder, iso in ((still, 100), (turned, 2560)):
        data = image.open(folder / "images" / "view_000.png").getexif()
        inner = data.get_ifd(0x8769)
        assert (float(inner[0x920A]), float(inner[0x829D]), inner.get(0x8827)) == (100.0, 9.0, iso)
        assert 0x010F not in image.open(folder / "ground_truth" / "sharp" / "view_000.png").getexif()


def test_photos_of_a_bracket_share_the_pose_and_its_truth(bracket: Path) -> None:
    truth = frames(bracket / "ground_truth")
    depth = exr.read_channel(bracket / "ground_truth" / "depth" / "view_000.exr", "Z")
    distances = [frame["focus_distance"] for frame in truth]
    assert distances[1] == pytest.approx((distances[0] + distances[2]) / 2)
    assert distances[0] == pytest.approx(depth.min(), abs=1e-3)
    np.testing.assert_array_equal(poses(bracket)[1:], poses(bracket)[:-1])
    for kind in ("sharp/view_00{}.png", "depth/view_00{}.exr", "mask/view_00{}.png", "smallest_coc/view_00{}.exr"):
        assert len({(bracket / "ground_truth" / kind.format(index)).read_bytes() for index in range(3)}) == 1
    assert len({(bracket / "images" / f"view_00{index}.png").read_bytes() for index in range(3)}) == 3
    coc = [exr.read_channel(bracket / "ground_truth" / "coc" / f"view_00{index}.exr", "V") for index in range(3)]
    smallest = exr.read_channel(bracket / "ground_truth" / "smallest_coc" / "view_000.exr", "V")
    np.testing.assert_allclose(smallest, np.min(coc, axis=0), atol=2e-3)


def test_held_out_views_do_not_depend_on_the_photos(still: Path, bracket: Path) -> None:
    for path in ("sharp/novel_000.png", "depth/novel_000.exr", "mask/novel_000.png", "transforms.json"):
        one, other = (folder / "ground_truth" / "novel" / path for folder in (still, bracket))
        if path == "transforms.json":  # of another f-number
            np.testing.assert_array_equal(poses(one.parent), poses(other.parent))
        else:
            assert one.read_bytes() == other.read_bytes()


def depth_and_mask(capture: Path, frame: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    name, truth = Path(frame["file_path"]).stem, capture / "ground_truth"
    mask = png.read(truth / "mask" / f"{name}.png") > 127
    return exr.read_channel(truth / "depth" / f"{name}.exr", "Z"), mask


def from_the_centre(capture: Path) -> np.ndarray:
    """Where the cameras are, seen from the subject's centre, in units of the distance that the lens wants."""
    distance = 2.8 * np.hypot(6, np.hypot(6, 8.5)) / 2 * 100 / 23.5
    return (poses(capture)[:, :3, 3] - [3, 1, 4.25]) / distance


def test_an_orbit_goes_once_round_and_focuses_on_the_subject(blend: Path, tmp_path: Path) -> None:
    options = ["--views", "5", "--held-out", "0", "--resolution", "32", "24"]
    capture = made(blend, tmp_path / "capture", "--plan", "orbit", "--focus", "subject", *options)
    x, y, z = from_the_centre(capture).T
    steps = np.diff(np.unwrap(np.arctan2(y, x)))
    np.testing.assert_allclose(np.degrees(steps), 72, atol=0.3 * 72 + 3)
    np.testing.assert_allclose(np.degrees(np.arctan2(z, np.hypot(x, y))), 42.5, atol=5)
    np.testing.assert_allclose(np.sqrt(x * x + y * y + z * z), 1, atol=0.04)
    truth = frames(capture / "ground_truth")
    for frame in truth:
        depth, mask = depth_and_mask(capture, frame)
        assert frame["focus_distance"] in depth[mask]
    assert len({frame["focus_distance"] for frame in truth}) == 5


def test_forward_stays_in_front_and_one_focus_in_all_photos(blend: Path, tmp_path: Path) -> None:
    options = ["--views", "5", "--held-out", "0", "--resolution", "32", "24"]
    capture = made(blend, tmp_path / "capture", "--plan", "forward", "--focus", "same", *options)
    directions = from_the_centre(capture)
    elevation = np.radians(42.5)
    ahead = np.arccos((directions @ [0, -np.cos(elevation), np.sin(elevation)]) / np.linalg.norm(directions, axis=1))
    assert np.degrees(ahead).max() < 15 + 1.5
    assert np.degrees(ahead).max() > 10
    assert len(np.unique(directions.round(3), axis=0)) == 5
    truth = frames(capture / "ground_truth")
    usual = 2.8 * np.hypot(6, np.hypot(6, 8.5)) / 2 * 100 / 23.5
    assert [frame["focus_distance"] for frame in truth] == pytest.approx([usual] * 5, rel=1e-4)
    assert len({frame["focus_distance"] for frame in truth}) == 1


def test_the_time_left_of_a_resumed_run_is_that_of_what_it_renders(still: Path, blend: Path, tmp_path: Path) -> None:
    capture = shutil.copytree(still, tmp_path / "capture")
    (capture / "images" / "view_002.png").unlink()
    run = make(blend, "Die", capture, "--resume", "--events", "json")
    assert run.returncode == 0, run.stderr
    told = [json.loads(line) for line in run.stdout.splitlines()]
    left = [event["seconds_left"] for event in told if event["event"] == "progress"]
    assert left[:3] == [None] * 3
    assert left[3] > 0  # of the held-out view that follows, which is taken for one to render
    assert left[4:] == [0.0] + [None] * 5  # the last, and what was compared already
    for path in ("images/view_002.png", "ground_truth/settings.json"):
        assert (capture / path).read_bytes() == (still / path).read_bytes()


def test_an_instance_is_a_subject(blend: Path, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    run = make(blend, "Copy", tmp_path / "capture", "--views", "1", "--held-out", "0")
    assert run.returncode == 0, run.stderr
    mesh = trimesh.load(tmp_path / "capture" / "ground_truth" / "mesh.ply", process=False)
    np.testing.assert_allclose(mesh.bounds, [[-3.8, -3.8, 0], [-2.2, -2.2, 1.6]], atol=0.05)
    assert (png.read(tmp_path / "capture" / "ground_truth" / "mask" / "view_000.png") > 127).any()


def test_it_stops_without_a_traceback_when_nobody_listens(blend: Path, tmp_path: Path) -> None:
    scene = ["--scene", "current", "--subject", "Die", "--blend", str(blend), "--events", "json"]
    command = [sys.executable, str(SCRIPT), "--output", str(tmp_path / "capture"), *scene, *TINY]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stderr is not None
    assert json.loads(child.stdout.readline())["event"] == "stage"
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait() == 130
    assert not (tmp_path / "capture" / "transforms.json").exists()


@pytest.mark.parametrize(
    ("subject", "words"),
    [("Nobody", "no object Nobody"), ("Hidden", "nothing of Hidden is rendered")],
)
def test_a_wrong_subject_is_one_sentence_with_the_right_names(
    blend: Path, tmp_path: Path, subject: str, words: str
) -> None:
    run = make(blend, subject, tmp_path / "capture")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert words in run.stderr
    assert "Copy, Die, Floor, Knob" in run.stderr
    assert not (tmp_path / "capture").exists()


def test_no_file_and_no_blender_file_are_one_sentence(tmp_path: Path) -> None:
    run = make(None, "Cube", tmp_path / "capture")
    assert run.returncode == 1
    assert "--blend FILE" in run.stderr
    assert run.stderr.count("\n") == 1
    (tmp_path / "letter.blend").write_text("Dear Sir")
    run = make(tmp_path / "letter.blend", "Cube", tmp_path / "capture")
    assert run.returncode == 1
    assert "cannot open the file" in run.stderr
    assert not (tmp_path / "capture").exists()
