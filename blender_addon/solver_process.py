# SPDX-License-Identifier: GPL-3.0-or-later
"""What the solver is asked for, which Python it runs in, and what surrounds it there. Nothing here needs Blender."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import MacroError

DOCTOR_TIMEOUT_S = 180.0  # a first import of PyTorch from a cold disk takes a while
HEARD = "> "  # before each line of the log that came from the child's standard output
ATTENDED = Path(__file__).with_name("attended.py")  # runs a program that ends with this one
IN_PREFERENCES = "choose it in the extension's preferences"


@dataclass(frozen=True)
class Request:
    """One reconstruction, as the solver's command line takes it."""

    capture: Path
    output: Path
    masks: Path | None = None
    make_masks: Literal["no", "auto", "yes"] = "no"
    preset: Literal["draft", "standard", "high"] = "standard"
    max_size: int | None = None  # longest side, px; None leaves it to the preset
    iterations: int | None = None  # None leaves it to the preset
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int | None = None
    focal_length_mm: float | None = None  # engraved on the lens; None leaves it to the photos, as the next two
    f_number: float | None = None
    sensor_width_mm: float | None = None  # its longer side
    marker_mm: float | None = None  # side of the ArUco markers in the photos
    close_holes: bool = False  # of the mesh
    resume: bool = False

    def arguments(self) -> list[str]:
        """The arguments after `python -m solver`."""
        words = ["reconstruct", str(self.capture), "--output", str(self.output), "--preset", self.preset]
        options = {
            "--masks": self.masks,
            "--max-size": self.max_size,
            "--iterations": self.iterations,
            "--seed": self.seed,
            "--make-masks": None if self.make_masks == "no" else self.make_masks,
            "--focal-length-mm": self.focal_length_mm,
            "--f-number": self.f_number,
            "--sensor-width-mm": self.sensor_width_mm,
            "--marker-mm": self.marker_mm,
        }
        for option, value in options.items():
            if value is not None:
                words += [option, str(value)]
        if self.close_holes:
            words += ["--set", "close_holes=true"]
        return [*words, "--device", self.device, "--events", "json", *(["--resume"] if self.resume else [])]

    def as_json(self) -> dict[str, Any]:
        """For a file; `from_json` reads it again."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, content: Any) -> Request:
        """What `as_json` gave.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        values = dict(content)
        for name in ("capture", "output", "masks"):
            if values[name] is not None:
                values[name] = Path(values[name])
        request = cls(**values)
        scalars = all(isinstance(value, str | int | float | Path | None) for value in vars(request).values())
        if not scalars or not request.capture.is_absolute() or not request.output.is_absolute():
            raise ValueError("not a request")
        return request


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `message` is one sentence for people."""

    kind: Literal["done", "error", "cancelled"]
    message: str
    result: Path | None = None  # the result folder, when done
    mend: str = ""  # what would help, where a button can do it (docs/formats.md, "Events")


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
        raise MacroError("the solver is not installed", remedy="install it in the extension's preferences")
    if not Path(python).is_file():
        raise MacroError("the solver's Python was not found", where=python, remedy=IN_PREFERENCES)
    if not os.access(python, os.X_OK):
        raise MacroError("the solver's Python cannot be executed", where=python, remedy=IN_PREFERENCES)


def child_environment(environment: Mapping[str, str], cache: Path | None = None) -> dict[str, str]:
    """`environment` without what would bend another Python, and such that nothing is written beside the sources.

    Args:
        environment: usually `os.environ`.
        cache: where compiled kernels may be kept; None for a child that has none.
    """
    kept = {key: value for key, value in environment.items() if not key.upper().startswith("PYTHON")}
    kept.pop("VIRTUAL_ENV", None)
    if cache is not None:
        kept["NUMBA_CACHE_DIR"] = str(cache)
    return kept | {
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def quiet_child() -> dict[str, Any]:
    """A process group of its own: an interrupt typed at Blender's terminal is ours to pass on."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS}
    return {"start_new_session": True}


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
            **quiet_child(),
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
