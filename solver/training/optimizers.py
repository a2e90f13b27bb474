# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves the parameters of a run. Each group of parameters has the name of its rate in `learning_rates`."""

from collections.abc import Iterable, Mapping

from torch.optim import Adam, Optimizer

from solver.gaussians.model import Gaussians
from solver.training.camera_refinement import CameraRefinement
from solver.training.reconstruction import Reconstruction


def gaussian_optimizer(gaussians: Gaussians, rates: Mapping[str, float]) -> Optimizer:
    """Of the Gaussians, apart from all others, since densification changes what it holds."""
    groups = [{"params": [tensor], "lr": rates[name], "name": name} for name, tensor in gaussians.tensors().items()]
    return Adam(groups, eps=1e-15, fused=True)


def other_optimizers(scene: Reconstruction, cameras: CameraRefinement | None) -> list[Optimizer]:
    """Of background and lens, then of cameras, exposures and BlurNet where they learn.

    From here on background and lens take gradients. All but BlurNet wait for their rates.
    """
    lens = scene.lens
    for tensor in (scene.background, *lens.log_pupil_diameters, *lens.inverse_focus_distances):
        tensor.requires_grad_()
    seen = [
        {"params": [scene.background], "name": "background"},
        {"params": lens.log_pupil_diameters, "name": "pupil"},
        {"params": lens.inverse_focus_distances, "name": "focus"},
    ]
    optimizers: list[Optimizer] = [Adam(seen, lr=0.0, eps=1e-15)]
    if cameras is not None:
        groups = [
            {"params": cameras.increments, "name": "poses"},
            {"params": cameras.log_focal_factors, "name": "focal"},
        ]
        optimizers.append(Adam(groups, lr=0.0, betas=(0.8, 0.99), eps=1e-15))
    if scene.exposures is not None:
        gains = [{"params": scene.exposures.log_gains, "name": "exposure"}]
        optimizers.append(Adam(gains, lr=0.0, betas=(0.8, 0.99), eps=1e-15))
    if scene.blurnet is not None:
        optimizers.append(Adam(scene.blurnet.parameters(), lr=scene.settings.blurnet_rate))
    return optimizers


def set_learning_rates(optimizers: Iterable[Optimizer], rates: Mapping[str, float]) -> None:
    """Give each group of parameters the rate of its name; groups without a name, BlurNet's, keep theirs."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if group.get("name") in rates:
                group["lr"] = rates[group["name"]]
