# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras from Metashape and RealityScan: numbers derived from known cameras, in the files' own terms, and back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from solver.capture import camera_file, load_capture
from solver.capture.distortion import BrownLens, Distortion
from solver.capture.images import decode, decode_mask
from solver.capture.metashape import read_cameras as read_metashape
from solver.capture.reality_capture import read_cameras as read_reality_capture
from solver.capture.types import Camera
from solver.errors import SolverError
from solver.events import Reporter
from solver.optics.colour import srgb_to_linear

WIDTH, HEIGHT = 320, 240
SCALE, TURN, SHIFT = 0.37, Rotation.from_euler("xyz", [20, -130, 65], degrees=True).as_matrix(), [4.0, -3.0, 2.0]
BROWN = {"k1": -0.12, "k2": 0.03, "k3": -0.01, "k4": 0.004, "p1": 0.002, "p2": -0.0015}
OFFSETS = {"f": 330.0, "cx": 6.5, "cy": -4.25, "b1": 3.0, "b2": -2.0}


def points() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.stack([rng.uniform(-0.5, 0.5, 40), rng.uniform(0.2, 0.9, 40), rng.uniform(0, 0.5, 40)], axis=1)


def text(values) -> str:
    return " ".join(f"{float(value)!r}" for value in np.ravel(values))


def metashape_camera(number: int, label: str, pose: np.ndarray | None, more: str = "") -> str:
    """A camera element: `pose`, world-to-camera, in the component's frame and the other way round."""
    if pose is None:
        return f'<camera id="{number}" sensor_id="0" label="{label}" {more}/>'
    centre = -pose[:3, :3].T @ pose[:3, 3]
    local = np.eye(4)
    local[:3, :3] = TURN.T @ pose[:3, :3].T
    local[:3, 3] = TURN.T @ (centre - SHIFT) / SCALE
    return (
        f'<camera id="{number}" sensor_id="0" component_id="0" label="{label}" {more}>'
        f"<transform>{text(local)}</transform></camera>"
    )


def metashape(cameras: str, calibration: dict | None = None, transform: str | None = None, **change: str) -> str:
    numbers = {**OFFSETS, **BROWN} if calibration is None else calibration
    if transform is None:
        transform = (
            f'<transform><rotation locked="true">{text(TURN)}</rotation><translation locked="true">{text(SHIFT)}'
            f'</translation><scale locked="true">{SCALE!r}</scale></transform>'
        )
    document = f"""<?xml version="1.0" encoding="UTF-8"?>
<document version="1.5.0"><chunk label="Chunk 1" enabled="true">
<sensors next_id="1"><sensor id="0" label="Lens" type="frame">
<resolution width="{WIDTH}" height="{HEIGHT}"/>
<calibration type="frame" class="initial"><f>1</f></calibration>
<calibration type="frame" class="adjusted"><resolution width="{WIDTH}" height="{HEIGHT}"/>
{"".join(f"<{key}>{value!r}</{key}>" for key, value in numbers.items())}</calibration></sensor></sensors>
<components next_id="1" active_id="0"><component id="0" label="Component 1">{transform}</component></components>
<cameras next_id="9" next_group_id="1">{cameras}</cameras></chunk></document>"""
    for old, new in change.items():
        assert old in document
        document = document.replace(old, new)
    return document


@pytest.fixture
def folder(tmp_path: Path, scene) -> Path:
    root = tmp_path / "card"
    (root / "images").mkdir(parents=True)
    for i in range(4):
        Image.fromarray(scene.images[i]).save(root / "images" / f"IMG_{i}.png")
    return root


@pytest.fixture
def write(folder: Path, scene):
    """Writes a file of four cameras as Metashape or RealityScan would; returns its path."""

    def make(kind: str, **options) -> Path:
        if kind == "metashape":
            cameras = "".join(metashape_camera(i, f"IMG_{i}.JPG", scene.poses[i]) for i in range(3))
            cameras += f'<group id="0">{metashape_camera(3, "IMG_3", scene.poses[3])}</group>'
            path = folder / "cameras.xml"
            path.write_text(metashape(options.pop("cameras", cameras), **options))
        else:
            path = folder / "cameras.csv"
            path.write_text(reality_capture(scene, **options))
        return path

    return make


