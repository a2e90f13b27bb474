# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing alone, with everything it needs prepared."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.speed.scenes import BenchmarkScene
from solver.kernels.board import new_board
from solver.rasterization.cpu import backward, forward
from solver.rasterization.cpu.binning import bin_gaussians
from solver.rasterization.cpu.camera import pack_camera
from solver.rasterization.cpu.layout import CHUNK, MOMENT_COUNT, PLANE, TILE
from solver.rasterization.cpu.projection import project

_CHANNELS = 4


class Kernels:
    """The input of one scene's kernels, and calls of them on one thread."""

    numba = SimpleNamespace(composite=forward.composite, composite_backward=backward.composite_backward)

    def __init__(self, scene: BenchmarkScene) -> None:
        count, height, width = len(scene.means), scene.view.height, scene.view.width
        tiles = -(-width // TILE) * -(-height // TILE)
        self.geometry = np.empty((count, 1, 8), np.float32)
        self.features = np.empty((count, _CHANNELS), np.float32)
        seen, slot_counts = np.empty(count, np.bool_), np.empty((count, 1), np.int32)
        boxes, chunk_slots = np.empty((count, 1, 4), np.int32), np.empty(-(-count // CHUNK), np.int64)
        project(
            scene.means.numpy(),
            scene.quaternions.numpy(),
            scene.scales.numpy(),
            scene.opacities.numpy(),
            scene.sh_constant.numpy(),
            scene.sh_rest.numpy(),
            np.empty((count, 0), np.float32),
            pack_camera(scene.view.world_to_camera, scene.view.K, None, None),
            np.zeros((1, 2)),
            1.0,
            width,
            height,
            3,
            0.3,
            0.01,
            1e10,
            False,
            self.geometry,
            self.features,
            seen,
            slot_counts,
            boxes,
            chunk_slots,
            new_board(),
        )
        room = int(chunk_slots.sum())
        self.pairs, self.tile_offsets = np.empty((room, 2), np.uint32), np.empty(tiles + 1, np.int64)
        bin_gaussians(
            self.geometry,
            self.features,
            seen,
            slot_counts,
            boxes,
            chunk_slots,
            width,
            height,
            np.empty(count, np.int32),
            np.empty(1, np.int64),
            np.empty((count, 1), np.int64),
            np.empty((count, 1), np.int64),
            np.empty((room, 2), np.uint32),
            np.empty((1, tiles), np.int64),
            np.empty((1, tiles), np.int64),
            self.pairs,
            self.tile_offsets,
            new_board(),
            0,
            1,
        )
        self.pairs = self.pairs[: self.tile_offsets[-1]]
        self.background = np.array([0.2, 0.3, 0.4], np.float32)
        shapes = (height, width, 3), (height, width), (height, width), (height, width, 0)
        self.images = [np.empty(shape, np.float32) for shape in shapes]  # colour, depth, alpha, extras
        self.tile_planes = np.empty((1, tiles, 1 + _CHANNELS, PLANE), np.float32)
        random = np.random.default_rng(1)
        self.v_images = [random.normal(size=shape).astype(np.float32) for shape in shapes]
        self.moments = np.empty((len(self.pairs), MOMENT_COUNT + _CHANNELS), np.float32)
        self.v_background = np.empty((tiles, 3))
        self.forward(self.numba)

    @property
    def vectors(self) -> int:
        """How many vectors of eight pixels the kernels look at: the floor of their work."""
        return int(np.unpackbits(np.ascontiguousarray(self.pairs[:, 1]).view(np.uint8)).sum())

    def forward(self, kernels: Any) -> None:
        """Fill the images."""
        kernels.composite(*self._lists(), *self.images, self.tile_planes, new_board())

    def backward(self, kernels: Any) -> None:
        """Fill the moments and the background's gradient."""
        height, width = self.images[2].shape
        results = self.moments, self.v_background
        kernels.composite_backward(
            *self._lists(), self.tile_planes, *self.v_images, width, height, *results, new_board()
        )

    def difference(self, other: Any) -> float:
        """The largest difference of an image's colour or alpha between `other` and the Numba kernels."""
        results = []
        for kernels in (self.numba, other):
            self.forward(kernels)
            colour, _, alpha, _ = self.images
            results.append(np.concatenate([colour, alpha[..., None]], -1))
        return float(abs(results[1] - results[0]).max())

    def _lists(self) -> tuple[np.ndarray, ...]:
        return self.geometry, self.features, self.pairs, self.tile_offsets, self.background
