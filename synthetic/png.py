# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files without what Blender adds to them: paths, dates and render times, which differ from run to run."""

import struct
from pathlib import Path

from .errors import GeneratorError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"
_NOTES = (b"tEXt", b"zTXt", b"iTXt", b"tIME")


def strip_notes(path: Path) -> None:
    """Drop all text and time chunks of the file, in place (PNG specification, section 5).

    Raises:
        GeneratorError: the file is not a whole PNG, as when the disk is full.
    """
    content = path.read_bytes()
    if not (content.startswith(_SIGNATURE) and content.endswith(_END)):
        raise GeneratorError("Blender wrote no whole image", where=path.parent, remedy="make room on the disk")
    kept, position = [_SIGNATURE], len(_SIGNATURE)
    while position < len(content):
        (length,) = struct.unpack_from(">I", content, position)
        end = position + 12 + length  # length, type and checksum are 4 bytes each
        if content[position + 4 : position + 8] not in _NOTES:
            kept.append(content[position:end])
        position = end
    path.write_bytes(b"".join(kept))
