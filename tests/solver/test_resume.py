# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are stopped round every change of the way they train, and resumed, end as if they had not been."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import settings_for
from solver.errors import Cancelled, SolverError
from solver.events import Reporter
from solver.training import trainer as module
from solver.training.checkpoint import load_checkpoint
from solver.training.trainer import Trainer

STEPS = 40
RESURFACING, PUPIL = 20, 30  # the steps, counted from 0, at whose end and from which on

Run = Callable[..., Trainer]


class Stopper(Reporter):
    """Cancels a run when so many steps are done."""

    def __init__(self, cancellation: Cancellation, after: int) -> None:
        super().__init__()
        self.cancellation, self.after = cancellation, after

    def progress(self, done: int, total: int) -> None:
        super().progress(done, total)
        if done == self.after:
            self.cancellation.requested = True


@pytest.fixture
def run(tiny_capture, tmp_path) -> Run:
    def run(name: str, *stops: int, poses_found: tuple[bool, ...] = (False, False), **overrides) -> Trainer:
        """Train, by a new trainer after each stop."""
        short = {"iterations": STEPS, "max_gaussians": 900, "initial_gaussians": 500, "densify_interval": 15}
        shares = {"resurface_at": RESURFACING / STEPS, "pupil_from": PUPIL / STEPS, "pupil_samples": 3}
        settings = settings_for("draft", **{**short, **shares, "sh_degree": 1, **overrides})
        capture = load_capture(tiny_capture.folder, poses_folder=tmp_path / "poses", find_points=False)
        for number, stop in enumerate((*stops, STEPS + 1)):
            cancellation = Cancellation()
            trainer = Trainer(
                replace(capture, poses_found=poses_found[min(number, 1)]),
                settings,
                backend="cpu",
                device=torch.device("cpu"),
                checkpoint_path=tmp_path / name / "checkpoint.pt",
                preview_path=tmp_path / name / "preview.png",
                reporter=Stopper(cancellation, stop),
                cancellation=cancellation,
            )
            if number > 0:
                trainer.resume()
                assert trainer.step == stops[number - 1]
            if number < len(stops):
                with pytest.raises(Cancelled):
                    trainer.run()
            else:
                trainer.run()
        return trainer

    return run


def flat(content, name: str = "") -> dict[str, object]:
    """The leaves of a checkpoint by the way to them."""
    if isinstance(content, dict | list | tuple):
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        return {key: leaf for part, inner in pairs for key, leaf in flat(inner, f"{name}/{part}").items()}
    return {name: content}


def differing(one: Trainer, other: Trainer) -> list[str]:
    """What of their last checkpoints is not the same to the last bit."""
    first, second = (flat(load_checkpoint(trainer.checkpoint_path)) for trainer in (one, other))
    assert first.keys() == second.keys()
    equal = {
        name: torch.equal(leaf, second[name]) if isinstance(leaf, torch.Tensor) else leaf == second[name]
        for name, leaf in first.items()
    }
    return [name for name, same in equal.items() if not same]


def test_stopped_round_resurfacing_and_the_switch_to_the_pupil(run, monkeypatch):
    """Just before and after each, and in between; everything that the last checkpoint holds is the same."""
    resurfaced = []

    def spy(scene, *arguments, **named):
        made = real(scene, *arguments, **named)
        resurfaced.append(len(made))
        return made

    real = module.resurface
    monkeypatch.setattr(module, "resurface", spy)
    unbroken = run("unbroken")
    assert len(resurfaced) == 1
    broken = run("broken", 10, RESURFACING, RESURFACING + 1, PUPIL - 1, PUPIL, PUPIL + 1)
    assert resurfaced == [resurfaced[0]] * 2
    assert unbroken.step == broken.step == STEPS
    assert differing(unbroken, broken) == []


@pytest.mark.parametrize("change", [{"resurface_at": 1.0}, {"pupil_from": 1.0}])
def test_both_show_in_the_end(run, change):
    """Otherwise the test above would tell nothing."""
    changed = run("changed", **change)
    assert "/gaussians/means" in differing(run("unbroken"), changed)


def test_blurnet_stopped_round_its_stages_and_resurfacing(run):
    stages = {"defocus": "blurnet", "blurnet_blur_from": 0.25, "blurnet_joint_from": 0.6}
    unbroken = run("unbroken", **stages)
    broken = run("broken", 10, 11, RESURFACING, RESURFACING + 1, 24, 25, **stages)
    assert differing(unbroken, broken) == []


@pytest.mark.parametrize("poses_found", [(False, True), (True, False)])
def test_poses_that_learn_are_not_resumed_as_poses_that_stay(run, poses_found):
    with pytest.raises(SolverError, match="found in another way"):
        run("poses", 5, poses_found=poses_found)
