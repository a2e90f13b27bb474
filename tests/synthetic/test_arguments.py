# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, without Blender: what is understood and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthetic.arguments import Settings, own_arguments, parse, wants_json
from synthetic.errors import GeneratorError

SCRIPT = Path(__file__).resolve().parents[2] / "synthetic" / "make_dataset.py"

BAD_ARGUMENTS = [
    ([], "--output"),
    (["--output", "x", "--scene", "unicorn"], "unicorn"),
    (["--output", "x", "--views", "0"], "--views"),
    (["--output", "x", "--views", "many"], "many"),
    (["--output", "x", "--views", "1001"], "--views"),
    (["--output", "x", "--held-out", "-1"], "--held-out"),
    (["--output", "x", "--samples", "0"], "--samples"),
    (["--output", "x", "--samples", "3000000000"], "--samples"),
    (["--output", "x", "--seed", "-3"], "--seed"),
    (["--output", "x", "--resolution", "0", "150"], "--resolution"),
    (["--output", "x", "--resolution", "200"], "--resolution"),
    (["--output", "x", "--f-number", "0"], "--f-number"),
    (["--output", "x", "--f-number", "nan"], "--f-number"),
    (["--output", "x", "--focal-length-mm", "-5"], "--focal-length-mm"),
    (["--output", "x", "--focal-length-mm", "0.5"], "--focal-length-mm"),
    (["--output", "x", "--sensor-width-mm", "inf"], "--sensor-width-mm"),
    (["--output", "x", "--sensor-width-mm", "0.5"], "--sensor-width-mm"),
    (["--output", "x", "--blades", "2"], "--blades"),
    (["--output", "x", "--exposure-jitter", "-1"], "--exposure-jitter"),
    (["--output", "x", "--exposure-jitter", "1e300"], "--exposure-jitter"),
    (["--output", "x", "--full-well", "1e300"], "--full-well"),
    (["--output", "x", "--pose-noise-mm", "nan"], "--pose-noise-mm"),
    (["--output", "x", "--full-well", "0"], "--full-well"),
    (["--output", "x", "--read-noise", "3"], "--full-well"),
    (["--output", "x", "--plan", "zigzag"], "zigzag"),
    (["--output", "x", "--preset", "huge"], "huge"),
    (["--output", "x", "--device", "tpu"], "tpu"),
    (["--output", "x", "--bracket-size", "3"], "--focus bracket"),
    (["--output", "x", "--focus", "bracket", "--bracket-size", "1"], "--bracket-size"),
    (["--output", "x", "--focus", "bracket", "--views", "7"], "--views"),
    (["--output", "x", "--scene", "current"], "--subject"),
    (["--output", "x", "--subject", "Cube"], "--scene current"),
    (["--output", "x", "--resume", "--overwrite"], "--resume"),
    (["--output", "x", "--colour"], "--colour"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD_ARGUMENTS, ids=lambda value: " ".join(value[2:]) or None)
def test_bad_arguments_are_refused_by_name(arguments: list[str], named: str) -> None:
    with pytest.raises(GeneratorError) as caught:
        parse(arguments)
    assert named in caught.value.sentence
    assert caught.value.sentence.count("\n") == 0


def test_good_arguments() -> None:
    settings = parse(
        [
            "--output",
            "x",
            "--views",
            "3",
            "--resolution",
            "64",
            "48",
            "--f-number",
            "5.6",
            "--no-denoise",
            "--events",
            "json",
        ]
    )
    assert settings.output == Path("x").absolute()
    assert (settings.views, settings.resolution, settings.denoise) == (3, (64, 48), False)
    lens = settings.lens(usual_f_number=9.0)
    assert (lens.f_number, lens.focal_length_mm, lens.blades) == (5.6, 100.0, 0)
    assert settings.events == "json"


def test_the_scene_chooses_what_nobody_asked_for() -> None:
    settings = parse(["--output", "x"])
    assert settings == Settings(output=Path("x").absolute())
    assert settings.plan is None
    assert settings.lens(usual_f_number=7.1).f_number == 7.1


def test_explicit_options_win_over_the_preset() -> None:
    settings = parse(["--output", "x", "--preset", "full", "--views", "12", "--focus", "bracket"])
    assert (settings.views, settings.held_out, settings.resolution) == (12, 8, (1600, 1200))
    assert settings.bracket_size == 4


def test_imperfections() -> None:
    assert not parse(["--output", "x"]).imperfections.develops
    options = ["--exposure-jitter", "0.3", "--full-well", "5000", "--read-noise", "2", "--pose-noise-degrees", "0.1"]
    wrong = parse(["--output", "x", *options]).imperfections
    assert (wrong.exposure_stops, wrong.full_well_electrons, wrong.read_noise_electrons) == (0.3, 5000, 2)
    assert wrong.moves_poses


def test_own_arguments_under_blender_and_under_python() -> None:
    blender = ["blender", "-b", "-P", "synthetic/make_dataset.py"]
    assert own_arguments([*blender, "--", "--views", "3"]) == ["--views", "3"]
    assert own_arguments(blender) == []
    assert own_arguments(["synthetic/make_dataset.py", "--views", "3"]) == ["--views", "3"]


def test_json_is_recognized_in_a_wrong_command_line() -> None:
    assert wants_json(["--views", "x", "--events", "json"])
    assert wants_json(["--events=json"])
    assert not wants_json(["--events", "text"])


def test_wrong_usage_is_one_sentence_and_exit_code_2() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "--views", "0"], capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("Error: ")
    assert run.stderr.count("\n") == 1


def test_wrong_usage_as_an_event() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "--events", "json"], capture_output=True, text=True)
    assert run.returncode == 2
    (event,) = map(json.loads, run.stdout.splitlines())
    assert event["event"] == "error"
    assert "--output" in event["message"]


def test_help_is_shown() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    for option in ("--output", "--scene", "--held-out", "--resume", "--denoise", "--preset", "--subject"):
        assert option in run.stdout


def test_a_python_without_blender_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bpy.py").write_text("raise ModuleNotFoundError(\"No module named 'bpy'\")")
    run = subprocess.run(
        [sys.executable, SCRIPT, "--output", tmp_path / "capture"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert run.returncode == 1
    assert "No module named 'bpy'" in run.stderr
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "capture").exists()
