# SPDX-License-Identifier: GPL-3.0-or-later
"""The contact sheet from a folder of small captures, and what it chooses to say and to show."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.contact_sheet import coloured, docstring_parts, gather, main, scale_steps, sheet, telling_photo
from synthetic.errors import GeneratorError
from synthetic.exr import write_channel
from synthetic.scenes import SCENES

WIDTH, HEIGHT = 40, 30


def write_capture(capture: Path, colours: list[tuple[int, int, int]]) -> None:
    """A capture of one photo a colour; the last one has both focus and blur, the others are blurred all over."""
    frames = []
    for index, colour in enumerate(colours):
        name = f"view_{index:03d}"
        for folder, shade in (("images", colour), ("ground_truth/sharp", (0, 255, 0))):
            (capture / folder).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT), shade).save(capture / folder / f"{name}.png")
        coc = np.full((HEIGHT, WIDTH), 6.0)
        if index == len(colours) - 1:
            coc[:, : WIDTH // 2] = 0.1
        write_channel(capture / "ground_truth" / "coc" / f"{name}.exr", coc, "V")
        frames.append({"file_path": f"sharp/{name}.png", "focus_distance": 100.0})
    cameras = {"w": WIDTH, "fl_x": 160.0, "f_number": 5.6, "unit_mm": 1.0, "frames": frames}
    for folder in (capture, capture / "ground_truth"):
        (folder / "transforms.json").write_text(json.dumps(cameras), encoding="utf-8")


@pytest.fixture
def captures(tmp_path):
    write_capture(tmp_path / "beetle", [(255, 0, 0), (0, 0, 255)])
    write_capture(tmp_path / "coin", [(255, 0, 0), (0, 0, 255), (255, 255, 0)])
    write_capture(tmp_path / "shell", [(255, 0, 255)])
    (tmp_path / "watch").mkdir()  # unfinished: it has no transforms.json
    return tmp_path


def has_colour(image: Image.Image, colour: tuple[int, int, int], slack: int = 12) -> bool:
    return bool((abs(np.asarray(image).astype(int) - colour).max(-1) <= slack).sum() > 1000)


def test_every_whole_capture_is_shown(captures, tmp_path, capsys):
    output = tmp_path / "docs" / "sheet.jpg"
    assert main(["--captures", str(captures), "--output", str(output)]) == 0
    assert output.stat().st_size < 600_000
    with Image.open(output) as image:
        assert image.width == 1600
        shown = image.convert("RGB")
    for colour in [(0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0)]:  # the chosen photos, and the truth
        assert has_colour(shown, colour), colour
    assert not has_colour(shown, (255, 0, 0)), "a photo that is blurred all over was chosen"
    said = capsys.readouterr().out
    assert "3 scenes" in said
    assert "watch" in said


def test_a_photo_can_be_chosen(captures, tmp_path):
    output = tmp_path / "sheet.jpg"
    assert main(["--captures", str(captures), "--output", str(output), "--photo", "coin=view_000"]) == 0
    with Image.open(output) as image:
        assert has_colour(image.convert("RGB"), (255, 0, 0))


def test_field_width_is_that_of_the_focus_plane(captures):
    assert gather(captures)[0].field_width_mm == pytest.approx(100.0 * WIDTH / 160.0)


def test_rows_follow_the_number_of_scenes(captures):
    exhibits = gather(captures)
    one, two, three = (sheet(exhibits[:count]).height for count in (1, 2, 3))
    assert one == two < three


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_says_what_it_is_hard_for(scene):
    source = Path(__file__).resolve().parents[2] / "synthetic" / "scenes" / f"{scene}.py"
    title, hard_for = docstring_parts(source)
    assert title
    assert hard_for.startswith("Hard for reconstruction ")
    assert not set(hard_for) & set(".:;")


def test_the_photo_with_focus_and_blur_is_chosen():
    sharp, mixed, blurred = (np.linspace(low, high, 200)[None] for low, high in [(0, 1), (0, 20), (9, 20)])
    assert telling_photo([sharp, blurred, mixed]) == 2


def test_the_scale_reaches_the_largest_circle_in_doublings():
    steps = scale_steps(20.0)
    assert steps[0] == 0.75
    assert np.allclose(steps[1:] / steps[:-1], 2)
    assert steps[-2] < 20 <= steps[-1]


def test_colours_darken_with_blur():
    steps = scale_steps(20.0)
    lightness = np.asarray(coloured(steps[None], steps).convert("L"))[0].astype(int)
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda beetle: (beetle / "ground_truth/coc/view_001.exr").unlink(), "circles of confusion are missing"),
        (lambda beetle: (beetle / "ground_truth/coc/view_001.exr").write_bytes(b"no"), "damaged"),
        (lambda beetle: (beetle / "images/view_001.png").write_bytes(b"no"), "picture cannot be read"),
        (lambda beetle: (beetle / "ground_truth/transforms.json").write_text("{"), "cannot be read"),
        (lambda beetle: (beetle / "ground_truth/transforms.json").write_text("{}"), "lack what the generator writes"),
    ],
)
def test_a_damaged_capture_is_told_in_a_sentence(captures, tmp_path, capsys, spoil, words):
    spoil(captures / "beetle")
    output = tmp_path / "sheet.jpg"
    assert main(["--captures", str(captures), "--output", str(output)]) == 1
    message = capsys.readouterr().err
    assert words in message
    assert "beetle" in message
    assert "Traceback" not in message
    assert not output.exists()


def test_an_unknown_photo_and_an_empty_folder_are_told(captures, tmp_path):
    with pytest.raises(GeneratorError, match="no photo view_007"):
        gather(captures, {"beetle": "view_007"})
    with pytest.raises(GeneratorError, match="no capture"):
        gather(tmp_path / "watch")
