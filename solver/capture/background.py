# SPDX-License-Identifier: GPL-3.0-or-later
"""Running pycolmap's long calls so that the run can be watched, cancelled, and read on a terminal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pycolmap

Result = TypeVar("Result")


@contextmanager
def quiet_pycolmap() -> Iterator[None]:
    """Keep pycolmap from logging anything but the reason of an abort."""
    import pycolmap

    level = pycolmap.logging.minloglevel
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    try:
        yield
    finally:
        pycolmap.logging.minloglevel = level


def run_watched(
    work: "Callable[[pycolmap.CancellationToken], Result]", watch: Callable[[], None] | None = None
) -> Result:
    """Run `work` in a thread, calling `watch` a few times a second meanwhile, and return what it returns.

    An exception that reaches the caller's thread meanwhile, as from a signal, cancels the work by its token
    and is raised when the work has stopped. An exception of the work's own is raised here too.
    """
    import pycolmap

    token = pycolmap.CancellationToken()
    results: list[Result] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work(token))
        except BaseException as error:  # handed over to the caller's thread, whatever it is
            errors.append(error)

    with quiet_pycolmap():
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
