# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays that are kept from one rendering to the next."""

import numpy as np
import pytest

from solver.rasterization.cpu import workspace
from solver.rasterization.cpu.workspace import Workspace


@pytest.fixture(autouse=True)
def none_kept(monkeypatch):
    monkeypatch.setattr(workspace, "_spare", [])


def _shares_memory(first: np.ndarray, rows: int, *shape: int) -> bool:
    """Whether the next workspace has that array."""
    return np.shares_memory(first, Workspace().array("moments", np.float32, rows, *shape))


def test_arrays_are_used_again_once_nobody_has_them():
    first = Workspace()
    array = first.array("moments", np.float32, 1000, 10)
    assert array.shape == (1000, 10)
    assert not _shares_memory(array, 1000, 10)
    del first
    assert _shares_memory(array, 1000, 10)


@pytest.mark.parametrize(
    ("rows", "shape", "kept"),
    [(1100, (10,), True), (500, (10,), True), (2000, (10,), False), (1000, (11,), False), (1000, (2, 5), False)],
)
def test_an_array_that_fits_is_kept(rows, shape, kept):
    first = Workspace()
    array = first.array("moments", np.float32, 1000, 10)
    later = first.array("moments", np.float32, rows, *shape)
    assert later.shape == (rows, *shape)
    assert np.shares_memory(array, later) == kept


def test_what_is_far_too_large_is_let_go():
    first = Workspace()
    array = first.array("moments", np.float32, 10_000, 10)
    assert not np.shares_memory(array, first.array("moments", np.float32, 100, 10))


def test_few_are_kept():
    many = [Workspace() for _ in range(10)]
    del many
    assert len(workspace._spare) == workspace._SPARE
