# SPDX-License-Identifier: GPL-3.0-or-later
"""How kernels are compiled, and where the machine code is kept between runs.

Import this before numba: numba reads its cache folder once, when it is first imported.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from solver.files import user_cache_folder

CACHE_VARIABLE = "NUMBA_CACHE_DIR"
_ROOMS = ("kernels", "rasterization", "training")  # that have helpers or constants of kernels


def choose_cache() -> bool:
    """Point numba at a cache folder, unless the environment names one; False where none can be written to.

    The folder is named after the kernels' sources, since numba checks a kernel's own file but not its
    helpers'.
    """
    try:
        if not os.environ.get(CACHE_VARIABLE):
            sources = sorted(source for room in _ROOMS for source in (Path(__file__).parents[1] / room).rglob("*.py"))
            digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
            os.environ[CACHE_VARIABLE] = str(user_cache_folder() / "macro-reconstruction" / f"numba-{digest}")
        folder = Path(os.environ[CACHE_VARIABLE])
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return False
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return True


CACHED = choose_cache()

import numba  # noqa: E402 - after the cache is chosen
from llvmlite import ir  # noqa: E402
from numba.extending import intrinsic  # noqa: E402

# Everything but approximate functions. NaN and infinity are caught where data enters, in `projection`, which
# is compiled without.
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
