# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh as GLB, for any 3D program, and as PLY in the reconstruction's own coordinates, with its texture."""

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from solver.files import written_aside
from solver.fusion.normals import vertex_normals
from solver.fusion.volume import Mesh
from solver.optics.colour import linear_to_srgb
from solver.surface.texture import Texture, split_at_seams

TEXTURE = "texture.png"

_Z_UP_TO_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=np.float64)
_JPEG_QUALITY = 95  # of the texture inside a GLB
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_INT = 5126, 5123, 5125  # glTF's numbers for what an accessor holds
_VERTICES, _INDICES = 34962, 34963  # and for what a part of the buffer is for
_LINEAR, _LINEAR_MIPMAP_LINEAR, _CLAMP_TO_EDGE = 9729, 9987, 33071


def write_glb(path: Path, mesh: Mesh, unit_mm: float | None, texture: Texture | None = None) -> None:
    """Write glTF 2.0: Y up, metres (one scene unit is a metre where its length is unknown), on a matt material.

    The texture is a JPEG, as every viewer takes it. Without one, vertices have colours in linear light, of 16 bits,
    since 8 would show steps in the dark.
    """
    metres = 1.0 if unit_mm is None else unit_mm / 1000
    places = metres * mesh.vertices @ _Z_UP_TO_Y_UP.T
    normals = vertex_normals(mesh.vertices, mesh.faces) @ _Z_UP_TO_Y_UP.T
    material: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    glb = _Glb()
    if texture is None:
        faces = mesh.faces
        attributes = {
            "POSITION": glb.add(places),
            "NORMAL": glb.add(normals),
            "COLOR_0": glb.add(_opaque(mesh.colours, np.uint16)),
        }
    else:
        split = split_at_seams(mesh, texture)
        faces = split.faces
        attributes = {
            "POSITION": glb.add(places[split.sources]),
            "NORMAL": glb.add(normals[split.sources]),
            "TEXCOORD_0": glb.add(split.coordinates),
        }
        material["baseColorTexture"] = {"index": glb.add_texture(texture)}
    glb.tree["materials"] = [{"pbrMetallicRoughness": material, "doubleSided": True}]
    glb.tree["meshes"] = [{"primitives": [{"attributes": attributes, "indices": glb.add(faces), "material": 0}]}]
    glb.write(path)


