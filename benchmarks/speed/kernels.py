# SPDX-License-Identifier: GPL-3.0-or-later
"""Compositing alone, with everything it needs prepared."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.speed.scenes import BenchmarkScene
from solver.rasterization.cpu import backward, forward
from solver.rasterization.cpu.binning import bin_gaussians
from solver.rasterization.cpu.camera import pack_camera
from solver.rasterization.cpu.layout import DEPTH, MOMENT_COUNT
from solver.rasterization.cpu.projection import project

_CHANNELS = 4


class Kernels:
    """The input of one scene's kernels, and calls of them on one thread."""

    numba = SimpleNamespace(composite=forward.composite, composite_backward=backward.composite_backward)

    def __init__(self, scene: BenchmarkScene) -> None:
        count, height, width = len(scene.means), scene.view.height, scene.view.width
        geometry = np.empty((1, count, 8), np.float32)
        self.features = np.empty((count, _CHANNELS), np.float32)
        visible = np.empty((1, count), np.bool_)
        boxes = np.empty((1, count, 4), np.int32)
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
            geometry,
            self.features,
            visible,
            boxes,
            0,
            1,
        )
        self.geometry = geometry[0]
        depths = np.ascontiguousarray(self.features[:, DEPTH])
        self.bins = bin_gaussians(geometry, depths, visible, boxes, width, height)
        self.background = np.array([0.2, 0.3, 0.4], np.float32)
        shapes = (height, width, 3), (height, width), (height, width), (height, width, 0)
        self.images = [np.empty((1, *shape), np.float32) for shape in shapes]  # colour, depth, alpha, extras
        random = np.random.default_rng(1)
        self.v_images = [random.normal(size=shape).astype(np.float32) for shape in shapes]
        self.moments = np.empty((len(self.bins.pair_rows), MOMENT_COUNT + _CHANNELS), np.float32)
        self.v_background = np.empty((len(self.bins.tile_offsets) - 1, 3))
        self.forward(self.numba)

    @property
    def vectors(self) -> int:
        """How many vectors of eight pixels the kernels look at: the floor of their work."""
        return int(np.unpackbits(self.bins.pair_masks.view(np.uint8)).sum())

    def forward(self, kernels: Any) -> None:
        """Fill the images."""
        kernels.composite(*self._lists(), *self.images, 0, 1)

    def backward(self, kernels: Any) -> None:
        """Fill the moments and the background's gradient."""
        results = self.moments, self.v_background
        kernels.composite_backward(*self._lists(), *self.images, *self.v_images, np.float32(1), *results, 0, 1)

    def difference(self, other: Any) -> float:
        """The largest difference of an image's colour or alpha between `other` and the Numba kernels."""
        results = []
        for kernels in (self.numba, other):
            self.forward(kernels)
            colour, _, alpha, _ = self.images
            results.append(np.concatenate([colour, alpha[..., None]], -1))
        return float(abs(results[1] - results[0]).max())

    def _lists(self) -> tuple[np.ndarray, ...]:
        bins = self.bins
        lists = self.geometry, self.features, bins.pair_rows, bins.pair_masks, bins.tile_offsets
        return *lists, self.background
