# SPDX-License-Identifier: GPL-3.0-or-later
"""Blurring by pixel kernels, against the sum over all pairs of pixels."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from solver.defocus import gather as module
from solver.defocus.gather import LARGEST_RADIUS, chunks, gather, window_radius
from solver.kernels.threads import set_thread_count


def every_pair(image: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:  # [H, W, 3], [H, W] -> [H, W, 3]
    """The definition: each pixel looks at every other."""
    height, width = variance.shape
    y, x = (axis.flatten() for axis in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    down, across = (y - y[:, None]).abs(), (x - x[:, None]).abs()
    v = variance.flatten()[:, None]
    radius = window_radius(v.detach())
    weights = torch.exp(-(down**2 + across**2) / (2 * v.clamp(min=1e-4)))
    weights = weights * ((down <= radius) & (across <= radius))
    return (weights @ image.reshape(-1, 3) / weights.sum(1, keepdim=True)).reshape(image.shape)


def example(height: int, width: int, largest_sigma: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    image = torch.rand(height, width, 3, generator=random, dtype=torch.float64)
    return image, (largest_sigma * torch.rand(height, width, generator=random, dtype=torch.float64)) ** 2


def with_gradients(function, image: torch.Tensor, variance: torch.Tensor) -> list[torch.Tensor]:
    """The blurred image, and the gradients of a random sum of it."""
    image, variance = image.clone().requires_grad_(), variance.clone().requires_grad_()
    blurred = function(image, variance)
    weights = torch.randn(blurred.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    (blurred * weights.to(blurred)).sum().backward()
    return [blurred.detach(), image.grad, variance.grad]


SIZES = [(1, 1), (1, 9), (13, 1), (7, 8), (37, 21), (70, 11)]
SIGMAS = [0.5, 3.0, 30.0]  # the last is cut off by the largest window, and that by the image


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_gather_is_the_sum_over_pairs(size, sigma):
    image, variance = example(*size, sigma)
    for found, true in zip(
        with_gradients(gather, image, variance), with_gradients(every_pair, image, variance), strict=True
    ):
        torch.testing.assert_close(found, true, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", SIGMAS)
def test_kernel_is_the_sum_over_pairs(size, sigma):
    image, variance = example(*size, sigma)
    variance = torch.where(abs(3 * variance.sqrt() % 1 - 0.5) < 0.499, variance, variance * 0.9)  # no radius in doubt
    truth = with_gradients(every_pair, image, variance)
    for found, true in zip(with_gradients(gather, image.float(), variance.float()), truth, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), true, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_not_blurred_stays_as_it_is(dtype):
    image, variance = (tensor.to(dtype) for tensor in example(9, 14, 0.0))
    blurred, to_image, to_variance = with_gradients(gather, image, variance)
    assert torch.equal(blurred, image)
    assert torch.isfinite(to_image).all()
    assert (to_variance == 0).all()


def test_a_chunk_at_a_time_is_the_same(monkeypatch):
    image, variance = example(23, 12, 4.0)
    variance[10:] *= 0.01  # rows of small windows, of which more fit
    made = []

    def told(*rows):
        made.extend(chunks(*rows))
        return iter(made)

    monkeypatch.setattr(module, "chunks", told)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 400_000)
    for found, true in zip(
        with_gradients(gather, image, variance), with_gradients(every_pair, image, variance), strict=True
    ):
        torch.testing.assert_close(found, true, rtol=1e-9, atol=1e-9)
    assert len(made) > 4
    assert made[-1][1] - made[-1][0] > made[0][1] - made[0][0]


@pytest.mark.parametrize("budget", [1, 30_000, 10**6, 10**9])
def test_chunks_have_as_many_rows_as_fit_into_memory(budget):
    radii = np.random.default_rng(0).integers(0, LARGEST_RADIUS + 1, 200).tolist()
    row_bytes = 2 * 30 * 3 * 4
    found = list(chunks(radii, row_bytes, budget))
    assert [row for first, end, _ in found for row in range(first, end)] == list(range(200))

    def needed(first: int, end: int) -> int:
        return (end - first) * (2 * max(radii[first:end]) + 1) ** 2 * row_bytes

    for first, end, largest in found:
        assert largest == max(radii[first:end])
        assert needed(first, end) <= budget or end - first == 1
        assert end == 200 or needed(first, end + 1) > budget
    assert {1: 200, 10**9: 1}.get(budget, len(found)) == len(found)


def test_strong_blur_of_a_large_image_goes_through_few_chunks():
    found = list(chunks([LARGEST_RADIUS] * 1067, 2 * 1600 * 3 * 4, module._CHUNK_BYTES))
    assert len(found) < 110  # a chunk of one row would need 92 MB


def test_threads_change_nothing():
    image, variance = (tensor.float() for tensor in example(75, 40, 6.0))
    try:
        set_thread_count(1)
        alone = with_gradients(gather, image, variance)
        set_thread_count(3)
        for found, true in zip(with_gradients(gather, image, variance), alone, strict=True):
            assert torch.equal(found, true)
    finally:
        set_thread_count(None)


def test_gradients_are_those_of_finite_differences():
    image, variance = example(3, 4, 1.5)
    variance += 0.05
    assert torch.autograd.gradcheck(gather, (image.requires_grad_(), variance.requires_grad_()))


@pytest.mark.parametrize("sigma", [0.8, 2.5, 7.0])
def test_constant_blur_is_a_convolution_and_keeps_energy(sigma):
    """A small light in the dark, against SciPy's correlation with the analytic Gaussian, cut off at three sigmas."""
    size, radius = 101, int(np.ceil(3 * sigma))
    image = torch.zeros(size, size, 3)
    image[48:53, 49:52] = torch.tensor([1.0, 0.5, 0.25])
    blurred = gather(image, torch.full((size, size), sigma**2))
    line = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    window = np.outer(line, line) / line.sum() ** 2
    for c in range(3):
        expected = correlate(image[..., c].double().numpy(), window, mode="constant")
        inside = slice(radius, size - radius)  # at the border (1) makes up for what lies outside
        np.testing.assert_allclose(blurred[inside, inside, c], expected[inside, inside], atol=1e-6)
    torch.testing.assert_close(blurred.sum((0, 1)), image.sum((0, 1)), rtol=1e-4, atol=0)


def test_an_even_image_stays_even_to_the_border():
    _, variance = example(30, 41, 12.0)
    blurred = gather(torch.full((30, 41, 3), 0.7), variance.float())
    torch.testing.assert_close(blurred, torch.full((30, 41, 3), 0.7))


def test_windows_span_three_sigmas_up_to_the_largest():
    radii = window_radius(torch.tensor([0.0, 0.005, 0.01, 1.0, 1.1, 64.0, 1e6]))
    assert radii.tolist() == [0, 0, 1, 3, 4, 24, LARGEST_RADIUS]
