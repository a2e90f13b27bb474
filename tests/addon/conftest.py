# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender in this process, with its user folders in a temporary one, and a small result made by hand."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Read once, when bpy is imported; without it the tests would install into the user's own Blender.
if "bpy" not in sys.modules:
    _resources = tempfile.TemporaryDirectory(prefix="macro-blender-")
    os.environ["BLENDER_USER_RESOURCES"] = _resources.name

UNIT_MM = 2.0
SH_DEGREE_0 = 0.28209479177387814
CAMERAS = (  # width, height, fx, fy, cx, cy
    (96, 64, 210.0, 210.0, 48.0, 32.0),
    (96, 64, 201.5, 201.5, 43.2, 36.9),
    (64, 96, 190.0, 190.0, 36.4, 41.7),
    (64, 96, 180.0, 187.0, 30.0, 50.0),
    (96, 64, 230.0, 222.0, 50.0, 30.0),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what uses Blender, and what starts the real solver, by the fixtures that are asked for."""
    for item in items:
        for fixture, mark in (("bpy", "blender"), ("solver_python", "solver")):
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def bpy():
    """Blender as a module; skips where it is not installed."""
    return pytest.importorskip("bpy", reason="the bpy wheel is not installed")


@pytest.fixture(scope="session")
def solver_python():
    """The interpreter of the real solver, whose packages Blender's own need not have."""
    return os.environ.get("SOLVER_PYTHON") or sys.executable


@pytest.fixture
def blender(bpy):
    """Blender with an empty file and factory settings."""
    bpy.ops.wm.read_factory_settings(use_empty=False)
    return bpy


@pytest.fixture
def result_folder(tmp_path):
    """A result as docs/formats.md has it: five photos, 40 splats, a tetrahedron."""
    return write_result(tmp_path / "beetle")


@pytest.fixture(scope="session")
def make_result():
    """`write_result`, for tests that want several."""
    return write_result


def write_png(path, width, height, value):
    """A plain grey PNG."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    rows = (b"\0" + bytes([value]) * (3 * width)) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def looking_at(eye, target):
    """Camera-to-world with OpenGL axes."""
    backward = np.subtract(eye, target) / np.linalg.norm(np.subtract(eye, target))
    right = np.cross([0, 0, 1], backward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
    matrix[:3, 3] = eye
    return matrix


def write_ply(path, elements):
    """Binary little-endian PLY of `(name, structured array, property lines)`."""
    lines = ["ply", "format binary_little_endian 1.0"]
    for name, rows, properties in elements:
        lines += [f"element {name} {len(rows)}", *(f"property {line}" for line in properties)]
    header = "\n".join([*lines, "end_header\n"]).encode()
    path.write_bytes(header + b"".join(rows.tobytes() for _, rows, _ in elements))


def write_splats(path, count, rng):
    """Splats in the 3DGS layout inside a box of 4 x 4 x 2 units."""
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    names += ["smallest_coc_px", "sharp_photo_count", "of_a_later_version"]
    rows = np.zeros(count, dtype=[(name, "<f4") for name in names])
    for index, axis in enumerate("xyz"):
        rows[axis] = rng.uniform((-2, -2, 0)[index], 2, count)
    for index in range(3):
        rows[f"f_dc_{index}"] = (rng.uniform(0.1, 0.9, count) - 0.5) / SH_DEGREE_0
        rows[f"scale_{index}"] = np.log(rng.uniform(0.02, 0.2, count))
    rows["opacity"] = rng.normal(1, 1, count)
    for index in range(4):
        rows[f"rot_{index}"] = rng.normal(0, 1, count)
    rows["smallest_coc_px"], rows["sharp_photo_count"] = rng.uniform(0, 9, count), rng.integers(0, 5, count)
    write_ply(path, [("vertex", rows, [f"float {name}" for name in names])])


def write_mesh(path):
    """A tetrahedron of 3 units height, standing on its base, with a red top."""
    vertices = np.zeros(4, dtype=[(a, "<f4") for a in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")])
    vertices = np.zeros(4, dtype=[*vertices.dtype.descr, ("smallest_coc_px", "<f4"), ("sharp_photo_count", "<f4")])
    for index, place in enumerate([(-2, -1, 0), (2, -1, 0), (0, 2, 0), (0, 0, 3)]):
        vertices[index] = (*place, *((255, 0, 0) if index == 3 else (188, 188, 188)), index / 2, index)
    faces = np.zeros(4, dtype=[("corners", "u1"), ("indices", "<i4", 3)])
    faces["corners"] = 3
    faces["indices"] = [(0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)]
    properties = ["float x", "float y", "float z", "uchar red", "uchar green", "uchar blue"]
    properties += ["float smallest_coc_px", "float sharp_photo_count"]
    write_ply(path, [("vertex", vertices, properties), ("face", faces, ["list uchar int vertex_indices"])])


def write_result(folder, *, splats=40, mesh=True, unit_mm=UNIT_MM, cameras=CAMERAS):
    """Fabricate a result folder; camera 0 has neither a pupil nor a focus distance, as plain splatting leaves it."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    frames, photos = [], []
    for index, (width, height, fx, fy, cx, cy) in enumerate(cameras):
        angle = 2 * np.pi * index / len(cameras)
        eye = (60 * np.cos(angle), 60 * np.sin(angle), 25 + 3 * index)
        name = f"photo_{index:02d}"
        write_png(folder / "sharp" / f"{name}.png", width, height, 60 + 30 * index)
        write_png(folder.parent / "capture" / f"{name}.png", width, height, 200)
        blur = {"focus_distance": 55.0 + index, "pupil_diameter": 7.5} if index else {}
        frames.append(
            {
                "file_path": str(folder.parent / "capture" / f"{name}.png"),
                "sharp_path": f"sharp/{name}.png",
                "transform_matrix": looking_at(eye, (0, 0, 1)).tolist(),
                "w": width,
                "h": height,
                "fl_x": fx,
                "fl_y": fy,
                "cx": cx,
                "cy": cy,
                "f_number": 5.6,
                **blur,
            }
        )
        photos.append({"name": name, "image": frames[-1]["file_path"], "sharp": f"sharp/{name}.png", **blur})
    write_splats(folder / "splats.ply", splats, rng)
    if mesh:
        write_mesh(folder / "mesh.ply")
    summary = {
        "format_version": 1,
        "unit_mm": unit_mm,
        "photos": photos,
        "splats": {"file": "splats.ply", "count": splats},
        "mesh": {"file": "mesh.ply", "vertices": 4, "faces": 4} if mesh else None,
        "warnings": ["All photos focus on nearly the same distance."],
    }
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))
    (folder / "result.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory):
    """The extension, built as `make extension` builds it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, ROOT / "scripts" / "build_extension.py", "--output", folder], check=True, timeout=60
    )
    (built,) = folder.glob("*.zip")
    return built


@pytest.fixture
def extension(blender, extension_zip):
    """Blender with the extension installed from its zip and enabled, as a user would; gives its package's name."""
    package = "bl_ext.user_default.macro_reconstruction"
    blender.ops.extensions.package_install_files(
        filepath=str(extension_zip), repo="user_default", enable_on_install=True
    )
    assert package in blender.context.preferences.addons
    yield package
    blender.ops.preferences.addon_disable(module=package)
