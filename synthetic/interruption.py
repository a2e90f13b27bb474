# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping when the system asks for it.

An exception alone is not enough: raised while Blender is inside one of its own callbacks, it is printed and lost.
"""

import signal
from typing import NoReturn

_requested = False


def watch() -> None:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt, at once or at the next `stop_if_requested`."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)


def stop_if_requested() -> None:
    """Raise KeyboardInterrupt where a signal has come that the program may not have noticed."""
    if _requested:
        raise KeyboardInterrupt


def _stop(*_: object) -> NoReturn:
    global _requested
    _requested = True
    raise KeyboardInterrupt
