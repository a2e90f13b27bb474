# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip: what is in it, that Blender accepts it, and that it comes and goes without a trace."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def command_line(bpy):
    """Runs Blender's own extension tool, which needs no Blender to run."""
    tool = Path(bpy.utils.system_resource("SCRIPTS")) / "addons_core" / "bl_pkg" / "cli" / "blender_ext.py"

    def run(*arguments):
        return subprocess.run(
            [sys.executable, tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_zip_is_valid_for_blender(command_line, extension_zip):
    answer = command_line("validate", extension_zip)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_zip_holds_what_blenders_own_build_holds(command_line, root, tmp_path):
    checkout = tmp_path / "checkout"
    heavy = shutil.ignore_patterns(".venv", ".git", "build", "demo", "dist", "output", ".*_cache")
    shutil.copytree(root, checkout, ignore=heavy)
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "module.py").touch()
    (checkout / "solver" / ".hidden").touch()
    script = checkout / "scripts" / "build_extension.py"
    subprocess.run([sys.executable, script, "--output", tmp_path / "ours"], check=True, timeout=60)
    (tmp_path / "theirs").mkdir()
    answer = command_line("build", "--source-dir", checkout, "--output-dir", tmp_path / "theirs")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (our_zip,), (their_zip,) = (list((tmp_path / name).glob("*.zip")) for name in ("ours", "theirs"))
    assert our_zip.name == their_zip.name
    with zipfile.ZipFile(our_zip) as ours, zipfile.ZipFile(their_zip) as theirs:
        assert ours.namelist() == sorted(theirs.namelist())
        assert all(ours.read(name) == theirs.read(name) for name in ours.namelist())


def test_zip_holds_the_sources_and_nothing_of_the_workshop(extension_zip):
    with zipfile.ZipFile(extension_zip) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    tops = {name.split("/")[0] for name in names}
    assert {"__init__.py", "blender_manifest.toml", "LICENSE", "pyproject.toml"} <= tops
    assert {"blender_addon", "solver", "synthetic"} <= tops
    assert not tops & {"tests", "benchmarks", "docs", "scripts", "Makefile"}
    assert {"blender_addon/panel.py", "solver/__main__.py", "synthetic/make_dataset.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/." in name]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_extension_builds_that_zip(extension_zip, root, tmp_path):
    subprocess.run(
        ["make", "extension", f"PYTHON={sys.executable}", f"DIST={tmp_path}"], cwd=root, check=True, timeout=60
    )
    with zipfile.ZipFile(tmp_path / extension_zip.name) as made, zipfile.ZipFile(extension_zip) as expected:
        assert made.namelist() == expected.namelist()


def test_building_again_gives_the_same_bytes(extension_zip, root, tmp_path):
    copy = tmp_path / "elsewhere"
    with zipfile.ZipFile(extension_zip) as archive:  # files with other times, in a folder with another name
        archive.extractall(copy)
    (copy / "scripts").mkdir()
    shutil.copy(root / "scripts" / "build_extension.py", copy / "scripts")
    (copy / "solver" / "__pycache__").mkdir()
    (copy / "solver" / "__pycache__" / "cli.cpython-311.pyc").write_bytes(b"x")
    subprocess.run([sys.executable, copy / "scripts" / "build_extension.py"], check=True, timeout=60)
    assert (copy / "dist" / extension_zip.name).read_bytes() == extension_zip.read_bytes()


def test_installs_and_comes_and_goes(bpy, extension):
    import addon_utils

    def present():
        found = {name for name in dir(bpy.types) if name.startswith("MACRO_")}
        return (
            found,
            hasattr(bpy.types.Scene, "macro_reconstruction"),
            len(bpy.types.TOPBAR_MT_file_import._dyn_ui_initialize()),
        )

    with_it = present()
    assert "MACRO_PT_reconstruct" in with_it[0]
    assert with_it[1]
    assert bpy.types.MACRO_PT_reconstruct.bl_category == "Macro"
    for _ in range(2):
        addon_utils.disable(extension)
        assert present() == (set(), False, with_it[2] - 1)
        addon_utils.enable(extension)
        assert present() == with_it


def test_every_setting_and_operator_explains_itself(bpy, extension):
    settings = bpy.context.scene.macro_reconstruction
    explained = [settings.bl_rna, bpy.context.preferences.addons[extension].preferences.bl_rna]
    explained.append(bpy.context.scene.macro_synthetic.bl_rna)
    operators = [getattr(bpy.ops.macro, name).get_rna_type() for name in dir(bpy.ops.macro)]
    assert len(operators) > 25
    explained += operators
    for struct in explained:
        if struct in operators:
            assert struct.description and not struct.description.endswith("."), struct.identifier
        for prop in struct.properties:
            if prop.is_runtime:
                assert prop.name and prop.description, f"{struct.identifier}.{prop.identifier}"
                assert not prop.description.endswith("."), f"{struct.identifier}.{prop.identifier}"
                for item in getattr(prop, "enum_items", ()):
                    assert item.name and item.description, f"{struct.identifier}.{prop.identifier}: {item.identifier}"


def test_nothing_is_written_into_the_installed_folder(bpy, extension):
    import importlib

    module = importlib.import_module(extension)
    folder = Path(module.__file__).parent
    storage = importlib.import_module(f"{extension}.blender_addon.job").storage()
    assert storage.is_dir()
    assert folder not in storage.parents


def test_grey_button_says_why(bpy, extension):
    settings = bpy.context.scene.macro_reconstruction
    with pytest.raises(RuntimeError, match="Choose the capture folder first"):
        bpy.ops.macro.reconstruct()
    settings.capture = "/photos/beetle/"
    assert settings.output == "/photos/beetle_reconstruction"
    settings.capture = "/photos/wasp"
    assert settings.output == "/photos/wasp_reconstruction"  # not into the beetle's result
    settings.output = "/mine"
    settings.capture = "/photos/fly"
    assert settings.output == "/mine"
    settings.output = ""
    with pytest.raises(RuntimeError, match="Choose the output folder first"):
        bpy.ops.macro.reconstruct()
    with pytest.raises(RuntimeError, match="Select the camera of a photo first"):
        bpy.ops.macro.look_through()
    with pytest.raises(RuntimeError, match="Nothing is running"):
        bpy.ops.macro.cancel()


def test_no_button_is_grey_without_a_reason(bpy, extension):
    grey = [name for name in dir(bpy.ops.macro) if not getattr(bpy.ops.macro, name).poll()]
    assert len(grey) > 10
    grey.remove("escape")  # a key, which is somebody else's where this one has nothing to stop
    for name in grey:
        with pytest.raises(RuntimeError) as caught:
            getattr(bpy.ops.macro, name)()
        assert "context is incorrect" not in str(caught.value), name


def test_import_operator(bpy, extension, result_folder):
    assert bpy.ops.macro.import_result(filepath=str(result_folder / "result.json")) == {"FINISHED"}
    assert "beetle" in bpy.data.collections
    (result_folder / "splats.ply").unlink()
    with pytest.raises(RuntimeError, match="missing from the result"):
        bpy.ops.macro.import_result(filepath=str(result_folder))


def test_look_through_a_photo(bpy, extension, result_folder):
    bpy.ops.macro.import_result(filepath=str(result_folder))
    scene = bpy.context.scene
    bpy.context.view_layer.objects.active = bpy.data.objects["photo_03"]
    bpy.ops.macro.look_through()
    assert scene.camera == bpy.data.objects["photo_03"]
    assert (scene.render.resolution_x, scene.render.resolution_y) == (64, 96)
    assert scene.render.pixel_aspect_x / scene.render.pixel_aspect_y == pytest.approx(187 / 180)


def test_show_and_transparency_operators(bpy, extension, result_folder):
    bpy.ops.macro.import_result(filepath=str(result_folder))
    bpy.ops.macro.show(collection="beetle", part="splats")
    children = bpy.context.view_layer.layer_collection.children["beetle"].children
    assert {child.name: child.exclude for child in children} == {
        "beetle Mesh": True,
        "beetle Splats": False,
        "beetle Cameras": False,
    }
    with pytest.raises(RuntimeError, match="no collection named wasp"):
        bpy.ops.macro.show(collection="wasp", part="mesh")
    assert bpy.context.scene.cycles.transparent_max_bounces == 8
    bpy.ops.macro.allow_transparency()
    assert bpy.context.scene.cycles.transparent_max_bounces == 1024
