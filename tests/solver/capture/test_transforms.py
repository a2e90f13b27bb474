# SPDX-License-Identifier: GPL-3.0-or-later
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from solver.capture import load_capture
from solver.capture.distortion import Distortion
from solver.capture.transforms import read_cameras, world_to_camera_of, write_transforms
from solver.capture.types import Camera
from solver.errors import SolverError


def load(path: Path, **options):
    return load_capture(path, poses_folder=path.parent / "poses", find_points=False, **options)


def test_cameras_poses_and_optics(write_capture, scene, edit_json):
    root = write_capture(unit_mm=1.0, f_number=8, focal_length_mm=100)
    edit_json(root / "transforms.json", lambda content: content["frames"][1].update(f_number=11, fl_x=400))
    capture = load(root)
    assert [photo.name for photo in capture.photos] == ["photo_0", "photo_1", "photo_2"]
    assert capture.unit_mm == 1.0
    first, second, _ = capture.photos
    assert first.camera == scene.camera
    assert (first.f_number, second.f_number) == (8, 11)
    assert second.camera.fx == 400
    assert first.nominal_pupil_diameter_mm == 12.5
    assert first.focus_distance is None
    for photo, pose in zip(capture.photos, scene.poses, strict=False):
        np.testing.assert_allclose(photo.world_to_camera, pose, atol=1e-9)


def test_opengl_axes_become_opencv_axes():
    # A camera at the origin with OpenGL's identity looks along -Z with Y up.
    pose = world_to_camera_of(np.eye(4).tolist(), "here")
    np.testing.assert_allclose(pose[:3, :3] @ [0, 0, -1], [0, 0, 1])
    np.testing.assert_allclose(pose[:3, :3] @ [0, 1, 0], [0, -1, 0])


def test_camera_angle_stands_in_for_the_focal_length(write_capture, edit_json):
    root = write_capture(camera_angle_x=0.6)

    def change(content):
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            del content[key]

    edit_json(root / "transforms.json", change)
    camera = load(root).photos[0].camera
    assert camera.fx == camera.fy == pytest.approx(160 / math.tan(0.3))
    assert (camera.width, camera.height, camera.cx, camera.cy) == (320, 240, 160, 120)


def test_per_frame_intrinsics_and_both_angles(write_capture, edit_json):
    root = write_capture(camera_angle_x=0.6)

    def change(content):
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            del content[key]
        content["frames"][0].update(camera_angle_x=0.5, camera_angle_y=0.4)
        content["frames"][1].update(fl_x=350.0, fl_y=351.0, cx=150.0, cy=118.0, w=320, h=240)

    edit_json(root / "transforms.json", change)
    first, second, third = (photo.camera for photo in load(root).photos)
    assert (first.fx, first.fy) == (pytest.approx(160 / math.tan(0.25)), pytest.approx(120 / math.tan(0.2)))
    assert second == Camera(320, 240, 350.0, 351.0, 150.0, 118.0)
    assert third.fx == pytest.approx(160 / math.tan(0.3))


def test_what_nerfstudio_did_to_the_poses_before_is_not_done_again(write_capture, scene):
    shift = [[0, 1, 0, 3], [1, 0, 0, 4], [0, 0, -1, 5]]
    root = write_capture(applied_transform=shift, applied_scale=2.0, orientation_override="none", aabb_scale=16)
    for photo, pose in zip(load(root).photos, scene.poses, strict=False):
        np.testing.assert_allclose(photo.world_to_camera, pose, atol=1e-9)


def test_distortion_of_every_dialect(write_capture, edit_json):
    coefficients = {"k1": 0.01, "k2": 0.02, "k3": 0.03, "k4": 0.04, "p1": 0.05, "p2": 0.06}
    root = write_capture(**coefficients)
    edit_json(root / "transforms.json", lambda content: content["frames"][1].update(camera_model="OPENCV_FISHEYE"))
    edit_json(root / "transforms.json", lambda content: content["frames"][2].update(is_fisheye=True, k1=0.5))
    first, second, third = (frame.distortion for frame in read_cameras(root / "transforms.json"))
    assert first == Distortion(**coefficients)
    assert second == Distortion(**coefficients, fisheye=True)
    assert third == Distortion(**{**coefficients, "k1": 0.5}, fisheye=True)


