# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture that shows how far a run has come."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from solver.files import written_aside


def write_preview(path: Path, photo: Tensor, sharp: Tensor) -> None:  # [H, W, 3] sRGB each
    """Write photo and sharp rendering as one PNG: below each other, or side by side where they are higher than wide.

    So the pair is nearest to a square, which is the room that a panel has for it.
    """
    height, width, _channels = photo.shape
    pair = torch.cat([photo, sharp], dim=0 if width >= height else 1).clamp(0, 1)
    pixels = (pair * 255 + 0.5).to(torch.uint8).cpu().numpy()
    with written_aside(path) as temporary:
        Image.fromarray(pixels).save(temporary)
