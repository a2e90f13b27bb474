# SPDX-License-Identifier: GPL-3.0-or-later
"""Defocus kernels of a finished result, looked up by photo and pixel."""

from pathlib import Path

import numpy as np

from solver.config import KernelShape
from solver.defocus.kernel import kernel_at
from solver.errors import SolverError
from solver.export.images import read_exr, write_exr, write_png
from solver.export.result import coc_path
from solver.files import read_json


def pixel_kernel(result: Path, photo: str, x: int, y: int, shape: KernelShape = "disc") -> np.ndarray:  # [K, K] float64
    """The defocus kernel of a pixel of a photo: the part of a point's light that each pixel round it gets.

    Args:
        result: the result folder.
        photo: its name, as in `result.json`.
        x: column, from 0 at the left.
        y: row, from 0 at the top.
        shape: `disc` or `gaussian`, see `solver.defocus.kernel.kernel`.

    Raises:
        SolverError: the result has no such photo or pixel, no surface is seen there, or it is not whole.
    """
    description = read_json(result / "result.json", "the result's description")
    entries = description.get("photos") if isinstance(description, dict) else None
    names = [str(entry.get("name")) for entry in entries or [] if isinstance(entry, dict)]
    if photo not in names:
        few = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise SolverError(f"the result has no photo {photo}", where=result, remedy=f"name one of its photos: {few}")
    path = result / coc_path(photo)
    coc = read_exr(path, "V")
    try:
        found = kernel_at(coc, x, y, shape)
    except ValueError as error:
        raise SolverError(str(error), where=path, remedy="choose another pixel of the image") from None
    if coc[y, x] == 0:
        raise SolverError(
            f"no surface was found at pixel ({x}, {y})", where=path, remedy="choose a pixel that shows one"
        )
    return found


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
