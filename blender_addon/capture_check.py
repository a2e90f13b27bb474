# SPDX-License-Identifier: GPL-3.0-or-later
"""What the solver finds in a folder of photos before the long run: `python -m solver inspect`.

Nothing here needs Blender.
"""

from __future__ import annotations

import json
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import runs
from .errands import Errand
from .errors import MacroError
from .solver_process import ATTENDED, Outcome, Request, check_python

SAME_FOCUS = 0.2  # of `focus_likeness`, from which on the focus hardly moves (docs/formats.md)
LARGEST_FINDINGS = 64 << 20  # bytes; some kilobytes a photo are usual
FOLDER, FINDINGS, SHEET = "inspection", "findings.json", "sheet.jpg"


@dataclass(frozen=True)
class Summary:
    """The folder in a few lines."""

    photos: int
    viewpoints: int | None
    lens: str  # camera, lens and focal length, as far as all photos share them
    f_numbers: str
    in_focus_share: float | None  # of a typical photo
    focus_moves: bool | None  # from photo to photo; None where too few show it
    brackets: int
    unusable: int
    advice: tuple[str, ...]

    @classmethod
    def of(cls, findings: dict[str, Any]) -> Summary:
        """From the solver's findings (docs/formats.md, "Inspection").

        Raises:
            KeyError, TypeError, ValueError: these are no findings.
        """
        photos = findings["photos"]
        shares = [photo["in_focus_share"] for photo in photos if photo["in_focus_share"] is not None]
        focal = _shared(f"{photo['focal_length_mm']:g} mm" for photo in photos if photo["focal_length_mm"])
        parts = [_shared(photo["model"] for photo in photos), _shared(photo["lens"] for photo in photos), focal]
        return cls(
            photos=len(photos),
            viewpoints=findings["viewpoints"],
            lens=", ".join(part for part in parts if part),
            f_numbers=_range(photo["f_number"] for photo in photos if photo["f_number"]),
            in_focus_share=statistics.median(shares) if shares else None,
            focus_moves=None if findings["focus_likeness"] is None else findings["focus_likeness"] < SAME_FOCUS,
            brackets=len(findings["brackets"]),
            unusable=len(findings["unreadable"]),
            advice=tuple(str(item["message"]) for item in findings["advice"]),
        )


@dataclass
class Inspection(Errand):
    """One look at a folder; `summary` is None until it is done."""

    title: str = "Looking at the photos"
    capture: Path = Path()
    sheet: Path = Path()
    summary: Summary | None = None
    is_read: bool = False  # the advice: a run of the same photos has been started since

    def is_of(self, folder: str) -> bool:
        """Whether it is about a folder, however its path is spelled."""
        return self.capture == Path(folder)

    def take_in(self, outcome: Outcome) -> None:
        """Read the findings."""
        try:
            self.summary = Summary.of(_read(self.sheet.with_name(FINDINGS)))
        except (OSError, KeyError, TypeError, ValueError):
            self.phase, self.message = "error", "The solver's findings cannot be read; inspect the folder again."


def begin(request: Request, python: str, storage: Path, temporary: Path) -> Inspection:
    """Start looking at a folder of photos.

    Args:
        request: its capture, masks and lens count.
        python: the interpreter of the solver's environment.
        storage: the extension's folder.
        temporary: this Blender's own; sheet and findings are kept there until its next look.

    Raises:
        MacroError: the solver cannot be started.
    """
    check_python(python)
    folder = temporary / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MacroError(f"the findings have no place ({error.strerror})", where=folder) from None
    command = [python, str(ATTENDED), "solver", "inspect", str(request.capture), "--json", str(folder / FINDINGS)]
    command += ["--sheet", str(folder / SHEET), "--events", "json"]
    options = {
        "--masks": request.masks,
        "--focal-length-mm": request.focal_length_mm,
        "--f-number": request.f_number,
        "--sensor-width-mm": request.sensor_width_mm,
    }
    for option, value in options.items():
        if value is not None:
            command += [option, str(value)]
    run = runs.start_child(command, storage, output=folder, capture=request.capture)
    return Inspection(run=run, capture=request.capture, sheet=folder / SHEET)


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content = json.loads(file.read(LARGEST_FINDINGS))
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def _shared(values: Any) -> str:
    """What all that say something say; nothing where they differ."""
    said = {str(value) for value in values if value}
    return said.pop() if len(said) == 1 else ""


def _range(values: Any) -> str:
    known = sorted(set(values))
    if not known:
        return ""
    return f"f/{known[0]:g}" if len(known) == 1 else f"f/{known[0]:g} to f/{known[-1]:g}"
