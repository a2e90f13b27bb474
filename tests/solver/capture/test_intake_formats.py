# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw and HEIC photos, 16 bits, and other colour spaces than sRGB."""

import io
import struct
import zlib
from datetime import datetime

import cv2
import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, ImageCms

from solver.capture.colour_profiles import matrix_profile, to_srgb
from solver.capture.exif import read_exif
from solver.capture.images import check_image, decode, eight_bits, image_size, load_photo, orientation_of
from solver.capture.photos import find_photos
from solver.capture.types import Camera, Photo
from solver.errors import SolverError
from solver.events import Reporter
from solver.optics.colour import linear_to_srgb, srgb_to_linear


def test_sixteen_bits_are_rounded_to_eight():
    deep = np.arange(65536)
    for kind in (np.uint16, np.int32):
        np.testing.assert_array_equal(eight_bits(deep.astype(kind)), np.rint(deep / 257))
    shallow = np.arange(256, dtype=np.uint8)
    assert eight_bits(shallow) is shallow


# raw


@pytest.fixture
def patches():
    """Linear sRGB, [64, 96, 3]: grey above, a colour below, no pixel as bright as white."""
    linear = np.full((64, 96, 3), (0.25, 0.5, 0.125))
    linear[:24] = 0.6
    return linear


def test_raw_is_linear_white_and_not_brightened(tmp_path, write_dng, patches):
    path = write_dng(tmp_path / "p.dng", patches)
    check_image(path)
    pixels = decode(path)
    assert pixels.dtype == np.uint16
    assert image_size(path) == (96, 64) == pixels.shape[1::-1]
    np.testing.assert_allclose(srgb_to_linear(pixels[10, 40] / 65535), 0.6, atol=1e-3)
    np.testing.assert_allclose(srgb_to_linear(pixels[50, 40] / 65535), (0.25, 0.5, 0.125), atol=1e-3)
    photo = Photo("p", path, Camera(96, 64, 1, 1, 48, 32), np.eye(4))
    np.testing.assert_allclose(load_photo(photo, 24, 16)[13, 10], (0.25, 0.5, 0.125), atol=1e-3)
    # Of the same scene in half the light, half the light: no photo is brightened by what it shows.
    dim = decode(write_dng(tmp_path / "q.dng", patches / 2))
    np.testing.assert_allclose(srgb_to_linear(dim[50, 40] / 65535), (0.125, 0.25, 0.0625), atol=1e-3)


def test_raw_at_half_its_size(tmp_path, write_dng, patches):
    path = write_dng(tmp_path / "p.dng", patches, orientation=6)
    half = decode(path, at_least=48)
    assert half.shape == (48, 32, 3)
    np.testing.assert_allclose(srgb_to_linear(half[20, 5] / 65535), (0.25, 0.5, 0.125), atol=1e-3)
    assert decode(path, at_least=49).shape == (96, 64, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_raw_as_the_sensor_lay(tmp_path, write_dng, patches, orientation):
    """Upright and as stored differ by EXIF's orientation, as those of a PNG do."""
    path = write_dng(tmp_path / "p.dng", patches, orientation=orientation)
    flat = decode(write_dng(tmp_path / "flat.dng", patches))
    stored = decode(path, upright=False)
    np.testing.assert_array_equal(stored, flat)
    assert image_size(path, upright=False) == stored.shape[1::-1]
    assert orientation_of(path) == orientation
    turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]  # anticlockwise by a quarter
    inner = np.s_[4:-4, 4:-4]  # the rim is demosaiced otherwise
    np.testing.assert_allclose(decode(path)[inner] / 65535, np.rot90(stored, turns)[inner] / 65535, atol=0.02)


def test_raw_photos_of_a_folder_have_the_white_balance_of_the_first(tmp_path, write_dng, patches):
    write_dng(tmp_path / "b.dng", patches)
    second = write_dng(tmp_path / "c.dng", patches)
    alone = decode(second)
    # The camera took the same light for another in c, as automatic white balance does.
    content = second.read_bytes()
    neutral = struct.pack("<6I", 5000, 10_000, 10_000, 10_000, 7000, 10_000)
    assert content.count(neutral) == 1
    second.write_bytes(content.replace(neutral, struct.pack("<6I", 8000, 10_000, 10_000, 10_000, 4000, 10_000)))
    np.testing.assert_array_equal(decode(second), alone)
    (tmp_path / "b.dng").unlink()
    assert abs(decode(second).astype(int) - alone).max() > 5000
    (tmp_path / "a.dng").write_bytes(b"II*\0 and nothing more")  # the first that can be read counts
    assert abs(decode(second).astype(int) - alone).max() > 5000


