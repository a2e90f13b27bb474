# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from solver.capture import mapping
from solver.capture.colmap_library import pycolmap
from solver.capture.features import Effort, pairs_in_order, tolerance_px
from solver.capture.mapping import (
    Outcome,
    Start,
    _options,
    _set_lens_free,
    _take_out_misplaced,
    map_photos,
    starts,
)
from solver.capture.overrides import LensOverrides
from solver.capture.structure_from_motion import Settings, _lenses, load_plain_photos
from solver.capture.types import Camera
from solver.errors import SolverError
from solver.events import Reporter
from tests.solver.capture.conftest import arc, look_at, render, texture

USED_MM = 22.3 * 8 / 9  # photos of 4:3 leave out a ninth of the Canon's sensor
ONE_EFFORT = Settings(efforts=(Effort(),), enough=0.5)


def save(folder, name, pixels, focal_length_mm=None):
    exif = Image.Exif()
    if focal_length_mm is not None:
        exif[0x010F], exif[0x0110] = "Canon", "Canon EOS 600D"
        exif.get_ifd(0x8769).update({0x920A: focal_length_mm})
    Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=95, exif=exif)


@pytest.fixture
def synthetic(tmp_path):
    """A model without errors and the database of its matches."""
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_frames_per_rig, options.num_points3D = 1, 8, 200
    pycolmap.set_random_seed(0)
    database = tmp_path / "database.db"
    with pycolmap.Database.open(database) as content:
        model = pycolmap.synthesize_dataset(options, content)
    return model, database


@pytest.mark.parametrize("wrong", [(3,), (2, 5, 6)])
def test_photos_that_contradict_their_matches_are_taken_out(synthetic, wrong):
    model, database = synthetic
    images = [model.image(image_id) for image_id in wrong]
    for image in images:
        pose = image.cam_from_world().matrix()
        turned = np.linalg.inv(np.vstack([pose, [0, 0, 0, 1]]))
        turned[:3, 3] = turned[[1, 2, 0], 3] * 1.3
        frame = model.frame(image.frame_id)
        frame.set_cam_from_world(image.camera_id, pycolmap.Rigid3d(np.linalg.inv(turned)[:3]))
    assert _take_out_misplaced(model, database) == {image.name for image in images}
    assert model.num_reg_images() == 8 - len(wrong)


def test_a_model_that_agrees_with_its_matches_is_kept_whole(synthetic):
    model, database = synthetic
    assert _take_out_misplaced(model, database) == set()
    assert model.num_reg_images() == 8


def test_the_lens_is_found_once_it_is_free_and_the_library_stays_silent(synthetic):
    model, _ = synthetic
    camera = next(iter(model.cameras.values()))
    truth = camera.focal_length
    camera.focal_length = 1.1 * truth
    level = pycolmap.logging.minloglevel
    _set_lens_free(model)
    assert camera.focal_length == pytest.approx(truth, rel=1e-3)
    assert pycolmap.logging.minloglevel == level


@pytest.mark.parametrize("longer_side, tolerance", [(400, 2.0), (800, 2.0), (1600, 4.0)])
def test_small_photos_are_judged_by_fewer_pixels(longer_side, tolerance):
    assert tolerance_px(longer_side) == tolerance


def test_the_better_of_two_tries(synthetic):
    model, _ = synthetic
    fewer_points, fewer_photos = pycolmap.Reconstruction(model), pycolmap.Reconstruction(model)
    for point_id in list(fewer_points.point3D_ids())[:60]:
        fewer_points.delete_point3D(point_id)
    fewer_photos.deregister_frame(fewer_photos.image(3).frame_id)
    whole, thin, small, odd, nothing = (
        Outcome((model,), True),
        Outcome((fewer_points,), True),
        Outcome((fewer_photos,), True),
        Outcome((model,), False),
        Outcome(),
    )
    order = [whole, thin, small, odd, nothing]
    for i, better in enumerate(order):
        for worse in order[i + 1 :]:
            assert better.better_than(worse)
            assert not worse.better_than(better)
    assert not whole.better_than(whole)


def test_tries_hold_what_the_photos_say_and_longer_lenses():
    camera = pycolmap.Camera(model="SIMPLE_RADIAL", width=400, height=300, params=[1700, 200, 150, 0])
    camera.has_prior_focal_length = True
    tries = list(starts({1: camera}))
    assert [round(start.focal_lengths[1]) for start in tries] == [1700, 1700, 2210, 2890, 1700]
    assert [start.held for start in tries] == [True, True, True, True, False]
    camera.has_prior_focal_length = False
    tries = list(starts({1: camera}))
    assert [round(start.focal_lengths[1]) for start in tries] == [480, 480, 1200, 2000, 480]
    assert [start.held for start in tries] == [False, True, True, True, False]
    assert len({start.told for start in tries}) == 5


def test_a_lens_that_says_nothing_leaves_the_others_held():
    cameras = {
        i: pycolmap.Camera(model="SIMPLE_RADIAL", width=400, height=300, params=[length, 200, 150, 0])
        for i, length in ((1, 1700), (2, 480), (3, 1300))
    }
    cameras[1].has_prior_focal_length = cameras[3].has_prior_focal_length = True
    tries = list(starts(cameras))
    assert [[round(start.focal_lengths[i]) for start in tries] for i in (1, 2, 3)] == [
        [1700, 1700, 2210, 2890, 1700],
        [1500, 1500, 1950, 2550, 1500],
        [1300, 1300, 1690, 2210, 1300],
    ]
    assert [start.held for start in tries] == [True, True, True, True, False]
    for start in tries:
        options = _options(start, 10, 0, 4.0)
        assert options.constant_cameras == options.mapper.constant_cameras == ({1, 3} if start.held else set())
        assert options.ba_refine_focal_length


