# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats as SPZ, version 3: Niantic's compressed file, about a tenth of the PLY (github.com/nianticlabs/spz, README).

One gzip stream: a header of 16 bytes, then positions, opacities, colours, scales, rotations and harmonics, each for all
splats. Its axes are right, up and back, which are glTF's.
"""

import gzip
import struct
from pathlib import Path

import numpy as np

from solver.export.splats import Splats
from solver.files import written_aside

_MAGIC, _VERSION = 0x5053474E, 3
_ANTIALIASED = 0x1
_COLOUR_SCALE = 0.15  # leaves room for base colours above 1 and below 0
_LEAST_FRACTION_BITS, _MOST_FRACTION_BITS = 12, 20
_LARGEST_FIXED = 2**23 - 1  # positions have 24 bits, signed
_FIRST_DEGREE_STEP, _HIGHER_DEGREES_STEP = 8, 16  # of 256: 5 and 4 bits, which compress well


def fits(splats: Splats) -> np.ndarray:  # [N] bool
    """Which splats lie in the range of positions: 2048 units either way."""
    return (np.abs(splats.means) < _LARGEST_FIXED / 2**_LEAST_FRACTION_BITS).all(axis=1)


def write_spz(path: Path, splats: Splats, antialiased: bool) -> None:
    """Write splats that all fit, Y up; `antialiased` says that they were trained with Mip-Splatting's filter."""
    largest = float(np.abs(splats.means).max(initial=1e-9))
    bits = int(np.clip(np.floor(np.log2(_LARGEST_FIXED / largest)), _LEAST_FRACTION_BITS, _MOST_FRACTION_BITS))
    flags = _ANTIALIASED if antialiased else 0
    content = b"".join(
        [
            struct.pack("<IIIBBBB", _MAGIC, _VERSION, len(splats), splats.degree, bits, flags, 0),
            _fixed(splats.means, bits),
            _bytes(255 * splats.opacities.astype(np.float64)),
            _bytes(255 * (_COLOUR_SCALE * splats.coefficients[:, 0] + 0.5)),
            _bytes(16 * (splats.log_scales + 10)),
            _smallest_three(splats.quaternions),
            _harmonics(splats.coefficients[:, 1:]),
        ]
    )
    with written_aside(path) as temporary:
        temporary.write_bytes(gzip.compress(content, 9, mtime=0))


def _bytes(values: np.ndarray) -> bytes:
    """Rounded to whole numbers from 0 to 255."""
    return np.rint(values).clip(0, 255).astype(np.uint8).tobytes()


def _fixed(positions: np.ndarray, bits: int) -> bytes:  # [N, 3]
    """Signed numbers of 24 bits, `bits` of them behind the point."""
    whole = np.rint(positions.astype(np.float64) * 2**bits).astype("<i4")
    return whole[..., None].view(np.uint8)[..., :3].tobytes()


def _smallest_three(quaternions: np.ndarray) -> bytes:  # [N, 4], w x y z, unit
    """Which of x, y, z, w is largest in 2 bits, then the others, a sign and 9 bits each, by the largest they can be."""
    q = np.roll(quaternions.astype(np.float64), -1, axis=1)
    largest = np.abs(q).argmax(axis=1)
    q *= np.where(np.take_along_axis(q, largest[:, None], axis=1) < 0, -1, 1)  # q and -q are one rotation
    others = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])[largest]
    packed = largest.astype(np.uint32)
    for k in range(3):
        value = np.take_along_axis(q, others[:, k : k + 1], axis=1)[:, 0]
        magnitude = np.minimum(511 * np.abs(value) * np.sqrt(2) + 0.5, 511).astype(np.uint32)
        packed = packed << 10 | (value < 0).astype(np.uint32) << 9 | magnitude
    return packed.astype("<u4").tobytes()


def _harmonics(coefficients: np.ndarray) -> bytes:  # [N, S - 1, 3]
    """128 plus 128 times the coefficient, rounded to steps of 8 (degree 1) or 16, in which 0 is a step."""
    step = np.where(np.arange(coefficients.shape[1]) < 3, _FIRST_DEGREE_STEP, _HIGHER_DEGREES_STEP)[:, None]
    whole = np.rint(coefficients * 128).astype(np.int64) + 128
    return ((whole + step // 2) // step * step).clip(0, 255).astype(np.uint8).tobytes()