class _Glb:
    """A glTF file in the making."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "Macro Reconstruction"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "mesh"}],
            "accessors": [],
            "bufferViews": [],
        }
        self._parts: list[bytes] = []
        self._length = 0  # bytes

    def add(self, values: np.ndarray) -> int:
        """Add an accessor: of vertices [V, 2 to 4], or of faces [F, 3] whole numbers of 64 bits."""
        if values.dtype == np.int64:
            rows, kind, target = values.reshape(-1, 1).astype("<u4"), _UNSIGNED_INT, _INDICES
        elif values.dtype == np.uint16:
            rows, kind, target = values.astype("<u2"), _UNSIGNED_SHORT, _VERTICES
        else:
            rows, kind, target = values.astype("<f4"), _FLOAT, _VERTICES
        accessor = {
            "bufferView": self._add_view(rows.tobytes(), target=target),
            "componentType": kind,
            "count": len(rows),
            "type": ("SCALAR", "VEC2", "VEC3", "VEC4")[rows.shape[1] - 1],
        }
        if kind == _UNSIGNED_SHORT:
            accessor["normalized"] = True
        else:
            accessor |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        self.tree["accessors"].append(accessor)
        return len(self.tree["accessors"]) - 1

    def add_texture(self, texture: Texture) -> int:
        """Add the image, smooth from near and from afar."""
        stream = io.BytesIO()
        Image.fromarray(_srgb(texture.image)).save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        self.tree["images"] = [{"bufferView": self._add_view(stream.getvalue()), "mimeType": "image/jpeg"}]
        self.tree["samplers"] = [
            {
                "magFilter": _LINEAR,
                "minFilter": _LINEAR_MIPMAP_LINEAR,
                "wrapS": _CLAMP_TO_EDGE,
                "wrapT": _CLAMP_TO_EDGE,
            }
        ]
        self.tree["textures"] = [{"source": 0, "sampler": 0}]
        return 0

    def _add_view(self, content: bytes, **more: int) -> int:
        view = {"buffer": 0, "byteOffset": self._length, "byteLength": len(content), **more}
        self.tree["bufferViews"].append(view)
        padded = content + b"\0" * (-len(content) % 4)
        self._parts.append(padded)
        self._length += len(padded)
        return len(self.tree["bufferViews"]) - 1

    def write(self, path: Path) -> None:
        text = json.dumps({**self.tree, "buffers": [{"byteLength": self._length}]}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        with written_aside(path) as temporary, temporary.open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + self._length))
            file.write(struct.pack("<I4s", len(text), b"JSON") + text)
            file.write(struct.pack("<I4s", self._length, b"BIN\0"))
            file.writelines(self._parts)


def write_ply(
    path: Path,
    mesh: Mesh,
    attributes: Mapping[str, np.ndarray] | None = None,  # [V] each
    texture: Texture | None = None,
) -> None:
    """Write a binary PLY: world coordinates in the scene unit, sRGB vertex colours, `attributes` as floats.

    With a texture, vertices are split at its seams and have their place in it as `s` and `t`, counted from the lower
    left corner of the image, whose name is in a comment.
    """
    faces, sources = mesh.faces, np.arange(len(mesh.vertices))
    columns: dict[str, np.ndarray] = {}
    if texture is not None:
        split = split_at_seams(mesh, texture)
        faces, sources = split.faces, split.sources
        columns = {"s": split.coordinates[:, 0], "t": 1 - split.coordinates[:, 1]}
    columns |= {name: values[sources] for name, values in (attributes or {}).items()}
    colours = ("red", "green", "blue", "alpha")
    described = [*((axis, "<f4") for axis in "xyz"), *((name, "u1") for name in colours)]
    rows = np.empty(len(sources), [*described, *((name, "<f4") for name in columns)])
    for index, axis in enumerate("xyz"):
        rows[axis] = mesh.vertices[sources, index]
    for name, values in zip(colours, _opaque(linear_to_srgb(mesh.colours), np.uint8).T, strict=True):
        rows[name] = values[sources]
    for name, values in columns.items():
        rows[name] = values
    triangles = np.empty(len(faces), [("corners", "u1"), ("indices", "<i4", 3)])
    triangles["corners"], triangles["indices"] = 3, faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *([] if texture is None else [f"comment TextureFile {TEXTURE}"]),
        f"element vertex {len(rows)}",
        *(f"property {'uchar' if name in colours else 'float'} {name}" for name in rows.dtype.names or ()),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    with written_aside(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(rows.tobytes())
        file.write(triangles.tobytes())


def write_mesh(
    folder: Path,
    mesh: Mesh,
    unit_mm: float | None,
    attributes: Mapping[str, np.ndarray] | None = None,  # [V] each
    texture: Texture | None = None,
) -> None:
    """Write everything of a mesh that a result has."""
    if texture is None:
        (folder / TEXTURE).unlink(missing_ok=True)
    else:
        with written_aside(folder / TEXTURE) as temporary:
            Image.fromarray(_srgb(texture.image)).save(temporary)
    write_glb(folder / "mesh.glb", mesh, unit_mm, texture)
    write_ply(folder / "mesh.ply", mesh, {**mesh.attributes, **(attributes or {})}, texture)


def remove_mesh(folder: Path) -> None:
    """Remove what an earlier run left of a mesh, where the result has none."""
    for name in ("mesh.glb", "mesh.ply", TEXTURE):
        (folder / name).unlink(missing_ok=True)


def mesh_entry(mesh: Mesh, texture: Texture | None) -> dict[str, Any]:
    """What `result.json` says of a mesh."""
    return {
        "file": "mesh.glb",
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "texture": None if texture is None else TEXTURE,
        "texture_size": None if texture is None else texture.size,
    }


def _srgb(linear: np.ndarray) -> np.ndarray:  # [S, S, 3] -> [S, S, 3] uint8
    """A few rows at a time: as floating point, a large texture's values would take gigabytes."""
    encoded = np.empty(linear.shape, np.uint8)
    for start in range(0, len(linear), 256):
        part = linear[start : start + 256]
        encoded[start : start + 256] = linear_to_srgb(part.clip(0, 1)) * 255 + 0.5
    return encoded


def _opaque(colours: np.ndarray, kind: type[np.unsignedinteger]) -> np.ndarray:  # [V, 3], 0 to 1 -> [V, 4]
    """Colours as whole numbers, with full alpha."""
    rgba = np.concatenate([colours, np.ones((len(colours), 1))], axis=1)
    return (rgba.clip(0, 1) * np.iinfo(kind).max + 0.5).astype(kind)
