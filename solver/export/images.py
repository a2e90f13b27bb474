# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for people (PNG, sRGB) and float maps for programs (EXR)."""

from pathlib import Path

import numpy as np
from PIL import Image

from solver.errors import SolverError
from solver.files import written_aside
from solver.optics.colour import linear_to_srgb


def write_png(path: Path, linear: np.ndarray) -> None:
    """Write an image in linear light, [H, W, 3], as an 8-bit sRGB PNG."""
    pixels = (linear_to_srgb(np.clip(linear, 0, 1)) * 255 + 0.5).astype(np.uint8)
    with written_aside(path) as temporary:
        Image.fromarray(pixels).save(temporary)


def write_tiff(path: Path, linear: np.ndarray) -> None:
    """Write an image in linear light, [H, W, 3], as a TIFF of 16 bits with the profile of sRGB."""
    import tifffile
    from PIL import ImageCms

    pixels = np.rint(linear_to_srgb(np.clip(linear.astype(np.float64), 0, 1)) * 65535).astype(np.uint16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with written_aside(path) as temporary:
        tifffile.imwrite(temporary, pixels, photometric="rgb", compression="zlib", iccprofile=profile)


def write_exr(path: Path, channel: str, values: np.ndarray) -> None:
    """Write one float32 channel, [H, W].

    Raises:
        SolverError: it cannot be written, as on a full disk.
    """
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {channel: np.ascontiguousarray(values, dtype=np.float32)}
    try:
        with written_aside(path) as temporary:
            OpenEXR.File(header, channels).write(str(temporary))
    except RuntimeError:  # OpenEXR's word for a write that failed
        raise SolverError("the image cannot be written", where=path, remedy="check the space on the disk") from None


def read_exr(path: Path, channel: str, remedy: str = "reconstruct again") -> np.ndarray:
    """Read one channel as float32 [H, W]; `remedy` is what helps where that fails, for a file that is not a result's.

    Raises:
        SolverError: the file is absent, not an EXR, or lacks the channel.
    """
    import OpenEXR

    if not path.is_file():
        raise SolverError("the image is missing", where=path, remedy=remedy)
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = file.channels()
            if channel not in channels:
                raise SolverError(f"the image has no channel {channel}", where=path, remedy=remedy)
            return np.asarray(channels[channel].pixels, dtype=np.float32)
    except (RuntimeError, OSError, ValueError) as error:
        raise SolverError(f"the image cannot be read ({error})", where=path, remedy=remedy) from None
