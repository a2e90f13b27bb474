# SPDX-License-Identifier: GPL-3.0-or-later
"""Developing radiance into a photo: numbers only; test_optics.py compares with Blender's own pictures."""

import hashlib

import numpy as np
import pytest

from synthetic.photo import develop, encode_srgb


def flat(value: float, size: int = 100) -> np.ndarray:
    return np.full((size, size, 3), value)


def linear(pixels: np.ndarray) -> np.ndarray:
    srgb = pixels / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def test_encoding_is_the_formula_rounded() -> None:
    light = np.linspace(0, 1, 100_001)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    np.testing.assert_array_equal(encode_srgb(light), np.floor(255 * srgb + 0.5))
    assert encode_srgb(np.array([-1.0, 0.0, 1.0, 7.0])).tolist() == [0, 0, 255, 255]


def test_every_level_survives_a_round_trip() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode_srgb(linear(levels)), levels)


def test_exposure_and_white_balance_are_factors_on_light() -> None:
    photo = develop(flat(0.2), exposure=2.0, white_balance=(0.5, 1.0, 1.5))
    expected = encode_srgb(np.array([0.2, 0.4, 0.6]))
    assert np.all(photo == expected)
    assert np.all(develop(flat(0.6), exposure=2.0) == 255)


def test_without_noise_no_random_numbers_are_needed_and_none_are_taken() -> None:
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(develop(flat(0.3), rng=rng), develop(flat(0.3)))
    assert rng.random() == np.random.default_rng(0).random()
    with pytest.raises(ValueError, match="random"):
        develop(flat(0.3), full_well_electrons=1000)


@pytest.mark.parametrize("value", [0.05, 0.2, 0.6])
def test_noise_has_the_variance_of_its_electrons(value: float) -> None:
    full_well, read_noise = 4000.0, 8.0
    photo = develop(
        flat(value, 250), full_well_electrons=full_well, read_noise_electrons=read_noise, rng=np.random.default_rng(1)
    )
    measured = linear(photo)
    level = encode_srgb(np.array(value)).astype(float)
    rounding = linear(level + 0.5) - linear(level - 0.5)
    expected = value / full_well + (read_noise / full_well) ** 2 + rounding**2 / 12
    assert measured.mean() == pytest.approx(value, rel=2e-3)
    assert measured.var() == pytest.approx(expected, rel=0.05)


def test_gains_amplify_noise_and_the_smallest_is_one() -> None:
    full_well, value, gains = 4000.0, 0.2, np.array([0.5, 1.0, 2.0])
    photo = develop(
        flat(value, 250),
        white_balance=tuple(gains),
        full_well_electrons=full_well,
        rng=np.random.default_rng(1),
    )
    measured = linear(photo).reshape(-1, 3)
    np.testing.assert_allclose(measured.mean(0), value * gains, rtol=3e-3)
    collected = value * gains.min()  # of the full well, in each channel
    np.testing.assert_allclose(measured.var(0), collected / full_well * (gains / gains.min()) ** 2, rtol=0.06)


@pytest.mark.parametrize("full_well", [None, 1000.0])
def test_a_saturated_pixel_is_white_whatever_the_white_balance(full_well: float | None) -> None:
    for gains in [(0.8, 1.0, 1.2), (1.1, 1.0, 0.5), (1.0, 1.0, 1.0)]:
        rng = np.random.default_rng(1)
        photo = develop(flat(4.0), white_balance=gains, full_well_electrons=full_well, rng=rng)
        assert photo.min() == 255


def test_noise_differs_between_pixels_and_channels() -> None:
    photo = develop(flat(0.3, 60), full_well_electrons=500, rng=np.random.default_rng(2)).astype(float)
    across = photo.reshape(-1, 3)
    assert abs(np.corrcoef(across.T) - np.eye(3)).max() < 0.08
    assert abs(np.corrcoef(photo[:, :-1, 0].ravel(), photo[:, 1:, 0].ravel())[0, 1]) < 0.08


def test_read_noise_alone_lifts_black_and_is_clipped_there() -> None:
    photo = develop(flat(0.0), full_well_electrons=1000, read_noise_electrons=20, rng=np.random.default_rng(3))
    assert 0.4 < (photo == 0).mean() < 0.6
    assert photo.max() > 5


def test_the_same_seed_gives_the_same_bytes() -> None:
    radiance = np.random.default_rng(4).random((20, 30, 3)).astype(np.float32)

    def photo(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return develop(radiance, exposure=1.1, full_well_electrons=900, read_noise_electrons=3, rng=rng)

    np.testing.assert_array_equal(photo(5), photo(5))
    assert (photo(5) != photo(6)).mean() > 0.5
    digest = hashlib.sha256(develop(radiance, exposure=0.9, white_balance=(1.1, 1.0, 0.8)).tobytes()).hexdigest()
    assert digest.startswith("f81f180e925506cc")  # of any machine


def test_fireflies_and_holes_in_the_render_are_white_and_black() -> None:
    radiance = np.array([[[np.inf, np.nan, -np.inf], [1e30, -1e-3, 0.5]]], np.float32)
    expected = [[[255, 0, 0], [255, 0, 188]]]
    assert develop(radiance).tolist() == expected
    noisy = develop(radiance, full_well_electrons=1e5, rng=np.random.default_rng(0))
    assert abs(noisy.astype(int) - expected).max() <= 2
