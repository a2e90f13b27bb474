# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files of 8 bits, grey or RGB, with EXIF and without what Blender adds: paths, dates and render times.

After the "Portable Network Graphics (PNG) Specification (Third Edition)", W3C. The same pixels give the same bytes
with the same zlib.
"""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .errors import GeneratorError
from .files import written_aside

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"
_NOTES = (b"tEXt", b"zTXt", b"iTXt", b"tIME")
_CHANNELS = {0: 1, 2: 3}  # by colour type: grey, RGB
_MAX_SIDE = 65536  # px; a header that says more is damaged
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)  # filter types


def write(path: Path, pixels: np.ndarray, exif: bytes | None = None) -> None:
    """Write `pixels`, uint8 [H, W] (grey) or [H, W, 3] (RGB), atomically.

    Each line gets the filter with the smallest sum of absolute differences (section 12.7 of the specification).

    Args:
        path: of the file.
        pixels: as they are to be shown, sRGB.
        exif: a block of `exif.block`, or None for a file without.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"no 8-bit grey or RGB image: {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    body = zlib.compress(_filtered(pixels.reshape(height, width, -1)), 6)
    chunks = [_chunk(b"IHDR", header), _chunk(b"IDAT", body), _chunk(b"IEND", b"")]
    if exif is not None:
        chunks.insert(1, _chunk(b"eXIf", exif))
    _write(path, chunks)


def read(path: Path) -> np.ndarray:
    """Read a whole, non-interlaced 8-bit file: uint8, [H, W] where it is grey, [H, W, 3] where it is RGB.

    Raises:
        GeneratorError: the file is damaged, or of another kind.
    """
    header, body = b"", b""
    for kind, content in _contents(_chunks(path.read_bytes(), path)):
        if kind == b"IHDR":
            header = content
        elif kind == b"IDAT":
            body += content
    if len(header) != 13:
        raise _damaged(path)
    width, height, bits, colour_type, compression, filtering, interlace = struct.unpack(">IIBBBBB", header)
    if (bits, compression, filtering, interlace) != (8, 0, 0, 0) or colour_type not in _CHANNELS:
        raise GeneratorError("the image is not 8-bit grey or RGB", where=path, remedy="render it again")
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise _damaged(path)
    channels = _CHANNELS[colour_type]
    size = height * (1 + width * channels)
    try:
        lines = zlib.decompressobj().decompress(body, size + 1)
    except zlib.error:
        raise _damaged(path) from None
    if len(lines) != size:
        raise _damaged(path)
    rows = np.frombuffer(lines, np.uint8).reshape(height, 1 + width * channels)
    if rows[:, 0].max() > _PAETH:
        raise _damaged(path)
    pixels = _unfiltered(rows[:, 1:].reshape(height, width, channels), rows[:, 0])
    return pixels[..., 0] if channels == 1 else pixels


def add_exif(path: Path, block: bytes) -> None:
    """Put a block of `exif.block` into an existing file, in place of one that it has; atomic.

    It stands before the image's data (section 5.6 of the specification).

    Raises:
        GeneratorError: the file is not a whole PNG.
    """
    chunks = [chunk for chunk in _chunks(path.read_bytes(), path) if chunk[4:8] != b"eXIf"]
    place = next((index for index, chunk in enumerate(chunks) if chunk[4:8] == b"IDAT"), None)
    if place is None:
        raise _damaged(path)
    _write(path, [*chunks[:place], _chunk(b"eXIf", block), *chunks[place:]])


def strip_notes(path: Path) -> None:
    """Drop all text and time chunks of the file, in place (PNG specification, section 5).

    Raises:
        GeneratorError: the file is not a whole PNG, as when the disk is full.
    """
    content = path.read_bytes()
    if not (content.startswith(_SIGNATURE) and content.endswith(_END)):
        raise GeneratorError("Blender wrote no whole image", where=path.parent, remedy="make room on the disk")
    kept = [chunk for chunk in _chunks(content, path) if chunk[4:8] not in _NOTES]
    path.write_bytes(_SIGNATURE + b"".join(kept))


def _write(path: Path, chunks: list[bytes]) -> None:
    with written_aside(path) as temporary:
        temporary.write_bytes(_SIGNATURE + b"".join(chunks))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _chunks(content: bytes, path: Path) -> list[bytes]:
    """The whole chunks of a file, from length to checksum; the checksums are right, and the last is IEND."""
    if not content.startswith(_SIGNATURE):
        raise _damaged(path)
    chunks, position = [], len(_SIGNATURE)
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        chunk = content[position : position + 12 + length]  # length, type and checksum are 4 bytes each
        position += 12 + length
        if position > len(content) or struct.pack(">I", zlib.crc32(chunk[4:-4])) != chunk[-4:]:
            break
        chunks.append(chunk)
        if chunk[4:8] == b"IEND":
            return chunks
    raise _damaged(path)


def _contents(chunks: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    return [(chunk[4:8], chunk[8:-4]) for chunk in chunks]


def _damaged(path: Path) -> GeneratorError:
    return GeneratorError("the PNG file is damaged", where=path, remedy="delete it and run again with --resume")


def _filtered(pixels: np.ndarray) -> bytes:
    """The lines of `pixels` [H, W, C], each behind the type of its filter (section 9.2)."""
    height = len(pixels)
    padded = np.pad(pixels.astype(np.int16), ((1, 0), (1, 0), (0, 0)))
    left, up, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    best = pixels.reshape(height, -1)
    kinds = np.zeros((height, 1), np.uint8)
    least = _cost(best)
    for kind in (_SUB, _UP, _AVERAGE, _PAETH):
        line = (pixels - _prediction(kind, left, up, corner)).astype(np.uint8).reshape(height, -1)
        cost = _cost(line)
        better = cost < least
        best = np.where(better[:, None], line, best)
        kinds[better] = kind
        least = np.where(better, cost, least)
    return np.concatenate([kinds, best], axis=1).tobytes()


def _cost(lines: np.ndarray) -> np.ndarray:
    """Sum [H] of the absolute values of `lines` [H, N], read as signed bytes."""
    return abs(lines.view(np.int8).astype(np.int16)).sum(axis=1)


def _prediction(kind: int, left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """What filter type `kind` expects of a sample, from its neighbours, int16 [...] of one shape."""
    if kind == _SUB:
        return left
    if kind == _UP:
        return up
    if kind == _AVERAGE:
        return (left + up) >> 1
    if kind == _NONE:
        return np.zeros_like(left)
    # Paeth: of the three neighbours the one nearest to left + up - corner, the earlier where two are as near.
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    other = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, other)


def _unfiltered(
    lines: np.ndarray,  # [H, W, C] uint8
    kinds: np.ndarray,  # [H], filter types
) -> np.ndarray:  # [H, W, C] uint8
    """Undo the filters, along the antidiagonals: each needs only the two before it, so it is one array operation."""
    height, width, channels = lines.shape
    padded = np.zeros((height + 1, width + 1, channels), np.int16)
    for diagonal in range(height + width - 1):
        rows = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        columns = diagonal - rows
        left, up, corner = padded[rows + 1, columns], padded[rows, columns + 1], padded[rows, columns]
        here = kinds[rows, None]
        prediction = np.select(
            [here == kind for kind in (_SUB, _UP, _AVERAGE, _PAETH)],
            [_prediction(kind, left, up, corner) for kind in (_SUB, _UP, _AVERAGE, _PAETH)],
        )
        padded[rows + 1, columns + 1] = (lines[rows, columns] + prediction) & 255
    return padded[1:, 1:].astype(np.uint8)
