# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pycolmap
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from solver.capture import load_capture
from solver.capture.images import decode, decode_mask
from solver.errors import SolverError
from solver.events import Reporter

TILT = Rotation.from_euler("xyz", [100, 40, -30], degrees=True).as_matrix()  # of the model's world
SHIFT = np.array([3.0, -2.0, 5.0])


def build(scene, count, model="OPENCV", points=60):
    """A COLMAP model of the scene's first `count` photos in a world that is turned and moved."""
    camera = scene.camera
    extra = {"PINHOLE": [], "OPENCV": [-0.1, 0.01, 0.001, -0.001]}[model]
    distorted = pycolmap.Camera(
        model=model,
        width=camera.width,
        height=camera.height,
        params=[camera.fx, camera.fy, camera.cx, camera.cy, *extra],
        camera_id=1,
    )
    rng = np.random.default_rng(0)
    positions = np.stack([rng.uniform(-0.3, 0.3, points), rng.uniform(0.2, 0.9, points), np.zeros(points)], axis=1)
    result = pycolmap.Reconstruction()
    result.add_camera_with_trivial_rig(distorted)
    for i in range(count):
        seen = positions @ scene.poses[i][:3, :3].T + scene.poses[i][:3, 3]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = TILT, SHIFT
        pixels = distorted.img_from_cam(seen)
        image = pycolmap.Image(name=f"photo_{i}.png", keypoints=pixels, camera_id=1, image_id=i + 1)
        pose = scene.poses[i] @ np.linalg.inv(pose)
        result.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]))
    for j, position in enumerate(positions):
        track = pycolmap.Track([pycolmap.TrackElement(i + 1, j) for i in range(count)])
        result.add_point3D(TILT @ position + SHIFT, track, np.array([10, 20, 30], np.uint8))
    return result, positions


@pytest.fixture
def write(tmp_path, scene):
    """Writes images, masks and models; the largest model is not the first."""

    def make(model="OPENCV", text=False):
        for folder in ("images", "masks", "sparse/0", "sparse/1"):
            (tmp_path / "capture" / folder).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(scene.images[i]).save(tmp_path / "capture" / "images" / f"photo_{i}.png")
            mask = Image.new("L", (320, 240))
            mask.paste(255, (0, 0, 160, 240))
            mask.save(tmp_path / "capture" / "masks" / f"photo_{i}.png")
        for folder, count in (("0", 2), ("1", 4)):
            content, _ = build(scene, count, model)
            target = str(tmp_path / "capture" / "sparse" / folder)
            content.write_text(target) if text else content.write_binary(target)
        return tmp_path / "capture"

    return make


def load(path, **options):
    return load_capture(path, poses_folder=path.parent / "result" / "poses", **options)


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("model", ["PINHOLE", "OPENCV"])
def test_a_model_becomes_an_upright_capture(write, scene, model, text):
    root = write(model, text)
    capture = load(root)
    assert [photo.name for photo in capture.photos] == ["photo_0", "photo_1", "photo_2", "photo_3"]
    poses = np.array([photo.world_to_camera for photo in capture.photos])
    np.testing.assert_allclose(capture.points.positions[:, 2], 0, atol=1e-9)  # all points are on the floor
    assert all(photo.centre[2] > 0 for photo in capture.photos)
    np.testing.assert_allclose(np.median(capture.points.positions, axis=0), 0, atol=1e-9)
    # The scale and the cameras' relative poses are as they were.
    relative = poses[1] @ np.linalg.inv(poses[0])
    np.testing.assert_allclose(relative, scene.poses[1] @ np.linalg.inv(scene.poses[0]), atol=1e-9)
    assert capture.reprojection_error_px < 1e-3
    assert {name: len(seen) for name, seen in capture.points.seen_by.items()} == {f"photo_{i}": 60 for i in range(4)}
    assert (capture.points.colours == [10, 20, 30]).all()
    for photo in capture.photos:
        assert photo.image_path.parent.name == "images"
        assert Image.open(photo.image_path).size == (photo.camera.width, photo.camera.height)
        mask = np.asarray(Image.open(photo.mask_path))
        assert mask.shape == (photo.camera.height, photo.camera.width)
        assert (mask[:, :140] == 255).all()
        assert (mask[:, -140:] == 0).all()
    if model == "PINHOLE":
        assert capture.photos[0].camera == scene.camera
        assert not (root.parent / "result").exists()
    else:
        kept = load(root)  # from the folder it left
        np.testing.assert_allclose(kept.photos[2].world_to_camera, poses[2], atol=1e-9)