def reality_capture(scene, lens: str = "0.01,-0.02,-0.12,0.03,-0.01,0.004,0.002,-0.0015", count: int = 4) -> str:
    lines = ["#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"]
    for i in range(count):
        pose = scene.poses[i]
        opengl = pose[:3, :3].T @ np.diag([1.0, -1.0, -1.0])
        first, pitch, roll = Rotation.from_matrix(opengl).as_euler("ZXY", degrees=True)
        centre = -pose[:3, :3].T @ pose[:3, 3]
        numbers = [*centre, -first, pitch, roll, 330 / WIDTH * 36]
        lines.append(",".join([f"IMG_{i}.png", *(repr(float(number)) for number in numbers), lens]))
    return "\n".join(lines) + "\n"


def project(frame, world: np.ndarray) -> np.ndarray:
    """Pixels, [P, 2], of the photo as it came."""
    local = world @ frame.world_to_camera[:3, :3].T + frame.world_to_camera[:3, 3]
    bent = frame.distortion.apply(local[:, :2] / local[:, 2:])
    return bent * [frame.camera.fx, frame.camera.fy] + [frame.camera.cx, frame.camera.cy]


def test_metashape_projects_as_its_manual_says(write, scene):
    file = read_metashape(write("metashape"))
    assert [frame.name for frame in file.frames] == ["IMG_0", "IMG_1", "IMG_2", "IMG_3"]
    assert file.unit_mm == 1000
    assert not file.unregistered
    k1, k2, k3, k4, p1, p2 = BROWN.values()
    for frame, pose in zip(file.frames, scene.poses, strict=False):
        local = points() @ pose[:3, :3].T + pose[:3, 3]
        x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
        r = np.hypot(x, y)
        radial = 1 + k1 * r**2 + k2 * r**4 + k3 * r**6 + k4 * r**8
        x_bent = x * radial + p1 * (r**2 + 2 * x**2) + 2 * p2 * x * y
        y_bent = y * radial + p2 * (r**2 + 2 * y**2) + 2 * p1 * x * y
        u = WIDTH * 0.5 + OFFSETS["cx"] + x_bent * (OFFSETS["f"] + OFFSETS["b1"]) + y_bent * OFFSETS["b2"]
        v = HEIGHT * 0.5 + OFFSETS["cy"] + y_bent * OFFSETS["f"]
        np.testing.assert_allclose(project(frame, points()), np.stack([u, v], axis=1), atol=1e-6)


def test_reality_capture_projects_as_its_support_pages_say(write, scene):
    file = read_reality_capture(write("reality"))
    assert [frame.name for frame in file.frames] == ["IMG_0", "IMG_1", "IMG_2", "IMG_3"]
    assert file.unit_mm is None
    for frame, pose in zip(file.frames, scene.poses, strict=False):
        local = points() @ pose[:3, :3].T + pose[:3, 3]
        x, y = local[:, 0] / local[:, 2], local[:, 1] / local[:, 2]
        r2 = x**2 + y**2
        radial = 1 - 0.12 * r2 + 0.03 * r2**2 - 0.01 * r2**3 + 0.004 * r2**4
        t1, t2 = 0.002, -0.0015
        x_bent = x * radial + t1 * (r2 + 2 * x**2) + 2 * t2 * x * y
        y_bent = y * radial + t2 * (r2 + 2 * y**2) + 2 * t1 * x * y
        # Image coordinates run from -0.5 to 0.5 along the longer side.
        u = (330 / WIDTH * x_bent + 0.01) * WIDTH + WIDTH / 2
        v = (330 / WIDTH * y_bent - 0.02) * WIDTH + HEIGHT / 2
        np.testing.assert_allclose(project(frame, points()), np.stack([u, v], axis=1), atol=1e-6)


def test_heading_pitch_and_roll_are_those_that_its_own_xmp_files_mean(folder):
    """Numbers that a user of RealityCapture exported both ways (forum thread 710449 of its maker)."""
    rotation = [
        [0.982594073038806, 0.185426733553445, -0.0112166890261935],
        [-0.032113633044729, 0.11008102707942, -0.993403685341366],
        [-0.18296885582437, 0.976472781986697, 0.114],  # cut short there
    ]
    path = folder / "one.csv"
    header = "#name,x,y,alt,heading,pitch,roll,f\n"
    path.write_text(f"{header}IMG_0.png,1,2,3,163.736597399311,83.4154313461628,174.386496244756,50\n")
    (frame,) = read_reality_capture(path).frames
    np.testing.assert_allclose(frame.world_to_camera[:3, :3], rotation, atol=2e-4)
    np.testing.assert_allclose(frame.world_to_camera[:2, :3], rotation[:2], atol=1e-12)
    np.testing.assert_allclose(frame.world_to_camera @ [1, 2, 3, 1], [0, 0, 0, 1], atol=1e-12)
    assert not frame.distortion


