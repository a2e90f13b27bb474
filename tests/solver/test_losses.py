# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo loss against independent implementations."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from solver.training.losses import photo_loss, ssim_map, sum_of_dissimilarity


def images(height: int = 24, width: int = 31) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(3)
    a = torch.rand(height, width, 3, generator=g, dtype=torch.float64)
    return a, (a + 0.2 * torch.rand(a.shape, generator=g, dtype=torch.float64)).clamp(0, 1)


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
    mask = None
    if masked:
        mask = torch.zeros(13, 12, dtype=torch.float64)
        mask[3:9, 2:8] = 1
    a.requires_grad_()
    # lerp towards a detached copy makes masked-out pixels constants that finite differences would still move
    inside = torch.ones(13, 12, 1, dtype=torch.float64) if mask is None else mask[..., None]
    fixed = a.detach().clone()
    weights = torch.linspace(0.1, 2, 13 * 12, dtype=torch.float64).reshape(13, 12)
    assert torch.autograd.gradcheck(
        lambda x: photo_loss(fixed + inside * (x - fixed), b, mask, weights, 0.2), (a,), fast_mode=True
    )


def test_masked_out_pixels_do_not_count():
    a, b = images()
    mask = torch.zeros(24, 31, dtype=torch.float64)
    mask[8:16, 8:20] = 1
    a.requires_grad_()
    loss = photo_loss(a, b, mask, None, 0.2)
    loss.backward()
    assert (a.grad[mask == 0] == 0).all()
    assert (a.grad[mask == 1] != 0).any()
    other = a.detach().clone()
    other[mask == 0] = 0.123
    assert float(photo_loss(other, b, mask, None, 0.0)) == pytest.approx(
        float(photo_loss(a.detach(), b, mask, None, 0.0))
    )


def test_equal_images_have_no_loss():
    a, _ = images()
    assert float(photo_loss(a, a, None, None, 0.2)) == pytest.approx(0, abs=1e-12)
    assert float(photo_loss(a, a, torch.zeros(24, 31, dtype=torch.float64), None, 0.2)) == 0


@pytest.mark.parametrize("ssim_weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("size", [(24, 31), (5, 40), (1, 1), (40, 8)])
def test_the_fused_loss_agrees_with_the_convolution(size, ssim_weight):
    a, b = images(*size)
    weights = torch.rand(size, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    exact = a.clone().requires_grad_()
    expected = sum_of_dissimilarity(exact, b, weights, ssim_weight)
    expected.backward()
    fused = a.float().requires_grad_()
    total = sum_of_dissimilarity(fused, b.float(), weights.float(), ssim_weight)
    total.backward()
    assert float(total.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    np.testing.assert_allclose(fused.grad, exact.grad, atol=1e-3 * float(exact.grad.abs().max()))


def test_weights_scale_what_pixels_count():
    a, b = images()
    weights = torch.zeros(24, 31, dtype=torch.float64)
    weights[10, 10] = 5.0
    expected = float((a[10, 10] - b[10, 10]).abs().mean())
    assert float(photo_loss(a, b, None, weights, 0.0)) == pytest.approx(expected)
