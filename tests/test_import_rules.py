# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports point one way; read from the sources, so imports inside functions count too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = (  # in the order of the street: a room may use itself and what stands before it
    "kernels",
    "optics",
    "capture",
    "gaussians",
    "rasterization",
    "defocus",
    "inspection",
    "fusion",
    "training",
    "surface",
    "export",
    "report",
    "refocus",
    "report",
    "evaluation",
)
# modules that every room may use
FOUNDATION = {"errors", "events", "files", "ply", "config", "cancellation", "steering", "run_lock"}


def sources(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"{folder} has no sources"
    return found


def imported(path):
    """The absolute names of everything that a file imports; relative imports stay inside their package."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", ["blender_addon", "synthetic"])
def test_blenders_side_knows_neither_torch_nor_the_solver(folder):
    other = "synthetic" if folder == "blender_addon" else "blender_addon"
    forbidden = {"torch", "solver", "numba", "PIL", "scipy", other}
    for path in sources(folder):
        assert not forbidden & {name.split(".")[0] for name in imported(path)}, path


def test_the_solver_knows_nothing_of_blender():
    forbidden = {"bpy", "mathutils", "bmesh", "blender_addon", "synthetic"}
    for path in sources("solver"):
        assert not forbidden & {name.split(".")[0] for name in imported(path)}, path


def test_nothing_that_ships_edits_the_search_path_of_blender():
    in_a_child = "attended"  # takes the place of `python -m` there, and no module of Blender's may import it
    for path in sources("blender_addon"):
        if path.stem != in_a_child:
            assert "sys.path" not in path.read_text(encoding="utf-8"), path
        assert not {name for name in imported(path) if name.split(".")[-1] == in_a_child}, path


def test_rooms_of_the_solver_use_only_what_stands_before_them():
    used = set()
    for index, room in enumerate(ROOMS):
        if not (ROOT / "solver" / room).is_dir():
            continue
        for path in sources(f"solver/{room}"):
            for name in imported(path):
                parts = name.split(".")
                if parts[0] != "solver" or len(parts) < 2:
                    continue
                used.add((room, parts[1]))
                allowed = parts[1] in FOUNDATION or parts[1] in ROOMS[: index + 1]
                assert allowed, f"{path.relative_to(ROOT)} imports {name}"
    assert used, "the rule looked at nothing"


def test_every_room_is_known():
    folders = {p.parent.name for p in (ROOT / "solver").glob("*/*.py")}
    assert folders <= set(ROOMS)


def test_the_foundation_uses_no_room():
    for module in FOUNDATION:
        path = ROOT / "solver" / f"{module}.py"
        if path.exists():
            for name in imported(path):
                assert not (name.startswith("solver.") and name.split(".")[1] in ROOMS), f"{module} imports {name}"