def test_photos_elsewhere(write_capture, tmp_path):
    root = write_capture()
    (root / "images").rename(tmp_path / "card")
    with pytest.raises(SolverError, match="the image is missing"):
        load(root)
    assert load(root, photos=tmp_path / "card").photos[0].image_path == tmp_path / "card" / "photo_0.png"
    with pytest.raises(SolverError, match="the folder of photos does not exist"):
        load(root, photos=tmp_path / "gone")


@pytest.mark.parametrize("fault", ["missing", "garbled", "empty"])
def test_a_photo_that_cannot_be_read_is_left_out_where_enough_remain(write_capture, edit_json, fault):
    root = write_capture()
    bad = root / "images" / "deleted.png"
    if fault != "missing":
        bad.write_bytes(b"" if fault == "empty" else (root / "images" / "photo_0.png").read_bytes()[:20] + b"?" * 50)
    edit_json(
        root / "transforms.json",
        lambda content: content["frames"].append({**content["frames"][0], "file_path": "images/deleted.png"}),
    )
    capture = load(root)
    assert [photo.name for photo in capture.photos] == ["photo_0", "photo_1", "photo_2"]
    (told,) = capture.unregistered
    assert told.name == "deleted"
    assert {"missing": "missing", "garbled": "decoded", "empty": "empty"}[fault] in told.reason


def test_photos_of_several_folders_lie_elsewhere(write_capture, edit_json, tmp_path):
    """Two of them have one name, which their folders tell apart."""
    root = write_capture()
    card = tmp_path / "card"

    def rename(content):
        for index, frame in enumerate(content["frames"]):
            frame["file_path"] = f"{'left' if index < 2 else 'right'}/{index % 2}.png"
            (card / frame["file_path"]).parent.mkdir(parents=True, exist_ok=True)
            (root / "images" / f"photo_{index}.png").rename(card / frame["file_path"])

    edit_json(root / "transforms.json", rename)
    paths = [photo.image_path for photo in load(root, photos=card).photos]
    assert paths == [card / "left" / "1.png", card / "left" / "0.png", card / "right" / "0.png"]
    with pytest.raises(SolverError, match=r"2 frames would have the image .*left/0.png; let --photos name"):
        load(root, photos=card / "left")


def test_poses_of_others_are_left_alone_unless_asked(write_capture, scene):
    root = write_capture()
    np.testing.assert_allclose(load(root).photos[0].world_to_camera, scene.poses[0], atol=1e-9)
    moved = load(root, upright="always").photos
    assert np.abs(moved[0].world_to_camera - scene.poses[0]).max() > 0.1
    between = moved[0].world_to_camera @ np.linalg.inv(moved[1].world_to_camera)
    np.testing.assert_allclose(between, scene.poses[0] @ np.linalg.inv(scene.poses[1]), atol=1e-9)


def test_round_trip(tmp_path, scene):
    cameras = [Camera(320, 240, 330.5, 331, 159.25, 121 + i) for i in range(3)]
    frames = [
        (f"images/{i}.png", cameras[i], scene.poses[i], {"focus_distance": 2.0 + i, "f_number": None}) for i in range(3)
    ]
    write_transforms(tmp_path / "transforms.json", frames, unit_mm=0.5)
    read = read_cameras(tmp_path / "transforms.json")
    assert [frame.camera for frame in read] == cameras
    assert [frame.name for frame in read] == ["0", "1", "2"]
    assert [frame.frame["focus_distance"] for frame in read] == [2, 3, 4]
    assert "f_number" not in read[0].frame
    assert read[0].frame["unit_mm"] == 0.5
    for frame, pose in zip(read, scene.poses, strict=False):
        np.testing.assert_allclose(frame.world_to_camera, pose, atol=1e-12)


def test_working_size_scales_the_cameras(write_capture):
    camera = load(write_capture(), max_size=200).photos[0].camera
    assert (camera.width, camera.height) == (200, 150)
    assert camera.fx == pytest.approx(330 * 200 / 320)
    assert load(write_capture(folder="other"), max_size=1000).photos[0].camera.width == 320


def test_images_of_another_size_but_the_same_shape_scale_the_camera(write_capture, scene):
    root = write_capture()
    Image.fromarray(scene.images[0]).resize((161, 120)).save(root / "images" / "photo_0.png")
    camera = load(root).photos[0].camera
    assert (camera.width, camera.height) == (161, 120)
    assert camera.fx == pytest.approx(330 * 161 / 320)


