# SPDX-License-Identifier: GPL-3.0-or-later
"""Logarithms and powers of vectors against float64, and what they are made of."""

import numpy as np
import pytest

from solver.kernels.compilation import kernel
from solver.kernels.powers import exp2, log2
from solver.kernels.vector import LANES, exponent, fraction, load, scaled, store, store_thrice

_ROOT = np.float32(1 / 2.4)


@kernel("void(float32[::1], float32[:,::1])")
def _all_functions(values, results):
    count = len(values)
    for i in range(0, count, LANES):
        x = load(values, i)
        store(results, i, log2(x))
        store(results, count + i, exp2(x))
        store(results, 2 * count + i, exp2(_ROOT * log2(x)))
        store(results, 3 * count + i, fraction(x))
        store(results, 4 * count + i, exponent(x))
        store(results, 5 * count + i, scaled(fraction(x), exponent(x)))


@kernel("void(float32[::1], float32[::1])")
def _thrice(values, results):
    store_thrice(results, 3, load(values, 0))


def results_of(values: np.ndarray) -> np.ndarray:
    results = np.empty((6, len(values)), np.float32)
    _all_functions(values, results)
    return results


def spread(lowest: float, highest: float) -> np.ndarray:
    """Many numbers, even in logarithm, with both ends and powers of two."""
    values = np.geomspace(lowest, highest, 80_000 - 1)
    return np.append(values, 1.0).astype(np.float32)


@pytest.mark.parametrize(("lowest", "highest"), [(0.0031308, 1.0), (1.0, 100.0)])
def test_the_root_of_the_srgb_curve(lowest, highest):
    values = spread(lowest, highest)
    np.testing.assert_allclose(results_of(values)[2], values.astype(float) ** float(_ROOT), rtol=4e-7)


def test_logarithms():
    values = spread(1e-37, 1e38)
    np.testing.assert_allclose(results_of(values)[0], np.log2(values.astype(float)), rtol=2e-7, atol=2e-7)


def test_powers():
    values = np.linspace(-125, 127, 80_000).astype(np.float32)
    np.testing.assert_allclose(results_of(values)[1], np.exp2(values.astype(float)), rtol=2e-7)


def test_fraction_and_exponent():
    values = spread(1e-37, 1e38)
    _, _, _, fractions, exponents, again = results_of(values)
    assert (fractions >= 0.7071).all()
    assert (fractions < 1.4143).all()
    assert (exponents == np.round(exponents)).all()
    np.testing.assert_array_equal(again, values)


def test_thrice():
    values, results = np.arange(LANES, dtype=np.float32), np.full(30, -1, np.float32)
    _thrice(values, results)
    np.testing.assert_array_equal(results[3:27], values.repeat(3))
    assert (results[[0, 1, 2, 27, 28, 29]] == -1).all()
