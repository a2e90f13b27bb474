# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a result folder (docs/formats.md) into plain data, with every size checked before memory is taken.

Nothing here needs Blender. Lengths are in the scene unit of the result, cameras are camera-to-world with OpenGL axes
(which are Blender's own), pixels are measured from the top left corner of the image.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .errors import MacroError

SUMMARY = "result.json"
FORMAT_VERSION = 1
LONGEST_PLY_HEADER = 65536  # bytes
LARGEST_JSON = 256 * 1024 * 1024  # bytes
COVERAGE = ("smallest_coc_px", "sharp_photo_count")  # how sharply the photos saw a splat or a vertex
SH_DEGREE_0 = 0.28209479177387814  # the constant spherical harmonic, 1 / (2 sqrt(pi))
BROKEN = "run the reconstruction again, or choose another folder"

PLY_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "<i2",
    "int16": "<i2",
    "ushort": "<u2",
    "uint16": "<u2",
    "int": "<i4",
    "int32": "<i4",
    "uint": "<u4",
    "uint32": "<u4",
    "float": "<f4",
    "float32": "<f4",
    "double": "<f8",
    "float64": "<f8",
}


@dataclass(frozen=True)
class PhotoView:
    """One photo: its recovered pinhole camera, what is in focus, and its pictures."""

    name: str
    width: int  # px
    height: int  # px
    fx: float  # principal distance in pixel widths
    fy: float  # principal distance in pixel heights
    cx: float  # principal point, px from the left edge
    cy: float  # principal point, px from the top edge
    camera_to_world: np.ndarray  # [4, 4] float64, OpenGL axes
    focus_distance: float | None  # depth of the focus plane, scene unit
    pupil_diameter: float | None  # of the entrance pupil, scene unit
    f_number: float | None  # as the lens was set
    sensor_width_mm: float | None  # along the image's width
    sharp_path: Path | None  # the view all in focus
    photo_path: Path | None  # the photo, where it still exists


@dataclass(frozen=True)
class Splats:
    """3D Gaussians; colour is the part that does not depend on the direction of view."""

    means: np.ndarray  # [N, 3] float32, world, scene unit
    rgb: np.ndarray  # [N, 3] float32, linear light
    opacities: np.ndarray  # [N] float32, 0 to 1
    scales: np.ndarray  # [N, 3] float32, standard deviations, scene unit
    quaternions: np.ndarray  # [N, 4] float32, unit, w first
    coverage: dict[str, np.ndarray]  # [N] float32 each: those of COVERAGE that the file has


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with vertex colours, and a texture where the result has one."""

    vertices: np.ndarray  # [V, 3] float32, world, scene unit
    faces: np.ndarray  # [F, 3] int32
    colours: np.ndarray | None  # [V, 3] float32, sRGB, 0 to 1
    coverage: dict[str, np.ndarray]  # [V] float32 each: those of COVERAGE that the file has
    corner_coordinates: np.ndarray | None = None  # [F, 3, 2] float32: u to the right, v up from the lower edge
    texture_path: Path | None = None  # an image for them


@dataclass(frozen=True)
class Result:
    """Everything that Blender takes from a result folder."""

    folder: Path
    unit_mm: float | None  # length of the scene unit, where known
    photos: tuple[PhotoView, ...]
    splats: Splats | None
    surface: Surface | None
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's name, which names the collection."""
        return self.folder.name


def read_result(folder: str | Path) -> Result:
    """Read and check a whole result folder; the path of its `result.json` will do as well.

    Raises:
        MacroError: something is missing, damaged, or of another format version.
    """
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - resolve() would follow links and rename the result
    if folder.is_file():
        if folder.name.lower() != SUMMARY:
            raise MacroError(
                f"this is not the {SUMMARY} of a reconstruction", where=folder, remedy="choose that file, or its folder"
            )
        folder = folder.parent
    if not folder.is_dir():
        raise MacroError("the result folder does not exist", where=folder, remedy="choose another folder")
    summary_path = folder / SUMMARY
    if not summary_path.is_file():
        raise MacroError(
            f"there is no {SUMMARY}, so this is not a finished result",
            where=folder,
            remedy="choose a result folder, or run the reconstruction to its end",
        )
    summary = _read_json(summary_path)
    version = summary.get("format_version")
    if version is None:
        raise MacroError(
            "another program made this file: it has no format_version",
            where=summary_path,
            remedy="choose the result folder of a macro reconstruction",
        )
    if version != FORMAT_VERSION:
        raise MacroError(
            f"the result has format version {version!r}, and this extension reads version {FORMAT_VERSION}",
            where=summary_path,
            remedy="update the extension, or run the reconstruction again",
        )
    unit_mm = _number(summary, "unit_mm", summary_path, positive=True)
    splats_entry = _entry(summary, "splats", summary_path)
    mesh_entry = _entry(summary, "mesh", summary_path)
    warnings = summary.get("warnings") or []
    return Result(
        folder=folder,
        unit_mm=unit_mm,
        photos=_read_photos(folder, summary),
        splats=None if splats_entry is None else read_splats(folder / "splats.ply"),
        surface=None if mesh_entry is None else _read_mesh(folder, mesh_entry, summary_path),
        warnings=tuple(str(warning) for warning in warnings) if isinstance(warnings, list) else (),
    )


