# SPDX-License-Identifier: GPL-3.0-or-later
"""The experiment of benchmarks/limits.py, on the tiny capture."""

import json

from benchmarks.limits import main


def test_an_oracle_is_trained_on_photos(tiny_capture, tmp_path, capsys):
    told = tmp_path / "limits.json"
    arguments = [str(tiny_capture.folder), "--iterations", "100", "--gaussians", "3000", "--json", str(told)]
    assert main(arguments) == 0
    (rows,) = json.loads(told.read_text(encoding="utf-8")).values()
    ours, oracle, trained_on = rows.values()
    assert oracle["sharp"] > ours["sharp"]  # it saw the sharp photos
    assert trained_on["photos"] > oracle["photos"]  # training on photos fits photos
    assert "the oracle trained on photos" in capsys.readouterr().out


def test_a_capture_without_truth_is_told(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "has no ground truth" in capsys.readouterr().err
