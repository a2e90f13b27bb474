# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole training iteration, by the real trainer on a capture made for the purpose."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.speed.scenes import BenchmarkScene
from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import settings_for
from solver.events import Reporter
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb
from solver.training.trainer import Trainer

_STEP, _STEPS = 501, 1000  # in the middle of a run: with blur and weights, and no densification for 99 steps


def _turn(angle: float) -> torch.Tensor:  # [4, 4]
    """A rotation about the vertical axis."""
    result = torch.eye(4)
    result[0, 0] = result[2, 2] = math.cos(angle)
    result[0, 2], result[2, 0] = math.sin(angle), -math.sin(angle)
    return result


def make_trainer(scene: BenchmarkScene, folder: Path, defocus: str) -> Trainer:
    """A trainer in the middle of its run whose Gaussians are those of `scene`, and whose photos show them."""
    (folder / "images").mkdir(parents=True)
    view, frames = scene.view, []
    for index, angle in enumerate((-0.1, 0.0, 0.1)):
        turned = replace(view, world_to_camera=view.world_to_camera @ _turn(angle))
        with torch.no_grad():
            image = replace(scene, view=turned).render(scene.aperture).colour
        name = f"images/photo_{index}.png"
        pixels = (255 * linear_to_srgb(image.clamp(0, 1))).round().byte().numpy()
        Image.fromarray(pixels).save(folder / name)
        pose = np.linalg.inv(turned.world_to_camera.numpy().astype(np.float64)) @ np.diag([1, -1, -1, 1])
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    focal, cx, cy = (float(view.K[place]) for place in ((0, 0), (0, 2), (1, 2)))
    lens = {"f_number": 9.0, "focal_length_mm": 100.0, "unit_mm": 1.0}
    size = {"fl_x": focal, "fl_y": focal, "cx": cx, "cy": cy, "w": view.width, "h": view.height}
    (folder / "transforms.json").write_text(json.dumps({**size, **lens, "frames": frames}))

    count = len(scene.means)
    settings = settings_for(
        "standard", iterations=_STEPS, max_gaussians=count, initial_gaussians=count, defocus=defocus, growth=0.0
    )
    reporter = Reporter()
    capture = load_capture(
        folder, masks=None, poses_folder=folder / "poses", max_size=800, train_on_sharp=False, reporter=reporter
    )
    trainer = Trainer(
        capture,
        settings,
        backend="cpu",
        device=torch.device("cpu"),
        checkpoint_path=folder / "checkpoint.pt",
        preview_path=folder / "preview.png",
        reporter=reporter,
        cancellation=Cancellation(),
    )
    trainer.start_from(
        Gaussians(
            means=scene.means.clone(),
            log_scales=scene.scales.log(),
            quaternions=scene.quaternions.clone(),
            opacity_logits=scene.opacities.logit(),
            sh_constant=scene.sh_constant.clone(),
            sh_rest=scene.sh_rest.clone(),
        )
    )
    trainer.step = _STEP
    assert math.isfinite(trainer.train_one_step())
    return trainer
