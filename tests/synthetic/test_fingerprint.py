# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes another version of a capture."""

import os
import shutil
from pathlib import Path

import pytest

from synthetic import fingerprint


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the generator whose sources may be changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    copy = shutil.copytree(fingerprint._PACKAGE, tmp_path / "synthetic", ignore=ignored)
    monkeypatch.setattr(fingerprint, "_PACKAGE", copy)
    return copy


def test_code_that_a_scene_runs_counts_and_what_is_written_about_it_does_not(package: Path) -> None:
    before = fingerprint.fingerprint("coin")
    for name in ("photo.py", "scenes/coin.py", "scenes/watch.py"):
        source = package / name
        source.write_text(source.read_text().replace('"""', '"""Hear, hear: ', 1) + "\n# the end\n")
    assert fingerprint.fingerprint("coin") == before
    (package / "scenes" / "watch.py").write_text("HANDS = 3\n")
    assert fingerprint.fingerprint("coin") == before
    watch = fingerprint.fingerprint("watch")
    for name in ("scenes/coin.py", "photo.py"):
        (package / name).write_text("SIDES = 2\n")
        assert fingerprint.fingerprint("coin") != before
        before = fingerprint.fingerprint("coin")
    assert fingerprint.fingerprint("watch") != watch


def test_files_that_change_come_or_go_are_noticed(tmp_path: Path) -> None:
    wood, tile = tmp_path / "wood.png", tmp_path / "bark.1001.png"
    paths = [wood, tmp_path / "bark.<UDIM>.png", tmp_path / "missing.png"]
    states = [fingerprint.state_fingerprint(paths)]

    def change() -> None:
        states.append(fingerprint.state_fingerprint(paths))

    wood.write_bytes(b"oak")
    change()
    wood.write_bytes(b"beech")
    change()
    os.utime(wood, ns=(10**18, 10**18))
    change()
    tile.write_bytes(b"elm")
    change()
    tile.write_bytes(b"birch")
    change()
    assert len(set(states)) == len(states)
    assert fingerprint.state_fingerprint(reversed(paths)) == states[-1]
    assert fingerprint.state_fingerprint([*paths, tmp_path]) != states[-1]
    (tmp_path / "other.png").write_bytes(b"not asked about")
    change()
    assert states[-1] == states[-2]
