# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussian splatting: one interface, three backends with the same mathematics, gradients to everything.

`cpu` is the fast one without a graphics card, `gsplat` runs on CUDA, `reference` is plain PyTorch for tests.
"""

from solver.rasterization.backends import BackendState, available_backends, choose_backend, prepare
from solver.rasterization.interface import rasterize
from solver.rasterization.types import Aperture, Backend, RasterizationSettings, Rendering, View

__all__ = [
    "Aperture",
    "Backend",
    "BackendState",
    "RasterizationSettings",
    "Rendering",
    "View",
    "available_backends",
    "choose_backend",
    "prepare",
    "rasterize",
]
