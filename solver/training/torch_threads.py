# SPDX-License-Identifier: GPL-3.0-or-later
"""Who computes where the rasterizer has threads of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded_torch(device: torch.device) -> Iterator[None]:
    """On a CPU the rasterizer's threads do the work; torch's own would spin and take the cores from them."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
