# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenes that can be photographed, each in its own module with `build() -> MacroScene`.

Importing this package needs no Blender; building a scene does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .construction import MacroScene

SCENES = ("beetle", "circuit_board", "coin", "flower", "mineral", "moss", "shell", "watch")
CURRENT = "current"  # an object of the user's own file


def build(name: str, subject: str | None = None) -> "MacroScene":
    """Build the scene `name` of SCENES in Blender's current file, which must be empty.

    With CURRENT, the scene is the open file's own, of its object `subject`.
    """
    module = import_module(f".{name}", __package__)
    return module.build() if subject is None else module.build(subject)


def open_current(blend: "Path | None") -> None:
    """Open the user's file `blend`, or require that one is open."""
    import_module(f".{CURRENT}", __package__).open_file(blend)
