# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run tells: JSON lines for programs, sentences for people."""

import io
import json
import re
import sys
from pathlib import Path

import pytest

from solver import events
from solver.errors import SolverError
from solver.events import JsonReporter, LineReporter, Reporter, TerminalReporter, reporter

FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"
ERROR = SolverError("it is broken", where="/a/b.png", remedy="mend it")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""

    class Clock:
        now = 1000.0

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(events.time, "monotonic", clock)
    return clock


def tell_everything(watcher: Reporter) -> None:
    watcher.stage("read", "Reading [photos]")
    watcher.progress(1, 2)
    watcher.progress(2, 2)
    watcher.metric("loss", 0.5, 10)
    watcher.preview(Path("/r/preview.png"))
    watcher.warning("two photos [a] are dark")
    watcher.paused()
    watcher.going_on()
    watcher.error(ERROR)
    watcher.cancelled()
    watcher.done(Path("/r"))


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def documented() -> dict[str, set[str]]:
    """The keys of each event, from docs/formats.md."""
    section = FORMATS.read_text(encoding="utf-8").split("\n## Events")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", section, flags=re.MULTILINE)
    return {event: set(re.findall(r"`(\w+)`", keys)) for event, keys in rows if event != "event"}


def test_json_lines_have_the_documented_keys():
    stream = io.StringIO()
    tell_everything(JsonReporter(stream))
    told = lines(stream)
    keys = documented()
    assert {line["event"] for line in told} == set(keys)
    for line in told:
        assert set(line) == {"event", *keys[line["event"]]}, line
    by_event = {line["event"]: line for line in told}
    assert by_event["error"]["message"] == "/a/b.png: it is broken; mend it."
    assert by_event["done"]["result"] == "/r"
    assert by_event["metric"] == {"event": "metric", "name": "loss", "value": 0.5, "step": 10}


def test_time_left_follows_the_pace_of_late(clock):
    stream = io.StringIO()
    watcher = JsonReporter(stream)
    watcher.stage("train", "Training")
    watcher.progress(0, 100)
    clock.now += 60  # a slow start
    watcher.progress(1, 100)
    for done in range(2, 52):
        clock.now += 1
        watcher.progress(done, 100)
    told = [line["seconds_left"] for line in lines(stream) if line["event"] == "progress"]
    assert told[0] is None
    assert told[1] == pytest.approx(60 * 99)
    assert told[-1] == pytest.approx(49, rel=0.01)


def test_a_count_that_begins_anew_has_its_own_pace(clock):
    """Checking photos, then undistorting them, is one stage."""
    stream = io.StringIO()
    watcher = JsonReporter(stream)
    watcher.stage("read", "Reading")
    for done in range(1, 51):
        clock.now += 0.2
        watcher.progress(done, 50)
    for done in range(1, 11):
        clock.now += 4
        watcher.progress(done, 50)
    told = [line["seconds_left"] for line in lines(stream) if line["event"] == "progress"]
    assert told[50] is None
    assert told[51] == pytest.approx(4 * 48)
    assert told[-1] == pytest.approx(4 * 40)


def test_progress_is_told_ten_times_a_second_and_at_the_end(clock):
    stream = io.StringIO()
    watcher = JsonReporter(stream)
    watcher.stage("train", "Training")
    for done in range(1, 1001):
        watcher.progress(done, 1000)
        clock.now += 0.001
    told = [line["done"] for line in lines(stream) if line["event"] == "progress"]
    assert told[0] == 1
    assert told[-1] == 1000
    assert 10 <= len(told) <= 12
    watcher.stage("export", "Writing")
    watcher.progress(1, 1000)
    assert lines(stream)[-1]["done"] == 1  # a new stage begins at once


def test_timings_add_up_by_stage(clock):
    watcher = Reporter()
    for stage, seconds in (("read", 2), ("train", 5), ("read", 3)):
        watcher.stage(stage, stage)
        clock.now += seconds
    watcher.finish_stage()
    clock.now += 100
    watcher.finish_stage()
    watcher.done(Path("r"))
    assert watcher.timings_s == {"read": 5, "train": 5}


def test_warnings_are_kept():
    watcher = Reporter()
    tell_everything(watcher)
    assert watcher.warnings == ["two photos [a] are dark"]


def test_a_log_gets_plain_lines(clock):
    stream = io.StringIO()
    tell_everything(LineReporter(stream))
    assert stream.getvalue().splitlines() == [
        "Reading [photos]",
        "Warning: two photos [a] are dark",
        "Paused.",
        "Going on.",
        "Error: /a/b.png: it is broken; mend it.",
        "Cancelled.",
        "Result: /r",
    ]


def test_a_log_gets_progress_now_and_then(clock):
    stream = io.StringIO()
    watcher = LineReporter(stream)
    watcher.stage("train", "Training")
    for done in range(1, 101):
        clock.now += 1
        watcher.progress(done, 100)
    told = stream.getvalue().splitlines()
    assert told[0] == "Training"
    assert told[1] == "  20/100, 1:20 left"
    assert 4 <= len(told) <= 7
    watcher.cancelled()
    assert stream.getvalue().endswith("Cancelled. Run the same command with --resume to go on.\n")


def test_a_terminal_gets_a_bar(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    watcher = reporter("text")
    assert isinstance(watcher, TerminalReporter)
    tell_everything(watcher)
    watcher.close()
    told = stream.getvalue()
    assert "Reading [photos]" in told
    assert "Warning: two photos [a] are dark" in told
    assert "Error: /a/b.png: it is broken; mend it." in told
    assert "2/2" in told


def test_terminal_events_without_a_stage(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    watcher = TerminalReporter()
    watcher.progress(1, 2)
    watcher.error(ERROR)
    assert "mend it" in stream.getvalue()


def test_the_format_and_the_stream_choose_the_reporter(monkeypatch):
    assert isinstance(reporter("json"), JsonReporter)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(reporter("text"), LineReporter)
