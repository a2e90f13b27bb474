# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenes that can be photographed, each in its own module with `build() -> MacroScene`.

Importing this package needs no Blender; building a scene does.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .construction import MacroScene

SCENES = ("beetle", "circuit_board", "coin", "flower", "mineral", "moss", "shell", "watch")
CURRENT = "current"  # an object of the user's own file


def build(name: str) -> "MacroScene":
    """Build the scene `name` of SCENES in Blender's current file, which must be empty."""
    return import_module(f".{name}", __package__).build()