@pytest.mark.parametrize("kind", ["metashape", "reality"])
@pytest.mark.parametrize("by_file", [False, True])
def test_a_capture_of_undistorted_photos(write, folder, scene, tmp_path, kind, by_file):
    path = write(kind)
    (folder / "masks").mkdir()
    Image.new("L", (WIDTH, HEIGHT), 255).save(folder / "masks" / "IMG_1.png")
    reporter = Reporter()
    capture = load_capture(
        path if by_file else folder, poses_folder=tmp_path / "poses", find_points=False, reporter=reporter
    )
    assert len(capture.photos) == 4
    assert capture.unit_mm == (1000 if kind == "metashape" else None)
    assert (capture.scale.source if capture.scale else None) == ("file" if kind == "metashape" else None)
    assert capture.photos[1].mask_path == tmp_path / "poses" / "masks" / "IMG_1.png"
    frames = (read_metashape if kind == "metashape" else read_reality_capture)(path).frames
    for photo, frame in zip(capture.photos, frames, strict=True):
        pixels, _, inside = photo.project(points())
        straight = photo.lens.straighten(project(frame, points()[inside]))
        np.testing.assert_allclose(straight, pixels[inside], atol=1e-6)
        assert inside.sum() > 10
        assert Image.open(photo.image_path).size == (photo.camera.width, photo.camera.height)
    assert not reporter.warnings


def test_photos_elsewhere_and_reduced(write, folder, scene, tmp_path):
    path = write("metashape", calibration={"f": 330.0})
    (folder / "images").rename(tmp_path / "small")
    with pytest.raises(SolverError, match=r"none of the photos it names is there .* --photos"):
        read_metashape(path)
    for i in range(4):
        Image.fromarray(scene.images[i]).resize((160, 120)).save(tmp_path / "small" / f"IMG_{i}.png")
    file = read_metashape(path, photos=tmp_path / "small")
    assert file.frames[0].camera == Camera(160, 120, 165.0, 165.0, 80.0, 60.0)
    Image.fromarray(scene.images[0]).resize((120, 160)).save(tmp_path / "small" / "IMG_0.png")
    with pytest.raises(SolverError, match="the photo has 120 x 160 pixels, its camera 320 x 240"):
        read_metashape(path, photos=tmp_path / "small")
    with pytest.raises(SolverError, match="the folder of photos does not exist"):
        read_metashape(path, photos=tmp_path / "nowhere")


