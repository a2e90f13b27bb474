# SPDX-License-Identifier: GPL-3.0-or-later
"""Deconvolution with known kernels, on pictures blurred here."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from benchmarks.baselines.deconvolution import deconvolve, disc


def picture(height=72, width=96, cell=4):
    """Coloured tiles in linear light."""
    shape = (height // cell, width // cell, 3)
    return np.kron(np.random.default_rng(3).uniform(0.05, 0.9, shape), np.ones((cell, cell, 1)))


def blurred(image, diameter):
    """The middle of what a lens makes of a larger picture."""
    size = 2 * int(np.ceil(diameter)) + 1
    y, x = (np.indices((size * 9, size * 9)) + 0.5) / 9 - size / 2
    kernel = (x**2 + y**2 <= diameter**2 / 4).reshape(size, 9, size, 9).mean((1, 3))
    return fftconvolve(image, kernel[..., None] / kernel.sum(), mode="same", axes=(0, 1)).clip(0)


def decibels(a, b, border=12):
    inner = (slice(border, -border), slice(border, -border))
    return -10 * np.log10(((a - b)[inner] ** 2).mean())


@pytest.mark.parametrize("diameter", [0.5, 1.0, 2.0, 3.7, 8.0])
def test_the_disc_has_the_area_and_the_spread_of_its_diameter(diameter):
    kernel = disc(diameter)
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel.T)
    np.testing.assert_allclose(kernel, kernel[::-1])
    offsets = np.arange(len(kernel)) - len(kernel) // 2
    if diameter <= 1:
        assert kernel.shape == (1, 1)
    else:
        # A disc has the variance c^2 / 16 on each axis; what falls on a pixel counts as at its centre, which adds some.
        variance = (kernel.sum(0) * offsets**2).sum()
        assert diameter**2 / 16 <= variance <= diameter**2 / 16 + 0.15
        assert 1 / kernel.max() == pytest.approx(max(np.pi * diameter**2 / 4, 1), rel=0.05)


@pytest.mark.parametrize("diameter", [2.0, 3.4, 5.0])
def test_even_blur_is_undone_in_part(diameter):
    sharp = picture()
    photo = blurred(sharp, diameter)
    restored = deconvolve(photo, np.full(photo.shape[:2], diameter))
    assert decibels(restored, sharp) > decibels(photo, sharp) + 1.3


def test_each_pixel_gets_its_own_kernel():
    sharp = picture()
    coc = np.full(sharp.shape[:2], 5.0)
    coc[:, :48] = 0.3
    photo = np.where(coc[..., None] > 1, blurred(sharp, 5.0), sharp)
    restored = deconvolve(photo, coc)
    np.testing.assert_allclose(restored[:, :48], photo[:, :48], atol=1e-7)
    assert decibels(restored[:, 56:], sharp[:, 56:]) > decibels(photo[:, 56:], sharp[:, 56:]) + 1.3
    wrong = deconvolve(photo, np.full(coc.shape, 10.0))
    assert decibels(wrong[:, 56:], sharp[:, 56:]) < decibels(restored[:, 56:], sharp[:, 56:]) - 2


def test_between_two_levels_it_is_between_their_results():
    photo = blurred(0.3 + 0.3 * picture(), 3.0)[8:-8, 8:-8]  # far from black and white, where values are cut
    low, middle, high = (deconvolve(photo, np.full(photo.shape[:2], 2**octave)) for octave in (1, 1.25, 1.5))
    np.testing.assert_allclose(middle, (low + high) / 2, atol=1e-5)
    assert abs(high - low).max() > 0.02


def test_what_is_extreme_stays_finite_and_in_range():
    photo = np.zeros((24, 30, 3), np.float32)
    photo[12, 15] = 1
    coc = np.full((24, 30), 3.0, np.float32)
    coc[0, 0] = 0
    coc[1, 1] = 1e4
    restored = deconvolve(photo, coc)
    assert restored.shape == photo.shape
    assert np.isfinite(restored).all() and restored.min() >= 0 and restored.max() <= 1
