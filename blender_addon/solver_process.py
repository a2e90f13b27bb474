# SPDX-License-Identifier: GPL-3.0-or-later
"""The solver as a child process: start it, hear its events, end it. Nothing here needs Blender.

The solver prints one JSON object a line on standard output (docs/formats.md, "Events"). A thread reads them into a
queue, so that Blender's interface never waits for a pipe. Standard error goes to a log file.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from .errors import MacroError

GRACE_S = 15.0  # for the solver to write its checkpoint after a cancel
GRACE_AT_EXIT_S = 5.0  # the same when Blender quits or the extension is disabled
PIPE_GRACE_S = 2.0  # for the last events to be read after the child's end
LONGEST_EVENT = 1 << 20  # characters
DOCTOR_TIMEOUT_S = 180.0  # a first import of PyTorch from a cold disk takes a while
HEARD = "> "  # before each line of the log that came from the child's standard output
IN_PREFERENCES = "choose it in the extension's preferences"


@dataclass(frozen=True)
class Request:
    """One reconstruction, as the solver's command line takes it."""

    capture: Path
    output: Path
    masks: Path | None = None
    preset: Literal["draft", "standard", "high"] = "standard"
    max_size: int | None = None  # longest side, px; None leaves it to the preset
    iterations: int | None = None  # None leaves it to the preset
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int | None = None
    resume: bool = False

    def arguments(self) -> list[str]:
        """The arguments after `python -m solver`."""
        words = ["reconstruct", str(self.capture), "--output", str(self.output), "--preset", self.preset]
        options = {
            "--masks": self.masks,
            "--max-size": self.max_size,
            "--iterations": self.iterations,
            "--seed": self.seed,
        }
        for option, value in options.items():
            if value is not None:
                words += [option, str(value)]
        return [*words, "--device", self.device, "--events", "json", *(["--resume"] if self.resume else [])]


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `message` is one sentence for people."""

    kind: Literal["done", "error", "cancelled"]
    message: str
    result: Path | None = None  # the result folder, when done


def solver_home() -> Path:
    """The folder that holds `solver/`: the installed extension, or the checkout while developing."""
    return Path(__file__).parent.parent


def default_python() -> str:
    """The interpreter of a development checkout's `.venv`, or nothing where there is none."""
    inside = ("Scripts", "python.exe") if sys.platform == "win32" else ("bin", "python")
    candidate = solver_home().joinpath(".venv", *inside)
    return str(candidate) if candidate.is_file() else ""


def check_python(python: str) -> None:
    """Refuse a path that cannot be the solver's interpreter.

    Raises:
        MacroError: no path is set, nothing is there, or it cannot be executed.
    """
    if not python:
        raise MacroError("the solver's Python is not set", remedy=IN_PREFERENCES)
    if not Path(python).is_file():
        raise MacroError("the solver's Python was not found", where=python, remedy=IN_PREFERENCES)
    if not os.access(python, os.X_OK):
        raise MacroError("the solver's Python cannot be executed", where=python, remedy=IN_PREFERENCES)


def child_environment(environment: Mapping[str, str], cache: Path) -> dict[str, str]:
    """`environment` without what would bend another Python, and such that nothing is written beside the sources.

    Args:
        environment: usually `os.environ`.
        cache: where compiled kernels may be kept.
    """
    kept = {key: value for key, value in environment.items() if not key.upper().startswith("PYTHON")}
    kept.pop("VIRTUAL_ENV", None)
    return kept | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "NUMBA_CACHE_DIR": str(cache),
    }


