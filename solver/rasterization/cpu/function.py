# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels as one differentiable function of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from solver.kernels import threads
from solver.rasterization.cpu.backward import composite_backward
from solver.rasterization.cpu.binning import bin_gaussians
from solver.rasterization.cpu.forward import composite
from solver.rasterization.cpu.layout import CAMERA_SIZE, DEPTH, EXTRAS, MOMENT_COUNT
from solver.rasterization.cpu.projection import CHUNK, project, project_backward
from solver.rasterization.projection import camera_centre
from solver.rasterization.types import Aperture, RasterizationSettings, View


def render(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor | tuple[Tensor, Tensor],  # [N, S, 3], or [N, 1, 3] and [N, S - 1, 3]
    extras: Tensor | None,  # [N, E]
    view: View,
    aperture: Aperture | None,
    sh_degree: int,
    settings: RasterizationSettings,
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W, 4 + E], [H, W], [N] bool
    """Composite colour, depth and extras in float32; see `interface.rasterize` for the arguments."""
    if extras is None:
        extras = means.new_zeros(len(means), 0)
    if not isinstance(sh_coefficients, tuple):
        sh_coefficients = sh_coefficients[:, :1], sh_coefficients[:, 1:]
    gaussians = (means, quaternions, scales, opacities, *sh_coefficients, extras)
    samples, residual = np.zeros((1, 2)), 1.0
    if aperture is not None and aperture.samples is not None:
        samples, residual = np.ascontiguousarray(aperture.samples.double().numpy()), aperture.residual
    return _Rasterize.apply(
        *(tensor.float() for tensor in gaussians),
        pack_camera(view, aperture),
        samples,
        residual,
        (view.width, view.height, sh_degree),
        settings,
    )


def pack_camera(view: View, aperture: Aperture | None) -> Tensor:  # [21] float64
    """The camera's numbers in the kernels' order, differentiably. A pinhole has a pupil of diameter 0."""
    world_to_camera, K = view.world_to_camera.double(), view.K.double()
    if aperture is None:
        lens = torch.zeros(2, dtype=torch.float64)
    else:
        lens = torch.stack([aperture.pupil_diameter.double(), aperture.inverse_focus_distance.double()])
    return torch.cat(
        [
            world_to_camera[:3, :3].flatten(),
            world_to_camera[:3, 3],
            torch.stack([K[0, 0], K[1, 1], K[0, 2], K[1, 2]]),
            camera_centre(world_to_camera),
            lens,
        ]
    )


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        *tensors, samples, residual, (width, height, sh_degree), settings = inputs
        arrays = [_array(tensor) for tensor in tensors]
        *gaussians, camera = arrays
        count, channels, views = len(gaussians[0]), EXTRAS + gaussians[-1].shape[1], len(samples)
        geometry = np.empty((views, count, 8), np.float32)
        features = np.empty((count, channels), np.float32)
        visible = np.empty((views, count), np.bool_)
        threads.run(
            lambda *share: project(
                *gaussians,
                camera,
                samples,
                residual,
                width,
                height,
                sh_degree,
                settings.eps2d,
                settings.near_plane,
                settings.far_plane,
                settings.antialiased,
                geometry,
                features,
                visible,
                *share,
            )
        )
        bins = bin_gaussians(geometry, np.ascontiguousarray(features[:, DEPTH]), visible, width, height)
        images = np.empty((views, height, width, channels), np.float32)
        alphas = np.empty((views, height, width), np.float32)
        rows = geometry.reshape(-1, 8)
        threads.run(
            lambda *share: composite(
                rows, features, bins.pair_rows, bins.pair_masks, bins.tile_offsets, images, alphas, *share
            )
        )
        outputs = _mean(images), _mean(alphas), torch.from_numpy(visible.any(0))
        ctx.mark_non_differentiable(outputs[2])
        ctx.save_for_backward(*tensors)
        ctx.others = (geometry, features, visible, bins, images, alphas, samples, residual, sh_degree, settings)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_outputs: Any) -> tuple[Tensor | None, ...]:
        *gaussians, camera = [_array(tensor) for tensor in ctx.saved_tensors]
        geometry, features, visible, bins, images, alphas, samples, residual, sh_degree, settings = ctx.others
        v_image, v_alpha = (_array(v) for v in v_outputs[:2])
        moments = np.empty((len(bins.pair_rows), MOMENT_COUNT + features.shape[1]), np.float32)
        rows = geometry.reshape(-1, 8)
        threads.run(
            lambda *share: composite_backward(
                rows,
                features,
                bins.pair_rows,
                bins.pair_masks,
                bins.tile_offsets,
                images,
                alphas,
                v_image,
                v_alpha,
                np.float32(1 / len(samples)),
                moments,
                *share,
            )
        )
        v_gaussians = [np.empty_like(array) for array in gaussians]
        v_camera = np.empty((-(-len(features) // CHUNK), CAMERA_SIZE))
        height, width = v_alpha.shape
        threads.run(
            lambda *share: project_backward(
                *gaussians[:-1],
                camera,
                samples,
                residual,
                width,
                height,
                sh_degree,
                settings.eps2d,
                settings.antialiased,
                features,
                visible,
                moments,
                bins.slot_offsets,
                bins.slot_ends,
                bins.slots,
                *v_gaussians,
                v_camera,
                *share,
            )
        )
        return *(torch.from_numpy(v) for v in (*v_gaussians, v_camera.sum(0))), None, None, None, None


def _mean(images: np.ndarray) -> Tensor:  # [M, ...] -> [...]
    return torch.from_numpy(images[0] if len(images) == 1 else images.mean(0))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()