def test_the_white_balance_of_another_camera_does_not_count(tmp_path, write_dng, patches):
    """Its numbers are of another sensor's filters; its photos are left out, and must not colour the rest."""
    photo = write_dng(tmp_path / "b.dng", patches)
    alone = decode(photo)
    write_dng(tmp_path / "a.dng", patches, white=(0.9, 1.0, 0.3), model="Pixel 8")
    np.testing.assert_array_equal(decode(photo), alone)
    with pytest.raises(SolverError, match="the image is missing"):
        decode(tmp_path / "gone.dng")


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_raw_is_turned_upright(tmp_path, write_dng, orientation, corner):
    linear = np.full((64, 96, 3), 0.1)
    linear[:20, :20] = 0.8
    path = write_dng(tmp_path / "p.dng", linear, orientation=orientation)
    pixels = decode(path)
    assert image_size(path) == pixels.shape[1::-1] == ((64, 96) if orientation in (6, 8) else (96, 64))
    bright = np.argwhere(pixels[..., 1] > 50_000).mean(axis=0) / pixels.shape[:2]
    np.testing.assert_array_equal(np.round(bright), [abs(c) for c in corner])


def test_what_a_raw_photo_says_of_the_lens(tmp_path, write_dng, patches):
    exif = read_exif(write_dng(tmp_path / "p.dng", patches))
    assert (exif.make, exif.model, exif.sensor_width_mm) == ("Canon", "Canon EOS 600D", 22.3)
    assert (exif.f_number, exif.focal_length_mm, exif.iso) == (pytest.approx(5.6), 100, 200)
    assert exif.exposure_s == pytest.approx(1 / 60)
    assert exif.taken == datetime(2026, 5, 4, 3, 2, 1)


def test_metadata_of_makers_own_containers(tmp_path, write_dng, patches):
    """Olympus and Panasonic change TIFF's signature; LibRaw does not read such a stump, the parser does."""
    from solver.capture.raw import _container_tags

    content = write_dng(tmp_path / "p.dng", patches).read_bytes()
    for signature in (b"IIRO", b"IIRS", b"IIU\0"):
        assert _container_tags(bytearray_file(signature + content[4:]))[0x829D] == 5.6
    exif = Image.Exif()
    exif[0x010F] = "FUJIFILM"
    exif.get_ifd(0x8769)[0x829D] = 4.0
    jpeg = io.BytesIO()
    Image.new("RGB", (16, 16)).save(jpeg, "JPEG", exif=exif)
    raf = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">II", 160, len(jpeg.getvalue()))
    assert _container_tags(bytearray_file(raf.ljust(160, b"\0") + jpeg.getvalue()))[0x829D] == 4
    boxes = b"".join(struct.pack(">I", 8 + len(content)) + name + content for name in (b"CMT1", b"CMT2"))
    assert _container_tags(bytearray_file(b"\0\0\0\x18ftypcrx " + bytes(12) + boxes))[0x829D] == 5.6
    assert _container_tags(bytearray_file(b"what is this")) == {}


def bytearray_file(content):
    """Content that can be read and changed, like a mapped file."""
    import mmap

    result = mmap.mmap(-1, len(content))
    result[:] = content
    return result


@pytest.mark.parametrize("share", [0, 0.01, 0.04, 0.5, 0.99])
def test_truncated_raw(tmp_path, write_dng, patches, share):
    path = write_dng(tmp_path / "p.dng", patches)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        SolverError, match=r"p.dng: the raw photo cannot be decoded \(.*\); copy it from the card again"
    ):
        check_image(path)


def test_raw_header_of_half_a_gigapixel(tmp_path, write_dng, patches):
    path = write_dng(tmp_path / "p.dng", patches)
    content = bytearray(path.read_bytes())
    for tag, old, new in ((256, 96, 25_000), (257, 64, 20_000)):
        for kind in (3, 4):
            entry = struct.pack("<HHII", tag, kind, 1, old)
            at = content.find(entry)
            if at >= 0:
                content[at : at + 12] = struct.pack("<HHII", tag, 4, 1, new)
                break
        else:
            pytest.fail("the size was not found")
    path.write_bytes(content)
    for work in (check_image, decode, image_size):
        with pytest.raises(SolverError, match=r"p.dng: the image claims more than 178 megapixels"):
            work(path)


def test_a_folder_of_raw_photos(tmp_path, write_dng, patches):
    for i in range(3):
        write_dng(tmp_path / f"IMG {i}.DNG", patches, orientation=6 if i == 1 else 1)
    reporter = Reporter()
    assert list(find_photos(tmp_path, reporter)) == ["IMG 0", "IMG 1", "IMG 2"]
    assert reporter.warnings == []


# HEIC


@pytest.fixture
def heic(tmp_path):
    """A photo with red above and green at the left; its rows turned as EXIF would have it, if asked for."""

    def write(orientation=1, **options):
        pixels = np.zeros((64, 96, 3), np.uint8)
        pixels[:24] = (250, 0, 0)
        pixels[24:, :24] = (0, 250, 0)
        exif = Image.Exif()
        exif[0x010F], exif[0x0110], exif[0x0112] = "Apple\0\0", "iPhone 15", orientation
        exif.get_ifd(0x8769).update({0x829D: 1.8, 0x920A: 6.9, 0xA405: 26})
        image = pillow_heif.from_pillow(Image.fromarray(pixels))
        image.info["exif"] = exif.tobytes()
        image.save(tmp_path / "photo.heic", quality=95, **options)
        return tmp_path / "photo.heic"

    return write


def test_heic(heic):
    path = heic()
    check_image(path)
    assert image_size(path) == (96, 64)
    pixels = decode(path)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[8, 80], (250, 0, 0), atol=8)
    np.testing.assert_allclose(pixels[50, 8], (0, 250, 0), atol=8)
    exif = read_exif(path)
    assert (exif.make, exif.model, exif.f_number, exif.focal_length_mm) == ("Apple", "iPhone 15", 1.8, 6.9)
    assert exif.sensor_width_mm == pytest.approx(43.27 * 6.9 / 26 * 96 / np.hypot(96, 64), rel=1e-3)


def test_heic_is_turned_once(heic):
    """The container says how to turn it and so does EXIF, as phones do."""
    path = heic(orientation=6)
    assert b"irot" in path.read_bytes()
    pixels = decode(path)
    assert image_size(path) == pixels.shape[1::-1] == (64, 96)
    np.testing.assert_allclose(pixels[50, 55], (250, 0, 0), atol=8)  # what was above is at the right


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_truncated_heic(heic, share):
    path = heic()
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(SolverError, match=r"photo.heic: the image cannot be decoded"):
        check_image(path)


# 16 bits


@pytest.fixture
def deep():
    return np.random.default_rng(0).integers(0, 65536, (9, 11, 3), dtype=np.uint16)


@pytest.mark.parametrize("channels", ["grey", "colour", "alpha"])
def test_png_of_16_bits(tmp_path, deep, channels):
    stored = {
        "grey": deep[..., 0],
        "colour": deep[..., ::-1],
        "alpha": np.dstack([deep[..., ::-1], deep[..., :1]]),
    }[channels]
    cv2.imwrite(str(tmp_path / "ä.png"), stored)
    expected = np.repeat(deep[..., :1], 3, 2) if channels == "grey" else deep
    np.testing.assert_array_equal(decode(tmp_path / "ä.png"), expected)
    content = (tmp_path / "ä.png").read_bytes()
    (tmp_path / "ä.png").write_bytes(content[:-30])
    with pytest.raises(SolverError, match=r"ä.png: the image cannot be decoded"):
        check_image(tmp_path / "ä.png")


def test_png_of_16_bits_is_turned(tmp_path, deep):
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    content = (tmp_path / "a.png").read_bytes()
    exif = b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, 6) + bytes(4)
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), np.rot90(deep, -1))


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("layout", ["strips", "zlib", "planes", "alpha", "lzw"])
def test_tiff_of_16_bits(tmp_path, deep, layout, orientation):
    path = tmp_path / "a.tif"
    tags = [(274, "H", 1, orientation, True)]
    if layout == "planes":
        tifffile.imwrite(path, deep.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", extratags=tags)
    elif layout == "alpha":
        stored = np.dstack([deep, deep[..., :1]])
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["unassalpha"], extratags=tags)
    elif layout == "lzw":
        if orientation != 1:
            pytest.skip("OpenCV writes no orientation")
        cv2.imwrite(str(path), deep[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    else:
        compression = "zlib" if layout == "zlib" else None
        tifffile.imwrite(path, deep, photometric="rgb", compression=compression, extratags=tags)
    turns = {1: 0, 3: 2, 6: -1}[orientation]
    np.testing.assert_array_equal(decode(path), np.rot90(deep, turns))
    assert image_size(path) == decode(path).shape[1::-1]


def test_floating_point_pixels_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((20, 20), np.float32))
    with pytest.raises(SolverError, match=r"a.tif: the image cannot be decoded \(its pixels are floating-point"):
        check_image(tmp_path / "a.tif")


# colour spaces


def icc_profile(primaries, curve: bytes) -> bytes:
    """A display profile: columns R, G, B of `primaries` in XYZ under D50, one transfer curve."""

    def xyz(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))

    data = {b"wtpt": xyz((0.9642, 1, 0.8249))}
    data |= {
        name: xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), np.transpose(primaries), strict=True)
    }
    data |= {name: curve.ljust(-(-len(curve) // 4) * 4, b"\0") for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, body, start = b"", b"", 132 + 12 * len(data)
    for name, content in data.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", round(0.9642 * 65536), 65536, round(0.8249 * 65536))
    return header.ljust(128, b"\0") + struct.pack(">I", len(data)) + table + body


DISPLAY_P3 = np.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
ADOBE_RGB = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB_CURVE = b"para\0\0\0\0" + struct.pack(
    ">HH5i", 3, 0, *(round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
)
GAMMA = b"curv\0\0\0\0" + struct.pack(">IH", 1, 563)
TABLE = b"curv\0\0\0\0" + struct.pack(">I", 256) + (np.linspace(0, 1, 256) ** 1.8 * 65535).astype(">u2").tobytes()
PROFILES = {"p3": (DISPLAY_P3, SRGB_CURVE), "adobe": (ADOBE_RGB, GAMMA), "table": (ADOBE_RGB, TABLE)}


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_agree_with_littlecms(tmp_path, name):
    icc = icc_profile(*PROFILES[name])
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=icc)
    expected = np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(pixels), ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        )
    )
    found = decode(tmp_path / "a.png")
    assert abs(expected.astype(int) - pixels).max() > 20
    difference = abs(found.astype(int) - expected)
    assert difference.max() <= 2
    assert (difference > 1).mean() < 0.01


def test_display_p3_by_the_book():
    """P3's red is the value that CSS Color 4 works out, and grey stays grey."""
    profile = matrix_profile(icc_profile(DISPLAY_P3, SRGB_CURVE))
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(to_srgb(np.dstack([grey] * 3), profile), np.dstack([grey] * 3), atol=1)
    olive = np.array([[[0.5, 0.5, 0.25]]])
    deep = to_srgb((olive * 65535).astype(np.uint16), profile) / 65535
    # Linear light through P3 -> sRGB, whose rows sum to 1 (CSS Color 4, its conversion matrices).
    matrix = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0196, -0.0786, 1.0979]])
    np.testing.assert_allclose(deep, linear_to_srgb(srgb_to_linear(olive) @ matrix.T), atol=2e-3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "heic"])