def read_splats(path: Path) -> Splats:
    """Read 3D Gaussians in the layout of the original 3DGS code.

    There colours are spherical harmonics in sRGB, scales logarithms, opacities logits, and quaternions w first.

    Raises:
        MacroError: the file is missing, truncated, or lacks one of the layout's properties.
    """
    vertex = _read_ply(path).get("vertex")
    if vertex is None:
        raise MacroError("the file has no vertices", where=path, remedy=BROKEN)

    def columns(*names: str) -> np.ndarray:
        lacking = [name for name in names if name not in (vertex.dtype.names or ())]
        if lacking:
            raise MacroError(f"the splats lack the property {lacking[0]}", where=path, remedy=BROKEN)
        return np.stack([vertex[name].astype(np.float32) for name in names], axis=1)

    means = columns("x", "y", "z")
    srgb = 0.5 + SH_DEGREE_0 * columns("f_dc_0", "f_dc_1", "f_dc_2")
    logits = columns("opacity")[:, 0]
    scales = np.exp(np.clip(columns("scale_0", "scale_1", "scale_2"), -80, 80))
    quaternions = columns("rot_0", "rot_1", "rot_2", "rot_3")
    lengths = np.linalg.norm(quaternions, axis=1, keepdims=True)
    quaternions = np.where(lengths > 0, quaternions / np.maximum(lengths, 1e-30), np.array([1, 0, 0, 0], np.float32))
    splats = Splats(
        means=means,
        rgb=linear_from_srgb(np.clip(srgb, 0, 1)),
        opacities=1 / (1 + np.exp(-np.clip(logits, -80, 80))),
        scales=scales,
        quaternions=quaternions.astype(np.float32),
        coverage=_coverage(vertex),
    )
    for values in (
        splats.means,
        splats.rgb,
        splats.opacities,
        splats.scales,
        splats.quaternions,
        *splats.coverage.values(),
    ):
        if not np.isfinite(values).all():
            raise MacroError("the splats contain numbers that are not finite", where=path, remedy=BROKEN)
    return splats


def _read_mesh(folder: Path, entry: dict[str, Any], summary_path: Path) -> Surface:
    """The result's mesh with its texture, which older results do not have."""
    surface = read_surface(folder / "mesh.ply")
    name = entry.get("texture")
    if name is None:
        return replace(surface, corner_coordinates=None)
    if not isinstance(name, str) or Path(name).name != name:
        raise MacroError("the texture's name is not the name of a file", where=summary_path, remedy=BROKEN)
    if not (folder / name).is_file():
        raise MacroError("the texture is missing from the result", where=folder / name, remedy=BROKEN)
    if surface.corner_coordinates is None:
        raise MacroError("the mesh has no place in its texture", where=folder / "mesh.ply", remedy=BROKEN)
    return replace(surface, texture_path=folder / name)


