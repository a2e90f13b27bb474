# SPDX-License-Identifier: GPL-3.0-or-later
"""The training state on disk. It holds tensors, numbers and text only, so that it can be read without pickle."""

import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from solver.errors import SolverError
from solver.files import written_aside

FORMAT_VERSION = 1
# What torch raises on broken files: it reads them with code that trusts them.
_DAMAGES = (
    *(RuntimeError, OSError, ValueError, EOFError, LookupError),
    *(UnpicklingError, AssertionError, TypeError, AttributeError),
)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers, text, and lists and dictionaries of them, atomically.

    Raises:
        SolverError: it cannot be written, as on a full disk.
    """
    try:
        with written_aside(path) as temporary:
            torch.save({"format_version": FORMAT_VERSION, **content}, temporary)
    except RuntimeError:  # torch's word for a write that failed; its text is about torch's insides
        raise SolverError(
            "the checkpoint cannot be written", where=path, remedy="check the space on the disk, then use --resume"
        ) from None


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Raises:
        SolverError: the file is absent, damaged, or of another version.
    """
    if not path.is_file():
        raise SolverError("there is no checkpoint", where=path, remedy="reconstruct first")
    try:
        if not zipfile.is_zipfile(path):  # torch would take it for its oldest format, and warn
            raise ValueError("it is cut off, or something else")
        content = torch.load(path, map_location=device, weights_only=True)
    except _DAMAGES as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SolverError(
            f"the checkpoint is damaged ({reason})",
            where=path,
            remedy="reconstruct again without --resume",
            mend="fresh",
        ) from None
    if not isinstance(content, dict) or content.get("format_version") != FORMAT_VERSION:
        raise SolverError(
            "the checkpoint is of another version",
            where=path,
            remedy="reconstruct again without --resume",
            mend="fresh",
        )
    return content
