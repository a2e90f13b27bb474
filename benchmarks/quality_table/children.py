# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes: their progress, their one sentence where they fail, and what they took."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_STOP = signal.SIGTERM  # SIGINT can get lost in Blender between two frames

Event = dict[str, Any]  # of docs/formats.md


@dataclass(frozen=True)
class Outcome:
    """How a child ended."""

    code: int  # exit code; negative for a signal
    seconds: float
    peak_memory_mib: float | None  # where the system tells it
    error: str = ""  # one sentence, where the code is not 0


class Children:
    """Runs children, several at a time from several threads, and stops them all when asked to."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._running: set[int] = set()
        self._lock = threading.RLock()  # a signal's handler may come in between

    def run(
        self,
        arguments: Sequence[str | Path],
        log: Path,
        threads: int | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> Outcome:
        """Run this Python with `arguments` until it ends.

        Args:
            arguments: after the interpreter.
            log: gets what the child writes to its standard error.
            threads: that it may use; None for as many as there are processors.
            on_event: called with each event that it prints.
        """
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if threads is not None:
            for name in ("MACRO_RECONSTRUCTION_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
                environment[name] = str(threads)
        started, told = time.monotonic(), ""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors, self._lock:
            if self.stopping.is_set():
                return Outcome(-_STOP, 0.0, None, "stopped")
            child = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=environment,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C reaches it through `stop`, once
            )
            self._running.add(child.pid)
            if self.stopping.is_set():
                child.send_signal(_STOP)
        assert child.stdout is not None
        for line in child.stdout:
            event = _event(line)
            if event.get("event") == "error":
                told = str(event.get("message", ""))
            on_event(event)
        code, memory = self._wait(child)
        seconds = time.monotonic() - started
        return Outcome(code, seconds, memory, "" if code == 0 else told or _last_words(log, code))

    def stop(self) -> None:
        """Ask all children to end; no new one starts after that. Asked again, they are ended."""
        with self._lock:
            wanted = signal.SIGKILL if self.stopping.is_set() else _STOP
            self.stopping.set()
            for pid in self._running:
                with suppress(ProcessLookupError):
                    os.kill(pid, wanted)

    def _wait(self, child: subprocess.Popen[str]) -> tuple[int, float | None]:
        try:
            if not hasattr(os, "wait4"):
                return child.wait(), None
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            unit = 1 if sys.platform == "darwin" else 1024  # bytes
            return child.returncode, round(usage.ru_maxrss * unit / 2**20, 1)
        finally:
            with self._lock:
                self._running.discard(child.pid)
            if child.stdout:
                child.stdout.close()


def _event(line: str) -> Event:
    with suppress(ValueError):
        content = json.loads(line)
        if isinstance(content, dict):
            return content
    return {}


def _last_words(log: Path, code: int) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return lines[-1].removeprefix("Error: ") if lines else f"it ended with code {code}"
