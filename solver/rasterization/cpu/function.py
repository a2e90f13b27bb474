# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels as one differentiable function of PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from solver.kernels import threads
from solver.kernels.board import new_board
from solver.rasterization.cpu.camera import pack_camera, unpack_gradient
from solver.rasterization.cpu.layout import CAMERA_SIZE, CHUNK, EXTRAS, MOMENT_COUNT, PLANE, TILE
from solver.rasterization.cpu.passes import bin_and_composite, differentiate
from solver.rasterization.cpu.projection import project
from solver.rasterization.cpu.workspace import Workspace
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
        count, views, channels = len(gaussians[0]), len(samples), EXTRAS + gaussians[-1].shape[1]
        tiles = -(-width // TILE) * -(-height // TILE)
        workspace = Workspace()
        geometry = workspace.array("geometry", np.float32, count, views, 8)
        features = workspace.array("features", np.float32, count, channels)
        slot_counts = workspace.array("slot counts", np.int32, count, views)
        boxes = workspace.array("boxes", np.int32, count, views, 4)
        seen = np.empty(count, np.bool_)
        chunk_slots = np.empty(-(-count // CHUNK), np.int64)
        board = new_board()
        threads.run(
            lambda part, parts: project(
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
                seen,
                slot_counts,
                boxes,
                chunk_slots,
                board,
            )
        )
        room = int(chunk_slots.sum())
        slot_offsets = workspace.array("slot offsets", np.int64, count, views)
        slot_ends = workspace.array("slot ends", np.int64, count, views)
        slots = workspace.array("slots", np.uint32, room, 2)
        pairs = workspace.array("pairs", np.uint32, room, 2)
        tile_planes = workspace.array("tile planes", np.float32, views, tiles, 1 + channels, PLANE)
        tile_offsets = np.empty(views * tiles + 1, np.int64)
        order, found = workspace.array("order", np.int32, count), np.empty(1, np.int64)
        number = threads.thread_count()
        histograms, starts = np.empty((2, number, views * tiles), np.int64)
        shapes = (height, width, 3), (height, width), (height, width), (height, width, channels - EXTRAS)
        images = [np.empty(shape, np.float32) for shape in shapes]
        board = new_board()
        threads.run(
            lambda part, parts: bin_and_composite(
                geometry,
                features,
                seen,
                slot_counts,
                boxes,
                chunk_slots,
                width,
                height,
                order,
                found,
                slot_offsets,
                slot_ends,
                slots,
                histograms,
                starts,
                pairs,
                tile_offsets,
                background,
                *images,
                tile_planes,
                board,
                part,
                parts,
            ),
            number,
            board,
        )
        outputs = tuple(torch.from_numpy(array) for array in (*images, seen))
        ctx.mark_non_differentiable(outputs[-1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.workspace = workspace  # its arrays are free once `ctx` is gone
        ctx.binned = geometry, features, pairs, tile_offsets, tile_planes, slot_offsets, slot_ends, slots
        ctx.others = camera, samples, residual, (width, height, sh_degree), settings
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        *gaussians, background = (_array(tensor) for tensor in ctx.saved_tensors)
        geometry, features, pairs, tile_offsets, tile_planes, *slots = ctx.binned
        camera, samples, residual, size_and_degree, settings = ctx.others
        v_images = [
            np.empty((0,) * dimensions, np.float32) if v is None else _array(v)
            for dimensions, v in zip((3, 2, 2, 3), v_outputs, strict=False)
        ]
        moments = ctx.workspace.array("moments", np.float32, int(tile_offsets[-1]), MOMENT_COUNT + features.shape[1])
        v_background = np.empty((tile_planes.shape[1], 3))
        v_gaussians = [np.empty_like(array) for array in gaussians]
        v_camera = np.empty((-(-len(features) // CHUNK), CAMERA_SIZE))
        board = new_board()
        threads.run(
            lambda part, parts: differentiate(
                geometry,
                pairs,
                tile_offsets,
                background,
                tile_planes,
                *v_images,
                v_background,
                *gaussians[:-1],
                camera,
                samples,
                residual,
                *size_and_degree,
                settings.eps2d,
                settings.antialiased,
                features,
                moments,
                *slots,
                *v_gaussians,
                v_camera,
                board,
                parts,
            ),
            board=board,
        )
        gradients = (*v_gaussians, v_background.sum(0), *unpack_gradient(camera, v_camera.sum(0)))
        wanted = ctx.needs_input_grad[: len(gradients)]
        tensors = (torch.from_numpy(v) if want else None for v, want in zip(gradients, wanted, strict=True))
        return *tensors, *(None,) * (len(ctx.needs_input_grad) - len(gradients))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()
