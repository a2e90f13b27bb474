# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that a user is meant to read."""

from pathlib import Path
from typing import Literal

Mend = Literal["output", "smaller", "fresh"]


class SolverError(Exception):
    """Input or surroundings that the solver cannot work with, told in one sentence.

    Attributes:
        what: what is wrong, without a full stop ("the image cannot be decoded").
        where: the file or folder it is about, if any.
        remedy: what the user can do, without a full stop ("export it again, or remove it from the folder").
        mend: the remedy for a program that can offer it as a button: another output folder, smaller photos, or a run
            from the beginning; empty where none of these would help.
    """

    def __init__(
        self, what: str, *, where: str | Path | None = None, remedy: str = "", mend: Mend | Literal[""] = ""
    ) -> None:
        self.what = what
        self.where = str(where) if where is not None else ""
        self.remedy = remedy
        self.mend = mend
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """The whole message as one line: where, what, and what to do."""
        place = f"{self.where}: " if self.where else ""
        advice = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}."


class Cancelled(Exception):  # noqa: N818 - an outcome, not an error
    """The user asked the run to stop; what was reached is in the checkpoint."""
