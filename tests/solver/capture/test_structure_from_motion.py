# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.background import run_watched
from solver.capture.triangulation import triangulate
from solver.errors import Cancelled, SolverError
from solver.events import Reporter


class Recorder(Reporter):
    """Keeps what a run says; raises when the stage `stop_in` has come as far as `stop_at` thousandths."""

    def __init__(self, stop_in: str | None = None, stop_at: int = 0) -> None:
        super().__init__()
        self.stop_in, self.stop_at = stop_in, stop_at
        self.events: list[tuple[str, dict]] = []

    def _emit(self, event, **content):
        self.events.append((event, content))
        if event == "progress" and self._stage == self.stop_in and content["done"] >= self.stop_at:
            raise Cancelled

    def stages(self):
        return [content["name"] for event, content in self.events if event == "stage"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory, scene):
    """The scene as plain photos with metadata, one of them out of focus beyond use, with masks of the lower part."""
    folder = tmp_path_factory.mktemp("sfm") / "käfer 1"
    (folder / "masks").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 600D"
    exif.get_ifd(0x8769).update({0x920A: scene.camera.fx / 320 * 22.3 * 8 / 9, 0x829D: 8.0})
    for i, image in enumerate(scene.images):
        Image.fromarray(image).save(folder / f"photo {i}.jpg", quality=95, exif=exif)
    Image.new("RGB", (320, 240), (90, 80, 70)).save(folder / "soft.jpg")
    mask = Image.new("L", (320, 240), 255)
    mask.paste(0, (0, 0, 320, 20))
    for path in folder.glob("*.jpg"):
        mask.save(folder / "masks" / f"{path.stem}.png")
    return folder


@pytest.fixture(scope="module")
def found(photos):
    recorder = Recorder()
    return load_capture(photos, poses_folder=photos.parent / "result" / "poses", reporter=recorder), recorder


def test_poses_agree_with_the_truth_up_to_a_similarity(found, scene):
    capture, _ = found
    assert [photo.name for photo in capture.photos] == [f"photo {i}" for i in range(8)]
    truth = np.array([-pose[:3, :3].T @ pose[:3, 3] for pose in scene.poses])
    centres = np.array([photo.centre for photo in capture.photos])
    a, b = truth - truth.mean(0), centres - centres.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    scale = np.linalg.norm(a) / np.linalg.norm(b)
    np.testing.assert_allclose(scale * b @ rotation.T, a, atol=0.02)  # at a distance of 2.6
    for photo, pose in zip(capture.photos, scene.poses, strict=True):
        turn = photo.world_to_camera[:3, :3] @ rotation.T @ pose[:3, :3].T
        assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 0.5
    assert capture.photos[0].camera.fx == pytest.approx(scene.camera.fx, rel=0.02)
    assert capture.reprojection_error_px < 0.5
    assert len(capture.points.positions) > 500


def test_points_are_where_their_photos_see_them(found):
    capture, _ = found
    for photo in capture.photos:
        seen = capture.points.positions[capture.points.seen_by[photo.name]]
        _, _, inside = photo.project(seen)
        assert len(seen) > 100
        assert inside.mean() > 0.98


def test_what_the_photos_say_is_kept(found, photos):
    capture, recorder = found
    assert capture.photos[0].f_number == 8
    assert capture.photos[0].mask_path.is_file()
    assert [photo.name for photo in capture.unregistered] == ["soft"]
    assert "only 0 features" in capture.unregistered[0].reason
    assert recorder.stages() == ["read", "poses"]
    shares = [content["done"] for event, content in recorder.events if event == "progress"]
    assert shares[-1] == 1000
    assert all(path.name in ("poses", photos.name) for path in (photos.parent / "result").iterdir())


def test_poses_are_those_of_the_full_size_whatever_size_is_trained_at(found, photos):
    """Small copies are for training: what joins two sides of a subject can be too small to be seen in them."""
    capture, _ = found
    recorder = Recorder(stop_in="poses")
    small = load_capture(photos, poses_folder=photos.parent / "result" / "poses", max_size=80, reporter=recorder)
    assert recorder.stages() == ["read"]
    for photo, full in zip(small.photos, capture.photos, strict=True):
        assert photo.camera.width == 80
        assert photo.camera.fx * full.camera.width == pytest.approx(full.camera.fx * 80)
        np.testing.assert_array_equal(photo.world_to_camera, full.world_to_camera)


