# SPDX-License-Identifier: GPL-3.0-or-later
"""The curves of a run: means over its parts, whatever interrupts it."""

import math

import numpy as np
import pytest
import torch

from solver.optics.colour import linear_to_srgb
from solver.training.history import PARTS, History
from solver.training.losses import psnr


@pytest.mark.parametrize("iterations", [1, 7, PARTS, PARTS + 1, 1000, 3001])
def test_parts_hold_the_means_of_their_steps(iterations):
    values = np.random.default_rng(iterations).uniform(size=iterations)
    history = History(iterations)
    for step, value in enumerate(values):
        history.add(step, value, 10 * value if history.measures(step) else None)
    curves = history.curves()
    assert len(curves["steps"]) == min(iterations, PARTS)
    assert curves["steps"][-1] == iterations
    begins = [0, *curves["steps"][:-1]]
    for begin, end, loss, psnr_mean in zip(begins, curves["steps"], curves["loss"], curves["psnr"], strict=True):
        assert loss == pytest.approx(values[begin:end].mean(), abs=1e-6)
        measured = [10 * values[step] for step in range(begin, end) if history.measures(step)]
        assert psnr_mean == (pytest.approx(np.mean(measured), abs=1e-6) if measured else None)


def test_an_interrupted_run_has_the_curves_of_an_unbroken_one():
    values = np.random.default_rng(3).uniform(size=500)
    unbroken, broken = History(500), History(500)
    for step, value in enumerate(values):
        unbroken.add(step, value, value)
    for step, value in enumerate(values):
        if step == 251:  # within a part
            state, broken = broken.state(), History(500)
            broken.restore(state)
        broken.add(step, value, value)
    assert broken.curves() == unbroken.curves()


def test_a_checkpoint_of_before_there_was_a_history_leaves_it_empty():
    history = History(100)
    history.restore(None)
    history.add(60, 0.5)
    assert history.curves() == {"steps": [61], "loss": [0.5], "psnr": [None]}


def test_psnr_is_that_of_the_pixels_that_count():
    generator = torch.Generator().manual_seed(1)
    linear = torch.rand((8, 9, 3), generator=generator)
    photo = linear_to_srgb(linear)
    mask = torch.zeros(8, 9)
    mask[2:5, 3:7] = 1
    worse = photo + 0.1 * mask[..., None]
    assert psnr(linear, worse, mask) == pytest.approx(20, abs=1e-4)
    assert psnr(linear, worse, None) == pytest.approx(20 + 10 * math.log10(72 / 12), abs=1e-4)
    assert psnr(linear, worse, torch.zeros(8, 9)) is None
