# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the solver as child processes: start, hear, steer, end one, and find it again. Nothing here needs Blender.

The solver prints one JSON object a line on standard output (docs/formats.md, "Events"), which is a file and
no pipe: a run neither waits for Blender nor ends with it, and a Blender that is opened later reads on. Children other
than reconstructions are not found again; they end with their Blender (attended.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Literal

from . import locks
from .errors import MacroError
from .files import write_aside
from .hearing import Hearing
from .run_records import EVENTS, JOBS, LOG, OWNER, RECORD, WAITING, Origin, Record, new_folder, read_record
from .solver_process import (
    IN_PREFERENCES,
    Outcome,
    Request,
    check_python,
    child_environment,
    last_line,
    quiet_child,
    solver_home,
)

GRACE_S = 15.0  # for the solver to write its checkpoint after a cancel
GRACE_AT_EXIT_S = 5.0  # the same when Blender quits or the extension is disabled
START_GRACE_S = 60.0  # until a run that was found again must hold its lock
LAST_LOG = "last-run.log"
RUN_LOCK, STEERING = "run.lock", "steering.txt"  # the solver's, in the output folder
Wish = Literal["run", "pause", "finish", "cancel"]


class Run:
    """A run that may be this process's child or an earlier Blender's. `events()` never waits.

    `outcome` is set once the run has ended and all was heard.
    """

    def __init__(self, folder: Path, record: Record, owner: locks.Lock | None = None) -> None:
        """Take over what is known of a run; `folder` is that of its job."""
        self.folder, self.record = folder, record
        self.output = Path(record.output)
        self.log_path = folder / LOG
        self.outcome: Outcome | None = None
        self._owner = owner
        self._hearing = Hearing(folder / EVENTS, self.log_path)
        self._cancelled_at: float | None = None

    @property
    def running(self) -> bool:
        """Whether there is still something to hear or to wait for."""
        return self.outcome is None

    @property
    def lasted_s(self) -> float:
        """Seconds from the start to what was said last: a run may have ended long before anybody looked."""
        try:
            last = (self.folder / EVENTS).stat().st_mtime
        except OSError:
            last = time.time()
        return max(0.0, last - self.record.started)

    def events(self) -> Iterator[dict[str, Any]]:
        """Everything heard since the last call; sets `outcome` when the solver has ended."""
        if self.outcome is not None:
            return
        ended = self._has_ended()  # asked first: what is written before the end is read after it
        yield from self._hearing.events()
        if ended:
            self._hearing.close()
            self.outcome = self._conclude(self._exit_code())
        elif self._cancelled_at is not None and time.monotonic() - self._cancelled_at > GRACE_S:
            self._kill()

    def steer(self, wish: Wish) -> None:
        """Leave word for the solver, which looks while it trains.

        Raises:
            MacroError: the output folder cannot be written.
        """
        try:
            write_aside(self.output / STEERING, wish)
        except OSError as error:
            raise MacroError(f"the solver cannot be told ({error.strerror})", where=self.output) from None

    def follow(self, origin: Origin) -> None:
        """Note that the scene, or its file, has another name now: a later Blender goes by it."""
        self.record = replace(self.record, origin=origin)
        with contextlib.suppress(OSError):  # the old note still says most of it
            self.record.write(self.folder)

    def cancel(self) -> None:
        """Ask the solver to end. It writes its checkpoint first; after a grace period it is killed."""
        if self.running and self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            if (self.output / RUN_LOCK).exists():
                with contextlib.suppress(MacroError):
                    self.steer("cancel")
            self._ask_to_end()

    def end(self, grace_s: float = GRACE_AT_EXIT_S) -> None:
        """Cancel, wait at most `grace_s` seconds, kill, and hear the rest. Safe to call again."""
        self.cancel()
        deadline = time.monotonic() + grace_s
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not self._has_ended():
            self._kill()
        deadline = time.monotonic() + GRACE_AT_EXIT_S
        while self.running and time.monotonic() < deadline:  # what cannot be killed does not keep Blender open
            for _ in self.events():
                pass
            time.sleep(0.02)

    def wait(self, on_event: Callable[[dict[str, Any]], None]) -> Outcome:
        """Hear events until the solver has ended. An exception, an interrupt included, ends it."""
        try:
            while True:
                for event in self.events():
                    on_event(event)
                if self.outcome is not None:
                    return self.outcome
                time.sleep(0.1)
        finally:
            self.end()

    def leave(self) -> None:
        """Let the run go on without this Blender; the next one finds it."""
        self._hearing.close()
        self._give_up()

    def settle(self, kept_as: str = "") -> Path:
        """Forget a run that has ended.

        Its log moves to the result, if there is one and no name is given; else it takes the place of the last one of
        the name `kept_as`.

        Returns:
            Where the log is now.
        """
        log_path = self.log_path
        with contextlib.suppress(OSError):  # before the lock goes: another Blender would take the run for a lost one
            (self.folder / RECORD).unlink(missing_ok=True)
        if not kept_as and any((self.output / name).is_file() for name in ("result.json", "checkpoint.pt")):
            target = self.output / LOG
        else:
            target = self.folder.parent.parent / (kept_as or LAST_LOG)
        with contextlib.suppress(OSError):
            log_path = Path(shutil.move(log_path, target))
        self._give_up()
        if log_path == target:
            shutil.rmtree(self.folder, ignore_errors=True)
        return log_path

    def _give_up(self) -> None:
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    def _conclude(self, code: int | None) -> Outcome:
        told = self._hearing.told
        if told is not None and (told.kind != "done" or code in (0, None)):
            return told
        if self._cancelled_at is not None:
            return Outcome("cancelled", "The reconstruction was cancelled.")
        last = last_line(self.log_path)
        if last.startswith("ModuleNotFoundError"):
            missing = last.rpartition("named ")[2].strip("'\"")
            return Outcome(
                "error",
                f"The solver's Python lacks the module {missing}; install the solver's packages into it, or choose"
                " another one in the extension's preferences.",
                mend="solver",
            )
        reason = f": {last}" if last else ""
        how = "" if code is None else f" (exit code {code})"
        return Outcome("error", f"The solver stopped unexpectedly{how}{reason}; see the log.")

    def _has_ended(self) -> bool:
        """Of a run that an earlier Blender started: nothing but the solver's own lock tells."""
        if locks.is_held(self.output / RUN_LOCK):
            return False
        return not (time.time() - self.record.started < START_GRACE_S and _exists(self.record.process))

    def _exit_code(self) -> int | None:
        return None

    def _ask_to_end(self) -> None:
        number = locks.holder(self.output / RUN_LOCK)
        if number is not None and sys.platform != "win32":  # there, this would be no question but the end
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGTERM)

    def _kill(self) -> None:
        number = locks.holder(self.output / RUN_LOCK)
        if number is not None:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


