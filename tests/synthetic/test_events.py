# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generator tells of the time that is left."""

import io
import json

import pytest

from synthetic import events
from synthetic.events import JsonReporter


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(events, "time", clock)
    return clock


def test_frames_that_were_kept_say_nothing_of_the_pace(clock: Clock) -> None:
    stream = io.StringIO()
    reporter = JsonReporter(stream)
    reporter.stage("render", "Rendering")
    reporter.progress(0, 40)
    for done in range(1, 21):
        clock.now += 0.1
        reporter.progress(done, 40, kept=True)
    for done in (21, 22):
        clock.now += 60
        reporter.progress(done, 40)
    clock.now += 0.1
    reporter.progress(23, 40, kept=True)
    reporter.stage("compare", "Comparing")
    reporter.progress(0, 40)
    clock.now += 2
    reporter.progress(1, 40)
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    left = [event["seconds_left"] for event in told if event["event"] == "progress"]
    assert left[:21] == [None] * 21
    assert left[21:] == pytest.approx([60 * 19, 60 * 18, 60 * 17, None, 2 * 39])
