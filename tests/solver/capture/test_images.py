# SPDX-License-Identifier: GPL-3.0-or-later
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from solver.capture.images import (
    check_image,
    decode,
    image_size,
    load_mask,
    load_photo,
    resample,
    working_camera,
)
from solver.capture.types import Camera, Photo
from solver.errors import SolverError
from solver.optics.colour import linear_to_srgb, srgb_to_linear


def photo_of(path, mask=None):
    return Photo("photo", path, Camera(4, 2, 1, 1, 2, 1), np.eye(4), mask_path=mask)


@pytest.mark.parametrize("wrap", [np.asarray, torch.as_tensor])
def test_transfer_function_against_the_standard(wrap):
    encoded = np.array([0.0, 0.02, 0.04045, 0.2, 0.5, 1.0])
    expected = [0, 0.02 / 12.92, 0.04045 / 12.92, 0.033104767, 0.214041140, 1]
    linear = srgb_to_linear(wrap(encoded))
    np.testing.assert_allclose(linear, expected, atol=1e-8)
    np.testing.assert_allclose(linear_to_srgb(linear), encoded, atol=1e-7)


def test_transfer_function_has_finite_gradients():
    linear = torch.tensor([-0.5, 0.0, 0.001, 0.5], requires_grad=True)
    linear_to_srgb(linear).sum().backward()
    assert torch.isfinite(linear.grad).all()
    assert linear.grad[1] == pytest.approx(12.92)


def test_photos_are_averaged_in_linear_light(tmp_path):
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, ::2] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    photo = photo_of(tmp_path / "a.png")
    np.testing.assert_allclose(load_photo(photo, 2, 1), 0.5, atol=2e-5)  # not 0.214, the light of sRGB 0.5
    full = load_photo(photo, 4, 2)
    assert full.dtype == np.float32
    np.testing.assert_array_equal(full, pixels / 255)


def test_resampling_weighs_areas_exactly():
    image = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    # Two pixels of 2.5: 0, 1 and half of 2; half of 2, 3 and 4.
    np.testing.assert_allclose(resample(image, 2, 1).ravel(), [(0 + 1 + 1) / 2.5, (1 + 3 + 4) / 2.5], rtol=1e-6)
    noise = np.random.default_rng(0).random((37, 53, 3)).astype(np.float32)
    np.testing.assert_allclose(resample(noise, 17, 11).mean((0, 1)), noise.mean((0, 1)), rtol=1e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_orientation_is_applied_at_8_and_16_bits(tmp_path, orientation, suffix):
    path = tmp_path / f"a.{suffix}"
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    upright = decode(path)
    assert image_size(path) == upright.shape[1::-1]
    assert image_size(path, upright=False) == (3, 2)
    np.testing.assert_array_equal(decode(path, upright=False), pixels)
    if suffix == "tiff":
        tifffile.imwrite(
            path, pixels.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, "H", 1, orientation, True)]
        )
        np.testing.assert_array_equal(decode(path), upright.astype(np.uint16) * 257)
        np.testing.assert_array_equal(decode(path, upright=False), pixels.astype(np.uint16) * 257)
    if orientation == 6:  # the camera was turned left: the first row is the right edge
        np.testing.assert_array_equal(upright[:, 1], pixels[0])


def test_sixteen_bits_grey_palette_alpha_and_cmyk(tmp_path):
    deep = np.array([[0, 1000, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(decode(tmp_path / "grey.png"), np.repeat(deep[..., None], 3, 2))
    linear = load_photo(photo_of(tmp_path / "grey.png"), 3, 1)
    np.testing.assert_allclose(linear[0, :, 0], srgb_to_linear(deep[0] / 65535), rtol=1e-5)
    for mode, suffix in (("L", "jpg"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("1", "png")):
        Image.new("RGB", (8, 8), "white").convert(mode).save(tmp_path / f"{mode}.{suffix}")
        np.testing.assert_array_equal(decode(tmp_path / f"{mode}.{suffix}"), np.full((8, 8, 3), 255))


def test_masks(tmp_path):
    Image.fromarray(np.array([[0, 255, 255, 255]], np.uint8)).save(tmp_path / "m.png")
    np.testing.assert_allclose(load_mask(photo_of(tmp_path / "x.png", tmp_path / "m.png"), 2, 1), [[0.5, 1]])
    np.testing.assert_array_equal(load_mask(photo_of(tmp_path / "x.png"), 3, 2), np.ones((2, 3)))


def test_a_huge_header_is_refused_before_decoding(tmp_path):
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for width, height in ((40_000, 40_000), (14_000, 13_000)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
        with pytest.raises(SolverError, match=r"bomb.png: the image claims more than 178 megapixels"):
            decode(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_broken_files_are_named(tmp_path, suffix):
    path = tmp_path / f"broken.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    check_image(path)
    for content in (b"", b"not an image", whole[:10], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(SolverError, match=rf"broken.{suffix}: the image cannot be decoded"):
            check_image(path)


def test_working_size():
    camera = Camera(5184, 3456, 9000, 9000, 2592, 1728)
    small = working_camera(camera, 1600)
    assert (small.width, small.height) == (1600, 1067)
    assert small.fx == pytest.approx(9000 * 1600 / 5184)
    assert small.cy == pytest.approx(1067 / 2)
    assert working_camera(camera, None) is camera
    assert working_camera(camera, 6000) is camera
    assert working_camera(Camera(1000, 1, 1, 1, 500, 0.5), 10).height == 1
