# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as GLB with the extension KHR_gaussian_splatting, ratified by Khronos.

Programs that do not know it show coloured points. Scales are linear, opacities from 0 to 1, colours blended in sRGB.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from solver.export.splats import Splats
from solver.files import written_aside
from solver.optics.colour import srgb_to_linear

_EXTENSION = "KHR_gaussian_splatting"
_FLOAT, _UNSIGNED_SHORT = 5126, 5123
_POINTS = 0
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}


def write_splat_glb(path: Path, splats: Splats) -> None:
    """Write splats that are Y up, in metres."""
    attributes = _attributes(splats)
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    offset = 0
    for values in attributes.values():
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": 34962})
        accessors.append(_accessor(len(views) - 1, values))
        offset += values.nbytes
    low, high = splats.means.min(axis=0, initial=np.inf), splats.means.max(axis=0, initial=-np.inf)
    accessors[0] |= {"min": low.tolist(), "max": high.tolist()}
    primitive = {
        "attributes": {name: i for i, name in enumerate(attributes)},
        "mode": _POINTS,
        "extensions": {_EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }
    tree = {
        "asset": {"version": "2.0", "generator": "Macro Reconstruction"},
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "splats"}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    with written_aside(path) as temporary, temporary.open("wb") as file:
        text = json.dumps(tree, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + offset))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        file.write(struct.pack("<I4s", offset, b"BIN\0"))
        for values in attributes.values():
            file.write(values.tobytes())


def _attributes(splats: Splats) -> dict[str, np.ndarray]:
    """The vertex attributes, [N, 1 to 4] each, whose rows are whole words of 4 bytes."""
    fallback = np.concatenate([srgb_to_linear(splats.base_colours), splats.opacities[:, None]], axis=1)
    quaternions = np.roll(splats.quaternions.astype(np.float64), -1, axis=1)  # glTF has w last
    floats = {
        "POSITION": splats.means,
        f"{_EXTENSION}:ROTATION": quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True),
        f"{_EXTENSION}:SCALE": splats.scales,
        f"{_EXTENSION}:OPACITY": splats.opacities[:, None],
        **{
            f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_{i}": splats.coefficients[:, degree**2 + i]
            for degree in range(splats.degree + 1)
            for i in range(2 * degree + 1)
        },
    }
    colours = {"COLOR_0": np.rint(fallback.clip(0, 1) * 65535).astype("<u2")}
    return {name: np.ascontiguousarray(values, "<f4") for name, values in floats.items()} | colours


def _accessor(view: int, values: np.ndarray) -> dict[str, Any]:
    whole = values.dtype == np.dtype("<u2")
    accessor = {
        "bufferView": view,
        "componentType": _UNSIGNED_SHORT if whole else _FLOAT,
        "count": len(values),
        "type": _KINDS[values.shape[1]],
    }
    return accessor | ({"normalized": True} if whole else {})
