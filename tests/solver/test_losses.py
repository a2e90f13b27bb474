# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo loss against independent implementations, and its kernel against plain PyTorch in float64."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from solver.kernels import threads
from solver.optics.colour import linear_to_srgb, srgb_to_linear
from solver.training.losses import photo_loss, ssim_map

SIZES = [(24, 31), (5, 40), (1, 1), (7, 13), (40, 8), (1, 30)]


def images(height: int = 24, width: int = 31) -> tuple[torch.Tensor, torch.Tensor]:
    """Two similar images in sRGB."""
    g = torch.Generator().manual_seed(3)
    a = torch.rand(height, width, 3, generator=g, dtype=torch.float64)
    return a, (a + 0.2 * torch.rand(a.shape, generator=g, dtype=torch.float64)).clamp(0, 1)


def rendering_and_photo(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """In linear light and in sRGB; also values below 0, at 0, at the curve's knee, above 1."""
    a, b = images(height, width)
    linear = srgb_to_linear(a)
    odd = torch.tensor([-0.4, 0.0, 0.0031308, 1.0, 3.0, 100.0], dtype=torch.float64)
    values = linear.flatten()
    values[::7] = odd.repeat(len(values[::7]))[: len(values[::7])]
    return linear, b


def mask_and_weights(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(4)
    mask = (1.5 * torch.rand(height, width, generator=g, dtype=torch.float64) - 0.25).clamp(0, 1)
    return mask, 2 * torch.rand(height, width, generator=g, dtype=torch.float64)


def loss_and_gradient(dtype: torch.dtype, rendering: torch.Tensor, *others: torch.Tensor | None, ssim_weight: float):
    variable = rendering.detach().to(dtype).clone().requires_grad_()
    loss = photo_loss(variable, *(None if x is None else x.to(dtype) for x in others), ssim_weight)
    loss.backward()
    return loss.detach(), variable.grad


def test_ssim_agrees_with_scikit_image_away_from_the_border():
    a, b = images()
    _, expected = structural_similarity(
        a.numpy(),
        b.numpy(),
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        truncate=5 / 1.5,
        use_sample_covariance=False,
        full=True,
    )
    ours = ssim_map(a, b).permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours[5:-5, 5:-5], expected[5:-5, 5:-5], atol=1e-9)


@pytest.mark.parametrize("masked", [False, True])
def test_gradients(masked):
    a, b = images(13, 12)
    linear = (srgb_to_linear(a) - 0.01).requires_grad_()
    mask, weights = mask_and_weights(13, 12)
    assert torch.autograd.gradcheck(
        lambda x: photo_loss(x, b, mask if masked else None, weights, 0.2), (linear,), fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masked_out_pixels_do_not_count(dtype):
    a, b = (image.to(dtype) for image in images())
    mask = torch.zeros(24, 31, dtype=dtype)
    mask[8:16, 8:20] = 1
    loss, gradient = loss_and_gradient(dtype, a, b, mask, None, ssim_weight=0.2)
    assert (gradient[mask == 0] == 0).all()
    assert (gradient[mask == 1] != 0).all()
    other = a.clone()
    other[mask == 0] = 0.123
    assert float(photo_loss(other, b, mask, None, 0.2)) == float(loss)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_images_have_no_loss(dtype):
    a, b = (image.to(dtype) for image in images())
    assert float(photo_loss(a, linear_to_srgb(a), None, None, 0.2)) == pytest.approx(0, abs=1e-6)
    assert float(photo_loss(a, b, torch.zeros(24, 31, dtype=dtype), None, 0.2)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_kernel_agrees_with_the_convolution(size, ssim_weight, masked, weighted):
    linear, photo = rendering_and_photo(*size)
    mask, weights = mask_and_weights(*size)
    # The same numbers in both, and the knee in both on the side where float32 puts it.
    linear, photo, mask, weights = (x.float().double() for x in (linear, photo, mask, weights))
    linear[(linear - 0.0031308).abs() < 1e-8] = 0.00313
    inputs = (linear, photo, mask if masked else None, weights if weighted else None)
    loss, gradient = loss_and_gradient(torch.float32, *inputs, ssim_weight=ssim_weight)
    expected_loss, expected = loss_and_gradient(torch.float64, *inputs, ssim_weight=ssim_weight)
    assert float(loss) == pytest.approx(float(expected_loss), rel=3e-6)
    np.testing.assert_allclose(gradient, expected, atol=3e-6 * float(expected.abs().max()))


def test_gradients_add_up():
    linear, photo = (image.float() for image in rendering_and_photo(9, 12))
    _, expected = loss_and_gradient(torch.float32, linear, photo, None, None, ssim_weight=0.2)
    linear.requires_grad_()
    loss = photo_loss(linear, photo, None, None, 0.2)
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True)
    (3 * loss).backward()
    assert linear.grad is not None
    torch.testing.assert_close(linear.grad, 5 * expected)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
def test_what_is_not_a_finite_number_is_not_hidden(value, ssim_weight):
    linear, photo = (image.float() for image in images())
    linear[3, 4, 1] = value
    assert not torch.isfinite(photo_loss(linear, photo, None, None, ssim_weight))
    assert not torch.isfinite(photo_loss(linear, photo, *(x.float() for x in mask_and_weights(24, 31)), ssim_weight))


def test_threads_change_nothing():
    linear, photo = rendering_and_photo(23, 31)
    mask, weights = mask_and_weights(23, 31)
    results = []
    try:
        for count in (1, 1, 2, 2, 3, 40):  # also more than there are rows
            threads.set_thread_count(count)
            results.append(loss_and_gradient(torch.float32, linear, photo, mask, weights, ssim_weight=0.2))
    finally:
        threads.set_thread_count(None)
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_weights_scale_what_pixels_count():
    a, b = images()
    weights = torch.zeros(24, 31, dtype=torch.float64)
    weights[10, 10] = 5.0
    expected = float((linear_to_srgb(a)[10, 10] - b[10, 10]).abs().mean())
    assert float(photo_loss(a, b, None, weights, 0.0)) == pytest.approx(expected)
    single = (a.float(), b.float(), None, weights.float(), 0.0)
    assert float(photo_loss(*single)) == pytest.approx(expected, rel=1e-5)