@pytest.mark.parametrize("calibration", [{"f": 330.0}, None])
def test_metashapes_cameras_are_of_the_pixels_as_stored(write, folder, scene, tmp_path, calibration):
    write("metashape", calibration=calibration)
    expected = load_capture(folder, poses_folder=tmp_path / "poses", find_points=False)
    shown = [decode(photo.image_path).astype(int) for photo in expected.photos]
    (folder / "masks").mkdir()
    for i, orientation in enumerate((3, 6, 8)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(scene.images[i]).save(folder / "images" / f"IMG_{i}.png", exif=exif)
    mask = Image.new("L", (WIDTH, HEIGHT))
    mask.paste(255, (0, 0, WIDTH // 2, HEIGHT))
    mask.save(folder / "masks" / "IMG_0.png")
    mask.transpose(Image.Transpose.ROTATE_270).save(folder / "masks" / "IMG_1.png")  # as the photo is seen
    found = load_capture(folder, poses_folder=tmp_path / "poses", find_points=False)
    for photo, before, pixels in zip(found.photos, expected.photos, shown, strict=True):
        assert photo.camera == before.camera
        np.testing.assert_allclose(photo.world_to_camera, before.world_to_camera, atol=1e-9)
        np.testing.assert_allclose(decode(photo.image_path).astype(int), pixels, atol=1)
    for photo in found.photos[:2]:
        seen = decode_mask(photo.mask_path)
        assert (seen[:, : WIDTH // 2 - 20] == 255).all()
        assert (seen[:, WIDTH // 2 + 20 :] == 0).all()


def test_portraits_of_raw_photos_have_metashapes_cameras(write, folder, scene, tmp_path, write_dng):
    """Whose pixels are those of the sensor as it lay."""
    write("metashape", calibration={"f": 330.0})
    for i, orientation in enumerate((1, 3, 6, 8)):
        (folder / "images" / f"IMG_{i}.png").unlink()
        write_dng(folder / "images" / f"IMG_{i}.dng", srgb_to_linear(scene.images[i] / 255), orientation=orientation)
    found = load_capture(folder, poses_folder=tmp_path / "poses", find_points=False)
    assert len(found.photos) == 4
    for i, photo in enumerate(found.photos):
        assert (photo.camera.width, photo.camera.height) == (WIDTH, HEIGHT)
        np.testing.assert_allclose(photo.world_to_camera, scene.poses[i], atol=1e-9)
        difference = decode(photo.image_path).astype(int) - scene.images[i]
        assert np.abs(difference[4:-4, 4:-4]).mean() < 12


@pytest.mark.parametrize("kind", ["metashape", "reality_capture"])
def test_a_broken_photo_is_left_out_and_told(write, folder, tmp_path, kind):
    """Its header says nothing, where the size is asked for before all photos are checked."""
    write(kind)
    (folder / "images" / "IMG_2.png").write_bytes(b"\x89PNG no picture")
    found = load_capture(folder, poses_folder=tmp_path / "poses", find_points=False)
    assert [photo.name for photo in found.photos] == ["IMG_0", "IMG_1", "IMG_3"]
    assert [(photo.name, "cannot be decoded" in photo.reason) for photo in found.unregistered] == [("IMG_2", True)]
    for i in range(4):
        (folder / "images" / f"IMG_{i}.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(SolverError, match="cannot be decoded"):
        load_capture(folder, poses_folder=tmp_path / "poses", find_points=False)


def test_what_was_not_aligned_is_told(write, folder, scene):
    cameras = "".join(metashape_camera(i, f"IMG_{i}.png", scene.poses[i]) for i in range(2))
    cameras += metashape_camera(2, "IMG_2.png", None) + metashape_camera(3, "IMG_3.png", scene.poses[3], 'enabled="0"')
    cameras += metashape_camera(4, "IMG_4.png", scene.poses[4])
    file = read_metashape(write("metashape", cameras=cameras))
    assert [frame.name for frame in file.frames] == ["IMG_0", "IMG_1"]
    assert [(photo.name, photo.reason) for photo in file.unregistered] == [
        ("IMG_2", "not aligned in Metashape"),
        ("IMG_3", "disabled in Metashape"),
        ("IMG_4", "its photo is missing"),
    ]
    csv = write("reality", count=3)
    assert [(photo.name, photo.reason) for photo in read_reality_capture(csv).unregistered] == [
        ("IMG_3", "not in cameras.csv, so not aligned")
    ]


def test_a_component_aligned_apart_is_left_out_unless_both_are_in_metres(write, scene):
    cameras = "".join(metashape_camera(i, f"IMG_{i}.png", scene.poses[i]) for i in range(3))
    cameras += metashape_camera(3, "IMG_3.png", scene.poses[3]).replace('component_id="0"', 'component_id="1"')
    path = write("metashape", cameras=cameras, transform="")
    file = read_metashape(path)
    assert len(file.frames) == 3
    assert file.unit_mm is None
    assert [photo.reason for photo in file.unregistered] == ["aligned in another component than most"]
    path = write("metashape", cameras=cameras)
    content = path.read_text()
    start, end = content.index("<component id"), content.index("</components>")
    second = content[start:end].replace('id="0"', 'id="1"')
    path.write_text(content[:end] + second + content[end:])
    assert len(read_metashape(path).frames) == 4


def test_the_chunks_own_transform_holds_in_older_files(write, scene):
    path = write("metashape")
    content = path.read_text()
    start, end = content.index("<components"), content.index("</components>") + len("</components>")
    transform = content[content.index("<transform>") : content.index("</transform>") + len("</transform>")]
    path.write_text((content[:start] + transform + content[end:]).replace('component_id="0"', ""))
    for frame, pose in zip(read_metashape(path).frames, scene.poses, strict=False):
        np.testing.assert_allclose(frame.world_to_camera, pose, atol=1e-9)


def test_cameras_on_the_globe_are_brought_near(write, folder, scene, tmp_path):
    transform = (
        f"<transform><translation>-2499366.4 -4256836.5 4029217.9</translation><scale>{SCALE}</scale></transform>"
    )
    write("metashape", calibration={"f": 330.0}, transform=transform)
    reporter = Reporter()
    capture = load_capture(folder, poses_folder=tmp_path / "poses", find_points=False, reporter=reporter)
    assert np.abs([photo.centre for photo in capture.photos]).max() < 10
    assert "-24993" in reporter.warnings[0]
    relative = capture.photos[0].world_to_camera[:3, :3] @ capture.photos[1].world_to_camera[:3, :3].T
    np.testing.assert_allclose(relative, scene.poses[0][:3, :3] @ scene.poses[1][:3, :3].T, atol=1e-9)


def test_files_of_another_kind_are_passed_over_and_two_are_too_many(write, folder, tmp_path):
    (folder / "notes.csv").write_text("name,price\nbolt,3\n")
    (folder / "layout.xml").write_text("<svg/>")
    (folder / "broken.csv").write_bytes(b"\xff\xfe\x00")
    write("metashape")
    options = {"poses_folder": tmp_path / "poses", "find_points": False}
    assert len(load_capture(folder, **options).photos) == 4
    write("reality")
    with pytest.raises(SolverError, match=r"2 files of cameras \(cameras.csv, cameras.xml\)"):
        load_capture(folder, **options)
    with pytest.raises(SolverError, match="a file of no known kind"):
        load_capture(folder / "images" / "IMG_0.png", **options)
    with pytest.raises(SolverError, match="no file of cameras to go with --photos"):
        load_capture(folder / "images", photos=folder, **options)


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><document'
BROKEN_XML = {
    "entities": ({"<document": LAUGHS}, "not valid XML \\(document type\\)"),
    "truncated": ({"</chunk></document>": ""}, "not valid XML"),
    "another document": ({"<chunk": "<piece", "</chunk>": "</piece>"}, "has no cameras of Metashape"),
    "no encoding": ({'encoding="UTF-8"': 'encoding="NONSENSE"'}, "not valid XML"),
    "fisheye": (
        {'calibration type="frame" class="adjusted"': 'calibration type="fisheye" class="adjusted"'},
        "fisheye",
    ),
    "no focal length": ({"<f>330.0</f>": "<f>0</f>"}, "focal length is missing or not above 0"),
    "not a number": ({"<k1>-0.12</k1>": "<k1>nan</k1>"}, "1 finite numbers"),
    "words": ({"<k1>-0.12</k1>": "<k1>much</k1>"}, "1 finite numbers"),
    "p3": ({"<p1>0.002</p1>": "<p1>0.002</p1><p3>0.1</p3>"}, "has p3 or p4"),
    "no size": ({f'<resolution width="{WIDTH}" height="{HEIGHT}"/>': ""}, "resolution is missing or wrong"),
    "huge size": ({f'width="{WIDTH}"': 'width="99999999999"'}, "resolution is missing or wrong"),
    "no sensor": ({'sensor_id="0"': 'sensor_id="7"'}, "its sensor is missing"),
    "negative scale": ({f"{SCALE!r}</scale>": "-1</scale>"}, "scale is not above 0"),
    "short rotation": ({f">{text(TURN)}<": ">1 0 0<"}, "9 finite numbers"),
    "no rotation": ({f">{text(TURN)}<": ">1 0 0 0 1 0 0 0 -1<"}, "no rotation"),
    "two of one name": ({"IMG_1.JPG": "IMG_0.JPG"}, 'two cameras are called "IMG_0.JPG"'),
    "one photo twice": ({"IMG_1.JPG": "IMG_0.PNG"}, "2 cameras name the photo IMG_0.png"),
    "no label": ({'label="IMG_1.JPG"': 'label=""'}, "a camera has no label"),
    "folded": ({"<k1>-0.12</k1>": "<k1>-9.0</k1>"}, None),
}


@pytest.mark.parametrize("case", BROKEN_XML)
def test_broken_metashape_files(write, case):
    change, message = BROKEN_XML[case]
    path = write("metashape", **change)
    if message is None:
        frame = read_metashape(path).frames[0]
        with pytest.raises(SolverError, match="the lens distortion folds the photo"):
            _ = BrownLens(frame.camera, frame.distortion).straight
        return
    with pytest.raises(SolverError, match=message) as caught:
        read_metashape(path)
    assert str(path) in caught.value.where
    assert caught.value.remedy


HEADER = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"
BROKEN_CSV = {
    "no header": ((HEADER, "1,2,3"), "no line of column names"),
    "no column": (("alt,", ""), 'the column "alt" is missing'),
    "short row": (("0.002,-0.0015", ""), "is incomplete"),
    "words": (("-0.12", "much"), '"k1" is not a finite number'),
    "infinite": (("-0.12", "inf"), '"k1" is not a finite number'),
    "no focal length": (("37.125", "0"), "focal length is not above 0"),
    "same name": (("IMG_1.png", "IMG_0.png"), 'two rows are called "IMG_0.png"'),
    "no name": (("IMG_1.png", ""), "a row has no name"),
}


@pytest.mark.parametrize("case", BROKEN_CSV)
def test_broken_reality_capture_files(write, case):
    (old, new), message = BROKEN_CSV[case]
    path = write("reality")
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(SolverError, match=message) as caught:
        read_reality_capture(path)
    assert str(path) in caught.value.where
    assert caught.value.remedy


def test_unreadable_files(write, folder, monkeypatch):
    path = write("reality")
    path.write_bytes(b"\xff\xfe\xfd" * 100)
    with pytest.raises(SolverError, match="is not text"):
        read_reality_capture(path)
    path.write_text(HEADER + "\n")
    with pytest.raises(SolverError, match="has no cameras"):
        read_reality_capture(path)
    with pytest.raises(SolverError, match="is missing"):
        read_metashape(folder / "gone.xml")
    monkeypatch.setattr(camera_file, "LARGEST_FILE", 100)
    with pytest.raises(SolverError, match="larger than any camera file"):
        read_metashape(write("metashape"))


def test_a_name_that_fits_two_photos_is_refused(write, folder, scene):
    Image.fromarray(scene.images[0]).save(folder / "images" / "IMG_0.tif")
    with pytest.raises(SolverError, match=r'"IMG_0.JPG" of cameras.xml could be IMG_0.png and IMG_0.tif'):
        read_metashape(write("metashape"))


@pytest.mark.parametrize("seed", range(20))
def test_mutated_files_are_read_or_refused(write, seed):
    """Whatever bytes change, the answer is cameras or a sentence."""
    rng = np.random.default_rng(seed)
    for kind, read in (("metashape", read_metashape), ("reality", read_reality_capture)):
        path = write(kind)
        content = bytearray(path.read_bytes())
        for _ in range(5):
            at = int(rng.integers(len(content)))
            if rng.random() < 0.5:
                content[at] = int(rng.integers(256))
            else:
                del content[at : at + int(rng.integers(1, 40))]
        path.write_bytes(bytes(content))
        try:
            assert read(path).frames
        except SolverError as error:
            assert error.where


@pytest.mark.parametrize("seed", range(10))
def test_distortion_is_undone(seed):
    rng = np.random.default_rng(seed)
    strength = np.array([0.2, 0.05, 0.02, 0.01, 0.005, 0.005, 0.01])
    distortion = Distortion(*(rng.uniform(-1, 1, 7) * strength).tolist())
    straight = rng.uniform(-0.45, 0.45, (200, 2))
    np.testing.assert_allclose(distortion.remove(distortion.apply(straight)), straight, atol=1e-9)
    lens = BrownLens(Camera(WIDTH, HEIGHT, 350.0, 340.0, 165.0, 118.0), distortion)
    pixels = rng.uniform(0, [lens.straight.width, lens.straight.height], (200, 2))
    there = lens.distort(pixels)
    np.testing.assert_allclose(lens.straighten(there), pixels, atol=1e-6)
    assert (there > -0.01).all()
    assert (there < [WIDTH + 0.01, HEIGHT + 0.01]).all()  # filled to the last pixel
