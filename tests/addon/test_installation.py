# SPDX-License-Identifier: GPL-3.0-or-later
"""The preferences' buttons in Blender, on the installed extension with a small solver in the place of the real one.

venv, pip and processes are real; of the installed copy only the lock files and `python -m solver` are exchanged.
"""

import importlib
import json
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.addon.test_environment import write_wheel

SOLVER = """
import json, sys
import tiny_core
assert sys.argv[1:3] == ["doctor", "--json"]
facts = {"packages": {"torch": tiny_core.value}, "rasterizers": {"gsplat": {"usable": False},
         "cpu": {"usable": True, "reason": "2 threads"}}}
open(sys.argv[3], "w").write(json.dumps(facts))
"""


@pytest.fixture
def installation(extension, tmp_path):
    """The module that the buttons call, in the installed extension, whose solver is now a small one."""
    module = importlib.import_module(f"{extension}.blender_addon.installation")
    home = Path(importlib.import_module(extension).__file__).parent / "solver"
    _, core = write_wheel(tmp_path / "wheels", "tiny_core", "1.0")
    (home / "locks" / "torch-cpu.txt").write_text(core)
    (home / "locks" / "packages.txt").write_text("# nothing more\n")
    (home / "__main__.py").write_text(SOLVER)
    settings = module.preferences()
    settings.solver_python = ""
    settings.device = "cpu"
    settings.base_python = sys.executable
    settings.environment_folder = str(tmp_path / "chosen")
    yield module
    module.end_all()


def test_without_the_network_nothing_is_tried(bpy, installation):
    assert not bpy.app.online_access
    with pytest.raises(RuntimeError, match=r"online access is off; allow it .* or choose a folder of wheels"):
        bpy.ops.macro.install_solver()
    with pytest.raises(Exception, match=r"online access is off") as caught:
        installation.order()
    assert type(caught.value).__name__ == "MacroError"
    assert not installation.root().parent.exists()


def test_install_use_and_delete(bpy, installation, extension, tmp_path):
    preferences = importlib.import_module(f"{extension}.blender_addon.preferences")
    before = preferences.solver_python()
    installation.preferences().wheels = str(tmp_path / "wheels")
    sources = Path(importlib.import_module(extension).__file__).parent
    kept = {path for path in sources.rglob("*") if "__pycache__" not in path.parts}
    assert installation.state() == "absent"
    assert bpy.ops.macro.install_solver() == {"FINISHED"}
    assert installation.state() == "ready"
    assert installation.root() == tmp_path / "chosen" / "macro_reconstruction_solver"
    assert preferences.solver_python() == installation.installed_python() != before
    environment = importlib.import_module(f"{extension}.blender_addon.environment")
    assert environment.summary(installation.root()).startswith("PyTorch 1  ·  Python 3")
    assert {path for path in sources.rglob("*") if "__pycache__" not in path.parts} == kept
    assert not (sources / "solver" / "__pycache__").exists()

    (sources / "solver" / "locks" / "packages.txt").write_text("# another version of the extension\n")
    assert installation.state(fresh=True) == "outdated"
    assert preferences.solver_python() == installation.installed_python()  # it can still be used
    assert bpy.ops.macro.install_solver() == {"FINISHED"}
    assert installation.state() == "ready"

    assert bpy.ops.macro.delete_solver() == {"FINISHED"}
    assert installation.state() == "absent" and preferences.solver_python() == before
    assert list((tmp_path / "chosen").iterdir()) == []
    with pytest.raises(RuntimeError, match="The solver is not installed"):
        bpy.ops.macro.delete_solver()


def test_an_error_is_a_sentence_and_a_repair(bpy, installation, tmp_path):
    installation.preferences().wheels = str(tmp_path / "wheels")
    wheel = next((tmp_path / "wheels").iterdir())
    wheel.rename(tmp_path / wheel.name)
    write_wheel(tmp_path / "wheels", "something_else", "1.0")
    with pytest.raises(RuntimeError, match=r"the folder of wheels lacks tiny.core==1\.0"):
        bpy.ops.macro.install_solver()
    assert installation.current.phase == "error" and "lacks" in installation.current.message
    assert installation.state() == "unfinished" and installation.installed_python() == ""
    (tmp_path / wheel.name).rename(wheel)
    assert bpy.ops.macro.install_solver() == {"FINISHED"}
    assert installation.state() == "ready"


def test_wrong_python_is_refused_before_anything_is_made(bpy, installation, tmp_path):
    installation.preferences().wheels = str(tmp_path / "wheels")
    installation.preferences().base_python = str(tmp_path / "no python")
    with pytest.raises(RuntimeError, match=r"this Python will not do: it does not run; install Python 3\.11 to 3\.13"):
        bpy.ops.macro.install_solver()
    assert not installation.root().parent.exists()


def test_in_the_background_and_cancelled(bpy, installation, tmp_path):
    installation.preferences().wheels = str(tmp_path / "wheels")
    installation.begin(installation.order())
    running = installation.current
    assert running.running and isinstance(running.thread, threading.Thread)
    with pytest.raises(RuntimeError, match="The solver is being installed"):
        bpy.ops.macro.install_solver()
    while running.progress.title == "Preparing":
        time.sleep(0.01)
    assert bpy.ops.macro.cancel_installation() == {"FINISHED"}
    running.thread.join(20)
    assert running.phase == "cancelled"
    assert installation.state(fresh=True) == "unfinished"
    with pytest.raises(RuntimeError, match="Nothing is being installed"):
        bpy.ops.macro.cancel_installation()


def test_disabling_the_extension_ends_the_installation(bpy, installation, extension, tmp_path):
    import addon_utils

    installation.preferences().wheels = str(tmp_path / "wheels")
    installation.begin(installation.order())
    running = installation.current
    addon_utils.disable(extension)
    assert running.phase == "cancelled" and not running.thread.is_alive()
    addon_utils.enable(extension)


def test_what_the_preferences_say_of_the_machine(bpy, installation):
    found = installation.look(wait=True)
    assert found.finished and found.interpreter.version == sys.version_info[:3]
    assert found.machine.device in ("cpu", "cuda") and found.machine.reason
    sizes = json.loads((installation.locks().folder / "sizes.json").read_text())
    assert installation.locks().sizes("cpu")[0] in [system["cpu"]["download"] for system in sizes.values()]
