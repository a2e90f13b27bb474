# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule speaks where it should, with a number, and is silent where all is well."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from solver.capture.exif import Exif
from solver.capture.photos import SharedCamera, usual_camera
from solver.inspection.advice import advise, odd_cameras, viewpoints
from solver.inspection.brackets import Views
from solver.inspection.contact_sheet import contact_sheet, overlaid
from solver.inspection.exposure import Exposure
from solver.inspection.folder import Findings, UnreadablePhoto
from solver.inspection.photos import InspectedPhoto
from solver.inspection.report import as_json, flags
from solver.inspection.shake import DirectionalBlur

CANON = Exif("Canon", "Canon EOS 600D", "EF100mm", 100.0, 8.0, 100.0, 0.01, None, 22.3, None)


def photo(index, **changes):
    """One that nothing is wrong with, a third of it in focus."""
    coc = np.full((30, 40), 5.0, np.float32)
    coc[:10] = 0.5
    good = InspectedPhoto(
        path=Path(f"photo_{index:02d}.jpg"),
        width=5184,
        height=3456,
        camera=SharedCamera(5184, 3456, "Canon EOS 600D"),
        exif=CANON,
        pixels_digest=str(index),
        matched=np.zeros((170, 256, 3), np.uint8),
        shown=np.full((80, 120, 3), 128, np.uint8),
        coc_px=coc,
        in_focus_share=0.33,
        known_share=0.9,
        sharpest_px=0.5,
        directional_blur=DirectionalBlur(0.1, 30.0),
        masked=False,
    )
    return replace(good, **changes)


def findings(count=24, changed=None, **changes):
    """`changed` gives changes of single photos by index."""
    photos = tuple(photo(i, **(changed or {}).get(i, {})) for i in range(count))
    none = (None,) * count
    good = Findings(Path("folder"), photos, (), Views(), Exposure(none, none), 0.0)
    return replace(good, **changes)


def exif(**changes):
    return {"exif": replace(CANON, **changes)}


def everywhere(**changes):
    return dict.fromkeys(range(24), changes)


CASES = {
    "unreadable": (findings(unreadable=(UnreadablePhoto("lost.jpg", "the image cannot be decoded"),)), ["lost.jpg"]),
    "blurred": (
        findings(changed={3: {"in_focus_share": 0.004, "sharpest_px": 4.2}}),
        ["photo_03.jpg", "4 of 800 pixels", "leave it out"],
    ),
    "no_texture": (findings(changed={2: {"known_share": 0.01, "in_focus_share": None}}), ["1 of 24", "photo_02"]),
    "same_focus": (findings(focus_likeness=0.5), ["0.50", "move the focus between shots"]),
    "deep_focus": (findings(changed=everywhere(in_focus_share=0.93)), ["93 %", "open the aperture"]),
    "little_in_focus": (findings(changed=everywhere(in_focus_share=0.1)), ["10 %", "2.4 photos"]),
    "exposure": (
        findings(2, exposure=Exposure((-0.65, 0.65), (None, None))),
        ["1.3 stops", "manual mode"],
    ),
    "brightness": (findings(3, exposure=Exposure((0.0,) * 3, (0.0, 0.7, -0.1))), ["0.8 stops", "constant light"]),
    "cameras": (
        findings(changed={5: {"camera": SharedCamera(4000, 3000, "NIKON D90")}}),
        ["1 of 24", "photo_05.jpg: NIKON D90", "the rest (Canon EOS 600D, 5184 x 3456 pixels)"],
    ),
    "lenses": (findings(changed={5: exif(lens="EF50mm")}), ["1 of 24", "EF50mm", "EF100mm"]),
    "focal_lengths": (findings(changed={5: exif(focal_length_mm=55.0)}), ["55 to 100 mm"]),
    "f_numbers": (findings(changed={5: exif(f_number=4.0)}), ["2 f-numbers", "f/4 in 1, f/8 in 23"]),
    "few": (findings(8), ["only 8 photos; 20 to 60"]),
    "copies": (findings(views=Views(copies=((0, 4),))), ["photo_00.jpg and photo_04.jpg", "2 copies"]),
    "repeats": (findings(views=Views(repeats=((0, 1, 2),))), ["3 times"]),
    "stack": (
        findings(
            26,
            views=Views(brackets=((1, 2, 3), (4, 5, 6, 7)), stacks={0: (1, 2, 3)}),
            changed={0: {"in_focus_share": 0.8}, 5: {"in_focus_share": 0.5}},
        ),
        ["photo_00.jpg", "80 %", "bracket of 3", "33 %"],
    ),
    "diffraction": (findings(changed=everywhere(**exif(f_number=22.0))), ["f/22", "over 7 pixels"]),
    "metadata": (
        findings(changed={0: exif(f_number=None, focal_length_mm=None), 1: exif(f_number=None)}),
        ["f-number of 2 and the focal length of 1 of 24", "--f-number and --focal-length-mm", "them"],
    ),
    "small": (findings(changed=everywhere(width=640, height=480)), ["24 of 24", "640 x 480"]),
    "noise": (findings(changed={7: exif(iso=6400.0)}), ["ISO 6400"]),
    "masks": (findings(changed={i: {"masked": True} for i in range(20)}), ["4 of 24"]),
}


