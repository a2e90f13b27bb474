# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels as one differentiable function of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from solver.rasterization.cpu import threads
from solver.rasterization.cpu.backward import composite_backward
from solver.rasterization.cpu.binning import Bins, bin_gaussians
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
    sh_coefficients: Tensor,  # [N, S, 3]
    extras: Tensor | None,  # [N, E]
    view: View,
    aperture: Aperture | None,
    sh_degree: int,
    settings: RasterizationSettings,
) -> tuple[Tensor, Tensor, Tensor]:  # [H, W, 4 + E], [H, W], [N] bool
    """Composite colour, depth and extras in float32; see `interface.rasterize` for the arguments."""
    if extras is None:
        extras = means.new_zeros(len(means), 0)
    gaussians = (means, quaternions, scales, opacities, sh_coefficients, extras)
    return _Rasterize.apply(
        *(tensor.float() for tensor in gaussians),
        pack_camera(view, aperture),
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
        *tensors, (width, height, sh_degree), settings = inputs
        arrays = [_array(tensor) for tensor in tensors]
        *gaussians, camera = arrays
        count, channels = len(gaussians[0]), EXTRAS + gaussians[-1].shape[1]
        geometry = np.empty((count, 8), np.float32)
        features = np.empty((count, channels), np.float32)
        visible = np.empty(count, np.bool_)
        threads.run(
            lambda part, parts: project(
                *gaussians,
                camera,
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
                part,
                parts,
            )
        )
        bins = bin_gaussians(geometry, np.ascontiguousarray(features[:, DEPTH]), visible, width, height)
        image = np.empty((height, width, channels), np.float32)
        alpha = np.empty((height, width), np.float32)
        threads.run(
            lambda part, parts: composite(
                geometry,
                features,
                bins.pair_gaussians,
                bins.pair_masks,
                bins.tile_offsets,
                image,
                alpha,
                part,
                parts,
            )
        )
        outputs = torch.from_numpy(image), torch.from_numpy(alpha), torch.from_numpy(visible)
        ctx.mark_non_differentiable(outputs[2])
        ctx.save_for_backward(*tensors, *outputs)
        ctx.others = (geometry, features, bins, sh_degree, settings)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_outputs: Any) -> tuple[Tensor | None, ...]:
        *tensors, image, alpha, visible = ctx.saved_tensors
        *gaussians, camera = [_array(tensor) for tensor in tensors]
        geometry, features, bins, sh_degree, settings = ctx.others
        moments = _moments(geometry, features, bins, _array(image), _array(alpha), *v_outputs[:2])
        v_gaussians = [np.empty_like(array) for array in gaussians]
        v_camera = np.empty((-(-len(features) // CHUNK), CAMERA_SIZE))
        height, width = alpha.shape
        threads.run(
            lambda part, parts: project_backward(
                *gaussians[:-1],
                camera,
                width,
                height,
                sh_degree,
                settings.eps2d,
                settings.antialiased,
                features,
                visible.numpy(),
                moments,
                bins.slot_offsets,
                bins.slots,
                *v_gaussians,
                v_camera,
                part,
                parts,
            )
        )
        return *(torch.from_numpy(v) for v in (*v_gaussians, v_camera.sum(0))), None, None


def _moments(
    geometry: np.ndarray,  # [N, 8]
    features: np.ndarray,  # [N, 4 + E]
    bins: Bins,
    image: np.ndarray,  # [H, W, 4 + E]
    alpha: np.ndarray,  # [H, W]
    v_image: Tensor,  # [H, W, 4 + E]
    v_alpha: Tensor,  # [H, W]
) -> np.ndarray:  # [P, 10 + E]
    v_image_array, v_alpha_array = _array(v_image), _array(v_alpha)
    moments = np.empty((len(bins.pair_gaussians), MOMENT_COUNT + features.shape[1]), np.float32)
    threads.run(
        lambda part, parts: composite_backward(
            geometry,
            features,
            bins.pair_gaussians,
            bins.pair_masks,
            bins.tile_offsets,
            image,
            alpha,
            v_image_array,
            v_alpha_array,
            moments,
            part,
            parts,
        )
    )
    return moments


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()
