# SPDX-License-Identifier: GPL-3.0-or-later
"""Focus stacks: fusing, and the capture that is made of a bracket."""

import json
import shutil

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from benchmarks.baselines.focus_stack import stack, stacked_capture
from solver.capture.images import decode, srgb_to_linear
from solver.capture.transforms import read_transforms
from solver.errors import SolverError
from solver.export.images import write_exr, write_png

HEIGHT, WIDTH, STEPS, POSES = 48, 60, 3, 2


def slope(seed=0):
    """A picture that goes out of focus along its width, focused at STEPS places: sharp [H, W, 3], photos."""
    sharp = gaussian_filter(np.random.default_rng(seed).uniform(0, 1, (HEIGHT, WIDTH, 3)), (0.6, 0.6, 0))
    levels = np.stack([gaussian_filter(sharp, (sigma, sigma, 0)) if sigma else sharp for sigma in range(5)])
    columns = np.arange(WIDTH)
    photos = []
    for focus in np.linspace(0, WIDTH - 1, STEPS):
        blur = (abs(columns - focus) / 12).round().clip(0, 4).astype(int)
        photos.append(np.moveaxis(levels[blur, :, columns], 0, 1))
    return sharp, np.stack(photos)


@pytest.fixture
def bracket(tmp_path):
    """A generated capture with POSES brackets of STEPS photos, two held-out views and masks."""
    root = tmp_path / "bracket"
    truth, novel = root / "ground_truth", root / "ground_truth" / "novel"
    pose = np.eye(4)
    frames, true_frames = [], []
    for index in range(POSES * STEPS):
        place, step = divmod(index, STEPS)
        sharp, photos = slope(place)
        name = f"view_{index:03d}"
        write_png(root / "images" / f"{name}.png", photos[step])
        write_png(root / "masks" / f"{name}.png", np.ones((HEIGHT, WIDTH, 3)))
        write_png(truth / "sharp" / f"{name}.png", sharp)
        write_exr(truth / "depth" / f"{name}.exr", "Z", np.full((HEIGHT, WIDTH), 10.0 + place))
        write_exr(truth / "smallest_coc" / f"{name}.exr", "V", np.full((HEIGHT, WIDTH), 0.5))
        pose[0, 3] = place
        frame = {"file_path": f"images/{name}.png", "transform_matrix": pose.tolist(), "mask_path": f"masks/{name}.png"}
        frames.append(frame)
        true_frames.append({**frame, "file_path": f"sharp/{name}.png", "focus_distance": 9.0 + step})
    write_png(novel / "sharp" / "novel_000.png", slope(9)[0])
    shared = {"fl_x": 80.0, "w": WIDTH, "h": HEIGHT, "unit_mm": 2.0, "f_number": 4.0, "focal_length_mm": 50.0}
    for folder, content in ((root, frames), (truth, true_frames)):
        folder.joinpath("transforms.json").write_text(json.dumps({**shared, "frames": content}), encoding="utf-8")
    held_out = [{"file_path": "sharp/novel_000.png", "transform_matrix": np.eye(4).tolist()}]
    (novel / "transforms.json").write_text(json.dumps({**shared, "frames": held_out}), encoding="utf-8")
    return root


def error(a, b):
    return ((a - b) ** 2).mean()


def sharpest(photos):
    """What would be fused if it were known where each photo is in focus."""
    focus = np.linspace(0, WIDTH - 1, STEPS)
    columns = np.arange(WIDTH)
    return np.moveaxis(photos[abs(focus - columns[:, None]).argmin(1), :, columns], 0, 1)


def test_the_fused_photo_is_sharper_than_any_of_its_bracket():
    sharp, photos = slope()
    fused, weights = stack(photos)
    assert fused.shape == sharp.shape and weights.shape == photos.shape[:3]
    np.testing.assert_allclose(weights.sum(0), 1)
    assert error(fused, sharp) < 0.6 * min(error(photo, sharp) for photo in photos)
    assert error(fused, sharp) < 0.6 * error(photos.mean(0), sharp)
    assert error(fused, sharp) < 1.1 * error(sharpest(photos), sharp)
    for step, column in enumerate((3, WIDTH // 2, WIDTH - 4)):
        assert weights[step, :, column].mean() > 0.9


def test_equal_photos_and_even_surfaces_stay_as_they_are():
    sharp, _ = slope()
    np.testing.assert_allclose(stack(np.stack([sharp, sharp]))[0], sharp)
    even = np.full((3, 20, 20, 3), 0.3)
    fused, weights = stack(even)
    np.testing.assert_allclose(fused, even[0])
    np.testing.assert_allclose(weights, 1 / 3, rtol=0.01)
    np.testing.assert_allclose(stack(np.zeros((2, 8, 8, 3)))[0], 0)


def test_a_bracket_becomes_a_capture_of_one_photo_a_pose(bracket, tmp_path):
    output = tmp_path / "stacked"
    stacked_capture(bracket, output)
    file = read_transforms(output)
    names = ["view_000", f"view_{STEPS:03d}"]
    assert [frame.name for frame in file.frames] == names and file.unit_mm == 2.0
    given = {frame.name: frame for frame in read_transforms(bracket).frames}
    for place, frame in enumerate(file.frames):
        np.testing.assert_allclose(frame.world_to_camera, given[frame.name].world_to_camera, atol=1e-12)
        assert frame.camera == given[frame.name].camera
        assert "f_number" not in frame.frame and frame.frame["focal_length_mm"] == 50.0
        assert (output / frame.frame["mask_path"]).is_file()
        photo = srgb_to_linear(decode(frame.image_path) / 255)
        sharp, photos = slope(place)
        assert error(photo, sharp) < 1.1 * error(sharpest(photos), sharp)
    truth = read_transforms(output / "ground_truth")
    assert [frame.name for frame in truth.frames] == names
    assert not any({"f_number", "focus_distance"} & frame.frame.keys() for frame in truth.frames)
    for kind in ("sharp", "depth", "smallest_coc"):
        copied = sorted((output / "ground_truth" / kind).iterdir())
        assert [path.stem for path in copied] == names
        assert all(path.read_bytes() == (bracket / "ground_truth" / kind / path.name).read_bytes() for path in copied)
    assert (output / "ground_truth" / "novel" / "sharp" / "novel_000.png").is_file()
    assert read_transforms(output / "ground_truth" / "novel").frames[0].name == "novel_000"


def test_a_capture_without_brackets_is_refused(bracket, tmp_path):
    path = bracket / "transforms.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["frames"] = content["frames"][::STEPS]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(SolverError, match="--focus bracket"):
        stacked_capture(bracket, tmp_path / "stacked")


@pytest.mark.parametrize("lacking", ["images/view_004.png", "ground_truth/depth/view_003.exr", "ground_truth"])
def test_what_is_missing_is_named_and_nothing_is_left(lacking, bracket, tmp_path):
    path = bracket / lacking
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SolverError) as caught:
        stacked_capture(bracket, tmp_path / "stacked")
    assert path.stem in caught.value.sentence
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_holds_something_is_left_alone(bracket, tmp_path):
    output = tmp_path / "stacked"
    output.mkdir()
    stacked_capture(bracket, output)
    before = sorted(path.relative_to(output) for path in output.rglob("*"))
    with pytest.raises(SolverError, match="not empty"):
        stacked_capture(bracket, output)
    assert sorted(path.relative_to(output) for path in output.rglob("*")) == before
