# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh of a finished result, made again on the command line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from plyfile import PlyData

from solver.cli import main
from solver.errors import Cancelled
from solver.evaluation.evaluate import evaluate
from solver.report.charts import number
from solver.run_lock import only_run_in


@pytest.fixture(scope="module")
def trained(tiny_capture, tmp_path_factory) -> Path:
    """A result that has no mesh."""
    output = tmp_path_factory.mktemp("remesh") / "result"
    arguments = [
        "--preset",
        "draft",
        "--iterations",
        "500",
        "--max-size",
        "72",
        "--device",
        "cpu",
        "--train-on",
        "sharp",
    ]
    settings = ["surface=false", "max_gaussians=3000", "initial_gaussians=2000", "sh_degree=0"]
    command = ["reconstruct", str(tiny_capture.folder), "--output", str(output), *arguments, "--set", *settings]
    assert main(command) == 0
    assert not (output / "mesh.ply").exists()
    return output


@pytest.fixture
def result(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "result"))


def files_besides_mesh(folder: Path) -> dict[str, bytes]:
    own = {"mesh.ply", "mesh.glb", "texture.png", "result.json", "report.html"}
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in own}


def test_a_result_gets_a_mesh_and_nothing_else_changes(result):
    before, told = files_besides_mesh(result), json.loads((result / "result.json").read_text())
    assert main(["mesh", str(result), "--triangles", "500", "--texture-size", "0", "--resolution", "40"]) == 0
    after = json.loads((result / "result.json").read_text())
    assert files_besides_mesh(result) == before
    mesh = after.pop("mesh")
    assert told.pop("mesh") is None
    assert after == told
    ply = PlyData.read(result / "mesh.ply")
    assert mesh["faces"] == len(ply["face"].data) <= 500
    assert mesh["texture"] is None
    assert {"confidence", "smallest_coc_px", "sharp_photo_count"} <= set(ply["vertex"].data.dtype.names)
    confidence = ply["vertex"].data["confidence"]
    assert 1 <= np.median(confidence) <= 10 and (confidence == np.round(confidence)).all()
    assert len(trimesh.load(result / "mesh.glb", force="mesh").faces) == mesh["faces"]


def test_the_report_tells_of_the_new_mesh_as_long_as_there_are_photos(result, capsys):
    page = result / "report.html"
    assert "splats only" in page.read_text(encoding="utf-8")
    coarse = ["mesh", str(result), "--texture-size", "0", "--resolution", "20"]
    assert main(coarse) == 0
    faces = json.loads((result / "result.json").read_text())["mesh"]["faces"]
    told = page.read_text(encoding="utf-8")
    assert f"{number(faces)} faces" in told and "splats only" not in told

    description = json.loads((result / "result.json").read_text())
    cameras = (result / "transforms.json").read_text()
    for photo in description["photos"]:
        cameras = cameras.replace(photo["image"], photo["image"] + "-gone")
        photo["image"] += "-gone"
    (result / "result.json").write_text(json.dumps(description))
    (result / "transforms.json").write_text(cameras)
    assert main([*coarse, "--triangles", "100"]) == 0
    assert page.read_text(encoding="utf-8") == told
    assert "report tells of the earlier mesh" in capsys.readouterr().err


def test_a_mesh_that_ends_half_way_is_none(result, monkeypatch):
    """Files of two meshes must not be taken for one: as long as they are replaced there is none."""
    coarse = ["mesh", str(result), "--texture-size", "0", "--resolution", "20"]
    assert main(coarse) == 0
    assert json.loads((result / "result.json").read_text())["mesh"] is not None

    def full(*arguments):
        raise Cancelled

    monkeypatch.setattr("solver.export.meshes.write_ply", full)
    assert main([*coarse, "--triangles", "100"]) == 130
    assert json.loads((result / "result.json").read_text())["mesh"] is None


def test_no_mesh_is_made_while_a_run_writes_to_the_folder(result, capsys):
    before = (result / "result.json").read_bytes()
    with only_run_in(result):
        assert main(["mesh", str(result), "--texture-size", "0", "--resolution", "20"]) == 1
    assert "another run" in capsys.readouterr().err
    assert (result / "result.json").read_bytes() == before


def test_a_closed_mesh_is_a_solid(result):
    assert main(["mesh", str(result), "--close-holes", "--texture-size", "0", "--resolution", "40"]) == 0
    assert trimesh.load_mesh(result / "mesh.ply").is_watertight


def test_evaluation_measures_the_mesh(result, tiny_capture, tmp_path):
    capture = Path(shutil.copytree(tiny_capture.folder, tmp_path / "capture"))
    assert evaluate(result, capture)["mesh_chamfer"] is None
    assert main(["mesh", str(result), "--texture-size", "0", "--resolution", "60"]) == 0
    plate = trimesh.creation.box((45, 45, 2))
    plate.apply_translation([0, 0, -1])
    raised = trimesh.creation.box((14, 14, 8))
    raised.apply_translation([0, 0, 2])
    trimesh.util.concatenate([plate, raised]).export(capture / "ground_truth" / "mesh.ply")
    numbers = evaluate(result, capture)
    assert 0 < numbers["mesh_chamfer"] < 2
    assert 0 < numbers["mesh_f_score"] < 1
    assert numbers["mesh_chamfer"] == pytest.approx((numbers["mesh_accuracy"] + numbers["mesh_completeness"]) / 2)


@pytest.mark.parametrize("wrong", [("--triangles", "1"), ("--texture-size", "-1"), ("--resolution", "1000000")])
def test_numbers_out_of_range_are_told(result, wrong, capsys):
    before = (result / "result.json").read_bytes()
    assert main(["mesh", str(result), *wrong]) == 1
    assert "choose a number from" in capsys.readouterr().err
    assert (result / "result.json").read_bytes() == before


def test_what_is_no_result_has_no_mesh(tmp_path, capsys):
    assert main(["mesh", str(tmp_path)]) == 1
    assert main(["mesh", str(tmp_path / "none")]) == 1
