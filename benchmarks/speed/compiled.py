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
        """Fill the images and the tiles' planes."""
        *lists_and_images, _extras, tile_planes, _board = arguments
        height, width = lists_and_images[-1].shape
        self._call("composite", [*lists_and_images, tile_planes], width, height)

    def composite_backward(self, *arguments: Any) -> None:
        """Fill the moments and the background's gradient."""
        *lists_and_gradients, _v_extras, width, height, moments, v_background, _board = arguments
        self._call("composite_backward", [*lists_and_gradients, moments, v_background], width, height)

    def _call(self, name: str, arrays: list[np.ndarray], width: int, height: int) -> None:
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        getattr(self._library, name)(*pointers, ctypes.c_int(width), ctypes.c_int(height))


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
