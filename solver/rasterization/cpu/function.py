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
from solver.rasterization.cpu.camera import pack_camera, unpack_gradient
from solver.rasterization.cpu.forward import composite
from solver.rasterization.cpu.layout import CAMERA_SIZE, DEPTH, EXTRAS, MOMENT_COUNT
from solver.rasterization.cpu.projection import CHUNK, project
from solver.rasterization.cpu.projection_backward import project_backward
from solver.rasterization.types import Aperture, RasterizationSettings, Rendering, View

_PUPIL_CENTRE = np.zeros((1, 2))
_TENSORS = 8  # the first inputs of the function: seven of the Gaussians, and the background


def render(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor | tuple[Tensor, Tensor],  # [N, S, 3], or [N, 1, 3] and [N, S - 1, 3]
    extras: Tensor | None,  # [N, E]
    view: View,
    aperture: Aperture | None,
    background: Tensor | None,  # [3]
    sh_degree: int,
    settings: RasterizationSettings,
) -> Rendering:
    """Composite colour, depth and extras in float32; see `interface.rasterize` for the arguments."""
    if not isinstance(sh_coefficients, tuple):
        sh_coefficients = sh_coefficients[:, :1], sh_coefficients[:, 1:]
    if background is None:
        background = means.new_zeros(3)
    features = means.new_zeros(len(means), 0) if extras is None else extras
    samples, residual = _PUPIL_CENTRE, 1.0
    lens: tuple[Tensor | None, Tensor | None] = None, None
    if aperture is not None:
        lens = aperture.pupil_diameter, aperture.inverse_focus_distance
        if aperture.samples is not None:
            samples, residual = np.ascontiguousarray(aperture.samples.double().numpy()), aperture.residual
    gaussians = (means, quaternions, scales, opacities, *sh_coefficients, features, background)
    colour, depth, alpha, composited, visible = _Rasterize.apply(
        *(tensor.float() for tensor in gaussians),
        view.world_to_camera,
        view.K,
        *lens,
        samples,
        residual,
        (view.width, view.height, sh_degree),
        settings,
    )
    return Rendering(colour, depth, alpha, None if extras is None else composited, visible)


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        tensors, camera_and_lens = inputs[:_TENSORS], inputs[_TENSORS:-4]
        samples, residual, (width, height, sh_degree), settings = inputs[-4:]
        *gaussians, background = (_array(tensor) for tensor in tensors)
        camera = pack_camera(*camera_and_lens)
        count, channels, views = len(gaussians[0]), EXTRAS + gaussians[-1].shape[1], len(samples)
        geometry = np.empty((views, count, 8), np.float32)
        features = np.empty((count, channels), np.float32)
        visible = np.empty((views, count), np.bool_)
        boxes = np.empty((views, count, 4), np.int32)
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
                boxes,
                *share,
            )
        )
        bins = bin_gaussians(geometry, np.ascontiguousarray(features[:, DEPTH]), visible, boxes, width, height)
        colours = np.empty((views, height, width, 3), np.float32)
        depths = np.empty((views, height, width), np.float32)
        alphas = np.empty((views, height, width), np.float32)
        composited = np.empty((views, height, width, channels - EXTRAS), np.float32)
        images = colours, depths, alphas, composited
        rows = geometry.reshape(-1, 8)
        threads.run(
            lambda *share: composite(
                rows, features, bins.pair_rows, bins.pair_masks, bins.tile_offsets, background, *images, *share
            )
        )
        outputs = (*(_mean(image) for image in images), torch.from_numpy(visible.any(0)))
        ctx.mark_non_differentiable(outputs[-1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *outputs[:-1])  # outputs, so that PyTorch notices if one is changed in place
        ctx.others = (camera, geometry, features, bins, images, samples, residual, sh_degree, settings)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        *gaussians, background = (_array(tensor) for tensor in ctx.saved_tensors[:_TENSORS])
        camera, geometry, features, bins, images, samples, residual, sh_degree, settings = ctx.others
        _, height, width, _ = images[0].shape
        v_images = [
            np.empty((0,) * (image.ndim - 1), np.float32) if v is None else _array(v)
            for image, v in zip(images, v_outputs, strict=False)
        ]
        v_background = np.empty((len(bins.tile_offsets) - 1, 3))
        moments = np.empty((len(bins.pair_rows), MOMENT_COUNT + features.shape[1]), np.float32)
        rows = geometry.reshape(-1, 8)
        threads.run(
            lambda *share: composite_backward(
                rows,
                features,
                bins.pair_rows,
                bins.pair_masks,
                bins.tile_offsets,
                background,
                *images,
                *v_images,
                np.float32(1 / len(samples)),
                moments,
                v_background,
                *share,
            )
        )
        v_gaussians = [np.empty_like(array) for array in gaussians]
        v_camera = np.empty((-(-len(features) // CHUNK), CAMERA_SIZE))
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
                moments,
                bins.slot_offsets,
                bins.slot_ends,
                bins.slots,
                *v_gaussians,
                v_camera,
                *share,
            )
        )
        gradients = (*v_gaussians, v_background.sum(0), *unpack_gradient(camera, v_camera.sum(0)))
        wanted = ctx.needs_input_grad[: len(gradients)]
        tensors = (torch.from_numpy(v) if want else None for v, want in zip(gradients, wanted, strict=True))
        return *tensors, *(None,) * (len(ctx.needs_input_grad) - len(gradients))


def _mean(images: np.ndarray) -> Tensor:  # [M, ...] -> [...]
    return torch.from_numpy(images[0]) if len(images) == 1 else torch.from_numpy(images).mean(0)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()
