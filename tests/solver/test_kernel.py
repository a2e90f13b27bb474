# SPDX-License-Identifier: GPL-3.0-or-later
"""Defocus kernels as products: their energy, extent and variance, and where they are read from."""

import json

import numpy as np
import pytest
import torch

from solver.cli import main
from solver.defocus.gather import gather
from solver.defocus.kernel import kernel, kernel_at
from solver.errors import SolverError
from solver.export.images import read_exr, write_exr
from solver.export.kernels import pixel_kernel

DIAMETERS = (0.2, 1.0, 1.5, 2.0, 3.7, 8.0, 21.3, 90.0)


def variances(image: np.ndarray) -> tuple[float, float]:
    """On both axes, px^2."""
    steps = np.arange(len(image)) - len(image) // 2
    return float((image * steps**2).sum()), float((image * steps[:, None] ** 2).sum())


@pytest.mark.parametrize("shape", ["disc", "gaussian"])
@pytest.mark.parametrize("diameter", DIAMETERS)
def test_energy_symmetry_and_odd_size(diameter, shape):
    image = kernel(diameter, shape)
    assert image.shape[0] == image.shape[1]
    assert len(image) % 2 == 1
    assert image.sum() == pytest.approx(1, abs=1e-12)
    assert (image >= 0).all()
    for turned in (image.T, image[::-1], image[:, ::-1]):
        np.testing.assert_allclose(turned, image, atol=1e-12)


@pytest.mark.parametrize("shape", ["disc", "gaussian"])
@pytest.mark.parametrize("diameter", [d for d in DIAMETERS if d >= 1.5])
def test_variance_is_a_sixteenth_of_the_squared_diameter_and_a_pixels_own(diameter, shape):
    for variance in variances(kernel(diameter, shape)):
        assert variance == pytest.approx(diameter**2 / 16 + 1 / 12, abs=0.065 if diameter < 8 else 0.03)


@pytest.mark.parametrize("diameter", [1.5, 2.0, 3.7, 8.0])
def test_disc_covers_each_pixel_as_counted_finely(diameter):
    image = kernel(diameter)
    side, fine = len(image) // 2, 400
    place = (np.arange(len(image) * fine) + 0.5) / fine - side - 0.5
    inside = place[None] ** 2 + place[:, None] ** 2 <= (diameter / 2) ** 2
    counted = inside.reshape(len(image), fine, len(image), fine).mean((1, 3))
    np.testing.assert_allclose(image * np.pi * diameter**2 / 4, counted, atol=2e-4)


def test_disc_in_closed_form():
    """Of a disc as wide as three pixels the middle one is covered wholly, and its neighbours but for the caps."""
    image = kernel(3.0) * np.pi * 9 / 4
    assert image.shape == (3, 3)
    assert image[1, 1] == pytest.approx(1)
    edge = (0.5 * np.sqrt(2) + 2.25 * np.arcsin(1 / 3)) - 0.5  # under the circle over [-1/2, 1/2], above y = 1/2
    assert image[0, 1] == pytest.approx(edge)
    assert image[0, 0] == pytest.approx((np.pi * 9 / 4 - 1 - 4 * edge) / 4)


def test_small_circles_stay_in_their_pixel():
    for diameter in (0.0, 0.3, 1.0):
        np.testing.assert_array_equal(kernel(diameter), [[1.0]])
    assert kernel(1.01).shape == (3, 3)
    assert kernel(3.0).shape == (3, 3)
    assert kernel(3.01).shape == (5, 5)


def test_disc_is_flat_and_the_gaussian_is_not():
    disc, gaussian = kernel(40.0), kernel(40.0, "gaussian")
    middle = disc[15:26, 15:26]
    np.testing.assert_allclose(middle, 4 / (np.pi * 40**2), rtol=1e-9)
    side = len(gaussian) // 2
    assert gaussian[side, side] == pytest.approx(1 / (2 * np.pi * 10**2), rel=1e-3)
    assert gaussian[side, side + 10] == pytest.approx(np.exp(-0.5) * gaussian[side, side], rel=1e-3)


