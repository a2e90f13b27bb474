# SPDX-License-Identifier: GPL-3.0-or-later
"""Colours of photos whose profile says that they are not sRGB: Display P3 of phones, Adobe RGB of cameras, and others.

Such profiles are a transfer curve for each channel and a matrix (ICC.1:2022, F.3), which are applied here at the
photo's own depth. Profiles with tables of colours in place of that, as of scanners and of CMYK, go through LittleCMS,
which Pillow carries, at 8 bits. What lies outside sRGB's gamut is clipped.
"""

import io
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from solver.optics.colour import linear_to_srgb

if TYPE_CHECKING:
    from PIL import Image

# sRGB's primaries in XYZ under D50, columns R, G, B (Lindbloom, Bradford-adapted).
_SRGB_PRIMARIES = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
# Adobe RGB (1998), 4.3.5, adapted likewise.
_ADOBE_RGB_PRIMARIES = np.array(
    [[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]
)
_ADOBE_RGB_GAMMA = 563 / 256
_SIGNIFICANT = 1 / 255  # conversions that change no colour by more are not made
_STRIP_PIXELS = 1 << 20  # converted at a time
_READING_ERRORS = (struct.error, ValueError, IndexError, ZeroDivisionError, OverflowError)


@dataclass(frozen=True)
class MatrixProfile:
    """A colour space by its primaries and transfer curves."""

    to_linear_srgb: np.ndarray  # [3, 3], of linear values
    curves: np.ndarray  # [3, 65536] float32, linear value of each stored one


def adobe_rgb() -> MatrixProfile:
    """Adobe RGB (1998), which cameras write without a profile, as DCF's option."""
    curve = (np.arange(65536) / 65535) ** _ADOBE_RGB_GAMMA
    return _profile(_ADOBE_RGB_PRIMARIES, np.stack([curve] * 3))


@lru_cache(maxsize=8)  # the photos of a capture have one
def matrix_profile(icc: bytes) -> MatrixProfile | None:
    """The profile as matrix and curves, or None where it is no such profile or cannot be read."""
    try:
        if icc[16:20] != b"RGB " or icc[20:24] != b"XYZ ":
            return None
        (count,) = struct.unpack_from(">I", icc, 128)
        entries = [struct.unpack_from(">4sII", icc, 132 + 12 * i) for i in range(min(count, 1000))]
        tags = {name: icc[start : start + length] for name, start, length in entries}
        if not all(tag in tags for tag in (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")):
            return None
        primaries = np.array([_fixed(tags[name], 8, 3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T
        curves = np.stack([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")])
    except _READING_ERRORS:
        return None
    if not np.isfinite(curves).all() or abs(np.linalg.det(primaries)) < 1e-6:
        return None
    return _profile(primaries, curves)


def _profile(primaries: np.ndarray, curves: np.ndarray) -> MatrixProfile:
    return MatrixProfile(np.linalg.inv(_SRGB_PRIMARIES) @ primaries, curves.clip(0, 1).astype(np.float32))


def _fixed(data: bytes, at: int, count: int) -> list[float]:
    """Numbers of type s15Fixed16."""
    return [value / 65536 for value in struct.unpack_from(f">{count}i", data, at)]


def _curve(data: bytes) -> np.ndarray:
    """The transfer curve of a `curv` or `para` tag at 65536 stored values, [65536]."""
    x = np.arange(65536) / 65535
    if data[:4] == b"curv":
        (count,) = struct.unpack_from(">I", data, 8)
        if count == 0:
            return x
        values = struct.unpack_from(f">{min(count, 65537)}H", data, 12)
        if count == 1:
            return x ** (values[0] / 256)
        return np.interp(x, np.linspace(0, 1, len(values)), np.array(values) / 65535)
    if data[:4] != b"para":
        raise ValueError
    (kind,) = struct.unpack_from(">H", data, 8)
    if kind > 4:
        raise ValueError
    gamma, *rest = _fixed(data, 12, (1, 3, 4, 5, 7)[kind])
    a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind in (1, 2):  # a power from -b/a on, and a constant before
        a, b = rest[:2]
        e = f = rest[2] if kind == 2 else 0.0
        d = -b / a
    elif kind >= 3:
        a, b, c, d = rest[:4]
        e, f = rest[4:] if kind == 4 else (0.0, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(x >= d, (a * x + b).clip(0) ** gamma + e, c * x + f)


def to_srgb(pixels: np.ndarray, profile: MatrixProfile) -> np.ndarray:
    """`pixels`, [H, W, 3] uint8 or uint16, in sRGB; the same array where the profile as good as is sRGB."""
    corners = np.stack(np.meshgrid(*[np.linspace(0, 1, 6)] * 3), axis=-1).reshape(-1, 3)
    stored = (corners * 65535).astype(np.uint16)
    if np.abs(_converted(stored, profile) - stored / 65535.0).max() < _SIGNIFICANT:
        return pixels
    levels = np.iinfo(pixels.dtype).max
    result = np.empty_like(pixels)
    rows = max(1, _STRIP_PIXELS // max(1, pixels.shape[1]))
    for start in range(0, pixels.shape[0], rows):
        strip = pixels[start : start + rows].astype(np.uint16) * np.uint16(65535 // levels)
        result[start : start + rows] = np.rint(_converted(strip, profile) * levels)
    return result


def _converted(stored: np.ndarray, profile: MatrixProfile) -> np.ndarray:
    """sRGB, 0 to 1, of stored values [..., 3] uint16."""
    linear = np.stack([profile.curves[c][stored[..., c]] for c in range(3)], axis=-1)
    return _encoded((linear @ profile.to_linear_srgb.T.astype(np.float32)).clip(0, 1))


def _encoded(linear: np.ndarray) -> np.ndarray:
    """Values of sRGB for linear ones, looked up at the roots' even steps, which keeps the dark ones apart."""
    return _root_table()[np.rint(np.sqrt(linear) * 65535).astype(np.uint16)]


@lru_cache(maxsize=1)
def _root_table() -> np.ndarray:
    return linear_to_srgb((np.arange(65536) / 65535) ** 2).astype(np.float32)


def by_littlecms(image: "Image.Image", icc: bytes) -> "Image.Image":
    """A Pillow image in sRGB, mode RGB, by whatever profile; unchanged where it is unreadable or of another mode."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        result = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return result if result is not None else image
