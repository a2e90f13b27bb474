# SPDX-License-Identifier: GPL-3.0-or-later
"""Files appear whole or not at all."""

import json
import stat

import pytest

from solver.errors import SolverError
from solver.files import no_empty_folder_left, read_json, require_writable_folder, write_json, written_aside


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with written_aside(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("half")
        assert not path.exists()
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_round_trip_and_what_json_has_not(tmp_path):
    path = tmp_path / "a.json"
    content = {"name": "Käfer", "numbers": [1, 2.5, None, True]}
    write_json(path, content)
    assert read_json(path, "the file") == content
    assert json.loads(path.read_text(encoding="utf-8")) == content
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"x": float("nan")})
    assert read_json(path, "the file") == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,}', "the camera file is not valid JSON (line 1"),
        (b"", "the camera file is not valid JSON (line 1"),
        (b"\xff\xfe\x00", "the camera file is not valid JSON"),
        (b"[" * 100_000, "the camera file is not valid JSON"),
        (b"1" * 10_000, "the camera file is not valid JSON"),
    ],
)
def test_broken_json_is_one_sentence(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(SolverError) as caught:
        read_json(path, "the camera file")
    assert caught.value.sentence.startswith(f"{path}: {message}")
    assert "\n" not in caught.value.sentence


def test_absent_json_and_a_folder_of_its_name(tmp_path):
    with pytest.raises(SolverError, match="the camera file is missing"):
        read_json(tmp_path / "gone.json", "the camera file")
    with pytest.raises(SolverError, match="the camera file cannot be read"):
        read_json(tmp_path, "the camera file")


def test_writable_folders(tmp_path):
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    require_writable_folder(tmp_path)
    require_writable_folder(tmp_path / "new" / "below")
    with pytest.raises(SolverError, match="the output path is a file"):
        require_writable_folder(tmp_path / "file")
    with pytest.raises(SolverError, match="the output folder is not writable"):
        require_writable_folder(tmp_path / "file" / "below" / "deeper")
    assert sorted(tmp_path.rglob("*")) == before


def test_empty_folders_go_when_the_work_fails(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "a" / "b"
    with pytest.raises(KeyboardInterrupt), no_empty_folder_left(target):
        target.mkdir(parents=True)
        raise KeyboardInterrupt
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_folders_that_hold_something_or_were_there_stay(tmp_path):
    target = tmp_path / "a" / "b"
    with pytest.raises(RuntimeError), no_empty_folder_left(target):
        target.mkdir(parents=True)
        (target.parent / "kept.txt").touch()
        raise RuntimeError
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "a", tmp_path / "a" / "kept.txt"]
    with pytest.raises(RuntimeError), no_empty_folder_left(tmp_path / "a" / "c"):
        raise RuntimeError  # before the folder came to be
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError), no_empty_folder_left(tmp_path / "empty"):
        raise RuntimeError
    assert (tmp_path / "empty").is_dir()


def test_success_leaves_the_folder(tmp_path):
    with no_empty_folder_left(tmp_path / "a"):
        (tmp_path / "a").mkdir()
    assert (tmp_path / "a").is_dir()
