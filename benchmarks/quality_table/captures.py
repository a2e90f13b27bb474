# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering the captures that the table needs: one of each scene, and its bracket for the focus stack."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality_table.cells import key_of
from benchmarks.quality_table.children import ROOT
from benchmarks.quality_table.methods import BUDGETS
from synthetic.arguments import PRESETS
from synthetic.fingerprint import fingerprint

_SETTINGS = Path("ground_truth", "settings.json")


@dataclass(frozen=True)
class CapturePlan:
    """A capture that is to be there."""

    scene: str
    preset: str
    folder: Path
    bracket: bool = False

    @property
    def name(self) -> str:
        """Of its cell."""
        return f"{self.scene}-{'bracket' if self.bracket else 'photos'}-render"

    @property
    def frames(self) -> int:
        """Images to render."""
        preset = PRESETS[self.preset]
        if self.bracket:
            return preset.views + preset.views // self._bracket_size
        return 2 * preset.views + preset.held_out

    @property
    def key(self) -> str:
        """Of its cell: everything that decides what is rendered."""
        return key_of(self._choices(), fingerprint(self.scene))

    @property
    def is_whole(self) -> bool:
        """Whether it has been finished, by whichever version of the generator."""
        return (self.folder / "transforms.json").is_file()

    def arguments(self) -> list[str | Path]:
        """Of Python, to render it or to go on with it. What another version or budget began makes way."""
        begun = _read(self.folder / _SETTINGS)
        wanted = {"generator": fingerprint(self.scene), "bracket_size": self._bracket_size}
        stale = begun is not None and any(begun.get(name) != value for name, value in wanted.items())
        script = ROOT / "synthetic" / "make_dataset.py"
        mode = "--overwrite" if stale else "--resume"
        return [script, *self._choices(), "--output", self.folder, mode, "--events", "json"]

    @property
    def _bracket_size(self) -> int:
        return BUDGETS[self.preset].bracket_size if self.bracket else 1

    def _choices(self) -> list[str]:
        choices = ["--preset", self.preset, "--scene", self.scene]
        if self.bracket:
            choices += ["--focus", "bracket", "--bracket-size", str(self._bracket_size), "--held-out", "0"]
        return choices


def capture_key(folder: Path) -> str:
    """A hash of how a finished capture was made, its generator's version included."""
    return key_of((folder / _SETTINGS).read_text(encoding="utf-8"))


def _read(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else {}