def test_a_model_is_left_alone_where_asked(write):
    root = write("PINHOLE")
    photo = load(root, upright="never").photos[0]
    stored = pycolmap.Reconstruction(str(root / "sparse" / "1")).image(1).cam_from_world().matrix()
    np.testing.assert_allclose(photo.world_to_camera[:3], stored, atol=1e-12)


def test_photos_elsewhere(write, tmp_path):
    root = write("PINHOLE")
    (root / "images").rename(tmp_path / "card")
    with pytest.raises(SolverError, match="an image of the COLMAP model is missing"):
        load(root)
    assert load(root, photos=tmp_path / "card").photos[0].image_path == tmp_path / "card" / "photo_0.png"


def test_a_model_without_observations(write):
    """As RealityScan's export for COLMAP can have it: poses, and no points seen in images."""
    root = write("PINHOLE", text=True)
    images = root / "sparse" / "1" / "images.txt"
    lines = [line for line in images.read_text().splitlines() if not line.startswith("#")]
    images.write_text("".join(f"{line}\n\n" for line in lines[::2]))
    (root / "sparse" / "1" / "points3D.txt").write_text("1 0.1 0.2 0.3 9 8 7 0.5\n")
    capture = load(root, find_points=False)
    assert len(capture.photos) == 4
    assert len(capture.points.positions) == 1
    assert capture.points.colours.tolist() == [[9, 8, 7]]


def test_undistorted_pixels_show_what_the_pinhole_camera_sees(write, scene, render_scene):
    root = write("OPENCV")
    camera = build(scene, 1)[0].camera(1)
    pixels = np.stack(np.meshgrid(np.arange(320) + 0.5, np.arange(240) + 0.5), axis=-1)
    straight = camera.cam_from_img(pixels.reshape(-1, 2)).reshape(240, 320, 2)
    through = straight * scene.camera.fx + [scene.camera.cx, scene.camera.cy]
    Image.fromarray(render_scene(scene.camera, scene.poses[0], through)).save(root / "images" / "photo_0.png")
    photo = load(root).photos[0]
    expected = render_scene(photo.camera, scene.poses[0]).astype(float)
    shown = np.asarray(Image.open(photo.image_path)).astype(float)
    inner = (slice(10, -10), slice(10, -10))
    error = np.abs(shown - expected)[inner].mean()
    shifted = np.abs(shown - np.roll(expected, 1, axis=1))[inner].mean()
    assert error < 0.3 * shifted  # far better than half a pixel off