def test_only_the_known_lens_is_held_while_photos_are_put_together(tmp_path, monkeypatch):
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_frames_per_rig, options.num_points3D = 2, 6, 200
    options.camera_width, options.camera_height, options.camera_params = 1024, 768, [1280, 512, 384, 0]
    options.camera_model_id = pycolmap.CameraModelId.SIMPLE_RADIAL
    options.camera_has_prior_focal_length = False
    pycolmap.set_random_seed(0)
    with pycolmap.Database.open(tmp_path / "database.db") as content:
        pycolmap.synthesize_dataset(options, content)
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(mapping, "_set_lens_free", lambda model: None)
    start = Start({1: 1280.0, 2: 1400.0}, free=frozenset({2}))
    found = map_photos(
        tmp_path / "database.db", tmp_path, start, max_focal_length_ratio=10, seed=0, progress=lambda done: None
    )
    lengths = [found.models[0].camera(i).mean_focal_length() for i in (1, 2)]
    assert found.photos == 12
    assert lengths[0] == 1280
    assert lengths[1] == pytest.approx(1280, rel=0.01)


def test_long_series_are_matched_in_order_and_across():
    names = [f"{i:03d}" for i in range(200)]
    pairs = pairs_in_order(names)
    assert len(set(pairs)) == len(pairs) < 0.55 * 200 * 199 / 2
    assert all(first < second for first, second in pairs)
    assert {("017", f"{i:03d}") for i in range(18, 30)} <= set(pairs)
    assert {("000", "199"), ("000", "150"), ("017", "145")} <= set(pairs)


def test_a_camera_for_each_focal_length(tmp_path):
    grey = np.full((24, 32, 3), 128, dtype=np.uint8)
    for name, focal_length in {"a": 55.0, "b": 55.0, "c": 18.0, "d": None}.items():
        save(tmp_path, name, grey, focal_length)
    photos = {path.stem: path for path in sorted(tmp_path.iterdir())}
    groups = _lenses(photos, LensOverrides())
    assert [(names, lens.focal_length_mm) for lens, (names, _) in groups.items()] == [
        (["a", "b", "d"], 55.0),
        (["c"], 18.0),
    ]
    assert [round(focal_length) for _, focal_length in groups.values()] == [
        round(55 / USED_MM * 32),
        round(18 / USED_MM * 32),
    ]
    assert len(_lenses(photos, LensOverrides(focal_length_mm=60.0))) == 1


def test_blurred_photos_of_a_long_lens(tmp_path):
    """Where the focal length is free from the start, this lens's runs off."""
    camera = Camera(320, 240, 1320.0, 1320.0, 160.0, 120.0)
    textures = [texture(1), texture(2)]
    target = np.array([0, 0.6, 0.25])
    centres = [-pose[:3, :3].T @ pose[:3, 3] for pose in arc(8)]
    poses = [look_at(target + 4 * (centre - target), target) for centre in centres]
    for i, pose in enumerate(poses):
        sharp = render(camera, pose, textures)
        blurred = gaussian_filter(sharp.astype(float), (1.5 + i % 2, 1.5 + i % 2, 0)).round().astype(np.uint8)
        save(tmp_path, f"photo {i}", blurred, 1320 / 320 * USED_MM / 1.15)  # focused close: longer than engraved
    capture = load_plain_photos(tmp_path, masks=None, poses_folder=tmp_path / "poses", reporter=Reporter())
    assert len(capture.photos) == 8
    assert capture.photos[0].camera.fx == pytest.approx(1320, rel=0.1)
    truth = np.array([-pose[:3, :3].T @ pose[:3, 3] for pose in poses])
    found = np.array([photo.centre for photo in capture.photos])
    distances = [np.linalg.norm(x[:, None] - x[None], axis=-1)[np.triu_indices(8, 1)] for x in (truth, found)]
    ratio = distances[0] / distances[1]
    assert ratio.std() < 0.05 * ratio.mean()


def test_groups_without_overlap(tmp_path, scene):
    """The largest is used, the other is named, and a photo of something else is too."""
    for i in range(5):
        save(tmp_path, f"here {i}", scene.images[i], 23.0)
    elsewhere = [texture(8), texture(9)]
    for i in range(3):
        save(tmp_path, f"there {i}", render(scene.camera, scene.poses[i], elsewhere), 23.0)
    save(tmp_path, "plain", np.full((240, 320, 3), 99, dtype=np.uint8), 23.0)
    reporter = Reporter()
    capture = load_plain_photos(
        tmp_path, masks=None, poses_folder=tmp_path / "poses", reporter=reporter, settings=ONE_EFFORT
    )
    assert [photo.name for photo in capture.photos] == [f"here {i}" for i in range(5)]
    reasons = {photo.name: photo.reason for photo in capture.unregistered}
    assert reasons["there 1"] == "fits a group of 3 photos, but not the rest"
    assert reasons["plain"].startswith("only 0 features")
    assert len(reporter.warnings) == 1
    assert "groups that do not overlap; the largest, of 5 photos, is used, and not the 3" in reporter.warnings[0]


def test_nothing_overlaps(tmp_path, scene):
    for i in range(4):
        save(tmp_path, str(i), render(scene.camera, scene.poses[i], [texture(20 + i), texture(30 + i)]), 23.0)
    with pytest.raises(SolverError, match="matches with another photo, so it shows something else, or too little"):
        load_plain_photos(
            tmp_path, masks=None, poses_folder=tmp_path / "poses", reporter=Reporter(), settings=ONE_EFFORT
        )