@pytest.mark.parametrize("kind", CASES)
def test_what_is_wrong_is_told_and_nothing_else(kind):
    found, words = CASES[kind]
    advice = {item.kind: item for item in advise(found)}
    expected = {kind} | ({"few"} if len(found.photos) < 20 else set())
    assert set(advice) == expected
    for word in words:
        assert word in advice[kind].message
    assert kind == "unreadable" or any(character.isdigit() for character in advice[kind].message)
    assert advice[kind].message[-1] not in ".!"


def test_nothing_is_said_where_all_is_well():
    assert advise(findings()) == ()


def test_a_mixed_pair_of_cameras_names_the_rarer():
    found = findings(changed={i: {"camera": SharedCamera(5184, 3456, "")} for i in range(5)})
    assert "cameras" not in {item.kind for item in advise(found)}  # photos that do not name theirs are anybody's


def test_the_odd_cameras_are_those_that_reconstruct_leaves_out():
    """The commonest size and the commonest name are not of one camera here."""
    canon, nikon = (SharedCamera(6000, 4000, name) for name in ("Canon", "Nikon"))
    cameras = [*[canon] * 4, *[nikon] * 3, *[SharedCamera(4000, 3000, "Nikon")] * 3]
    found = findings(10, changed={i: {"camera": camera} for i, camera in enumerate(cameras)})
    assert usual_camera(cameras) == canon
    assert list(odd_cameras(found)) == [4, 5, 6, 7, 8, 9]


def test_a_bracket_is_one_viewpoint_and_may_miss_the_subject():
    views = Views(brackets=((0, 1, 2), (3, 4, 5)), repeats=((4, 5), (6, 7)), copies=((8, 9),), stacks={10: (0, 1, 2)})
    found = findings(views=views, changed={1: {"in_focus_share": 0.0, "sharpest_px": 6.0}})
    assert viewpoints(found) == 24 - 2 - 2 - 1 - 1 - 1
    kinds = {item.kind for item in advise(found)}
    assert "blurred" not in kinds
    assert flags(found)[1] == ("blurred", "bracket 1")
    assert flags(found)[5] == ("bracket 2", "repeat 1")


def test_focus_that_brackets_move_is_not_told_to_stay():
    found = findings(focus_likeness=0.5, views=Views(brackets=((0, 1, 2),)))
    assert "same_focus" not in {item.kind for item in advise(found)}


@pytest.mark.parametrize("count", [1, 7, 30, 101])
def test_the_sheet_has_room_for_all(count):
    turned = {
        i: {"width": 3456, "height": 5184, "shown": np.full((120, 80, 3), 128, np.uint8)} for i in range(0, count, 3)
    }
    found = findings(count, changed=turned)
    sheet = contact_sheet(found, advise(found))
    assert sheet.width == 1600
    assert 300 < sheet.height < 6000
    assert np.asarray(sheet)[sheet.height // 3 :].std() > 5


def test_colours_tell_sharp_from_blurred_from_unknown():
    coc = np.full((30, 30), np.nan, np.float32)
    coc[:10], coc[10:20] = 0.5, 12.0
    sharp, blurred, unknown = overlaid(photo(0, coc_px=coc), 300, 300).astype(int).reshape(3, 100, 300, 3)[:, 50, 150]
    assert sharp[1] > max(sharp[0], sharp[2]) + 30
    assert blurred[0] > blurred[1] + 30
    assert np.ptp(unknown) == 0


@pytest.mark.parametrize("kind", CASES)
def test_everything_is_json(kind):
    import json

    found, _ = CASES[kind]
    content = json.loads(json.dumps(as_json(found, advise(found)), allow_nan=False))
    assert len(content["photos"]) == len(found.photos)
    assert kind in {item["kind"] for item in content["advice"]}
