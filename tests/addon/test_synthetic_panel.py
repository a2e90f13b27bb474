# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures that are rendered from the panel, by the real generator in a process of its own."""

import importlib
import json
import sys
from pathlib import Path

import pytest


@pytest.fixture
def synthetic(bpy, extension):
    """The panel's settings; the panel is left as it was found."""
    bpy.context.preferences.addons[extension].preferences.solver_python = sys.executable
    job = importlib.import_module(f"{extension}.blender_addon.job")
    yield bpy.context.scene.macro_synthetic
    job.end_all()


@pytest.mark.parametrize("scene", ["coin", "current"])
def test_a_capture_is_rendered(bpy, extension, synthetic, tmp_path, scene):
    bpy.ops.mesh.primitive_monkey_add(size=0.02)
    synthetic.output, synthetic.scene, synthetic.preset = str(tmp_path / "capture"), scene, "tiny"
    synthetic.focus = "subject"
    name = bpy.data.filepath
    assert bpy.ops.macro.render_capture() == {"FINISHED"}
    assert bpy.data.filepath == name
    job = importlib.import_module(f"{extension}.blender_addon.job")
    if scene == "current":
        copy = job.rendered.request.blend
        assert copy.parent == Path(bpy.app.tempdir)  # where no other Blender's rendering takes it away
        assert not copy.exists()  # it may be as large as the scene
    settings = json.loads((tmp_path / "capture" / "ground_truth" / "settings.json").read_text())
    assert len(list((tmp_path / "capture" / "images").iterdir())) == 4
    assert settings["focus"] == "subject"


def test_what_was_rendered_is_reconstructed(bpy, extension, synthetic, solver_python, tmp_path):
    synthetic.output, synthetic.scene, synthetic.preset = str(tmp_path / "capture"), "coin", "tiny"
    assert bpy.ops.macro.render_capture() == {"FINISHED"}
    bpy.context.preferences.addons[extension].preferences.solver_python = solver_python
    chosen = bpy.context.scene.macro_reconstruction
    chosen.output, chosen.preset, chosen.iterations = str(tmp_path / "result"), "draft", 5
    assert bpy.ops.macro.reconstruct_rendered() == {"FINISHED"}
    assert chosen.capture == str(tmp_path / "capture")
    assert (tmp_path / "result" / "result.json").is_file()


@pytest.fixture
def rendered(bpy, extension, synthetic, tmp_path):
    """A capture that has just been rendered, of which nothing can be made."""
    job = importlib.import_module(f"{extension}.blender_addon.job")
    rendering = importlib.import_module(f"{extension}.blender_addon.rendering")
    capture = tmp_path / "capture"
    capture.mkdir()
    job.rendered = rendering.Rendering(phase="done", request=rendering.RenderRequest(capture))
    return capture


def test_one_click_leaves_the_result_of_another_capture_alone(bpy, synthetic, rendered, tmp_path):
    settings = bpy.context.scene.macro_reconstruction
    settings.capture, settings.output = str(tmp_path / "other photos"), str(tmp_path / "precious")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "result.json").write_text("{}")
    with pytest.raises(RuntimeError):
        bpy.ops.macro.reconstruct_rendered()
    assert (settings.capture, settings.output) == (str(rendered), f"{rendered}_reconstruction")
    settings.capture, settings.output = str(tmp_path / "other photos"), str(tmp_path / "chosen and empty")
    with pytest.raises(RuntimeError):
        bpy.ops.macro.reconstruct_rendered()
    assert settings.output == str(tmp_path / "chosen and empty")


def test_one_click_that_fails_is_one_sentence(bpy, extension, synthetic, rendered):
    bpy.context.preferences.addons[extension].preferences.solver_python = "/no/such/python"
    with pytest.raises(RuntimeError, match="the solver's Python was not found") as caught:
        bpy.ops.macro.reconstruct_rendered()
    assert "Traceback" not in str(caught.value)


def test_without_a_mesh_this_scene_is_not_photographed(bpy, synthetic, tmp_path):
    synthetic.output, synthetic.scene = str(tmp_path / "capture"), "current"
    bpy.ops.object.light_add()
    assert not bpy.ops.macro.render_capture.poll()
    with pytest.raises(RuntimeError, match="active object first"):
        bpy.ops.macro.render_capture()


def test_what_the_generator_refuses_is_one_sentence(bpy, synthetic, tmp_path):
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture" / "holiday.png").write_bytes(b"not ours")
    synthetic.output, synthetic.scene, synthetic.preset = str(tmp_path / "capture"), "coin", "tiny"
    with pytest.raises(RuntimeError, match="capture") as caught:
        bpy.ops.macro.render_capture()
    assert "Traceback" not in str(caught.value)
    assert [path.name for path in (tmp_path / "capture").iterdir()] == ["holiday.png"]
