# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sheet of meshes says that meshes lose: a plate with a thin bar, of which the mesh lacks the bar."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image

pytest.importorskip("bpy")  # for mathutils

from benchmarks.mesh_sheet import Kept, Row, kept, mesh_window, sheet, table
from solver.export.images import write_exr

WIDTH, HEIGHT, FOCAL_PX, DEPTH = 60, 40, 80.0, 16.0
CENTRE = (28.0, 21.0)  # of the picture, px: not in its middle
PLATE, BAR = (10, 12, 30, 32), (30, 20, 55, 22)  # left, top, right, bottom, px


def box(corners: tuple[int, int, int, int], camera_to_world: np.ndarray) -> trimesh.Trimesh:
    """A flat rectangle at `DEPTH`, of the pixels between the corners, in world coordinates."""
    left, top, right, bottom = corners
    pixels = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    flat = (pixels - CENTRE) / FOCAL_PX * DEPTH
    places = np.column_stack([flat, np.full(4, DEPTH)]) @ camera_to_world[:3, :3].T + camera_to_world[:3, 3]
    return trimesh.Trimesh(places, [(0, 1, 2), (0, 2, 3)], process=False)


@pytest.fixture
def capture_and_result(tmp_path):
    angle = np.radians(30)
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    camera_to_world[:3, 3] = (1, 2, 3)
    truth, result = tmp_path / "capture" / "ground_truth", tmp_path / "result"
    for folder in (truth / "sharp", truth / "mask", result / "depth"):
        folder.mkdir(parents=True)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for left, top, right, bottom in (PLATE, BAR):
        mask[top:bottom, left:right] = 255
    Image.fromarray(mask).save(truth / "mask" / "view_000.png")
    Image.new("RGB", (WIDTH, HEIGHT)).save(truth / "sharp" / "view_000.png")
    depth = np.where(mask > 0, DEPTH, 0).astype(np.float32)
    (truth / "depth").mkdir()
    write_exr(truth / "depth" / "view_000.exr", "Z", depth)
    (result / "depth" / "view_000.exr").write_bytes((truth / "depth" / "view_000.exr").read_bytes())
    opengl = camera_to_world @ np.diag([1, -1, -1, 1])
    frame = {"file_path": "sharp/view_000.png", "transform_matrix": opengl.tolist()}
    lens = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL_PX, "fl_y": FOCAL_PX, "cx": CENTRE[0], "cy": CENTRE[1]}
    (truth / "transforms.json").write_text(json.dumps({**lens, "unit_mm": 1.0, "frames": [frame]}), encoding="utf-8")
    plate, bar = box(PLATE, camera_to_world), box(BAR, camera_to_world)
    (plate + bar).export(truth / "mesh.ply")
    plate.export(result / "mesh.ply")
    return tmp_path / "capture", result


def test_a_mesh_without_the_thin_part_is_told(capture_and_result):
    capture, result = capture_and_result
    plate, bar = ((right - left) * (bottom - top) for left, top, right, bottom in (PLATE, BAR))
    found = kept(result, capture)
    assert found.splats == found.thin_splats == 1.0
    assert found.thin_mesh == 0.0
    assert found.mesh == pytest.approx(plate / (plate + bar))


def test_a_whole_mesh_has_everything(capture_and_result):
    capture, result = capture_and_result
    (result / "mesh.ply").write_bytes((capture / "ground_truth" / "mesh.ply").read_bytes())
    assert kept(result, capture) == Kept(1.0, 1.0, 1.0, 1.0)


def test_nothing_is_said_without_truth(capture_and_result, tmp_path):
    _, result = capture_and_result
    assert kept(result, tmp_path) == Kept()


def test_portrait_and_landscape_share_a_sheet():
    row = Row("axe", "a", 1000, 1024, 1.5, 2000, 0.5, Kept())
    strips = [(row, [Image.new("RGB", size, "red")] * 4) for size in ((90, 60), (60, 90))]
    picture = np.asarray(sheet(strips))
    red = (picture == (255, 0, 0)).all(-1)
    assert red.sum() == pytest.approx(4 * 384 * (256 + 576), rel=0.01)
    assert "| axe | 1,000 | 1024 | 1.5 | 2,000 | 0.5 | - | - | - | - |" in table([row])


@pytest.mark.parametrize("left, top, right, bottom", [(10, 5, 30, 15), (0, 0, 60, 40), (50, 0, 60, 12), (0, 39, 1, 40)])
def test_the_window_holds_the_mesh_and_has_the_shape_of_the_picture(left, top, right, bottom):
    covered = np.zeros((40, 60), bool)
    covered[top:bottom, left:right] = True
    x0, y0, x1, y1 = mesh_window(covered)
    assert 0 <= x0 <= left / 60 and right / 60 <= x1 + 1e-9 <= 1 + 1e-8
    assert 0 <= y0 <= top / 40 and bottom / 40 <= y1 + 1e-9 <= 1 + 1e-8
    assert x1 - x0 == pytest.approx(y1 - y0)
    assert x1 - x0 <= 1.12 * max((right - left) / 60, (bottom - top) / 40) + 1e-9


def test_a_mesh_out_of_sight_leaves_the_picture_whole():
    assert mesh_window(np.zeros((40, 60), bool)) == (0, 0, 1, 1)
