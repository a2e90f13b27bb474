# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m solver inspect` on folders of photos."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from solver.capture.exif import Exif
from solver.cli import main
from solver.inspection.folder import inspect_folder
from solver.inspection.photos import INSPECTED_SIZE_PX, inspect_photo, read_reduced
from solver.inspection.report import print_table

from .leaves import WIDTH, developed, exif_of, focused_at, save


@pytest.fixture
def folder(scene, scenes, tmp_path):
    """A bracket of three and a blurred photo of another scene, with a space and an umlaut in the path."""
    photos = tmp_path / "meine Käfer"
    for i, focus in enumerate((0.2, 0.5, 0.8)):
        save(photos / f"shot {i}.jpg", developed(scene.blurred(focused_at(focus)), 1.0, i), exif_of())
    blurred = np.full_like(focused_at(0.5), 8.0)
    save(photos / "shot 3.jpg", developed(scenes[1].blurred(blurred), 1.0, 3), exif_of(f_number=16.0))
    return photos


def inspected(folder, tmp_path, *arguments):
    out = tmp_path / "out.json"
    assert main(["inspect", str(folder), "--json", str(out), *arguments]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def kinds(content):
    return {item["kind"] for item in content["advice"]}


def test_a_folder_is_told_as_table_json_and_sheet(folder, tmp_path, capsys):
    sheet = tmp_path / "sheets" / "sheet.jpg"
    content = inspected(folder, tmp_path, "--sheet", str(sheet))
    assert content["brackets"] == [["shot 0.jpg", "shot 1.jpg", "shot 2.jpg"]]
    assert content["viewpoints"] == 2
    assert {"few", "blurred", "f_numbers", "small"} <= kinds(content)
    first, last = content["photos"][0], content["photos"][3]
    assert first["model"] == "Canon EOS 600D" and first["f_number"] == 8 and first["exposure_s"] == 0.01
    assert first["sensor_width_mm"] == pytest.approx(19.82, abs=0.01)  # of a sensor of 3:2 that is 22.3 mm wide
    assert first["in_focus_share"] == pytest.approx(0.125, abs=0.07)
    assert last["in_focus_share"] < 0.01 and "blurred" in last["flags"]
    assert last["exposure_stops"] < 0 < content["exposure"]["settings_spread_stops"]
    told = capsys.readouterr()
    assert "shot 3.jpg" in told.out and "1 focus bracket of 3 photos" in told.out
    assert "Warning: " in told.err and str(tmp_path / "out.json") in told.err
    with Image.open(sheet) as image:
        assert image.format == "JPEG" and image.width == 1600


def test_events_are_json_lines_and_nothing_else(folder, capsys):
    assert main(["inspect", str(folder), "--events", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["name"] for event in events if event["event"] == "stage"] == ["photos", "views"]
    assert any(event["event"] == "warning" and "blurred" in event["message"] for event in events)
    assert events[-1] == {"event": "done", "result": str(folder)}


def test_the_user_knows_the_lens(folder, tmp_path):
    content = inspected(folder, tmp_path, "--f-number", "4", "--focal-length-mm", "60", "--sensor-width-mm", "36")
    assert {photo["f_number"] for photo in content["photos"]} == {4}
    assert {photo["sensor_width_mm"] for photo in content["photos"]} == {36}
    assert "f_numbers" not in kinds(content)


def test_broken_photos_are_told_and_the_others_inspected(folder, tmp_path):
    whole = (folder / "shot 0.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.png").write_text("no picture", encoding="utf-8")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (12_000, 9)).save(folder / "line.png")
    (folder / "round.jpg").symlink_to("round.jpg")
    content = inspected(folder, tmp_path)
    names = ["cut.jpg", "dot.png", "empty.jpg", "line.png", "notes.png", "round.jpg"]
    assert [photo["name"] for photo in content["unreadable"]] == names
    assert len(content["photos"]) == 4
    told = [item["message"] for item in content["advice"] if item["kind"] == "unreadable"]
    reasons = (
        "the image cannot be decoded (the file ends early)",
        "the image has 1 x 1 pixels",
        "the image cannot be decoded (the file is empty)",
        "the image is too narrow (12000 x 9 pixels)",
        "the image cannot be decoded (its content is no JPEG, PNG, HEIC, or TIFF of 8 or 16 bits)",
        "the link leads to no file",
    )
    assert told == [
        f"{name} cannot be used: {reason}; copy it again, or remove it"
        for name, reason in zip(names, reasons, strict=True)
    ]


def test_masks_say_what_the_subject_is(folder, tmp_path):
    content = inspected(folder, tmp_path)
    masks = folder / "masks"
    masks.mkdir()
    left = np.zeros((300, WIDTH), np.uint8)
    left[:, : int(0.3 * WIDTH)] = 255
    for i in range(3):
        Image.fromarray(left).save(masks / f"shot {i}.png")
    masked = inspected(folder, tmp_path)
    assert [photo["masked"] for photo in masked["photos"]] == [True, True, True, False]
    assert masked["photos"][0]["in_focus_share"] > 2 * content["photos"][0]["in_focus_share"]
    assert masked["photos"][2]["in_focus_share"] < 0.03
    assert "masks" in kinds(masked)


def test_photos_of_a_capture_are_found_in_its_images(folder, tmp_path):
    (tmp_path / "capture").mkdir()
    folder.rename(tmp_path / "capture" / "images")
    assert len(inspected(tmp_path / "capture", tmp_path)["photos"]) == 4


def test_a_sheet_beside_images_would_hide_them(folder, tmp_path, capsys):
    (tmp_path / "capture").mkdir()
    images = folder.rename(tmp_path / "capture" / "images")
    for place in (tmp_path / "capture", images):
        assert main(["inspect", str(place), "--sheet", str(tmp_path / "capture" / "sheet.jpg")]) == 1
        assert "would be taken for one" in capsys.readouterr().err
    assert len(inspected(tmp_path / "capture", tmp_path)["photos"]) == 4


def test_one_photo_can_be_inspected(folder, tmp_path):
    for i in (1, 2, 3):
        (folder / f"shot {i}.jpg").unlink()
    content = inspected(folder, tmp_path)
    assert "only 1 photo;" in next(item["message"] for item in content["advice"] if item["kind"] == "few")


def test_what_cannot_be_inspected_is_said_in_a_sentence(folder, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    card = tmp_path / "card"
    (card / "DCIM" / "100CANON").mkdir(parents=True)
    (card / "DCIM" / "99NONE").mkdir()
    (card / "round").symlink_to(card)
    Image.new("RGB", (60, 40)).save(card / "DCIM" / "100CANON" / "IMG_1.JPG")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.jpg").write_bytes(b"no picture")
    for arguments, told in (
        ([str(empty)], "holds no photos; choose a folder with JPEG"),
        ([str(card)], f"holds no photos; choose the folder below it that does ({Path('DCIM', '100CANON')})"),
        ([str(tmp_path / "absent")], "does not exist"),
        ([str(folder / "shot 0.jpg")], "this is a file"),
        ([str(broken)], "none of the 1 photos can be read; of a.jpg"),
        ([str(folder), "--sheet", str(tmp_path / "sheet.png")], "is a JPEG"),
        ([str(folder), "--sheet", str(folder / "sheet.jpg")], "would be taken for one"),
        ([str(folder), "--json", str(tmp_path)], "this is a folder"),
        ([str(folder), "--json", str(folder / "shot 0.jpg")], "is a photo"),
        ([str(folder), "--masks", str(tmp_path / "absent")], "masks does not exist"),
        ([str(folder), "--f-number", "-2"], "--f-number"),
    ):
        assert main(["inspect", *arguments]) == 1
        said = capsys.readouterr().err
        assert told in said and "Traceback" not in said
    assert sorted(path.name for path in folder.iterdir()) == [f"shot {i}.jpg" for i in range(4)]
    assert (folder / "shot 0.jpg").read_bytes().startswith(b"\xff\xd8")


def test_large_jpegs_are_reduced_while_decoding_and_turned(scene, tmp_path):
    picture = developed(scene.blurred(focused_at(0.0)))
    large = np.asarray(Image.fromarray(picture).resize((3200, 2400), Image.Resampling.BICUBIC))
    tags = Image.Exif()
    tags[0x0112] = 6
    path = tmp_path / "large.jpg"
    Image.fromarray(large).save(path, quality=90, exif=tags)
    turned = read_reduced(path, INSPECTED_SIZE_PX)
    assert turned.shape == (800, 600, 3)
    straight = np.asarray(Image.fromarray(large).resize((800, 600), Image.Resampling.BOX))
    assert np.abs(turned.astype(int) - np.rot90(straight, -1)).mean() < 4
    photo = inspect_photo(path)
    assert (photo.width, photo.height, photo.exif) == (2400, 3200, Exif())


def test_raw_photos_beside_their_jpegs_are_passed_over(folder, tmp_path):
    (folder / "shot 0.cr2").write_bytes(b"raw")
    content = inspected(folder, tmp_path)
    assert len(content["photos"]) == 4 and not content["unreadable"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text here")
def test_names_that_are_no_text_are_printed(folder, tmp_path, capsys):
    (folder / "shot 3.jpg").rename(folder / os.fsdecode(b"shot \xff.jpg"))
    content = inspected(folder, tmp_path, "--sheet", str(tmp_path / "sheet.jpg"))
    assert content["photos"][3]["name"] == "shot ?.jpg"
    assert "shot ?.jpg" in capsys.readouterr().out


def test_a_terminal_without_block_characters_gets_plain_ones(folder):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_table(inspect_folder(folder), Console(file=out))
    out.flush()
    assert "##" in out.buffer.getvalue().decode("ascii")