def test_metadata_fills_in_what_the_file_leaves_out(write_capture, edit_json, scene):
    root = write_capture()
    edit_json(root / "transforms.json", lambda content: content["frames"][0].update(file_path="images/photo_0.jpg"))
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x920A: 100.0, 0x829D: 5.6})
    Image.fromarray(scene.images[0]).save(root / "images" / "photo_0.jpg", exif=exif)
    first, second, _ = load(root).photos
    assert (first.focal_length_mm, first.f_number) == (100, pytest.approx(5.6))
    assert (second.focal_length_mm, second.f_number) == (None, None)


def test_masks_sharp_images_and_training_on_them(write_capture, edit_json):
    root = write_capture()
    for folder in ("masks", "ground_truth/sharp", "own"):
        (root / folder).mkdir(parents=True)
    for i in range(3):
        Image.new("L", (320, 240), 255).save(root / "masks" / f"photo_{i}.png")
        Image.new("RGB", (320, 240), "red").save(root / "ground_truth" / "sharp" / f"photo_{i}.png")
    Image.new("L", (320, 240), 255).save(root / "own" / "mask.png")
    edit_json(root / "transforms.json", lambda content: content["frames"][2].update(mask_path="own/mask.png"))
    capture = load(root)
    assert [photo.mask_path.name for photo in capture.photos] == ["photo_0.png", "photo_1.png", "mask.png"]
    assert capture.photos[0].sharp_path == root / "ground_truth" / "sharp" / "photo_0.png"
    trained = load(root, train_on_sharp=True).photos[0]
    assert trained.image_path == capture.photos[0].sharp_path


def test_equal_stems_in_different_folders_get_their_folders_names(write_capture, edit_json, scene):
    root = write_capture(count=2)
    for side in ("left", "right"):
        (root / side).mkdir()
        Image.fromarray(scene.images[0]).save(root / side / "a.png")

    def change(content):
        for frame, side in zip(content["frames"], ("left", "right"), strict=True):
            frame["file_path"] = f"./{side}/a.png"

    edit_json(root / "transforms.json", change)
    assert [photo.name for photo in load(root).photos] == ["left_a", "right_a"]


def test_points_of_a_ply_file(write_capture):
    root = write_capture(ply_file_path="points.ply")
    header = "ply\nformat ascii 1.0\nelement vertex 2\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    colours = "".join(f"property uchar {channel}\n" for channel in ("red", "green", "blue"))
    (root / "points.ply").write_text(f"{header}{colours}end_header\n1 2 3 9 8 7\nnan 0 0 1 1 1\n")
    points = load(root).points
    np.testing.assert_array_equal(points.positions, [[1, 2, 3]])
    np.testing.assert_array_equal(points.colours, [[9, 8, 7]])
    (root / "points.ply").write_text("ply\n")
    with pytest.raises(SolverError, match="the point cloud cannot be read"):
        load(root)


def test_cameras_without_images(write_capture):
    root = write_capture()
    for image in (root / "images").iterdir():
        image.unlink()
    assert [frame.name for frame in read_cameras(root / "transforms.json")] == [
        "photo_0",
        "photo_1",
        "photo_2",
    ]


def frame_of(**changes):
    return lambda content: content["frames"][1].update(changes)


def without(key):
    return lambda content: content.pop(key)