def test_every_format_carries_its_profile(tmp_path, suffix):
    icc = icc_profile(ADOBE_RGB, GAMMA)
    image = Image.new("RGB", (64, 64), (100, 200, 60))
    image.save(tmp_path / f"a.{suffix}", icc_profile=icc, quality=100)
    image.save(tmp_path / f"plain.{suffix}", quality=100)
    expected = to_srgb(decode(tmp_path / f"plain.{suffix}"), matrix_profile(icc))
    found = decode(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found, expected, atol=2)
    assert found[0, 0, 0] == 0  # a green that sRGB does not have


def test_deep_pixels_are_converted_at_their_depth(tmp_path, deep):
    icc = icc_profile(ADOBE_RGB, GAMMA)
    tags = [(34675, "B", len(icc), icc, True)]
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=tags)
    found = decode(tmp_path / "a.tif")
    assert found.dtype == np.uint16
    linear = (deep / 65535) ** (563 / 256) @ (np.linalg.inv(SRGB_D50) @ ADOBE_RGB).T
    np.testing.assert_allclose(found / 65535, linear_to_srgb(linear.clip(0, 1)), atol=1e-3)


SRGB_D50 = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7142]])


def test_srgb_profiles_change_nothing(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for i, icc in enumerate(
        (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), icc_profile(SRGB_D50, SRGB_CURVE))
    ):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png", icc_profile=icc)
        np.testing.assert_array_equal(decode(tmp_path / f"{i}.png"), pixels)


def test_adobe_rgb_as_cameras_say_it(tmp_path):
    """No profile, but DCF's option in EXIF."""
    image = Image.new("RGB", (16, 16), (100, 180, 100))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    image.save(tmp_path / "a.jpg", exif=exif, quality=100)
    image.save(tmp_path / "b.jpg", quality=100)
    with Image.open(tmp_path / "a.jpg") as written:
        assert written.getexif().get_ifd(0xA005)[1] == "R03"
    expected = to_srgb(decode(tmp_path / "b.jpg"), matrix_profile(icc_profile(ADOBE_RGB, GAMMA)))
    np.testing.assert_allclose(decode(tmp_path / "a.jpg"), expected, atol=1)


@pytest.mark.parametrize(
    "icc", [b"", b"x", bytes(128), icc_profile(DISPLAY_P3, b"curv"), icc_profile(DISPLAY_P3, SRGB_CURVE)[:200]]
)
def test_garbled_profiles_are_passed_over(tmp_path, icc):
    Image.new("RGB", (16, 16), (100, 180, 100)).save(tmp_path / "a.png", icc_profile=icc)
    np.testing.assert_array_equal(decode(tmp_path / "a.png")[0, 0], (100, 180, 100))


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(decode(tmp_path / "a.jpg")[0, 0], (255, 0, 0), atol=3)
