# SPDX-License-Identifier: GPL-3.0-or-later
"""PLY files whose headers promise more than there is: refused before memory or time is spent on the promise."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement, PlyParseError

from solver.capture.points import read_points
from solver.errors import SolverError
from solver.export.splats import read_splat_file
from solver.export.surface_file import read_surface
from solver.ply import read_ply

HUGE = 10**9  # rows; of objects, as lists are kept, 8 GB
XYZ = "property float x\nproperty float y\nproperty float z\n"
LIST = "property list uchar int vertex_indices\n"


def written(path, *elements, kind="ascii", rows=b""):
    lines = "".join(f"element {name} {count}\n{properties}" for name, count, properties in elements)
    path.write_bytes(f"ply\nformat {kind} 1.0\n{lines}end_header\n".encode() + rows)
    return path


@pytest.fixture
def little_memory():
    """Lets no more than a gigabyte be taken beside what is; only Linux can."""
    usage = Path("/proc/self/statm")
    if not usage.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(usage.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


PROMISES = {
    "numbers in text": ((("vertex", HUGE, XYZ),), "ascii", b"0 0 0\n"),
    "lists in text": ((("vertex", 1, XYZ), ("face", HUGE, LIST)), "ascii", b"0 0 0\n3 0 0 0\n"),
    "rows of nothing in text": ((("vertex", HUGE, ""),), "ascii", b"\n"),
    "numbers": ((("vertex", HUGE, XYZ),), "binary_little_endian", b"\0" * 12),
    "lists": ((("vertex", 1, XYZ), ("face", HUGE, LIST)), "binary_little_endian", b"\0" * 20),
    "lists of another name": (
        (("vertex", 1, XYZ), ("face", HUGE, LIST.replace("indices", "index"))),
        "binary_big_endian",
        b"\0" * 20,
    ),
    "rows of nothing": ((("vertex", HUGE, ""),), "binary_little_endian", b""),
    "fewer than none": ((("vertex", -1, XYZ), ("face", 5, LIST)), "ascii", b""),
    "each fits, but not all": ((("vertex", 2, XYZ), ("face", 2, LIST)), "ascii", b"0 0 0\n0 0 0\n"),
}


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("read", [read_points, read_splat_file, read_surface])
def test_a_promise_that_the_file_cannot_hold_is_one_sentence(tmp_path, little_memory, promise, read):
    elements, kind, rows = PROMISES[promise]
    path = written(tmp_path / "promise.ply", *elements, kind=kind, rows=rows)
    with pytest.raises(SolverError) as caught:
        read(path)
    sentence = str(caught.value)
    assert str(path) in sentence and "its header promises" in sentence and "\n" not in sentence


@given(st.data(), st.integers(0, 5), st.integers(0, 4))
def test_what_a_file_holds_is_read(tmp_path_factory, data, vertices, faces):
    """In text and in bytes, with the shortest numbers, with empty lists, and without an end of the last line."""
    path = tmp_path_factory.mktemp("ply") / "a.ply"
    table = np.zeros(vertices, dtype=[("x", "f4"), ("red", "u1")])
    table["x"] = data.draw(st.lists(st.integers(0, 9), min_size=vertices, max_size=vertices))
    lists = np.empty(faces, dtype=[("vertex_indices", "O"), ("flag", "u1")])
    lists["flag"] = 1
    for row in range(faces):
        lists["vertex_indices"][row] = np.array(data.draw(st.lists(st.integers(0, 9), max_size=3)), "i4")
    elements = [
        PlyElement.describe(table, "vertex"),
        PlyElement.describe(lists, "face", len_types={"vertex_indices": "u1"}, val_types={"vertex_indices": "i4"}),
    ]
    text = data.draw(st.booleans())
    PlyData(elements, text=text).write(str(path))
    if text:
        path.write_bytes(path.read_bytes().rstrip(b"\n") + (b"\n" if vertices + faces == 0 else b""))
    found = read_ply(path)
    assert np.array_equal(found["vertex"].data["x"], table["x"])
    for ours, theirs in zip(found["face"].data["vertex_indices"], lists["vertex_indices"], strict=True):
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
def test_one_row_too_many_is_refused_and_the_last_that_fits_is_not(tmp_path, kind):
    rows = b"0 0 0\n" * 3 if kind == "ascii" else b"\0" * 36
    assert len(read_ply(written(tmp_path / "a.ply", ("vertex", 3, XYZ), kind=kind, rows=rows))["vertex"]) == 3
    with pytest.raises(ValueError, match=r"promises 4 rows of vertex, and the file has room for 3"):
        read_ply(written(tmp_path / "b.ply", ("vertex", 4, XYZ), kind=kind, rows=rows))


def test_a_list_that_promises_too_much_is_refused(tmp_path, little_memory):
    rows = struct.pack("<I", 2**32 - 1) + b"\0" * 8
    element = ("face", 1, "property list uint double vertex_indices\n")
    with pytest.raises(PlyParseError):
        read_ply(written(tmp_path / "a.ply", element, kind="binary_little_endian", rows=rows))
    with pytest.raises(PlyParseError):
        read_ply(written(tmp_path / "b.ply", element, rows=b"4294967295 0 0\n"))


def test_colours_that_are_lists_are_one_sentence(tmp_path):
    colours = "".join(f"property list uchar uchar {name}\n" for name in ("red", "green", "blue"))
    path = written(tmp_path / "a.ply", ("vertex", 1, XYZ + colours), rows=b"0 0 0 2 1 1 2 1 1 2 1 1\n")
    with pytest.raises(SolverError, match="the point cloud cannot be read"):
        read_points(path)
