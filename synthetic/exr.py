# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenEXR files of one float32 channel: uncompressed, in scan lines, the same bytes for the same pixels.

Blender's Python has no OpenEXR package, and its own writer differs between versions. The layout is that of
"OpenEXR File Layout" (openexr.com).
"""

import struct
from pathlib import Path

import numpy as np

from .errors import GeneratorError
from .files import written_aside

_MAGIC = struct.pack("<II", 20000630, 2)
_MAX_SIDE = 65536  # px; a header that says more is damaged


def write_channel(path: Path, pixels: np.ndarray, channel: str) -> None:
    """Write `pixels` [H, W] as the only channel of an EXR file, atomically."""
    height, width = pixels.shape
    header = _header(width, height, channel)
    lines = np.zeros(height, _line_type(width))
    lines["y"] = np.arange(height)
    lines["size"] = 4 * width
    lines["pixels"] = pixels
    first = len(header) + 8 * height
    offsets = first + np.arange(height, dtype="<u8") * lines.itemsize
    with written_aside(path) as temporary:
        temporary.write_bytes(header + offsets.tobytes() + lines.tobytes())


def read_channel(path: Path, channel: str) -> np.ndarray:
    """Read back [H, W] float32 from a file of `write_channel`.

    Raises:
        GeneratorError: the file is not one of ours, or is damaged.
    """
    content = path.read_bytes()
    window = content.find(b"dataWindow\0box2i\0")
    if content.startswith(_MAGIC) and window >= 0 and len(content) >= window + 37:
        width, height = (side + 1 for side in struct.unpack_from("<ii", content, window + 17 + 4 + 8))
        if 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE:
            header = _header(width, height, channel)
            body = len(header) + 8 * height
            line_type = _line_type(width)
            if content.startswith(header) and len(content) == body + height * line_type.itemsize:
                return np.frombuffer(content, line_type, height, body)["pixels"].astype(np.float32)
    raise GeneratorError("the EXR file is damaged", where=path, remedy="delete it and run again with --resume")


def _line_type(width: int) -> np.dtype:
    return np.dtype([("y", "<i4"), ("size", "<i4"), ("pixels", "<f4", (width,))])


def _header(width: int, height: int, channel: str) -> bytes:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    channels = channel.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) + b"\0"  # 2: float32
    attributes = [
        ("channels", "chlist", channels),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ]
    packed = (
        name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
        for name, kind, value in attributes
    )
    return _MAGIC + b"".join(packed) + b"\0"
