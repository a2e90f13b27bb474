# SPDX-License-Identifier: GPL-3.0-or-later
"""Blurring an image with a Gaussian of each pixel's own, gathered by the pixel that receives the light.

    out(x) = sum_y w(x, y) I(y) / sum_y w(x, y),   w(x, y) = exp(-|x - y|^2 / (2 v(x)))          (1)

over the pixels y of the image that lie in the square window of `window_radius` round x. The variance v is the
receiver's, so that light crosses depth edges as if both sides were blurred alike: that is the method, not the lens.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

LARGEST_RADIUS = 24
"""Pixels to each side. Gaussians with a sigma beyond a third of it are cut off, and end as a square of 14 px sigma."""

SHARP_VARIANCE = 0.01
"""Below this variance, px^2, the neighbours' weights are under 1e-21, and a pixel is left as it is."""

_CHUNK_BYTES = 1 << 30  # of the windows of rows that are blurred together, and of the gradient to these windows


def gather(image: Tensor, variance: Tensor) -> Tensor:  # [H, W, 3], [H, W] px^2 >= 0 -> [H, W, 3]
    """Blur by equation (1), differentiably to both; float32 on the processor runs in kernels of its own."""
    if image.device.type == "cpu" and image.dtype == variance.dtype == torch.float32:
        from solver.defocus import gather_kernel

        return gather_kernel.gather(image, variance)
    largest_radii = window_radius(variance.detach()).amax(1).int().tolist()
    row_bytes = 2 * image[0].numel() * image.element_size()
    return torch.cat(
        [
            checkpoint(_gather_rows, image, variance, *rows, use_reentrant=False)
            for rows in chunks(largest_radii, row_bytes, _CHUNK_BYTES)
        ]
    )


def chunks(
    largest_radii: Sequence[int],  # [H], px, of the windows of each row
    row_bytes: int,
    budget_bytes: int,
) -> Iterator[tuple[int, int, int]]:
    """Rows to blur together: the first of them, the one after the last, and their largest radius.

    As many as fit into the budget, and at least one. Windows of one size are made of all pixels of a chunk, and take
    `row_bytes` for each of their places and each row.
    """
    first, largest = 0, 0
    for row, radius in enumerate(largest_radii):
        wider = max(largest, radius)
        if row > first and (row + 1 - first) * (2 * wider + 1) ** 2 * row_bytes > budget_bytes:
            yield first, row, largest
            first, wider = row, radius
        largest = wider
    yield first, len(largest_radii), largest


def window_radius(variance: Tensor) -> Tensor:  # [...] -> [...], px, whole numbers
    """Three sigmas, rounded up, at most `LARGEST_RADIUS`."""
    radius = (3 * variance.clamp(min=0).sqrt()).ceil().clamp(max=LARGEST_RADIUS)
    return radius * (variance >= SHARP_VARIANCE)


def _gather_rows(image: Tensor, variance: Tensor, first: int, end: int, largest: int) -> Tensor:  # [end - first, W, 3]
    """Rows of the result, from a view of each pixel's window, whose radius is at most `largest`."""
    height, width, _ = image.shape
    radii = window_radius(variance[first:end].detach())  # [R, W]
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
