# SPDX-License-Identifier: GPL-3.0-or-later
"""How loss and PSNR went while a run trained: means over equal parts of it, few enough to keep and to draw."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

PARTS = 120  # of a run, at most
_MEASURED = 720  # steps of a run whose PSNR is taken; a mean over photos needs several in each part


class History:
    """Sums over parts of a run, so that it stays as small as it is, however long the run."""

    def __init__(self, iterations: int) -> None:
        self.iterations = iterations
        self.parts = min(PARTS, iterations)
        self._stride = max(1, iterations // _MEASURED)
        self._loss = np.zeros((self.parts, 2))  # sum, number
        self._psnr = np.zeros((self.parts, 2))

    def measures(self, step: int) -> bool:
        """Whether the PSNR of this step is asked for; that of every one would take time."""
        return step % self._stride == 0

    def add(self, step: int, loss: float, psnr: float | None = None) -> None:
        """Take note of one step, counted from 0; `psnr` in dB."""
        part = min(step * self.parts // self.iterations, self.parts - 1)
        self._loss[part] += (loss, 1)
        if psnr is not None:
            self._psnr[part] += (psnr, 1)

    def curves(self) -> dict[str, list[Any]]:
        """For history.json: the steps that parts end with, and each part's means; None where nothing was measured."""
        ends = [-(-(part + 1) * self.iterations // self.parts) for part in range(self.parts)]
        known = self._loss[:, 1] > 0
        return {
            "steps": [end for end, seen in zip(ends, known, strict=True) if seen],
            "loss": _means(self._loss[known]),
            "psnr": _means(self._psnr[known]),
        }

    @property
    def latest_psnr(self) -> float | None:
        """The mean over the last part that was measured, dB."""
        measured = np.nonzero(self._psnr[:, 1])[0]
        return float(self._psnr[measured[-1], 0] / self._psnr[measured[-1], 1]) if len(measured) else None

    def state(self) -> dict[str, Tensor]:
        """For the checkpoint."""
        return {"loss": torch.from_numpy(self._loss.copy()), "psnr": torch.from_numpy(self._psnr.copy())}

    def restore(self, state: dict[str, Tensor] | None) -> None:
        """Go on from a checkpoint's `state`; from nothing where it is of before there was a history."""
        if state is None:
            return
        self._loss, self._psnr = (state[name].cpu().numpy().copy() for name in ("loss", "psnr"))


def _means(sums: np.ndarray) -> list[float | None]:  # [P, 2]
    return [round(float(total / count), 6) if count else None for total, count in sums]
