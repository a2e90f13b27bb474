# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures as files: for people (PNG), for retouching (TIFF, 16 bits), for compositing (EXR, linear light)."""

from pathlib import Path

import numpy as np

from solver.errors import SolverError
from solver.export.images import write_png, write_tiff
from solver.files import written_aside
from solver.optics.colour import linear_to_srgb

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".exr")


def write_picture(path: Path, linear: np.ndarray) -> None:
    """Write an image in linear light, [H, W, 3], in the format that the suffix names.

    PNG (8 bits) and TIFF (16 bits) are sRGB, and clip what is brighter than white; EXR keeps it.

    Raises:
        SolverError: another suffix, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        write_png(path, linear)
    elif suffix in (".tif", ".tiff"):
        write_tiff(path, linear)
    elif suffix == ".exr":
        _write_exr(path, linear)
    else:
        raise SolverError(
            "a picture is written as .png, .tif or .exr", where=path, remedy="choose such a name for --output"
        )


def srgb_bytes(linear: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [H, W, 3] uint8
    """What PNG, GIF and MP4 show of linear light."""
    return (linear_to_srgb(np.clip(linear, 0, 1)) * 255 + 0.5).astype(np.uint8)


def _write_exr(path: Path, linear: np.ndarray) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {"RGB": np.ascontiguousarray(linear, dtype=np.float32)}
    try:
        with written_aside(path) as temporary:
            OpenEXR.File(header, channels).write(str(temporary))
    except RuntimeError:  # OpenEXR's word for a write that failed
        raise SolverError("the image cannot be written", where=path, remedy="check the space on the disk") from None
