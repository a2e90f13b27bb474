# SPDX-License-Identifier: GPL-3.0-or-later
"""What rasterizer.py measures. All variants of a table take turns, in another order each time, so that what else the
machine does meets all of them, and so do the caches that others leave; figures are median milliseconds.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed import tiled_torch
from benchmarks.speed.iteration import make_trainer
from benchmarks.speed.kernels import Kernels
from benchmarks.speed.scenes import BenchmarkScene, Sizes, make_scene
from solver.defocus.pupil import pupil_samples, sample_dilation
from solver.kernels import threads
from solver.rasterization import Aperture, Backend

THREADS = (1, 2)
PUPIL_SAMPLES = 6


def measure_passes(count: int, sizes: Sizes, rounds: int) -> dict[str, Any]:
    """Milliseconds of whole passes: projection, binning, compositing and what autograd adds."""
    scene = make_scene(count, sizes)
    points, dilation = pupil_samples(PUPIL_SAMPLES, 0.3), sample_dilation(PUPIL_SAMPLES)
    sampled = replace(scene.aperture, samples=points, residual=dilation)
    variants: dict[str, Callable[[], object]] = {}
    for number in THREADS:
        variants[f"plain, forward, {number}"] = partial(_forward, scene, None, number)
        variants[f"plain, {number}"] = _passes(scene, None, number)
        variants[f"dilated, {number}"] = _passes(scene, scene.aperture, number)
        variants[f"pupil, {number}"] = _passes(scene, sampled, number)
    return {"gaussians": count, "sizes": sizes, "ms": _take_turns(variants, rounds)}


def measure_kernels(kernels: Kernels, compiled: Any, count: int, sizes: Sizes, rounds: int) -> dict[str, Any]:
    """Milliseconds of compositing alone on one thread, here and in C++; and how much there is to do."""
    threads.set_thread_count(1)
    variants: dict[str, Callable[[], object]] = {
        "forward": partial(kernels.forward, kernels.numba),
        "backward": partial(kernels.backward, kernels.numba),
    }
    if compiled is not None:
        variants["forward in C++"] = partial(kernels.forward, compiled)
        variants["backward in C++"] = partial(kernels.backward, compiled)
    try:
        result: dict[str, Any] = {
            "gaussians": count,
            "sizes": sizes,
            "vectors": kernels.vectors,
            "ms": _take_turns(variants, rounds),
        }
        if compiled is not None:
            result["difference"] = kernels.difference(compiled)
        return result
    finally:
        threads.set_thread_count(None)


def measure_iteration(count: int, sizes: Sizes, folder: Path, rounds: int) -> dict[str, Any]:
    """Milliseconds of a training iteration, and of the rasterizer's passes on the same Gaussians."""
    scene = make_scene(count, sizes)
    variants: dict[str, Callable[[], object]] = {}
    for defocus in ("none", "dilation"):
        trainer = make_trainer(scene, folder / f"{count}-{sizes}-{defocus}", defocus)
        aperture = scene.aperture if defocus == "dilation" else None
        for number in THREADS:
            variants[f"{defocus}, iteration, {number}"] = partial(_with_threads, number, trainer.train_one_step)
            variants[f"{defocus}, passes, {number}"] = _passes(scene, aperture, number)
    return {"gaussians": count, "sizes": sizes, "ms": _take_turns(variants, rounds)}


def measure_slow() -> dict[str, Any]:
    """Milliseconds of what takes seconds: plain PyTorch at full size, and the reference where it fits into memory."""
    large, small = make_scene(30_000, "trained"), make_scene(1_000, "trained", 80, 60)
    gradient = torch.randn(large.view.height, large.view.width, 5, generator=torch.Generator().manual_seed(1))

    def plain_torch(number: int) -> None:
        torch.set_num_threads(number)
        try:
            (tiled_torch.render(large.with_gradients(), None) * gradient).sum().backward()
        finally:
            torch.set_num_threads(1)

    projected, kernels = tiled_torch.prepare(large, None), Kernels(large)

    def plain_torch_compositing() -> None:
        (tiled_torch.composite(projected.as_leaves()) * gradient).sum().backward()

    def compositing() -> None:
        kernels.forward(kernels.numba)
        kernels.backward(kernels.numba)

    variants: dict[str, Callable[[], object]] = {
        "small, reference": _passes(small, None, 1, "reference"),
        "small, 1": _passes(small, None, 1),
        "compositing, plain torch": plain_torch_compositing,
        "compositing": compositing,
    }
    for number in THREADS:
        variants[f"large, plain torch, {number}"] = partial(plain_torch, number)
        variants[f"large, {number}"] = _passes(large, None, number)
    return {"ms": _take_turns(variants, 3)}


def _forward(scene: BenchmarkScene, aperture: Aperture | None, number: int) -> None:
    with torch.no_grad():
        _with_threads(number, lambda: scene.render(aperture))


def _passes(
    scene: BenchmarkScene, aperture: Aperture | None, number: int, backend: Backend = "cpu"
) -> Callable[[], None]:
    """Forward and backward with gradients to all Gaussians, on `number` threads."""
    leaves = scene.with_gradients()
    height, width = scene.view.height, scene.view.width
    gradients = [torch.ones(height, width, 3), torch.ones(height, width), torch.ones(height, width)]

    def once() -> None:
        rendering = leaves.render(aperture, backend)
        torch.autograd.backward([rendering.colour, rendering.depth, rendering.alpha], gradients)
        leaves.forget_gradients()

    return partial(_with_threads, number, once)


def _with_threads(number: int, work: Callable[[], object]) -> None:
    threads.set_thread_count(number)
    try:
        work()
    finally:
        threads.set_thread_count(None)


def _take_turns(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, after one round that does not count; each round is shuffled, always alike."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    order, shuffler = list(variants), random.Random(1)
    for turn in range(rounds + 1):
        shuffler.shuffle(order)
        for name in order:
            start = time.perf_counter()
            variants[name]()
            if turn:
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: round(statistics.median(values), 2) for name, values in taken.items()}
