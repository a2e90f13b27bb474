# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool that kernels run on."""

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator

import pytest

from solver.kernels import threads


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    threads.set_thread_count(3)
    yield
    threads.set_thread_count(None)


def test_each_part_runs_once_on_a_thread_of_its_own():
    together = threading.Barrier(3, timeout=20)  # broken unless three threads are here at once
    seen = []

    def share(part, parts):
        together.wait()
        seen.append((part, parts, threading.current_thread()))

    threads.run(share)
    assert sorted(entry[:2] for entry in seen) == [(0, 3), (1, 3), (2, 3)]
    assert len({entry[2] for entry in seen}) == 3
    assert min(seen)[2] is threading.current_thread()


def test_threads_are_kept():
    threads.run(lambda part, parts: None)
    before = threading.active_count()
    for _ in range(10):
        threads.run(lambda part, parts: None)
    assert threading.active_count() == before


@pytest.mark.parametrize("failing", [0, 2])
def test_a_part_that_fails_is_told_after_the_others_have_ended(failing):
    ended = []

    def share(part, parts):
        if part == failing:
            raise ZeroDivisionError(part)
        ended.append(part)

    with pytest.raises(ZeroDivisionError, match=str(failing)):
        threads.run(share)
    assert sorted(ended) == sorted({0, 1, 2} - {failing})
    threads.run(lambda part, parts: ended.append(part))  # and the pool goes on
    assert len(ended) == 5


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("calling", [0, -1])
def test_a_part_must_not_run_parts(count, calling):
    threads.set_thread_count(count)

    def share(part, parts):
        if part == calling % parts:
            threads.run(lambda part, parts: None)

    with pytest.raises(AssertionError, match="must not call"):
        threads.run(share)
    threads.run(lambda part, parts: None)  # and the pool goes on


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no such signals")
def test_an_interrupt_is_raised_after_all_have_ended():
    ended, never = [], threading.Event()

    def share(part, parts):
        if part == 1:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if part > 0:
            never.wait(0.1 * part)
        ended.append(part)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may have it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            threads.run(share)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(ended) in ([0, 1, 2], [1, 2])  # it may have met the first part


def test_callers_do_not_get_each_others_results():
    failures = {}

    def call(name):
        for _ in range(50):
            try:
                threads.run(lambda part, parts: {}[name] if part == 1 else None)
            except KeyError as error:
                failures.setdefault(name, set()).add(error.args)

    callers = [threading.Thread(target=call, args=(name,)) for name in "ab"]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert failures == {"a": {("a",)}, "b": {("b",)}}


def test_nothing_of_a_call_is_kept():
    class Large:
        pass

    large = Large()
    gone = weakref.ref(large)
    threads.run(lambda part, parts, large=large: None)
    del large
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_a_pool():
    program = """
import os, sys
from solver.kernels import threads
threads.set_thread_count(3)
parts = []
threads.run(lambda part, count: None)
child = os.fork()
threads.run(lambda part, count: parts.append(part))
if child == 0:
    os._exit(len(parts))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) - len(parts))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


@pytest.mark.parametrize(("asked", "expected"), [("4", 4), ("0", None), ("-1", None), ("many", None), ("", None)])
def test_the_environment_chooses_the_count(monkeypatch, asked, expected):
    threads.set_thread_count(None)
    monkeypatch.delenv(threads.ENVIRONMENT_VARIABLE, raising=False)
    default = threads.thread_count()
    monkeypatch.setenv(threads.ENVIRONMENT_VARIABLE, asked)
    assert threads.thread_count() == (expected or default)
    threads.set_thread_count(2)
    assert threads.thread_count() == 2
    with pytest.raises(ValueError, match="positive"):
        threads.set_thread_count(0)
