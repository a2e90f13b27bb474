# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that an installation of the solver runs: their progress, their end, and what it means when they fail.

Nothing here needs Blender.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environment import Places
from .errors import MacroError
from .solver_process import child_environment, last_line, quiet_child

POLL_S = 0.1
SIZE_POLL_S = 1.0  # measuring a folder of 20,000 files takes a few hundredths of a second
GRACE_S = 5.0  # for pip to end by itself after a cancel
# Settings of pip, from its configuration or surroundings, that would send packages elsewhere.
DIVERTING = (
    "USER",
    "TARGET",
    "CONSTRAINT",
    "PREFIX",
    "ROOT",
    "REQUIRE_VIRTUALENV",
    "DRY_RUN",
    "NO_DEPS",
    "LOG",
    "PYTHON",
    "QUIET",
)


@dataclass(frozen=True)
class Progress:
    """Where an installation stands; `fraction` is None where nobody knows."""

    title: str
    fraction: float | None = None
    detail: str = ""


class Cancelled(Exception):  # noqa: N818 - not an error
    """The installation was cancelled; what is in place stays, and the next one goes on from there."""


class Runner:
    """Runs the steps of an installation as children whose words go to the log."""

    def __init__(self, places: Places, cancelled: threading.Event) -> None:
        self._places = places
        self._cancelled = cancelled

    def run(
        self,
        title: str,
        command: list[str],
        fault: str,
        *,
        cwd: Path | None = None,
        progress: Any = None,
        offline: Path | None = None,
    ) -> Iterator[Progress]:
        """Run one command to its end.

        Args:
            title: of the stage, for people.
            command: the program and its arguments.
            fault: what is wrong if it fails, without a full stop.
            cwd: the folder it runs in.
            progress: gives the `Progress` to show meanwhile; asked about once a second.
            offline: the user's folder of wheels, if the command reads one.

        Raises:
            MacroError: it failed, with the reason as far as the log tells one.
            Cancelled: as asked; the command was ended.
        """
        shown = progress() if progress is not None else Progress(title)
        yield shown
        start, measured = self._places.log.stat().st_size, time.monotonic()
        with self._places.log.open("a", encoding="utf-8") as log:
            log.write("$ " + " ".join(command) + "\n")
            log.flush()
            child = subprocess.Popen(
                command,
                cwd=cwd or self._places.root,
                env=self._surroundings(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **quiet_child(),
            )
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(POLL_S)
                    if self._cancelled.is_set():
                        raise Cancelled
                    if child.returncode is not None:
                        break
                    if progress is not None and time.monotonic() - measured > SIZE_POLL_S:
                        shown, measured = progress(), time.monotonic()
                    yield shown
            finally:
                _end(child)
        if child.returncode != 0:
            raise _explained(self._places.log, start, fault, child.returncode, offline)

    def _surroundings(self) -> dict[str, str]:
        """A clean environment; pip's settings for proxies, certificates and mirrors are the user's and stay."""
        diverting = {f"PIP_{name}" for name in DIVERTING}
        kept = {k: v for k, v in child_environment(os.environ).items() if k.upper() not in diverting}
        kept.pop("PYTHONDONTWRITEBYTECODE")  # packages start faster when compiled once, here
        temporary = str(self._places.temporary)
        return kept | {"TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a child that still runs, and those that it started."""
    if child.poll() is not None:
        return
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE_S)
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
    child.wait()


def _explained(log: Path, start: int, fault: str, code: int, offline: Path | None) -> MacroError:
    """One sentence for a command that failed, from what it wrote into the log from byte `start` on."""
    with log.open("rb") as file:
        file.seek(start)
        said = file.read().decode("utf-8", errors="replace")
    if "No space left on device" in said or "Errno 28" in said:
        return MacroError(f"{fault}: the disk is full", where=log.parent, remedy="make room, then repair")
    if "DO NOT MATCH THE HASHES" in said:
        which = re.search(r"^ +(\S+==\S+)", said, re.MULTILINE)
        return MacroError(
            f"{fault}: {which[1] if which else 'a package'} is not the file that the extension's lock names",
            remedy="delete the environment and install again, from another place",
        )
    unreachable = re.search(
        r"NewConnectionError|NameResolution|Failed to resolve|ConnectTimeout|ReadTimeout|Connection refused|"
        r"ProxyError|Connection aborted|Network is unreachable",
        said,
    )
    if unreachable and offline is None:
        return MacroError(
            f"{fault}: the package index cannot be reached",
            remedy="check the connection and repair, or install from a folder of wheels",
        )
    if "CERTIFICATE_VERIFY_FAILED" in said or "SSLError" in said:
        return MacroError(
            f"{fault}: the index's certificate was not accepted",
            remedy="ask whoever runs your network which certificates pip should use",
        )
    absent = re.search(r"No matching distribution found for ([^\s(;]+)", said)
    if absent and offline is not None:
        return MacroError(
            f"the folder of wheels lacks {absent[1]} for this Python and system",
            where=offline,
            remedy="download it into the folder for this Python and system, then repair",
        )
    if absent:
        return MacroError(
            f"{fault}: the index has no {absent[1]} for this Python and system, or does not answer",
            remedy="check the connection and repair, or choose another Python",
        )
    error = re.findall(r"^(?:ERROR|Error): (.+)$", said, re.MULTILINE)
    reason = error[-1] if error else last_line(log)
    return MacroError(f"{fault} ({reason[:200].rstrip('.') or f'exit code {code}'})", remedy="see the log, then repair")


class DownloadRate:
    """Time left of a download, from the last half minute."""

    def __init__(self) -> None:
        self._points: list[tuple[float, int]] = []

    def seconds_left(self, done: int, total: int) -> float | None:
        """The estimate, or None while there is nothing to estimate from."""
        now = time.monotonic()
        self._points = [point for point in self._points if now - point[0] < 30] + [(now, done)]
        since, earlier = self._points[0]
        if now - since < 3 or done <= earlier:
            return None
        return (total - done) * (now - since) / (done - earlier)
