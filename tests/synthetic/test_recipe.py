# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose frames may go into an output folder."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("bpy")

import bpy
import numpy as np

from synthetic.arguments import Settings
from synthetic.errors import GeneratorError
from synthetic.imperfections import Imperfections
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


def test_a_changed_texture_of_a_users_file_is_noticed(tmp_path: Path) -> None:
    texture, blend = tmp_path / "wood.png", tmp_path / "mine.blend"
    bpy.ops.wm.read_factory_settings(use_empty=True)
    image = bpy.data.images.new("Wood", 4, 4)
    image.filepath_raw, image.file_format = str(texture), "PNG"
    image.save()
    image.use_fake_user, image.source = True, "FILE"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    settings = Settings(tmp_path / "capture", scene="current", subject="Table", resume=True)
    content = recipe(settings, denoise=False)
    assert "numpy" not in content
    begin_folder(settings, content)
    require_usable_folder(settings, recipe(settings, denoise=False))
    os.utime(texture, ns=(10**18, 10**18))
    with pytest.raises(GeneratorError, match="different version of a texture or library"):
        require_usable_folder(settings, recipe(settings, denoise=False))
    assert str(tmp_path) not in (settings.output / "ground_truth" / "settings.json").read_text()


def test_noise_is_of_one_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = Settings(tmp_path / "capture", imperfections=Imperfections(full_well_electrons=1000.0), resume=True)
    begin_folder(noisy, recipe(noisy, denoise=False))
    require_usable_folder(noisy, recipe(noisy, denoise=False))
    monkeypatch.setattr(np, "__version__", "9.0")
    with pytest.raises(GeneratorError, match="different version of NumPy"):
        require_usable_folder(noisy, recipe(noisy, denoise=False))
    assert "numpy" not in recipe(Settings(tmp_path / "capture"), denoise=False)


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
