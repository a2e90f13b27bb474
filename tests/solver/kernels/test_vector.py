# SPDX-License-Identifier: GPL-3.0-or-later
"""Vectors of float64, and what moves numbers between lanes, against numpy."""

import numpy as np
import pytest
from numba.core.errors import TypingError

from solver.kernels.compilation import kernel
from solver.kernels.vector import (
    LANES,
    as_doubles,
    as_floats,
    floor,
    gather,
    largest,
    load,
    mask_bits,
    maximum,
    minimum,
    rounded,
    scaled,
    smallest,
    splat,
    square_root,
    store,
    total,
    totals,
    transposed,
    where,
)

A = np.array([1.5, -2.25, 0.0, 1e-300, 3.0, -7.5, 1e200, 0.1])
B = np.array([0.5, 4.0, 2.0, 3.0, 3.0, -7.25, -1e30, 0.3])


@kernel("void(float64[::1], float64[::1], float64[:,::1], uint32[::1], float64[::1])")
def _double_operations(a, b, results, masks, numbers):
    x, y = load(a, 0), load(b, 0)
    store(results, 0, x + y)
    store(results, LANES, x - 2.0)
    store(results, 2 * LANES, 2.0 * x * y)
    store(results, 3 * LANES, x / y)
    store(results, 4 * LANES, maximum(x, y))
    store(results, 5 * LANES, minimum(x, 0.5))
    store(results, 6 * LANES, square_root(y * y))
    store(results, 7 * LANES, floor(x))
    store(results, 8 * LANES, rounded(x))
    store(results, 9 * LANES, where(x < y, x, y + 1.0))
    store(results, 10 * LANES, where(x < y, splat(5.0), -1.0 * x))
    store(results, 11 * LANES, as_doubles(as_floats(y)))
    masks[0], masks[1], masks[2] = mask_bits(x < y), mask_bits(x <= y), mask_bits(x > y)
    masks[3], masks[4] = mask_bits(x >= y), mask_bits((x < y) & (x > 0.0))
    numbers[0], numbers[1], numbers[2] = total(y), largest(x), smallest(x)


def _run(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    results, masks, numbers = np.empty((12, LANES)), np.empty(5, np.uint32), np.empty(3)
    _double_operations(a, b, results, masks, numbers)
    return results, masks, numbers


def _bits(condition: np.ndarray) -> int:
    return sum(1 << lane for lane in range(LANES) if condition[lane])


def test_doubles():
    results, masks, numbers = _run(A, B)
    expected = [
        A + B,
        A - 2,
        2 * A * B,
        A / B,
        np.maximum(A, B),
        np.minimum(A, 0.5),
        abs(B),
        np.floor(A),
        np.rint(A),
        np.where(A < B, A, B + 1),
        np.where(A < B, 5.0, -A),
        B.astype(np.float32).astype(float),
    ]
    for result, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-15, atol=0)
    conditions = [A < B, A <= B, A > B, A >= B, (A < B) & (A > 0)]
    assert masks.tolist() == [_bits(condition) for condition in conditions]
    assert numbers.tolist() == [pytest.approx(B.sum(), rel=1e-14), A.max(), A.min()]


def test_comparisons_with_what_is_not_a_number_are_false():
    a = A.copy()
    a[3] = np.nan
    _, masks, _ = _run(a, B)
    assert not (masks & np.uint32(1 << 3)).any()


@kernel("void(float64[::1], float32[::1], int64[::1], float64[::1], float32[::1])")
def _gather(doubles, floats, rows, double_column, float_column):
    store(double_column, 0, gather(doubles, rows, 5, 3))
    store(float_column, 0, gather(floats, rows, 3, 0))


def test_gather():
    rows = np.array([4, 0, 9, 9, 1, 7, 3, 2])
    table, narrow = np.random.default_rng(1).normal(size=(10, 5)), np.arange(30, dtype=np.float32).reshape(10, 3)
    doubles, floats = np.empty(LANES), np.empty(LANES, np.float32)
    _gather(table.ravel(), narrow.ravel(), rows, doubles, floats)
    np.testing.assert_array_equal(doubles, table[rows, 3])
    np.testing.assert_array_equal(floats, narrow[rows, 0])


@kernel("void(float32[:,::1], float32[:,::1])")
def _transpose(a, result):
    rows = transposed(
        (load(a, 0), load(a, 8), load(a, 16), load(a, 24), load(a, 32), load(a, 40), load(a, 48), load(a, 56))
    )
    store(result, 0, rows[0])
    store(result, 8, rows[1])
    store(result, 16, rows[2])
    store(result, 24, rows[3])
    store(result, 32, rows[4])
    store(result, 40, rows[5])
    store(result, 48, rows[6])
    store(result, 56, rows[7])


def test_transposed():
    table = np.arange(64, dtype=np.float32).reshape(8, 8)
    result = np.empty_like(table)
    _transpose(table, result)
    np.testing.assert_array_equal(result, table.T)


@kernel("void(float32[:,::1], float32[:,::1])")
def _sum_rows(a, result):
    rows = (load(a, 0), load(a, 8), load(a, 16), load(a, 24), load(a, 32), load(a, 40), load(a, 48), load(a, 56))
    store(result, 0, totals(rows))


def test_totals():
    table = np.random.default_rng(2).integers(-100, 100, (8, 8)).astype(np.float32)
    result = np.empty((1, 8), np.float32)
    _sum_rows(table, result)
    np.testing.assert_array_equal(result[0], table.sum(1))


@kernel("void(float32[::1], float32[::1], float32[::1])")
def _scale(values, exponents, result):
    store(result, 0, scaled(load(values, 0), load(exponents, 0)))


def test_scaled():
    values = np.array([1.0, -1.5, 3.25, 1e-30, 7.0, -0.1, 1e30, 2.0], np.float32)
    exponents = np.array([0, 1, -3, 100, 20, -20, -100, 126], np.float32)
    result = np.empty_like(values)
    _scale(values, exponents, result)
    np.testing.assert_array_equal(result, np.ldexp(values, exponents.astype(int)))


def test_scaled_is_for_float32():
    def scale(values, result):
        store(result, 0, scaled(load(values, 0), load(values, 0)))

    with pytest.raises(TypingError):
        kernel("void(float64[::1], float64[::1])")(scale)
