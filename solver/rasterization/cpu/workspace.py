# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays that renderings need only for themselves, kept from one to the next: asking the system for many megabytes
each time takes longer than some kernels do.
"""

import math
from typing import Any

import numpy as np

_MARGIN = 1.25  # so that an array still does when a little more is needed next time
_TOO_LARGE = 4  # times what is needed: such an array is let go
_SPARE = 2  # workspaces kept: one rendering is often made before the last is let go

_spare: list[dict[str, np.ndarray]] = []


class Workspace:
    """Named arrays, for as long as this lives; then others get them."""

    def __init__(self) -> None:
        try:
            self._arrays = _spare.pop()
        except IndexError:
            self._arrays = {}

    def __del__(self) -> None:
        if len(_spare) < _SPARE:
            _spare.append(self._arrays)

    def array(self, name: str, kind: Any, rows: int, *shape: int) -> np.ndarray:
        """One of `rows` rows of this shape, with anything in it; the same as before if it has room for them."""
        kept = self._arrays.get(name)
        if kept is None or kept.shape[1:] != shape or not rows <= len(kept) <= max(_TOO_LARGE * rows, 1000):
            self._arrays[name] = kept = np.empty((math.ceil(_MARGIN * rows), *shape), kind)
        return kept[:rows]