def read_surface(path: Path) -> Surface:
    """Read a triangle mesh in world coordinates, with its 8-bit sRGB vertex colours where it has them.

    Vertices that a texture's seams have split are one again: those of exactly equal position.

    Raises:
        MacroError: the file is missing, truncated, not made of triangles, or refers to vertices that it lacks.
    """
    elements = _read_ply(path)
    vertex, face = elements.get("vertex"), elements.get("face")
    if (
        vertex is None
        or face is None
        or not {"x", "y", "z"} <= set(vertex.dtype.names or ())
        or "indices" not in (face.dtype.names or ())
    ):
        raise MacroError("the file has no vertices or no faces", where=path, remedy=BROKEN)
    vertices = np.stack([vertex[axis].astype(np.float32) for axis in "xyz"], axis=1)
    faces = np.ascontiguousarray(face["indices"].astype(np.int32))
    coverage = _coverage(vertex)
    textured = {"s", "t"} <= set(vertex.dtype.names or ())
    coordinates = np.stack([vertex[n].astype(np.float32) for n in "st"], axis=1) if textured else np.zeros((0, 2))
    if not all(np.isfinite(values).all() for values in (vertices, coordinates, *coverage.values())):
        raise MacroError("the mesh contains numbers that are not finite", where=path, remedy=BROKEN)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise MacroError("the mesh's faces refer to vertices that it does not have", where=path, remedy=BROKEN)
    colours = None
    if {"red", "green", "blue"} <= set(vertex.dtype.names or ()):
        largest = np.iinfo(vertex["red"].dtype).max if vertex["red"].dtype.kind == "u" else 1
        colours = np.stack([vertex[name].astype(np.float32) / largest for name in ("red", "green", "blue")], axis=1)
    surface = Surface(vertices=vertices, faces=faces, colours=colours, coverage=coverage)
    return _merged(surface, coordinates) if textured else surface


def _merged(split: Surface, coordinates: np.ndarray) -> Surface:  # [V, 2]
    """The surface with one vertex for each position, and the coordinates of the split ones at its corners."""
    positions = np.ascontiguousarray(split.vertices + np.float32(0))  # of the two zeros, one is left
    keys = positions.view([("", positions.dtype)] * 3).ravel()
    _, first, merged = np.unique(keys, return_index=True, return_inverse=True)
    return Surface(
        vertices=split.vertices[first],
        faces=np.ascontiguousarray(merged.ravel()[split.faces].astype(np.int32)),
        colours=None if split.colours is None else split.colours[first],
        coverage={name: values[first] for name, values in split.coverage.items()},
        corner_coordinates=coordinates[split.faces],
    )