def test_kept_poses_are_used_again_until_a_photo_changes(found, photos):
    capture, _ = found
    recorder = Recorder(stop_in="poses")
    again = load_capture(photos, poses_folder=photos.parent / "result" / "poses", reporter=recorder)
    assert recorder.stages() == ["read"]
    assert again.unregistered == capture.unregistered
    np.testing.assert_array_equal(again.photos[3].world_to_camera, capture.photos[3].world_to_camera)
    (photos / "photo 3.jpg").touch()
    with pytest.raises(Cancelled):
        load_capture(photos, poses_folder=photos.parent / "result" / "poses", reporter=recorder)
    # What was there before the change outlives a run that was cancelled.
    assert (photos.parent / "result" / "poses" / "key.json").is_file()


@pytest.mark.parametrize("thousandths", [60, 701])  # between two calls of pycolmap, and during one
def test_cancelling_leaves_nothing(photos, tmp_path, thousandths):
    recorder = Recorder(stop_in="poses", stop_at=thousandths)
    with pytest.raises(Cancelled):
        load_capture(photos, poses_folder=tmp_path / "result" / "poses", reporter=recorder)
    assert list((tmp_path / "result").iterdir()) == []


def test_other_files_in_the_poses_folder_are_left_alone(photos, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(SolverError, match="taken by other files"):
        load_capture(photos, poses_folder=tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_too_few_registered_photos(tmp_path, scene):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    Image.fromarray(scene.images[0]).save(tmp_path / "photos" / "one.png")
    for i in range(3):  # each shows something else
        noise = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((320, 240)).save(tmp_path / "photos" / f"other_{i}.png")
    with pytest.raises(SolverError, match=r"too few photos found a pose \(0 of 4\): one \(.*\), .* and 1 more"):
        load_capture(tmp_path / "photos", poses_folder=tmp_path / "result" / "poses")
    assert list((tmp_path / "result").iterdir()) == []


def test_fewer_than_half_is_a_warning(tmp_path, scene):
    (tmp_path / "photos").mkdir()
    for i in range(4):
        Image.fromarray(scene.images[2 * i]).save(tmp_path / "photos" / f"{i}.png")
    for i in range(5):
        Image.new("RGB", (320, 240), "grey").save(tmp_path / "photos" / f"plain_{i}.png")
    recorder = Recorder()
    capture = load_capture(tmp_path / "photos", poses_folder=tmp_path / "poses", reporter=recorder)
    assert [photo.name for photo in capture.photos] == ["0", "1", "2", "3"]
    assert len(capture.unregistered) == 5
    warnings = [content["message"] for event, content in recorder.events if event == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith("Only 4 of 9 photos have a pose")


def test_triangulation_with_known_poses(write_capture):
    root = write_capture(count=4)
    capture = load_capture(root, poses_folder=root.parent / "poses")
    x, y, z = capture.points.positions.T
    assert len(x) > 300
    distance = np.minimum(abs(z), abs(y - 1))  # to the floor or the wall
    assert np.median(distance) < 0.01
    assert np.quantile(distance, 0.95) < 0.05
    assert set(capture.points.seen_by) == {"photo_0", "photo_1", "photo_2", "photo_3"}
    assert capture.points.colours.std() > 10


def test_nothing_to_triangulate_is_no_error(write_capture):
    root = write_capture(count=3)
    for image in (root / "images").iterdir():
        Image.new("RGB", (320, 240), "grey").save(image)
    assert load_capture(root, poses_folder=root.parent / "poses").points is None


def test_many_photos_are_matched_with_their_neighbours(write_capture, monkeypatch):
    monkeypatch.setattr("solver.capture.triangulation.ALL_PAIRS_UP_TO", 3)
    monkeypatch.setattr("solver.capture.triangulation.NEIGHBOURS", 2)
    root = write_capture(count=4)
    capture = load_capture(root, poses_folder=root.parent / "poses", find_points=False)
    masked = dataclasses.replace(capture.photos[0], mask_path=root / "mask.png")
    mask = Image.new("L", (320, 240))
    mask.paste(255, (0, 0, 160, 240))
    mask.save(root / "mask.png")
    capture = capture.with_photos((masked, *capture.photos[1:]))
    points = triangulate(capture)
    assert len(points.positions) > 100
    pixels, _, _ = masked.project(points.positions[points.seen_by["photo_0"]])
    assert len(pixels) > 30
    assert (pixels[:, 0] < 170).all()


def test_an_exception_in_the_watching_thread_cancels_the_work():
    stopped = []

    def work(token: pycolmap.CancellationToken) -> None:
        while not token.is_cancelled:
            pass
        stopped.append(True)

    def watch() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run_watched(work, watch)
    assert stopped == [True]
    with pytest.raises(ZeroDivisionError):
        run_watched(lambda token: 1 / 0)
    assert run_watched(lambda token: 5) == 5


def test_importing_pycolmap_leaves_the_termination_signal_alone():
    script = (
        "import os, signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('handled'))\n"
        "from solver.capture.colmap_library import pycolmap\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "handled\n", "")
