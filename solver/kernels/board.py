# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of one region tell each other while they run, without Python: a board of counters that all see.

Work is dealt by a counter: who is free takes what comes next, so that nobody waits for one whose work was harder or
whose processor had something else to do. What comes of a piece of work must not depend on who does it.

A part that has to wait for the others looks at the board again and again, since waking a thread takes longer than most
of what there is to wait for; after a few microseconds it lets other programs have the processor in between.
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
_COUNTERS = 5
_LOOKS = 2000  # at the board before the processor is offered to others: a few microseconds


def new_board() -> np.ndarray:  # int64
    """A board for one region, with `_COUNTERS` counters of work at 0."""
    return np.zeros(_WORK + _COUNTERS, np.int64)


_GIVE_WAY = "macro_reconstruction_give_way"


def _name_give_way() -> None:
    """Give the system's function that lets other threads run a name that kernels can call."""
    system = ctypes.WinDLL("kernel32").SwitchToThread if sys.platform == "win32" else ctypes.CDLL(None).sched_yield
    address = ctypes.cast(system, ctypes.c_void_p).value
    assert address is not None
    llvmlite.binding.add_symbol(_GIVE_WAY, address)


_name_give_way()


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


def _give_way(typing_context: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        kind = ir.FunctionType(ir.IntType(32), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, _GIVE_WAY), [])

    return types.int32(), generate


_count_up: Callable = intrinsic(_take)  # returns what was there before
_latest: Callable = intrinsic(_look)
_let_others_run: Callable = intrinsic(_give_way)


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
            _let_others_run()
    return True
