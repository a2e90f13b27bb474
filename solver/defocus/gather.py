# SPDX-License-Identifier: GPL-3.0-or-later
"""Blurring an image with a Gaussian of each pixel's own, gathered by the pixel that receives the light.

    out(x) = sum_y w(x, y) I(y) / sum_y w(x, y),   w(x, y) = exp(-|x - y|^2 / (2 v(x)))          (1)

over the pixels y of the image that lie in the square window of `window_radius` round x. The variance v is the
receiver's, so that light crosses depth edges as if both sides were blurred alike: that is the method, not the lens.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

LARGEST_RADIUS = 24
"""Pixels to each side. Gaussians with a sigma beyond a third of it are cut off, and end as a square of 14 px sigma."""

SHARP_VARIANCE = 0.01
"""Below this variance, px^2, the neighbours' weights are under 1e-21, and a pixel is left as it is."""

_CHUNK_ELEMENTS = 1 << 24  # of a chunk's windows: 64 MiB in float32


def gather(image: Tensor, variance: Tensor) -> Tensor:  # [H, W, 3], [H, W] px^2 >= 0 -> [H, W, 3]
    """Blur by equation (1), differentiably to both; float32 on the processor runs in kernels of its own."""
    if image.device.type == "cpu" and image.dtype == variance.dtype == torch.float32:
        from solver.defocus import gather_kernel

        return gather_kernel.gather(image, variance)
    height, width = variance.shape
    pixels, chunks, row = width * image.shape[2], [], 0
    while row < height:  # from the strongest blur that is left follows how many rows fit
        side = 2 * int(window_radius(variance[row:].detach()).max()) + 1
        end = min(height, row + max(1, _CHUNK_ELEMENTS // (pixels * side * side)))
        chunks.append(checkpoint(_gather_rows, image, variance, row, end, use_reentrant=False))
        row = end
    return torch.cat(chunks)


def window_radius(variance: Tensor) -> Tensor:  # [...] -> [...], px, whole numbers
    """Three sigmas, rounded up, at most `LARGEST_RADIUS`."""
    radius = (3 * variance.clamp(min=0).sqrt()).ceil().clamp(max=LARGEST_RADIUS)
    return radius * (variance >= SHARP_VARIANCE)


def _gather_rows(image: Tensor, variance: Tensor, first: int, end: int) -> Tensor:  # -> [end - first, W, 3]
    """Rows of the result, from a view of each pixel's window."""
    height, width, _ = image.shape
    radii = window_radius(variance[first:end].detach())  # [R, W]
    largest = int(radii.max())
    side = 2 * largest + 1
    framed = pad(image, (0, 0, largest, largest, largest, largest))[first : end + 2 * largest]
    windows = framed.unfold(0, side, 1).unfold(1, side, 1)  # [R, W, 3, side, side]
    offsets = torch.arange(-largest, largest + 1, device=image.device)
    exponents = -(offsets**2) / (2 * variance[first:end].clamp(min=SHARP_VARIANCE))[..., None]
    weights = torch.where(offsets.abs() <= radii[..., None], exponents.exp(), 0)  # [R, W, side]
    rows = torch.arange(first, end, device=image.device)[:, None] + offsets
    columns = torch.arange(width, device=image.device)[:, None] + offsets
    down = weights * ((rows >= 0) & (rows < height))[:, None]
    across = weights * ((columns >= 0) & (columns < width))
    gathered = torch.einsum("hwcij,hwi,hwj->hwc", windows, down, across)
    return gathered / (down.sum(-1) * across.sum(-1))[..., None]
