# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene that a run begins with: a cloud of Gaussians, a guessed lens, and the light behind them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from solver.capture.types import Capture
from solver.config import ReconstructionSettings
from solver.defocus.blurnet import BlurNet
from solver.defocus.lens import DepthSamples, Lens, depth_samples, initial_lens
from solver.gaussians.initialization import initialize, scene_centre, scene_size
from solver.optics.sharpness import local_sharpness
from solver.rasterization import Backend
from solver.training.exposures import Exposures, learns_exposure
from solver.training.outside_masks import initial_background
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction
from solver.training.stages import uses_blurnet


def initial_scene(
    capture: Capture,
    photos: Sequence[TrainingPhoto],
    trained: Sequence[int],
    samples: Sequence[DepthSamples],
    settings: ReconstructionSettings,
    backend: Backend,
    device: torch.device,
) -> Reconstruction:
    """A scene as far as it is known before training.

    Args:
        capture: photos with poses.
        photos: all of the capture.
        trained: indices of those that are trained on.
        samples: depths of each photo, as `sampled_depths` finds them.
        settings: of the run.
        backend: of rasterization.
        device: to train on.
    """
    gaussians = initialize(
        capture.with_photos(tuple(capture.photos[index] for index in trained)),
        min(settings.initial_gaussians, settings.max_gaussians),
        settings.sh_degree,
        np.random.default_rng(settings.seed),
        most=settings.max_gaussians,
    )
    exposures = None
    if learns_exposure(settings):
        alike = settings.learn_exposure == "auto" and capture.exposed_alike  # a flash varies; "on" says so
        exposures = Exposures.equal(len(photos), trained, alike=alike, device=device)
    return Reconstruction(
        gaussians=gaussians.map(lambda tensor: tensor.to(device)),
        background=initial_background([photos[index] for index in trained]).to(device),
        lens=_on_device(initial_lens(capture, list(samples), settings.pupil_start), device),
        capture=capture,
        settings=settings,
        backend=backend,
        scene_centre=scene_centre(capture.photos),
        scene_size=scene_size(capture),
        active_sh_degree=0,
        blurnet=BlurNet(len(photos), settings.seed).to(device) if uses_blurnet(settings) else None,
        exposures=exposures,
    )


def sampled_depths(capture: Capture, photos: Sequence[TrainingPhoto]) -> list[DepthSamples]:
    """What sparse points tell of the depths in each photo, and how sharp they are there."""
    centre = scene_centre(capture.photos)
    return [
        depth_samples(entry.photo, capture.points, centre, local_sharpness(entry.image.cpu().numpy()))
        for entry in photos
    ]


def _on_device(lens: Lens, device: torch.device) -> Lens:
    return dataclasses.replace(
        lens,
        log_pupil_diameters=[tensor.to(device) for tensor in lens.log_pupil_diameters],
        inverse_focus_distances=[tensor.to(device) for tensor in lens.inverse_focus_distances],
    )
