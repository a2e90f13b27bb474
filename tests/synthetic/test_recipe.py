# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose frames may go into an output folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("bpy")

from synthetic.arguments import Settings
from synthetic.errors import GeneratorError
from synthetic.recipe import begin_folder, recipe, require_usable_folder


def begun(output: Path) -> Settings:
    """A capture that was begun and has a few frames."""
    settings = Settings(output)
    begin_folder(settings, recipe(settings, denoise=False))
    for path in ("images/view_000.png", "masks/view_000.png", "ground_truth/depth/view_000.exr"):
        (output / path).parent.mkdir()
        (output / path).write_bytes(b"a frame")
    (output / "ground_truth" / "mesh.ply").write_bytes(b"a mesh")
    return settings


def test_only_the_same_is_resumed(tmp_path: Path) -> None:
    settings = replace(begun(tmp_path / "capture"), resume=True)
    content = recipe(settings, denoise=False)
    require_usable_folder(settings, content)
    require_usable_folder(settings, recipe(replace(settings, events="json"), denoise=False))
    for change, words in [
        ({"seed": 1}, "different seed"),
        ({"held_out": 2}, "different held-out"),
        ({"blades": 5}, "different blades"),
    ]:
        other = replace(settings, **change)
        with pytest.raises(GeneratorError, match=words):
            require_usable_folder(other, recipe(other, denoise=False))
    with pytest.raises(GeneratorError, match="different denoise"):
        require_usable_folder(settings, recipe(settings, denoise=True))
    with pytest.raises(GeneratorError, match="different version of the generator"):
        require_usable_folder(settings, content | {"generator": "another"})


def test_nothing_is_left_of_what_is_overwritten(tmp_path: Path) -> None:
    settings = replace(begun(tmp_path / "capture"), overwrite=True)
    begin_folder(settings, recipe(settings, denoise=False))
    left = [path.relative_to(settings.output).as_posix() for path in settings.output.rglob("*") if path.is_file()]
    assert left == ["ground_truth/settings.json"]


def test_overwriting_that_was_interrupted_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(begun(tmp_path / "capture"), overwrite=True)
    content = recipe(settings, denoise=False)
    removed: list[Path] = []

    def rmtree(path: Path) -> None:
        if len(removed) == 2:
            raise KeyboardInterrupt
        removed.append(path)

    monkeypatch.setattr(shutil, "rmtree", rmtree)
    with pytest.raises(KeyboardInterrupt):
        begin_folder(settings, content)
    monkeypatch.undo()
    require_usable_folder(settings, content)
    begin_folder(settings, content)
    assert not (settings.output / "images").exists()
