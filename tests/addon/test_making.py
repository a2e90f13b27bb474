# SPDX-License-Identifier: GPL-3.0-or-later
"""What the solver is asked to make of a result; test_button.py does it."""

import importlib
import sys
from pathlib import Path
from typing import get_args

import pytest

from blender_addon.errors import MacroError
from blender_addon.making import begin, exporting, refocusing
from solver.config import ExportFormat

RESULT = Path("result").absolute()


def test_every_format_of_the_solver_is_offered(bpy, extension):
    offered = importlib.import_module(f"{extension}.blender_addon.making_operators").FORMATS
    assert {name for name, _, _ in offered} == {*get_args(ExportFormat), "all"}


@pytest.mark.parametrize("way", ["picture", "sharp", "sweep", "orbit"])
@pytest.mark.parametrize("focus_mm", [0.0, 90.0])
@pytest.mark.parametrize("f_number", [0.0, 2.8])
def test_the_solver_takes_every_wish(way, focus_mm, f_number):
    from solver.refocus.request import Request, check  # needs PyTorch, which only one Blender has beside it

    wish = refocusing(RESULT, "photo", way, focus_mm=focus_mm, f_number=f_number)
    words = dict(zip(wish.arguments, (*wish.arguments[1:], ""), strict=True))
    check(
        Request(
            RESULT,
            wish.output,
            view=words["--view"],
            focus_mm=float(words["--focus-mm"]) if "--focus-mm" in words else None,
            f_number=float(words["--f-number"]) if "--f-number" in words else None,
            all_in_focus="--all-in-focus" in words,
            sweep="--sweep" in words,
            orbit="--orbit" in words,
        )
    )
    assert wish.output.parent == RESULT / "refocused"


def test_different_wishes_have_different_files():
    wishes = [("picture", 0, 0), ("picture", 90, 0), ("picture", 90, 4), ("picture", 0, 4), ("sharp", 0, 0)]
    wishes += [("sweep", 0, 0), ("sweep", 0, 4), ("orbit", 0, 0)]
    files = [refocusing(RESULT, "photo", way, focus_mm=mm, f_number=f).output for way, mm, f in wishes]
    assert len(set(files)) == len(files)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MacroError, match="the folder cannot be made"):
        begin(exporting(tmp_path, tmp_path / "file" / "export", "glb"), sys.executable, tmp_path)
    assert not (tmp_path / "jobs").exists()
