# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that a user of the generator is meant to read."""


class GeneratorError(Exception):
    """What is wrong, where, and what to do about it, told in one sentence.

    Attributes:
        what: what is wrong, without a full stop.
        where: the file or folder it is about, if any.
        remedy: what the user can do, without a full stop.
    """

    def __init__(self, what: str, *, where: object = "", remedy: str = "") -> None:
        self.what = what
        self.where = str(where)
        self.remedy = remedy
        super().__init__(self.sentence)

    @property
    def sentence(self) -> str:
        """The whole message as one line."""
        place = f"{self.where}: " if self.where else ""
        advice = f"; {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}."
