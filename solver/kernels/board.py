# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of one region tell each other while they run, without Python: a board of counters that all see.

Work is dealt by a counter: who is free takes what comes next, so that nobody waits for one whose work was harder or
whose processor had something else to do. What comes of a piece of work must not depend on who does it.

A part that has to wait for the others looks at the board again and again, since waking a thread takes longer than most
of what there is to wait for. Where it takes longer still, the others' processors have something else to do, and so may
this one: the part sleeps between looks.
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from solver.kernels.compilation import helper
from solver.kernels.threads import ABANDONED

_ARRIVED, _MEETINGS, _WORK = 1, 2, 3  # entries of a board, beside ABANDONED
_COUNTERS = 2
_LOOKS = 300_000  # at the board before a part that waits goes to sleep: about 0.1 ms
_NAP = 50  # microseconds between further looks


def new_board() -> np.ndarray:  # int64
    """A board for one region, with `_COUNTERS` counters of work at 0."""
    return np.zeros(_WORK + _COUNTERS, np.int64)


_SLEEP = "macro_reconstruction_sleep"


def _name_sleep() -> None:
    """Give the system's function that pauses a thread a name that kernels can call."""
    if sys.platform == "win32":
        system = ctypes.WinDLL("kernel32").Sleep
    else:
        system = ctypes.CDLL(None).usleep
    address = ctypes.cast(system, ctypes.c_void_p).value
    assert address is not None
    llvmlite.binding.add_symbol(_SLEEP, address)


_name_sleep()


def _entry(context: Any, builder: ir.IRBuilder, kind: types.Array, array: ir.Value, index: ir.Value) -> ir.Value:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index], inbounds=True)


def _take(typing_context: Any, board: types.Type, index: types.Type) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        place = _entry(context, builder, signature.args[0], *arguments)
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "acq_rel")

    return types.int64(board, index), generate


def _look(typing_context: Any, board: types.Type, index: types.Type) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        return builder.load_atomic(_entry(context, builder, signature.args[0], *arguments), "acquire", 8)

    return types.int64(board, index), generate


def _pause(typing_context: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
        duration = 0 if sys.platform == "win32" else _NAP  # Windows counts milliseconds: 0 lets others run
        function = cgutils.get_or_insert_function(builder.module, kind, _SLEEP)
        builder.call(function, [ir.Constant(ir.IntType(32), duration)])
        return context.get_dummy_value()

    return types.void(), generate


_count_up: Callable = intrinsic(_take)  # returns what was there before
_latest: Callable = intrinsic(_look)
_sleep: Callable = intrinsic(_pause)


@helper
def next_piece(board, counter):
    """The number of the next piece of work, from 0 on, for whoever asks."""
    return _count_up(board, _WORK + counter)


@helper
def meet(board, parts):
    """Wait until all parts have come here; False where one never will, and the work is to be left."""
    meetings = _latest(board, _MEETINGS)
    if _count_up(board, _ARRIVED) == parts * (meetings + 1) - 1:
        _count_up(board, _MEETINGS)
        return True
    looks = 0
    while _latest(board, _MEETINGS) == meetings:
        if _latest(board, ABANDONED) != 0:
            return False
        looks += 1
        if looks > _LOOKS:
            _sleep()
    return True
