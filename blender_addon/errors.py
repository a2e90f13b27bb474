# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that a person in Blender is meant to read."""

from pathlib import Path


class MacroError(Exception):
    """Input or surroundings that the extension cannot work with, told in one sentence.

    Attributes:
        what: what is wrong, without a full stop ("the solver's Python was not found").
        where: the file or folder it is about, if any.
        remedy: what the user can do, without a full stop ("choose it in the preferences").
    """

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str = "") -> None:
        self.what = what
        self.where = str(where) if where is not None else ""
        self.remedy = remedy
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """The whole message as one line: where, what, and what to do."""
        place = f"{self.where}: " if self.where else ""
        advice = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}."