@pytest.mark.parametrize("model", ["PINHOLE", "OPENCV"])
def test_poses_are_of_the_pixels_as_stored(write, scene, model):
    """COLMAP leaves EXIF's orientation out, so the photos that are trained on have to, and their masks with them."""
    root = write(model)
    expected = load(root)
    shown = [np.asarray(Image.open(photo.image_path)).astype(int) for photo in expected.photos]
    for i, orientation in enumerate((3, 6, 8, 3)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(scene.images[i]).save(root / "images" / f"photo_{i}.png", exif=exif)
        mask = Image.open(root / "masks" / f"photo_{i}.png")
        if i == 1:  # as the photo is seen, painted by hand
            mask = mask.transpose(Image.Transpose.ROTATE_270)
        # One that has the photo's orientation of its own; the others are as stored.
        mask.save(root / "masks" / f"photo_{i}.png", **({"exif": exif} if i == 3 else {}))
    found = load(root)
    assert [photo.camera for photo in found.photos] == [photo.camera for photo in expected.photos]
    for photo, before, pixels in zip(found.photos, expected.photos, shown, strict=True):
        np.testing.assert_allclose(photo.world_to_camera, before.world_to_camera, atol=1e-9)
        np.testing.assert_allclose(decode(photo.image_path).astype(int), pixels, atol=1)
        mask = decode_mask(photo.mask_path)
        assert mask.shape == (photo.camera.height, photo.camera.width)
        assert (mask[:, :140] == 255).all()
        assert (mask[:, -140:] == 0).all()


def test_a_model_of_photos_that_were_turned_first_is_told_by_its_size(write, scene):
    root = write("PINHOLE")
    for i in range(4):
        exif = Image.Exif()
        exif[0x0112] = 6
        stored = Image.fromarray(scene.images[i]).transpose(Image.Transpose.ROTATE_90)
        stored.save(root / "images" / f"photo_{i}.png", exif=exif)
    photo = load(root).photos[2]
    assert photo.image_path == root / "images" / "photo_2.png"
    np.testing.assert_array_equal(decode(photo.image_path), scene.images[2])


@pytest.mark.parametrize("file", ["cameras", "images", "points3D"])
def test_damaged_models_are_refused(write, file):
    root = write()
    for path in (root / "sparse").iterdir():
        content = (path / f"{file}.bin").read_bytes()
        broken = (content[:-1], content[: len(content) // 2], content[:20], b"", b"\xff" * len(content), None)
        for data in broken:
            if data is None:
                (path / f"{file}.bin").unlink()
            else:
                (path / f"{file}.bin").write_bytes(data)
            with pytest.raises(SolverError, match="the COLMAP model is damaged or incomplete"):
                load(root)
        (path / f"{file}.bin").write_bytes(content)
    load(root)


def test_damaged_text_models_are_refused(write):
    root = write(text=True)
    for name in ("cameras", "images", "points3D"):
        file = root / "sparse" / "1" / f"{name}.txt"
        content = file.read_text()
        file.write_text("nonsense\n")
        with pytest.raises(SolverError, match="the COLMAP model is damaged or incomplete"):
            load(root)
        file.write_text(content)


@pytest.mark.parametrize("text", [False, True])
def test_a_name_in_another_encoding_is_told(write, text):
    root = write(text=text)
    images = root / "sparse" / "1" / ("images.txt" if text else "images.bin")
    images.write_bytes(images.read_bytes().replace(b"photo_2", b"ph\xf6to_2"))
    with pytest.raises(SolverError, match="has a name that is no text in UTF-8") as caught:
        load(root)
    assert caught.value.where == str(root / "sparse" / "1")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_mutated_models_are_read_or_refused(write, name, text):
    """Whatever bytes change, the answer is a capture or a sentence."""
    root, random = write("PINHOLE", text), np.random.default_rng(0)
    file = root / "sparse" / "1" / f"{name}{'.txt' if text else '.bin'}"
    whole, answers = file.read_bytes(), set()
    for _ in range(12):
        content = bytearray(whole)
        at = int(random.integers(len(content)))
        if random.random() < 0.7:
            content[at] ^= int(random.integers(1, 256))
        else:
            del content[at : at + int(random.integers(1, 30))]
        file.write_bytes(bytes(content))
        try:
            answers.add(len(load(root, find_points=False).photos))
        except SolverError as error:
            assert error.where and "\n" not in str(error)
            answers.add(0)
    assert 0 in answers


def test_panoramic_cameras_are_refused(write):
    root = write("PINHOLE", text=True)
    cameras = root / "sparse" / "1" / "cameras.txt"
    cameras.write_text("1 EQUIRECTANGULAR 320 240 320 240\n")
    with pytest.raises(SolverError, match="a camera of kind EQUIRECTANGULAR"):
        load(root)


@pytest.mark.parametrize("model", ["PINHOLE", "OPENCV"])
def test_a_missing_or_broken_image_is_left_out(write, model):
    root = write(model)
    before = load(root)
    image = root / "images" / "photo_2.png"
    content = image.read_bytes()
    image.unlink()
    reporter = Reporter()
    capture = load(root, reporter=reporter)
    assert [photo.name for photo in capture.photos] == ["photo_0", "photo_1", "photo_3"]
    assert [(photo.name, photo.reason) for photo in capture.unregistered] == [("photo_2", "its photo is missing")]
    assert "photo_2" not in capture.points.seen_by
    assert not reporter.warnings
    image.write_bytes(content[: len(content) // 2])
    capture = load(root, reporter=reporter)
    assert [photo.name for photo in capture.photos] == ["photo_0", "photo_1", "photo_3"]
    assert [warning.endswith("it was left out") for warning in reporter.warnings] == [True]
    image.unlink()
    (root / "images").rename(root / "photos")
    (root / "photos" / "photo_0.png").rename(root / "photo.png")  # the first
    with pytest.raises(SolverError, match="an image of the COLMAP model is missing, and 1 more images"):
        load(root)
    (root / "photo.png").rename(root / "photos" / "photo_0.png")
    (root / "photos").rename(root / "images")
    image.write_bytes(content[: len(content) // 2])
    (root / "images" / "photo_1.png").write_bytes(b"")
    with pytest.raises(SolverError, match="the image cannot be decoded"):
        load(root)
    (root / "images" / "photo_1.png").unlink()
    image.unlink()
    with pytest.raises(SolverError, match=r"photo_1.png: an image of the COLMAP model is missing, and 1 more"):
        load(root)
    assert len(before.photos) == 4


def test_images_and_masks_of_wrong_sizes(write):
    root = write("PINHOLE")
    Image.new("RGB", (100, 100)).save(root / "images" / "photo_2.png")
    with pytest.raises(SolverError, match=r"photo_2.png"):
        load(root)
    for mask in (root / "masks").iterdir():
        mask.unlink()
    with pytest.raises(SolverError, match="the image is 100 x 100 pixels, its camera 320 x 240"):
        load(root)
