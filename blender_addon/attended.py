# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends this process once its standard input does: with the Blender at its other end, even one that crashed.

`python attended.py MODULE ARGUMENTS` and `python attended.py FILE.py ARGUMENTS` run a program under this watch;
`blender --python attended.py --python FILE.py` likewise. Imports nothing of this package.
"""

import _thread
import contextlib
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

GRACE_S = 10.0  # for the program to put away what is half written
POLL_S = 0.5
CANCELLED = 130  # exit code


def watch() -> None:
    """From now on, the end of standard input does what SIGTERM does; who does not end then is ended."""
    threading.Thread(target=_watch, name="attended", daemon=True).start()


def _watch() -> None:
    with contextlib.suppress(OSError):
        _wait_for_the_end_of_input()
    if callable(signal.getsignal(signal.SIGTERM)):
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(GRACE_S)
    os._exit(CANCELLED)


def _wait_for_the_end_of_input() -> None:
    """Returns, or raises OSError, when the other end is closed."""
    if sys.platform == "win32":  # there, a read that waits would block others that only ask what input is
        import _winapi
        import msvcrt

        while True:
            _winapi.PeekNamedPipe(msvcrt.get_osfhandle(0), 0)
            time.sleep(POLL_S)
    while os.read(0, 1024):
        pass


def _run(program: str) -> None:
    """As Python itself would."""
    del sys.argv[0]
    if program.endswith(".py"):
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")
    else:
        sys.path[0] = str(Path.cwd())
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    watch()
    if Path(sys.argv[0]).name == Path(__file__).name:  # else Blender runs it, and then the program
        _run(sys.argv[1])