@pytest.mark.parametrize("diameter", [0.3, 0.5, 2.0, 3.7, 12.0, 60.0])  # no window; pixels; cut off at the largest
def test_gathered_are_the_weights_that_blur_a_rendering(diameter):
    weights = kernel(diameter, "gathered")
    side = len(weights) // 2
    assert weights.shape == (2 * side + 1, 2 * side + 1)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    image = torch.rand(61, 65, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    blurred = gather(image, torch.full((61, 65), (diameter / 4) ** 2, dtype=torch.float64))
    seen = image.numpy()[30 - side : 31 + side, 32 - side : 33 + side]
    np.testing.assert_allclose(np.einsum("ij,ijc->c", weights, seen), blurred[30, 32], rtol=1e-12)


def test_a_pixel_of_a_map():
    coc = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(kernel_at(coc, 3, 1), kernel(7.0))  # x is the column
    for x, y in ((4, 0), (0, 3), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="lies outside the 4 x 3 pixels"):
            kernel_at(coc, x, y)


def test_what_has_no_kernel():
    for diameter in (-1.0, 1e6, np.inf, np.nan):
        with pytest.raises(ValueError, match="has no kernel"):
            kernel(diameter)
    with pytest.raises(ValueError, match="not square"):
        kernel(2.0, "square")


@pytest.fixture
def result(tmp_path):
    folder = tmp_path / "result"
    write_exr(folder / "coc" / "flower.exr", "V", np.arange(12.0).reshape(3, 4))
    made_with(folder, defocus="pupil", train_on="photos")
    return folder


def made_with(result, **settings) -> None:
    content = {"photos": [{"name": "flower"}, {"name": "gone"}], "settings": settings}
    (result / "result.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("defocus", "own"), [("dilation", "disc"), ("pupil", "disc"), ("blurnet", "gathered")])
def test_kernel_of_a_result_is_that_of_its_way_of_defocus(result, defocus, own):
    made_with(result, defocus=defocus, train_on="photos")
    np.testing.assert_array_equal(pixel_kernel(result, "flower", 2, 2), kernel(10.0, own))
    for asked in ("disc", "gaussian", "gathered"):
        np.testing.assert_array_equal(pixel_kernel(result, "flower", 2, 2, asked), kernel(10.0, asked))


@pytest.mark.parametrize(
    ("defocus", "train_on", "option"), [("none", "photos", "--defocus none"), ("pupil", "sharp", "--train-on sharp")]
)
def test_where_no_blur_was_modelled_there_is_no_kernel(result, tmp_path, capsys, defocus, train_on, option):
    made_with(result, defocus=defocus, train_on=train_on)
    assert (
        main(["kernel", str(result), "flower", "2", "2", "--output", str(tmp_path / "k.png"), "--shape", "disc"]) == 1
    )
    assert f"no kernels, since {option} models no blur; reconstruct without it" in capsys.readouterr().err
    assert not (tmp_path / "k.png").exists()


def test_a_result_that_does_not_tell_its_way_of_defocus(result):
    for settings in ({}, {"defocus": "magic"}):
        made_with(result, **settings)
        with pytest.raises(SolverError, match="does not say how blur was modelled"):
            pixel_kernel(result, "flower", 2, 2)


def test_mistakes_are_told(result, tmp_path):
    with pytest.raises(SolverError, match=r"no photo rose; name one of its photos: flower, gone"):
        pixel_kernel(result, "rose", 0, 0)
    with pytest.raises(SolverError, match=r"no photo \.\./flower"):
        pixel_kernel(result, "../flower", 0, 0)
    with pytest.raises(SolverError, match=r"flower\.exr: pixel \(4, 0\) lies outside"):
        pixel_kernel(result, "flower", 4, 0)
    with pytest.raises(SolverError, match=r"flower\.exr: no surface was found at pixel \(0, 0\)"):
        pixel_kernel(result, "flower", 0, 0)
    with pytest.raises(SolverError, match=r"gone\.exr: the image is missing; reconstruct again"):
        pixel_kernel(result, "gone", 0, 0)
    with pytest.raises(SolverError, match="description is missing"):
        pixel_kernel(tmp_path, "flower", 0, 0)
    (result / "result.json").write_text("[]")
    with pytest.raises(SolverError, match="no photo flower"):
        pixel_kernel(result, "flower", 0, 0)


def test_kernel_from_the_command_line(result, tmp_path, capsys):
    arguments = ["kernel", str(result), "flower", "2", "2", "--output"]
    assert main([*arguments, str(tmp_path / "k.exr")]) == 0
    np.testing.assert_allclose(read_exr(tmp_path / "k.exr", "V"), kernel(10.0), rtol=1e-6)
    assert main([*arguments, str(tmp_path / "k.png"), "--shape", "gaussian"]) == 0
    from PIL import Image

    pixels = np.asarray(Image.open(tmp_path / "k.png"))
    assert pixels.shape == (*kernel(10.0, "gaussian").shape, 3)
    assert pixels.max() == 255
    assert main([*arguments, str(tmp_path / "k.txt")]) == 1
    assert "as .png or .exr" in capsys.readouterr().err