def _coverage(vertex: np.ndarray) -> dict[str, np.ndarray]:
    return {name: vertex[name].astype(np.float32) for name in COVERAGE if name in (vertex.dtype.names or ())}


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
    """Linear light from sRGB values between 0 and 1 (IEC 61966-2-1), any shape."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise MacroError("the file is too large to be what its name says", where=path, remedy=BROKEN)
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MacroError("the file is missing from the result", where=path, remedy=BROKEN) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MacroError(f"the file cannot be read ({error})", where=path, remedy=BROKEN) from None
    except (ValueError, RecursionError):  # ValueError: also numbers of thousands of digits
        raise MacroError("the file is not valid JSON", where=path, remedy=BROKEN) from None
    if not isinstance(content, dict):
        raise MacroError("the file does not hold a JSON object", where=path, remedy=BROKEN)
    return content


def _number(
    source: dict[str, Any], key: str, path: Path, *, required: bool = False, positive: bool = False
) -> float | None:
    value = source.get(key)
    if value is None and not required:
        return None
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise MacroError(f"{key} is not a number", where=path, remedy=BROKEN)
    if positive and number <= 0:
        raise MacroError(f"{key} is not positive", where=path, remedy=BROKEN)
    return number


def _entry(summary: dict[str, Any], key: str, path: Path) -> dict[str, Any] | None:
    value = summary.get(key)
    if value is not None and not isinstance(value, dict):
        raise MacroError(f"{key} is not a JSON object", where=path, remedy=BROKEN)
    return value


def _read_photos(folder: Path, summary: dict[str, Any]) -> tuple[PhotoView, ...]:
    path = folder / "transforms.json"
    transforms = _read_json(path)
    frames = transforms.get("frames")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise MacroError("the file has no list of frames", where=path, remedy=BROKEN)
    photos = summary.get("photos")
    named = {
        Path(str(photo["sharp"])).name: str(photo["name"])
        for photo in (photos if isinstance(photos, list) else [])
        if isinstance(photo, dict) and photo.get("sharp") and photo.get("name")
    }
    return tuple(_read_photo(folder, path, {**transforms, **frame}, named) for frame in frames)


def _read_photo(folder: Path, path: Path, frame: dict[str, Any], named: dict[str, str]) -> PhotoView:
    def needed(key: str, positive: bool = False) -> float:
        value = _number(frame, key, path, required=True, positive=positive)
        assert value is not None
        return value

    file_path = frame.get("file_path")
    if not isinstance(file_path, str) or not file_path:
        raise MacroError("a frame has no file_path", where=path, remedy=BROKEN)
    photo_path = folder / file_path
    sharp = frame.get("sharp_path")
    sharp_path = folder / sharp if isinstance(sharp, str) and sharp else None
    name = named.get(sharp_path.name if sharp_path else "", photo_path.stem)
    if sharp_path is not None and not sharp_path.is_file():
        raise MacroError("the sharp image is missing from the result", where=sharp_path, remedy=BROKEN)

    try:
        matrix = np.array(frame.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise MacroError(f"the transform_matrix of {name} is not 4 x 4 numbers", where=path, remedy=BROKEN)
    if np.abs(matrix[:3, :3].T @ matrix[:3, :3] - np.eye(3)).max() > 1e-3 or np.linalg.det(matrix[:3, :3]) < 0:
        raise MacroError(f"the transform_matrix of {name} is not a rotation", where=path, remedy=BROKEN)

    return PhotoView(
        name=name,
        width=math.ceil(needed("w", positive=True)),
        height=math.ceil(needed("h", positive=True)),
        fx=needed("fl_x", positive=True),
        fy=needed("fl_y" if frame.get("fl_y") is not None else "fl_x", positive=True),
        cx=needed("cx"),
        cy=needed("cy"),
        camera_to_world=matrix,
        focus_distance=_number(frame, "focus_distance", path, positive=True),
        pupil_diameter=_number(frame, "pupil_diameter", path, positive=True),
        f_number=_number(frame, "f_number", path, positive=True),
        sensor_width_mm=_number(frame, "sensor_width_mm", path, positive=True),
        sharp_path=sharp_path,
        photo_path=photo_path if photo_path.is_file() else None,
    )


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    dtype: np.dtype


def _read_ply(path: Path) -> dict[str, np.ndarray]:
    """All elements of a binary little-endian PLY as structured arrays; a face's list of three is `indices`."""
    try:
        with path.open("rb") as file:
            elements = _read_ply_header(path, file.read(LONGEST_PLY_HEADER))
            size = path.stat().st_size
            header_size = elements[0]
            claimed = sum(element.count * element.dtype.itemsize for element in elements[1])
            if header_size + claimed > size:
                raise MacroError(
                    f"the file is cut short ({size} of {header_size + claimed} bytes)", where=path, remedy=BROKEN
                )
            file.seek(header_size)
            arrays = {
                element.name: np.frombuffer(
                    file.read(element.count * element.dtype.itemsize), dtype=element.dtype, count=element.count
                )
                for element in elements[1]
            }
    except FileNotFoundError:
        raise MacroError("the file is missing from the result", where=path, remedy=BROKEN) from None
    except OSError as error:
        raise MacroError(f"the file cannot be read ({error})", where=path, remedy=BROKEN) from None
    for array in arrays.values():
        if "indices" in (array.dtype.names or ()) and (array["corners"] != 3).any():
            raise MacroError("the mesh has faces that are not triangles", where=path, remedy=BROKEN)
    return arrays


def _read_ply_header(path: Path, start: bytes) -> tuple[int, list[_Element]]:
    """The header's length in bytes and what it announces."""
    end = start.find(b"end_header\n")
    lines = start[:end].decode("ascii", errors="replace").split("\n") if end >= 0 else []
    if not lines or lines[0].strip() != "ply":
        raise MacroError("the file is not a PLY file", where=path, remedy=BROKEN)
    if [line.split() for line in lines[1:2]] != [["format", "binary_little_endian", "1.0"]]:
        raise MacroError("the PLY file is not binary little-endian", where=path, remedy=BROKEN)
    elements: list[tuple[str, int, list[tuple[Any, ...]]]] = []
    for line in lines[2:]:
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["element", name, count] if count.isdecimal() and len(count) < 19:
                elements.append((name, int(count), []))
            case ["property", "list", counter, kind, _] if elements and {counter, kind} <= PLY_TYPES.keys():
                elements[-1][2].extend([("corners", PLY_TYPES[counter]), ("indices", PLY_TYPES[kind], (3,))])
            case ["property", kind, name] if elements and kind in PLY_TYPES:
                elements[-1][2].append((name, PLY_TYPES[kind]))
            case _:
                raise MacroError(f"the PLY header has a line that is not understood: {line[:60]}", where=path)
    try:
        described = [_Element(name, count, np.dtype(fields)) for name, count, fields in elements]
    except ValueError:
        raise MacroError("the PLY header names a property twice", where=path, remedy=BROKEN) from None
    return end + len(b"end_header\n"), described