SINGULAR = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
BROKEN = {
    "missing image": (frame_of(file_path="images/gone.png"), "gone.png: the image is missing"),
    "no file_path": (frame_of(file_path=None), '"file_path" is missing'),
    "same image twice": (frame_of(file_path="images/photo_0.png"), '2 frames are called "images_photo_0"'),
    "no matrix": (frame_of(transform_matrix=None), "frame photo_1: transform_matrix is missing"),
    "singular": (frame_of(transform_matrix=SINGULAR), "is singular"),
    "nan": (frame_of(transform_matrix=[[float("nan")] * 4] * 4), "not finite"),
    "words": (frame_of(transform_matrix=[["a"] * 4] * 4), "not a matrix of numbers"),
    "ragged": (frame_of(transform_matrix=[[1, 2], [3]]), "not a matrix of numbers"),
    "scaled": (frame_of(transform_matrix=np.diag([2, 2, 2, 1]).tolist()), "scales by 2"),
    "sheared": (frame_of(transform_matrix=np.diag([1, 1, 1.1, 1]).tolist()), "shears"),
    "mirrored": (frame_of(transform_matrix=np.diag([1, 1, -1, 1]).tolist()), "mirrors"),
    "projective": (frame_of(transform_matrix=np.full((4, 4), 1).tolist()), "last row"),
    "no focal length": (without("fl_x"), '"fl_x" is missing'),
    "focal length of zero": (frame_of(fl_x=0), '"fl_x" is not above 0'),
    "focal length in words": (frame_of(fl_x="long"), '"fl_x" is not a finite number'),
    "f-number below zero": (frame_of(f_number=-1), '"f_number" is not above 0'),
    "another shape": (frame_of(w=320, h=320), "the image has 320 x 240 pixels, the camera 320 x 320"),
    "unknown camera model": (frame_of(camera_model="EQUIRECTANGULAR"), "EQUIRECTANGULAR"),
    "missing mask": (frame_of(mask_path="gone.png"), "mask of frame photo_1 is missing"),
    "no frames": (without("frames"), '"frames" is missing'),
    "empty frames": (lambda content: content.update(frames=[]), '"frames" is empty'),
    "one photo": (lambda content: content.update(frames=content["frames"][:1]), "has one photo"),
    "no points": (lambda content: content.update(ply_file_path="gone.ply"), "point cloud is missing"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_errors_name_the_fault(write_capture, edit_json, case):
    root = write_capture()
    change, message = BROKEN[case]
    edit_json(root / "transforms.json", change)
    with pytest.raises(SolverError) as caught:
        load(root)
    assert message in caught.value.sentence
    assert caught.value.remedy
    assert not (root.parent / "poses").exists()


def test_broken_surroundings(write_capture, tmp_path):
    with pytest.raises(SolverError, match="does not exist"):
        load(tmp_path / "nowhere")
    root = write_capture()
    with pytest.raises(SolverError, match="no sharp image of photo_0"):
        load(root, train_on_sharp=True)
    with pytest.raises(SolverError, match="the folder of masks does not exist"):
        load(root, masks=tmp_path / "nowhere")
    masks = tmp_path / "masks"
    masks.mkdir()
    with pytest.raises(SolverError, match=r"has none for photo_0.png and 2 others"):
        load(root, masks=masks)
    for i in range(3):
        Image.new("L", (100, 100)).save(masks / f"photo_{i}.jpg")
    with pytest.raises(SolverError, match="the mask is 100 x 100 pixels and its photo 320 x 240"):
        load(root, masks=masks)
    (root / "images" / "photo_1.png").write_bytes((root / "images" / "photo_1.png").read_bytes()[:5000])
    with pytest.raises(SolverError, match=r"photo_1.png: the image cannot be decoded"):
        load(root)
    (root / "transforms.json").write_text("{")
    with pytest.raises(SolverError, match="not valid JSON"):
        load(root)


WRONG_VALUES = (None, True, "x", "", -1, 0, 1e308, 2**70, [], {}, [[]], float("nan"), "\0", "../../elsewhere.png")
KNOWN_KEYS = ("k2", "k3", "camera_angle_x", "mask_path", "ply_file_path", "is_fisheye", "applied_scale", "camera_model")


@pytest.mark.parametrize("seed", range(6))
def test_any_values_are_read_or_refused(write_capture, tmp_path, seed):
    """Whatever stands in place of a value, the answer is a capture or a sentence that names the file."""
    root, random = write_capture(unit_mm=2.0, k1=0.01, f_number=4.0), np.random.default_rng(seed)
    whole = (root / "transforms.json").read_text()
    for _ in range(8):
        content = json.loads(whole)
        place = content if random.random() < 0.5 else content["frames"][int(random.integers(3))]
        keys = [*place, *KNOWN_KEYS]
        place[keys[int(random.integers(len(keys)))]] = WRONG_VALUES[int(random.integers(len(WRONG_VALUES)))]
        if "transform_matrix" in place and isinstance(place["transform_matrix"], list) and random.random() < 0.3:
            place["transform_matrix"][int(random.integers(4))] = WRONG_VALUES[int(random.integers(len(WRONG_VALUES)))]
        (root / "transforms.json").write_text(json.dumps(content))
        try:
            assert load_capture(root, poses_folder=tmp_path / "poses", find_points=False).photos
        except SolverError as error:
            assert error.where and "\n" not in str(error)
