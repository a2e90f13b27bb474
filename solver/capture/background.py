# SPDX-License-Identifier: GPL-3.0-or-later
"""Running pycolmap's long calls so that they can be watched and cancelled."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pycolmap

Result = TypeVar("Result")


def run_watched(
    work: "Callable[[pycolmap.CancellationToken], Result]", watch: Callable[[], None] | None = None
) -> Result:
    """Run `work` in a thread, calling `watch` a few times a second meanwhile, and return what it returns.

    An exception that reaches the caller's thread meanwhile, as from a signal, cancels the work by its token
    and is raised when the work has stopped. An exception of the work's own is raised here too.
    """
    from solver.capture.colmap_library import pycolmap

    token = pycolmap.CancellationToken()
    results: list[Result] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work(token))
        except BaseException as error:  # handed over to the caller's thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=body, name="pycolmap", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(timeout=0.2)
            if watch is not None:
                watch()
    except BaseException:
        token.cancel()
        thread.join()
        raise
    if errors:
        raise errors[0]
    return results[0]
