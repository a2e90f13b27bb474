# SPDX-License-Identifier: GPL-3.0-or-later
"""Defocus kernels of a finished result, looked up by photo and pixel."""

from pathlib import Path
from typing import Any

import numpy as np

from solver.config import KernelShape
from solver.defocus.kernel import kernel_at
from solver.errors import SolverError
from solver.export.images import read_exr, write_exr, write_png
from solver.export.result import coc_path
from solver.files import read_json

_OWN_SHAPES: dict[str, KernelShape] = {"dilation": "disc", "pupil": "disc", "blurnet": "gathered"}  # by way of defocus


def pixel_kernel(
    result: Path, photo: str, x: int, y: int, shape: KernelShape | None = None
) -> np.ndarray:  # [K, K] float64
    """The defocus kernel of a pixel of a photo: the part of a point's light that each pixel round it gets.

    Args:
        result: the result folder.
        photo: its name, as in `result.json`.
        x: column, from 0 at the left.
        y: row, from 0 at the top.
        shape: of `solver.defocus.kernel.kernel`; None is what the run took for the truth: the thin lens's disc, or with
            `--defocus blurnet` the Gaussian of the learned variance, as it is gathered.

    Raises:
        SolverError: the result has no such photo or pixel, no surface is seen there, its run did not model blur, or it
            is not whole.
    """
    description = read_json(result / "result.json", "the result's description")
    entries = description.get("photos") if isinstance(description, dict) else None
    names = [str(entry.get("name")) for entry in entries or [] if isinstance(entry, dict)]
    if photo not in names:
        few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise SolverError(f"the result has no photo {photo}", where=result, remedy=f"name one of its photos: {few}")
    own_shape = _own_shape(description, result)
    path = result / coc_path(photo)
    coc = read_exr(path, "V")
    try:
        found = kernel_at(coc, x, y, shape or own_shape)
    except ValueError as error:
        raise SolverError(str(error), where=path, remedy="choose another pixel of the image") from None
    if coc[y, x] == 0:
        raise SolverError(
            f"no surface was found at pixel ({x}, {y})", where=path, remedy="choose a pixel that shows one"
        )
    return found


def _own_shape(description: dict[str, Any], result: Path) -> KernelShape:
    """What kernels of the result look like by the way of defocus that its settings name."""
    told = description.get("settings")
    settings = told if isinstance(told, dict) else {}
    defocus = settings.get("defocus")
    if defocus == "none" or settings.get("train_on") == "sharp":
        option = "--defocus none" if defocus == "none" else "--train-on sharp"
        raise SolverError(
            f"the result has no kernels, since {option} models no blur", where=result, remedy="reconstruct without it"
        )
    if defocus not in _OWN_SHAPES:
        raise SolverError(
            "the result's description does not say how blur was modelled", where=result, remedy="reconstruct again"
        )
    return _OWN_SHAPES[defocus]


def write_kernel(path: Path, kernel: np.ndarray) -> None:
    """Write a kernel as a picture, brightest pixel white (.png), or as numbers whose sum is 1 (.exr).

    Raises:
        SolverError: the name ends in something else.
    """
    if path.suffix.lower() == ".exr":
        write_exr(path, "V", kernel)
    elif path.suffix.lower() == ".png":
        write_png(path, np.repeat(kernel[..., None] / kernel.max(), 3, axis=2))
    else:
        raise SolverError("a kernel is written as .png or .exr", where=path, remedy="choose such a name")
