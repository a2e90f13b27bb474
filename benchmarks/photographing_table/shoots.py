# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to photograph a scene, and their captures.

The sharp truth does not depend on aperture and focus. So it is rendered once a scene, as quality.py does, and lent to
every other capture that looks from the same places; the generator's --resume then renders the photos alone. Where the
scene's own aperture and random focus are asked for, that capture itself is used.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality_table.captures import CapturePlan
from benchmarks.quality_table.cells import write_aside
from benchmarks.quality_table.children import ROOT

SAMPLES = 8  # light paths a pixel of a photo, denoised: the blur averages over them
USUAL_VIEWS = 24  # of the preset mini, whose truth is lent
MIXED = "mixed"  # half of the photos single ones with random focus, half brackets of 3
_OF_VIEWS = ("sharp", "depth", "mask")  # kinds of truth that aperture and focus do not change


@dataclass(frozen=True)
class Shoot:
    """One way to photograph a scene."""

    scene: str
    f_number: float | None = None  # None: the scene's own
    views: int = USUAL_VIEWS  # photos
    focus: str = "random"  # of the generator's focus plans, or MIXED
    bracket_size: int = 1  # photos a pose

    @property
    def name(self) -> str:
        """Unique; of its folder and cells."""
        aperture = "own" if self.f_number is None else f"f{self.f_number:g}"
        bracket = f"{self.bracket_size}" if self.bracket_size > 1 else ""
        return f"{self.scene}-{self.views}-{self.focus}{bracket}-{aperture}"

    @property
    def parts(self) -> tuple["Shoot", ...]:
        """The shoots that a mixed one is made of; none for others."""
        if self.focus != MIXED:
            return ()
        half = self.views // 2
        return (
            Shoot(self.scene, self.f_number, half),
            Shoot(self.scene, self.f_number, half, focus="bracket", bracket_size=3),
        )

    @property
    def is_truth(self) -> bool:
        """Whether the capture that lends its truth is this one already."""
        return self == Shoot(self.scene)

    def options(self) -> dict[str, object]:
        """What differs from the lent capture, by the generator's names."""
        return {
            "focus": self.focus,
            "bracket_size": self.bracket_size,
            "views": self.views,
            "f_number": self.f_number,
            "samples": SAMPLES,
        }

    def arguments(self, folder: Path) -> list[str | Path]:
        """Of Python, to render it or to go on with it."""
        words: list[str | Path] = [ROOT / "synthetic" / "make_dataset.py", "--preset", "mini", "--scene", self.scene]
        words += ["--output", folder, "--resume", "--events", "json", "--samples", str(SAMPLES)]
        words += ["--views", str(self.views), "--focus", self.focus]
        if self.bracket_size > 1:
            words += ["--bracket-size", str(self.bracket_size)]
        if self.f_number is not None:
            words += ["--f-number", f"{self.f_number:g}"]
        return words


def truth_plan(scene: str, captures: Path) -> CapturePlan:
    """The capture whose truth is lent, which is that of quality.py."""
    return CapturePlan(scene, "mini", captures / scene)


def lend_truth(shoot: Shoot, truth: Path, folder: Path) -> None:
    """Begin a capture with what it has in common with the one at `truth`; one that was begun already is left alone."""
    record = folder / "ground_truth" / "settings.json"
    if record.exists():
        return
    for source in _lent(shoot, truth / "ground_truth"):
        target = folder / source.relative_to(truth)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    settings = json.loads((truth / "ground_truth" / "settings.json").read_text(encoding="utf-8"))
    write_aside(record, json.dumps({**settings, **shoot.options()}))


def _lent(shoot: Shoot, truth: Path) -> Iterator[Path]:
    folders = [truth / "novel"]
    if shoot.bracket_size == 1 and shoot.views == USUAL_VIEWS:  # else the photos are taken from elsewhere
        folders.append(truth)
    for folder in folders:
        for kind in _OF_VIEWS:
            yield from sorted(path for path in (folder / kind).iterdir() if not path.name.startswith("."))
