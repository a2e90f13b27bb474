# SPDX-License-Identifier: GPL-3.0-or-later
"""What photos are focused on."""

import numpy as np
import pytest

from synthetic.errors import GeneratorError
from synthetic.focus import focus_distance

DEPTH = np.array([[80.0, 85.0, 90.0, 300.0, 0.0]])
NEAR = DEPTH < 100  # the pixel without a surface, too
SUBJECT = np.array([[False, True, False, False, False]])


def chosen(plan: str, step: int = 0, seed: int = 0, near: np.ndarray = NEAR) -> float:
    rng = np.random.default_rng(seed)
    return focus_distance(plan, DEPTH, near, SUBJECT, usual=82.0, step=step, steps=3, rng=rng)


def test_random_is_uniform_between_the_nearest_and_the_farthest_surface() -> None:
    found = np.array([chosen("random", seed=seed) for seed in range(400)])
    assert 80 <= found.min() < 80.5
    assert 89.5 < found.max() <= 90
    assert np.mean(found) == pytest.approx(85, abs=0.6)


def test_subject_same_and_bracket() -> None:
    assert {chosen("subject", seed=seed) for seed in range(5)} == {85.0}
    assert {chosen("same", seed=seed) for seed in range(5)} == {82.0}
    assert [chosen("bracket", step) for step in range(3)] == [80.0, 85.0, 90.0]


def test_nothing_in_view_is_told() -> None:
    with pytest.raises(GeneratorError, match="nothing to focus on"):
        chosen("random", near=np.zeros_like(NEAR))
