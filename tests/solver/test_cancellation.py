# SPDX-License-Identifier: GPL-3.0-or-later
"""When a signal becomes an exception."""

import signal
from collections.abc import Iterator

import pytest

from solver.cancellation import Cancellation
from solver.errors import Cancelled


@pytest.fixture
def cancellation() -> Iterator[Cancellation]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    result = Cancellation()
    result.install()
    yield result
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_once(cancellation, number):
    with pytest.raises(Cancelled):
        signal.raise_signal(number)


def test_a_deferred_signal_waits_for_the_end_of_the_block(cancellation):
    reached = False
    with pytest.raises(Cancelled), cancellation.deferred():
        signal.raise_signal(signal.SIGTERM)
        reached = True
    assert reached
    with pytest.raises(Cancelled):
        cancellation.check()


def test_an_error_of_the_work_is_not_hidden_by_a_signal(cancellation):
    with pytest.raises(ValueError), cancellation.deferred():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError
