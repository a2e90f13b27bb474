# SPDX-License-Identifier: GPL-3.0-or-later
"""The generator as a program: arguments in, exit code out."""

import os
import sys
from typing import TextIO

from . import interruption
from .arguments import own_arguments, parse, wants_json
from .errors import GeneratorError
from .events import JsonReporter, Reporter, TextReporter


def main(argv: list[str]) -> int:
    """Run the generator; `argv` is Blender's or Python's sys.argv.

    Returns:
        0 done, 1 an error that was reported, 2 wrong usage, 130 cancelled.
    """
    arguments = own_arguments(argv)
    try:
        settings = parse(arguments)
    except GeneratorError as error:
        _reporter(_own_output(), json=wants_json(arguments)).error(error)
        return 2
    reporter = _reporter(_own_output(), json=settings.events == "json")
    try:
        from .generation import generate
        from .render import RenderCancelled
    except ImportError as error:  # no bpy, or one of the system's libraries that it needs
        remedy = "run the script by Blender (blender -b -P ...), or install the package bpy and its libraries"
        reporter.error(GeneratorError(f"Blender's Python module cannot be loaded ({error})", remedy=remedy))
        return 1

    interruption.watch()
    try:
        generate(settings, reporter)
    except GeneratorError as error:
        reporter.error(error)
        return 1
    except BrokenPipeError:  # whoever listened is gone, so nobody is left to be told
        return 130
    except OSError as error:  # a full disk, a folder that was taken away
        place = error.filename or settings.output
        reporter.error(
            GeneratorError(
                f"writing failed ({error.strerror})", where=place, remedy="make room there, then go on with --resume"
            )
        )
        return 1
    except (KeyboardInterrupt, RenderCancelled):
        reporter.cancelled()
        return 130
    return 0


def _reporter(output: TextIO, *, json: bool) -> Reporter:
    return JsonReporter(output) if json else TextReporter(output, sys.stderr)


def _own_output() -> TextIO:
    """Standard output for us alone: Blender's own chatter, written from C, goes nowhere from now on."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return own
