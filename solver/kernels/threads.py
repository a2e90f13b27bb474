# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a kernel on all threads. Kernels release Python's lock, so ordinary threads do.

Numba's own layers are no use here: OpenMP's threads spin and fight PyTorch's, and the work queue aborts the
process when two Python threads enter it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

ENVIRONMENT_VARIABLE = "MACRO_RECONSTRUCTION_THREADS"

_chosen: int | None = None


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


def run(share: Callable[[int, int], None]) -> None:
    """Call `share(part, parts)` for every part, one a thread, and wait for all; the first part runs right
    here.
    """
    parts = thread_count()
    rest = [_pool(parts - 1).submit(share, part, parts) for part in range(1, parts)]
    try:
        share(0, parts)
    finally:
        failures = [future.exception() for future in rest]
    for failure in failures:
        if failure is not None:
            raise failure


@cache
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="kernels")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has none of its parent's threads
