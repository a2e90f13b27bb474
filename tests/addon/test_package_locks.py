# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock files that travel with the extension."""

import json
from pathlib import Path

import pytest

from blender_addon.package_locks import normalized, pins

LOCKS = Path(__file__).resolve().parents[2] / "solver" / "locks"


def test_locks_name_everything_that_pyproject_asks_for():
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((LOCKS.parents[1] / "pyproject.toml").read_text())["project"]
    locked = {"packages": set(), "cuda": set(), "torch-cpu": set(), "torch-cuda": set()}
    for name, found in locked.items():
        for package, version, text in pins((LOCKS / f"{name}.txt").read_text()):
            found.add((package, version.partition("+")[0]))
            assert name.startswith("torch") or "--hash=sha256:" in text, package
    wanted = {
        (normalized(r.name), str(r.specifier).removeprefix("==")) for r in map(Requirement, project["dependencies"])
    }
    lacking = wanted - locked["packages"] - locked["torch-cpu"]
    assert not lacking, f"run `make lock`: {lacking}"
    assert wanted <= locked["packages"] | locked["torch-cuda"]
    gsplat = Requirement(*project["optional-dependencies"]["cuda"])
    assert (gsplat.name, str(gsplat.specifier).removeprefix("==")) in locked["cuda"]


@pytest.mark.parametrize("system", ["linux-x86_64", "windows-x86_64", "macos-arm64"])
def test_sizes_are_known_for_every_system(system):
    sizes = json.loads((LOCKS / "sizes.json").read_text())[system]
    for device in ("cpu",) if system.startswith("mac") else ("cpu", "cuda"):
        assert 100e6 < sizes[device]["download"] < sizes[device]["installed"] < 20e9