class StartedRun(Run):
    """A run that is this process's child."""

    def __init__(self, folder: Path, record: Record, child: subprocess.Popen[bytes], owner: locks.Lock | None) -> None:
        super().__init__(folder, record, owner)
        self._child = child

    def _conclude(self, code: int | None) -> Outcome:
        if self._child.stdin is not None:
            self._child.stdin.close()
        return super()._conclude(code)

    def _has_ended(self) -> bool:
        return self._child.poll() is not None

    def _exit_code(self) -> int | None:
        return self._child.returncode

    def _ask_to_end(self) -> None:
        if self._child.stdin is not None:
            self._child.stdin.close()
        elif sys.platform != "win32":
            self._child.terminate()

    def _kill(self) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)
        else:
            self._child.kill()


def start(request: Request, python: str, storage: Path, origin: Origin | None = None) -> StartedRun:
    """Start a reconstruction.

    Args:
        request: what to reconstruct.
        python: the interpreter of the solver's environment.
        storage: a folder of the extension for jobs and caches.
        origin: for a Blender that finds the run again.

    Raises:
        MacroError: the interpreter cannot be used, or the storage cannot be written.
    """
    check_python(python)
    command = [python, "-m", "solver", *request.arguments()]
    origin = origin or Origin()
    return start_child(command, storage, output=request.output, capture=request.capture, origin=origin, request=request)


def start_child(
    command: list[str],
    storage: Path,
    *,
    output: Path,
    capture: Path,
    origin: Origin | None = None,
    request: Request | None = None,
    cwd: Path | None = None,
) -> StartedRun:
    """Start any program that prints the solver's events; see `start`.

    Without an origin no Blender finds it again: its standard input ends with this process, and it has to listen.
    """
    folder = owner = child = None
    try:
        folder, owner = new_folder(storage)
        log: IO[bytes]
        with (folder / EVENTS).open("wb") as events, (folder / LOG).open("ab") as log:
            log.write(("$ " + " ".join(command) + "\n").encode("utf-8", errors="replace"))
            log.flush()
            stdin = subprocess.PIPE if origin is None else subprocess.DEVNULL
            child = _popen(command, cwd or solver_home(), storage / "cache", stdin, events, log)
        record = Record(str(output), str(capture), child.pid, time.time(), origin or Origin(), request)
        if origin is not None:
            record.write(folder)
    except (MacroError, OSError) as error:
        if child is not None:  # a run that is not noted would be one that nobody knows of
            child.kill()
            child.wait()
        if folder is not None and owner is not None:
            owner.release()
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, MacroError):
            raise
        raise MacroError(f"a job cannot be noted ({error.strerror})", where=folder or storage / JOBS) from None
    return StartedRun(folder, record, child, owner)


def _popen(
    command: list[str], cwd: Path, cache: Path, stdin: int, events: IO[bytes], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=child_environment(os.environ, cache),
            stdin=stdin,
            stdout=events,
            stderr=log,
            **quiet_child(),
        )
    except OSError as error:
        raise MacroError(
            f"the solver's Python cannot be started ({error.strerror})", where=command[0], remedy=IN_PREFERENCES
        ) from None
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # Blender comes first; if that is refused, nothing is lost
            os.setpriority(os.PRIO_PROCESS, child.pid, 5)
    return child


def adopt(storage: Path) -> list[Run]:
    """The runs, oldest first, that no living Blender minds; they are this process's from now on. Broken notes go."""
    found: list[Run] = []
    for folder in sorted((storage / JOBS).glob("*")):
        if (folder / WAITING).is_file():
            continue
        owner = None
        try:
            owner = locks.take(folder / OWNER)
            if owner is not None:
                found.append(Run(folder, read_record(folder), owner))
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
            if owner is not None:
                owner.release()
                shutil.rmtree(folder, ignore_errors=True)
    return found


def _exists(process: int) -> bool:
    """Whether there is a process of this number; on Windows, where asking could end it, no."""
    if sys.platform == "win32" or process <= 1:
        return False
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
