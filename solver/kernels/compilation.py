# SPDX-License-Identifier: GPL-3.0-or-later
"""How kernels are compiled, and where the machine code is kept between runs."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numba
from llvmlite import ir
from numba.extending import intrinsic

from solver.files import user_cache_folder

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
_ROOMS = ("kernels", "rasterization", "training")  # that have helpers or constants of kernels


def choose_cache() -> bool:
    """Point numba at a cache folder, in the one that the environment names or the user's; False where none can be
    written to.

    The folder is named after the kernels' sources, since numba checks a kernel's own file but not its
    helpers'. The environment stays as it is, so that a child process chooses for itself.
    """
    try:
        sources = sorted(source for room in _ROOMS for source in (Path(__file__).parents[1] / room).rglob("*.py"))
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
        named = os.environ.get(CACHE_VARIABLE)
        folder = (Path(named) if named else user_cache_folder() / "macro-reconstruction") / f"numba-{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return False
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]  # it is made at run time
    return True


CACHED = choose_cache()

# Everything but approximate functions. `projection`, which is compiled without, drops Gaussians with NaN or infinity.
# Nothing looks for them in backgrounds and gradients: they end in an image, a loss or parameters that show them.
FAST = {"nnan", "ninf", "nsz", "arcp", "contract", "reassoc"}


def kernel(signature: str, *, fast: bool = False) -> Callable:
    """Compile a function for one signature, now, or load it from the cache; it runs without Python's lock."""
    flags = FAST if fast else {"contract"}
    return numba.njit(signature, nogil=True, cache=CACHED, fastmath=flags, error_model="numpy", boundscheck=False)


def helper(function: Callable) -> Callable:
    """A function that only kernels call, compiled as part of them."""
    return numba.njit(function, nogil=True, fastmath={"contract"}, error_model="numpy", boundscheck=False)


def _lowest_bit(typing_context, bits):
    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return bits(bits), generate


lowest_bit: Callable = intrinsic(_lowest_bit)
"""The index of the lowest bit that is set in an integer, which must not be zero."""
