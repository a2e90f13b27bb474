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
        """Fill the images."""
        *arrays, _extras, _part, _parts = arguments
        self._call("composite", arrays, offsets=arrays[4], image=arrays[8])

    def composite_backward(self, *arguments: Any) -> None:
        """Fill the moments and the background's gradient."""
        *arrays, _extras, v_colour, v_depth, v_alpha, _v_extras, _, moments, v_background, _, _ = arguments
        gradients = v_colour, v_depth, v_alpha, moments, v_background
        self._call("composite_backward", [*arrays, *gradients], offsets=arrays[4], image=arrays[8])

    def _call(self, name: str, arrays: list[np.ndarray], offsets: np.ndarray, image: np.ndarray) -> None:
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        height, width = image.shape[-2:]
        sizes = ctypes.c_int64(len(offsets) - 1), ctypes.c_int(width), ctypes.c_int(height)
        getattr(self._library, name)(*pointers, *sizes)


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
