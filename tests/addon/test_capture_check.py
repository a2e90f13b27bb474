# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel shows of a look at a folder of photos."""

from pathlib import Path

import pytest

from blender_addon.capture_check import Inspection, Summary


@pytest.mark.parametrize(("folder", "same"), [("", True), ("/", True), ("//.", True), ("s", False), ("/..", False)])
def test_a_folder_is_known_however_its_path_is_spelled(tmp_path, folder, same):
    """On Windows with slashes of both kinds."""
    found = Inspection(capture=Path(tmp_path / "photos"))
    assert found.is_of(str(tmp_path / "photos") + folder) == same


def photo(**known):
    return {"model": "A", "lens": None, "focal_length_mm": 100.0, "f_number": 8.0, "in_focus_share": 0.2, **known}


def findings(*photos, likeness=None, **others):
    return {
        "photos": list(photos),
        "viewpoints": len(photos),
        "brackets": [],
        "unreadable": [],
        "focus_likeness": likeness,
        "advice": [],
        **others,
    }


def test_what_all_photos_share_is_told_and_a_range_of_what_differs():
    same = Summary.of(findings(photo(), photo(f_number=11.0)))
    assert (same.lens, same.f_numbers) == ("A, 100 mm", "f/8 to f/11")
    mixed = Summary.of(findings(photo(), photo(model="B", focal_length_mm=None, f_number=None)))
    assert (mixed.lens, mixed.f_numbers) == ("100 mm", "f/8")


@pytest.mark.parametrize(("likeness", "moves"), [(None, None), (-0.3, True), (0.19, True), (0.2, False), (0.9, False)])
def test_whether_the_focus_moves(likeness, moves):
    assert Summary.of(findings(photo(), likeness=likeness)).focus_moves is moves


def test_one_odd_photo_does_not_change_what_is_typical():
    shares = [photo(in_focus_share=share) for share in (0.1, 0.1, 0.1, None, 0.9)]
    assert Summary.of(findings(*shares)).in_focus_share == 0.1
