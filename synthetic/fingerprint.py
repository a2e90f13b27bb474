# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which source a capture was rendered: frames of two versions do not belong into one capture. No bpy here."""

import hashlib
from pathlib import Path

from .scenes import CURRENT, SCENES

_PACKAGE = Path(__file__).parent
_LENGTH = 16  # characters; more than enough to tell versions apart


def fingerprint(scene: str) -> str:
    """A hash of the package's sources without the modules of the scenes other than `scene`."""
    others = {_PACKAGE / "scenes" / f"{name}.py" for name in (*SCENES, CURRENT) if name != scene}
    digest = hashlib.sha256()
    for source in sorted(_PACKAGE.rglob("*.py")):
        if source not in others:
            digest.update(source.relative_to(_PACKAGE).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()[:_LENGTH]


def file_fingerprint(path: Path) -> str:
    """A hash of the content of a user's file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_LENGTH]
