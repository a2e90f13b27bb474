# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositing kernels in C++, compiled on the spot where there is a compiler: the limit that Numba is held to."""

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

_SOURCE = Path(__file__).with_name("composite.cpp")
_FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-shared", "-fPIC"]


class Compiled:
    """`composite` and `composite_backward` with the arguments of the Numba kernels, for four features, one sample."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def composite(self, *arguments: Any) -> None:
        """Fill image and alpha."""
        geometry, features, rows, masks, offsets, image, alpha, part, parts = arguments
        height, width = alpha.shape[-2:]
        self._call("composite_4", geometry, features, rows, masks, offsets)(image, alpha)(width, height, part, parts)

    def composite_backward(self, *arguments: Any) -> None:
        """Fill moments."""
        geometry, features, rows, masks, offsets, image, alpha, v_image, v_alpha, _, moments, part, parts = arguments
        height, width = v_alpha.shape
        call = self._call("composite_backward_4", geometry, features, rows, masks, offsets)
        call(image, alpha, v_image, v_alpha, moments)(width, height, part, parts)

    def _call(self, name: str, *arrays: np.ndarray) -> Any:
        function = getattr(self._library, name)
        tiles = ctypes.c_int64(len(arrays[-1]) - 1)

        def with_images(*images: np.ndarray) -> Any:
            pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
            more = [array.ctypes.data_as(ctypes.c_void_p) for array in images]
            return lambda *numbers: function(*pointers, tiles, *more, *map(ctypes.c_int, numbers))

        return with_images


def compile_kernels(folder: Path) -> tuple[Compiled | None, str]:
    """The kernels, built in `folder`, and with what; None where it cannot be done, and why."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None or platform.system() == "Windows":
        return None, "there is no g++ or clang++"
    library = folder / "composite.so"
    run = subprocess.run([compiler, *_FLAGS, str(_SOURCE), "-o", str(library)], capture_output=True, text=True)
    if run.returncode != 0:
        return None, f"{Path(compiler).name} fails: {run.stderr.strip().splitlines()[0]}"
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return Compiled(library), version
