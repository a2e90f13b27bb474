# SPDX-License-Identifier: GPL-3.0-or-later
"""PLY files from anywhere, read without believing their headers."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from plyfile import PlyData


def read_ply(path: Path, known_list_lengths: Mapping[str, Mapping[str, int]] | None = None) -> "PlyData":
    """Read a PLY file, after a look at whether its size has room for what its header promises.

    The reader takes memory for all promised rows before it reads the first.

    Args:
        path: the file.
        known_list_lengths: of lists that have the same length in each row, by element and property. Binary elements
            with no other lists are mapped instead of read one by one.

    Raises:
        ValueError, PlyParseError, KeyError: the file is damaged.
        OSError: it is absent or cannot be read.
    """
    from plyfile import PlyData

    with Path(path).open("rb") as file:
        header = PlyData._parse_header(file)
        room = os.fstat(file.fileno()).st_size - file.tell() + 1  # the last line may lack its end
    for element in header:
        if element.count < 0:
            raise ValueError(f"its header promises {element.count} rows of {element.name}")
        least = max(1, sum(_least_bytes(item, header.text) for item in element.properties))
        if element.count * least > room:
            raise ValueError(
                f"its header promises {element.count} rows of {element.name}, and the file has room for {room // least}"
            )
        room -= element.count * least
    return PlyData.read(str(path), known_list_len=known_list_lengths or {})


def _least_bytes(item: Any, text: bool) -> int:
    """What a property takes in each row at least: a digit and what parts it from the next, or its number's bytes.

    A list may be empty, and then is nothing but its length.
    """
    return 2 if text else np.dtype(getattr(item, "len_dtype", item.val_dtype)).itemsize
