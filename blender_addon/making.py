# SPDX-License-Identifier: GPL-3.0-or-later
"""What the solver makes of a finished result: files for other programs, pictures and films through other lenses.

Nothing here needs Blender.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from . import runs
from .errands import Errand
from .errors import MacroError
from .solver_process import ATTENDED, Outcome, check_python

Way = Literal["picture", "sharp", "sweep", "orbit"]


@dataclass(frozen=True)
class MakingRequest:
    """What to make of a result, and where."""

    result: Path  # folder of the reconstruction
    output: Path  # file or folder
    arguments: tuple[str, ...]  # of the solver, without those two and `--events`
    command: Literal["export", "refocus"]

    def words(self) -> list[str]:
        """The arguments after `python -m solver`."""
        words = [self.command, str(self.result), "--output", str(self.output)]
        return [*words, *self.arguments, "--events", "json"]


def exporting(result: Path, output: Path, file_format: str) -> MakingRequest:
    """Files of a result for other programs, in a folder."""
    return MakingRequest(result, output, ("--to", file_format), "export")


def refocusing(result: Path, photo: str, way: Way, *, focus_mm: float = 0.0, f_number: float = 0.0) -> MakingRequest:
    """A photo taken again, or a film, in the result's folder `refocused`.

    Args:
        result: folder of the reconstruction.
        photo: name of the photo.
        way: with the lens that is told, all in focus, or a film of a moving focus or camera.
        focus_mm: depth of the focus plane; 0 leaves it to the photo, as the next.
        f_number: smaller is more blur.
    """
    name, arguments = f"{photo}-{way}", ["--view", photo]
    if way == "sharp":
        arguments.append("--all-in-focus")
    elif way in ("sweep", "orbit"):
        arguments.append(f"--{way}")
    options = {"--focus-mm": focus_mm if way == "picture" else 0.0, "--f-number": f_number if way != "sharp" else 0.0}
    for option, value in options.items():
        if value:
            arguments += [option, f"{value:g}"]
            name += f"-{option.strip('-')}-{value:g}"
    suffix = ".mp4" if way in ("sweep", "orbit") else ".png"
    return MakingRequest(result, result / "refocused" / f"{name}{suffix}", tuple(arguments), "refocus")


@dataclass
class Making(Errand):
    """Something that is being made; `request.output` is there when it is done."""

    title: str = "Reading the result"
    request: MakingRequest = field(default_factory=lambda: exporting(Path(), Path(), ""))

    def take_in(self, outcome: Outcome) -> None:
        """Say what there is now."""
        self.message = f"Made {self.request.output.name}"


def begin(request: MakingRequest, python: str, storage: Path) -> Making:
    """Start making it.

    Args:
        request: what to make.
        python: the interpreter of the solver's environment.
        storage: the extension's folder.

    Raises:
        MacroError: the solver cannot be started, or the folder cannot be made.
    """
    check_python(python)
    folder = request.output.parent if request.output.suffix else request.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MacroError(f"the folder cannot be made ({error.strerror})", where=folder) from None
    command = [python, str(ATTENDED), "solver", *request.words()]
    run = runs.start_child(command, storage, output=folder, capture=request.result)
    return Making(run=run, request=request, output=folder)
