# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture that shows how far a run has come."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from solver.files import written_aside


def write_preview(path: Path, photo: Tensor, sharp: Tensor) -> None:
    """Write photo and sharp rendering, [H, W, 3] sRGB both, side by side as a PNG."""
    pair = torch.cat([photo, sharp], dim=1).clamp(0, 1)
    pixels = (pair * 255 + 0.5).to(torch.uint8).cpu().numpy()
    with written_aside(path) as temporary:
        Image.fromarray(pixels).save(temporary)