def _process_options() -> dict[str, Any]:
    """A process group of its own: an interrupt typed at Blender's terminal is ours to pass on."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    return {"start_new_session": True}


class SolverProcess:
    """A running child. `events()` never waits; `outcome` is set once it has ended and all was heard."""

    def __init__(self, command: list[str], *, cwd: Path, log_path: Path, cache: Path) -> None:
        """Start `command` in the folder `cwd`.

        Raises:
            MacroError: it cannot be started, or its log cannot be written.
        """
        self.log_path = log_path
        self.outcome: Outcome | None = None
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._told: Outcome | None = None  # what the child itself said about its end
        self._cancelled_at: float | None = None
        self._ended_at: float | None = None
        try:
            log_path.parent.mkdir(parents=True, exist_ok=True)
            self._log: IO[str] = log_path.open("w", encoding="utf-8", errors="replace")
        except OSError as error:
            raise MacroError(f"the log cannot be written ({error.strerror})", where=log_path) from None
        self._log.write("$ " + " ".join(command) + "\n")
        self._log.flush()
        try:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env=child_environment(os.environ, cache),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                encoding="utf-8",
                errors="replace",
                **_process_options(),
            )
        except OSError as error:
            self._log.close()
            raise MacroError(
                f"the solver's Python cannot be started ({error.strerror})", where=command[0], remedy=IN_PREFERENCES
            ) from None
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # Blender comes first; if that is refused, nothing is lost
                os.setpriority(os.PRIO_PROCESS, self._process.pid, 5)
        self._reader = threading.Thread(target=self._read, name="macro-solver-events", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            while line := lines.readline(LONGEST_EVENT):
                try:
                    event = json.loads(line)
                except json.JSONDecodeError:
                    event = None
                known = isinstance(event, dict) and isinstance(event.get("event"), str)
                if known:
                    self._events.put(event)
                if not known or event["event"] in ("stage", "warning", "error", "cancelled", "done"):
                    self._log.write(f"{HEARD}{line.rstrip()[:2000]}\n")
                    self._log.flush()

    @property
    def running(self) -> bool:
        """Whether there is still something to hear or to wait for."""
        return self.outcome is None

    def events(self) -> Iterator[dict[str, Any]]:
        """Everything heard since the last call; sets `outcome` when the child has ended."""
        ended = self._has_ended()
        while not self._events.empty():
            event = self._events.get()
            self._note(event)
            yield event
        if ended and self.outcome is None:
            self._log.close()
            self.outcome = self._conclude(self._process.returncode)
        elif self._cancelled_at is not None and time.monotonic() - self._cancelled_at > GRACE_S:
            self._kill()

    def _has_ended(self) -> bool:
        if self._process.poll() is None:
            return False
        if self._reader.is_alive():
            self._ended_at = self._ended_at or time.monotonic()
            if time.monotonic() - self._ended_at > PIPE_GRACE_S:
                self._kill()  # a process that the solver left behind holds the pipe open
            return False
        return True

    def _note(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "done":
                self._told = Outcome("done", "The reconstruction is finished.", Path(str(event.get("result"))))
            case "error":
                self._told = Outcome("error", str(event.get("message") or event.get("what")))
            case "cancelled":
                self._told = Outcome("cancelled", "The reconstruction was cancelled.")

    def _conclude(self, code: int) -> Outcome:
        if self._told is not None and (self._told.kind != "done" or code == 0):
            return self._told
        if self._cancelled_at is not None:
            return Outcome("cancelled", "The reconstruction was cancelled.")
        last = last_line(self.log_path)
        if last.startswith("ModuleNotFoundError"):
            missing = last.rpartition("named ")[2].strip("'\"")
            return Outcome(
                "error",
                f"The solver's Python lacks the module {missing}; install the solver's packages into it, or choose"
                " another one in the extension's preferences.",
            )
        reason = f": {last}" if last else ""
        return Outcome("error", f"The solver stopped unexpectedly (exit code {code}){reason}; see the log.")

    def cancel(self) -> None:
        """Ask the child to end. It writes its checkpoint first; after a grace period it is killed."""
        if self.running and self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self._process.terminate()

    def _kill(self) -> None:
        if sys.platform != "win32":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()

    def end(self, grace_s: float = GRACE_AT_EXIT_S) -> None:
        """Cancel, wait at most `grace_s` seconds, kill, and hear the rest. Safe to call again."""
        self.cancel()
        if self._process.poll() is None:
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._kill()
                self._process.wait()
        self._reader.join(grace_s)
        for _ in self.events():
            pass

    def wait(self, on_event: Callable[[dict[str, Any]], None]) -> Outcome:
        """Hear events until the child has ended. An exception, an interrupt included, ends the child."""
        try:
            while True:
                for event in self.events():
                    on_event(event)
                if self.outcome is not None:
                    return self.outcome
                time.sleep(0.1)
        finally:
            self.end()


def start(request: Request, python: str, storage: Path) -> SolverProcess:
    """Start a reconstruction.

    Args:
        request: what to reconstruct.
        python: the interpreter of the solver's environment.
        storage: a folder of the extension for the log and caches. The log moves to the result folder at the end.

    Raises:
        MacroError: the interpreter cannot be used.
    """
    check_python(python)
    return SolverProcess(
        [python, "-m", "solver", *request.arguments()],
        cwd=solver_home(),
        log_path=storage / f"solver-{os.getpid()}.log",
        cache=storage / "cache",
    )


def keep_log(log_path: Path, output: Path) -> Path:
    """Move a finished run's log into the result folder, if the solver made one; returns where the log is now."""
    if not any((output / name).is_file() for name in ("result.json", "checkpoint.pt")):
        return log_path
    try:
        return Path(shutil.move(log_path, output / "solver.log"))
    except OSError:
        return log_path


def last_line(path: Path) -> str:
    """The last thing said on standard error, shortened to 300 characters."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    said = (line.strip() for line in reversed(lines) if line.strip() and not line.startswith((HEARD, "$ ")))
    return next(said, "")[:300]


def doctor(python: str, storage: Path, timeout_s: float = DOCTOR_TIMEOUT_S) -> tuple[bool, str]:
    """Ask an interpreter whether it can run the solver; waits for the answer.

    Returns:
        Whether it can, and what it said: the report when it can, one sentence when it cannot.
    """
    try:
        check_python(python)
        answer = subprocess.run(
            [python, "-m", "solver", "doctor"],
            cwd=solver_home(),
            env=child_environment(os.environ, storage / "cache"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            check=False,
            **_process_options(),
        )
    except MacroError as error:
        return False, error.sentence
    except subprocess.TimeoutExpired:
        return False, f"{python}: no answer within {timeout_s:.0f} seconds; try again, or choose another Python."
    except OSError as error:
        return False, MacroError(
            f"the solver's Python cannot be started ({error.strerror})", where=python, remedy=IN_PREFERENCES
        ).sentence
    if answer.returncode == 0:
        return True, answer.stdout.strip()
    said = (answer.stderr.strip() or answer.stdout.strip()).split("\n")[-1].strip()
    if said.startswith("ModuleNotFoundError"):
        said = f"it lacks the module {said.rpartition('named ')[2]}"
    return False, f"{python}: this Python cannot run the solver ({said or f'exit code {answer.returncode}'})."
