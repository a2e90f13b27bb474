# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering a capture with ground truth, by `synthetic/make_dataset.py` in another Blender; this one is not needed."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import runs
from .errands import Errand
from .errors import MacroError
from .solver_process import ATTENDED, solver_home

SCRIPT = Path("synthetic", "make_dataset.py")
CURRENT = "current"  # the scene that is open, in place of a built-in one


@dataclass(frozen=True)
class RenderRequest:
    """One capture, as the generator's command line takes it."""

    output: Path
    scene: str = "beetle"
    subject: str = ""  # the object's name, with `CURRENT`
    blend: Path | None = None  # the file to open, with `CURRENT`
    preset: str = "mini"
    focus: str = "random"
    f_number: float | None = None  # None leaves it to the scene
    seed: int = 0

    def arguments(self) -> list[str]:
        """The arguments of the generator."""
        words = ["--output", str(self.output), "--scene", self.scene, "--preset", self.preset]
        words += ["--focus", self.focus, "--seed", str(self.seed), "--resume", "--events", "json"]
        if self.scene == CURRENT:
            words += ["--subject", self.subject, "--blend", str(self.blend)]
        if self.f_number is not None:
            words += ["--f-number", f"{self.f_number:g}"]
        return words


@dataclass
class Rendering(Errand):
    """A capture that is being rendered."""

    title: str = "Starting another Blender"
    request: RenderRequest = field(default_factory=lambda: RenderRequest(Path()))

    def hear(self) -> None:
        """Take in what was said; in the end, the copy of the scene that was open goes."""
        super().hear()
        if self.phase != "running" and self.request.blend is not None:
            with contextlib.suppress(OSError):
                self.request.blend.unlink(missing_ok=True)


def begin(request: RenderRequest, blender: str, storage: Path) -> Rendering:
    """Start rendering.

    Args:
        request: what to render. Frames that an earlier, unfinished rendering left in its folder are kept.
        blender: Blender's program; empty where Blender is a module of this Python.
        storage: the extension's folder.

    Raises:
        MacroError: the program cannot be started, or this copy of the extension has no generator.
    """
    script = solver_home() / SCRIPT
    if not script.is_file():
        raise MacroError("the generator is missing", where=script, remedy="install the extension again")
    if blender:
        command = [
            blender,
            "--background",
            "--factory-startup",
            "--python-exit-code",
            "1",
            "--python",
            str(ATTENDED),
            "--python",
            str(script),
            "--",
        ]
    else:
        command = [sys.executable, str(ATTENDED), str(script)]
    run = runs.start_child([*command, *request.arguments()], storage, output=request.output, capture=request.output)
    return Rendering(run=run, request=request)
