# SPDX-License-Identifier: GPL-3.0-or-later
"""When what learns, and how fast."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import settings_for
from solver.events import Reporter
from solver.training.learning_rates import LearningRates
from solver.training.optimizers import set_learning_rates
from solver.training.trainer import Trainer

PARTS = st.floats(0, 1)
FACTORS = st.floats(0.01, 100)


def rates(masked: bool = False, **overrides) -> LearningRates:
    return LearningRates(settings_for("draft", **overrides), scene_size=3.0, focus_unit=0.2, masked=masked)


@given(PARTS, FACTORS)
def test_a_larger_scene_moves_its_positions_faster_and_nothing_else(part, factor):
    before, after = rates().at(part), replace(rates(), scene_size=3.0 * factor).at(part)
    assert after.pop("means") == pytest.approx(factor * before.pop("means"))
    assert after == before


@given(PARTS, FACTORS)
def test_a_wider_range_of_depths_moves_focus_faster_and_nothing_else(part, factor):
    before, after = rates().at(part), replace(rates(), focus_unit=0.2 * factor).at(part)
    assert after.pop("focus") == pytest.approx(factor * before.pop("focus"))
    assert after == before


@given(PARTS)
def test_the_background_rests_where_masks_hide_it(part):
    before, after = rates().at(part), rates(masked=True).at(part)
    assert before.pop("background") > 0 == after.pop("background")
    assert after == before


@given(PARTS, st.floats(0.1, 0.9))
def test_cameras_wait_for_the_scene(part, start):
    found = rates(refine_from=start).at(part)
    assert (found["poses"] > 0) == (found["focal"] > 0) == (part > start)


@given(PARTS)
def test_gaussians_rest_while_kernels_alone_learn(part):
    stages = {"blurnet_blur_from": 0.2, "blurnet_joint_from": 0.5, "blurnet_gaussians_share": 0.0}
    resting = rates(defocus="blurnet", **stages).at(part)
    for name in ("means", "log_scales", "quaternions", "opacity_logits", "sh_constant", "sh_rest"):
        assert (resting[name] == 0) == (0.2 <= part < 0.5), name
    assert rates(defocus="pupil", **stages).at(part) == rates().at(part)


def test_every_parameter_of_a_run_learns(tiny_capture, tmp_path):
    """A group whose name has no rate would stand still."""
    settings = settings_for(
        "draft",
        defocus="blurnet",
        refine_poses="on",
        learn_exposure="on",
        initial_gaussians=100,
        max_gaussians=100,
    )
    trainer = Trainer(
        load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False),
        settings,
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=tmp_path / "checkpoint.pt",
        preview_path=tmp_path / "preview.png",
        reporter=Reporter(),
        cancellation=Cancellation(),
    )
    set_learning_rates(trainer.optimizers, trainer.learning_rates.at(0.5))
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert {group["name"] for group in groups if "name" in group} == trainer.learning_rates.at(0.5).keys()
    assert all(group["lr"] > 0 for group in groups)
