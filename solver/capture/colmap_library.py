# SPDX-License-Identifier: GPL-3.0-or-later
"""pycolmap, imported so that it leaves signals alone and logs nothing but the reason of an abort.

Its import installs glog's failure handler, which answers SIGTERM, the request to cancel, with an abort and a
stack trace. Import it as `from solver.capture.colmap_library import pycolmap`, inside functions, since it
takes a while.
"""

import signal
import threading

_handler = signal.getsignal(signal.SIGTERM)

import pycolmap  # noqa: E402

if _handler is not None and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGTERM, _handler)
pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value

__all__ = ["pycolmap"]
