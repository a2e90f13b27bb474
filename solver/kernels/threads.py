# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a kernel on all threads. Kernels release Python's lock, so ordinary threads do.

Numba's own layers are no use here: OpenMP's threads spin and fight PyTorch's, and the work queue aborts the
process when two Python threads enter it. Nor is `concurrent.futures`: a future's condition variable takes Python's
lock several times over before the second thread can start. A queue of its own for each thread is one wake-up there and
one back; calling a kernel (2 us) is short beside that, so nothing is gained by preparing arguments beforehand.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread, local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ENVIRONMENT_VARIABLE = "MACRO_RECONSTRUCTION_THREADS"

ABANDONED = 0  # entry of a region's board, not 0 where a part will not come to meet the others: see `board`

_Share = Callable[[int, int], None]
_Outcomes = list[BaseException | None]  # of the parts that have ended, but for the first
_Signal = SimpleQueue[None]  # one entry follows each outcome
_Tasks = SimpleQueue[tuple[_Share, int, int, "np.ndarray | None", _Outcomes, _Signal]]


class _Here(local):
    """What is so for one thread."""

    in_part = False


_here = _Here()
_chosen: int | None = None
_workers: list[_Tasks] = []  # what the thread of each part but the first reads
_handing_out = Lock()  # all threads get two callers' tasks in one order, or parts might wait for each other crosswise


def thread_count() -> int:
    """Threads in use: the last `set_thread_count`, else the environment's variable, else all processors
    allowed.
    """
    if _chosen is not None:
        return _chosen
    asked = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_thread_count(count: int | None) -> None:
    """Use `count` threads from now on, or None for the default."""
    global _chosen
    if count is not None and count < 1:
        raise ValueError(f"the number of threads must be positive, not {count}")
    _chosen = count


def run(share: _Share, parts: int | None = None, board: np.ndarray | None = None) -> None:
    """Call `share(part, parts)` for every part, one a thread, and wait for all; the first part runs right
    here. There are `thread_count()` parts unless told. A part's exception is raised here once all have ended,
    and so is KeyboardInterrupt, since parts write into the caller's arrays. Parts that meet on a board no longer
    wait for each other then.

    May be called from several threads at once, but not by a part, which would wait for itself.
    """
    assert not _here.in_part, "a part of threads.run must not call threads.run"
    if parts is None:
        parts = thread_count()
    outcomes: _Outcomes = []
    signal: _Signal = SimpleQueue()
    begun = 0
    try:
        with _handing_out:
            for part, tasks in enumerate(_tasks(parts - 1), start=1):
                tasks.put((share, part, parts, board, outcomes, signal))
                begun = part
        _here.in_part = True
        share(0, parts)
    except BaseException:
        if board is not None:
            board[ABANDONED] = 1
        raise
    finally:
        _here.in_part = False
        _wait(outcomes, signal, begun)
    for failure in outcomes:
        if failure is not None:
            raise failure


def _wait(outcomes: _Outcomes, signal: _Signal, count: int) -> None:
    """Until there are so many outcomes; when interrupted as well."""
    try:
        while len(outcomes) < count:  # an interrupt can lose an entry of the signal, but no outcome
            signal.get()
    except KeyboardInterrupt:
        _wait(outcomes, signal, count)
        raise


def _tasks(count: int) -> list[_Tasks]:
    """What the first `count` threads read, which are started if need be."""
    while len(_workers) < count:
        tasks: _Tasks = SimpleQueue()
        Thread(target=_work, args=(tasks,), name="kernels", daemon=True).start()
        _workers.append(tasks)
    return _workers[:count]


def _work(tasks: _Tasks) -> None:
    _here.in_part = True
    while True:
        share, part, parts, board, outcomes, signal = tasks.get()
        failure: BaseException | None = None
        try:
            share(part, parts)
        except BaseException as error:  # `run` raises it
            failure = error
            if board is not None:
                board[ABANDONED] = 1
        del share, board  # with them would live what `share` closes over until the next task
        outcomes.append(failure)
        signal.put(None)
        del failure, outcomes, signal


def _forget_threads() -> None:
    """A forked process has none of its parent's threads, nor what they held."""
    global _handing_out
    _workers.clear()
    _handing_out = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
