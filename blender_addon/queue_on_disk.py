# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue on the disk: what waits for its turn outlasts Blender and its crash. Nothing here needs Blender.

Each reconstruction that waits has a folder of its own, beside those of the runs (runs.py):

    jobs/ID/waiting.json   what is asked for, and by which Blender file
            owner.lock     held by the Blender that it waits in
"""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from . import locks
from .errors import MacroError
from .files import write_aside
from .run_records import CHUNK, JOBS, OWNER, WAITING, Origin, new_folder
from .solver_process import Request


class Place:
    """A place in the queue: a reconstruction that waits, on the disk for as long."""

    def __init__(self, folder: Path, owner: locks.Lock, request: Request, python: str, origin: Origin) -> None:
        """Take over what is known of it; `folder` is its own."""
        self.folder, self.request, self.python, self.origin = folder, request, python, origin
        self._owner = owner

    def follow(self, origin: Origin) -> None:
        """Note that the scene, or its file, has another name now."""
        self.origin = origin
        with contextlib.suppress(OSError):  # the old note still says most of it
            self.write()

    def write(self) -> None:
        """Put it on the disk.

        Raises:
            OSError: the folder cannot be written.
        """
        content = {"request": self.request.as_json(), "python": self.python, "origin": asdict(self.origin)}
        write_aside(self.folder / WAITING, json.dumps(content, indent=2) + "\n")

    def leave(self) -> None:
        """Leave it to the Blender that is opened next."""
        self._owner.release()

    def give_up(self) -> None:
        """Take it off the disk: its turn has come, or nobody wants it any more."""
        with contextlib.suppress(OSError):  # before the lock goes: another Blender would take it over
            (self.folder / WAITING).unlink(missing_ok=True)
        self._owner.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def line_up(request: Request, python: str, storage: Path, origin: Origin) -> Place:
    """Put a reconstruction at the end of the queue.

    Args:
        request: what to reconstruct.
        python: the interpreter of the solver's environment.
        storage: the extension's folder.
        origin: where its result goes to.

    Raises:
        MacroError: the folder cannot be written.
    """
    place = None
    try:
        place = Place(*new_folder(storage), request, python, origin)
        place.write()
    except OSError as error:
        if place is not None:
            place.give_up()
        raise MacroError(f"the queue cannot be noted ({error.strerror})", where=storage / JOBS) from None
    return place


def adopt(storage: Path) -> tuple[list[Place], list[str]]:
    """The places, first come first, of Blenders that are gone; they are this process's from now on.

    Returns:
        The places, and a sentence for each that cannot be read; those are taken off the disk.
    """
    places: list[Place] = []
    faults: list[str] = []
    for folder in sorted(path.parent for path in (storage / JOBS).glob(f"*/{WAITING}")):
        owner = None
        try:
            owner = locks.take(folder / OWNER)
            if owner is not None:
                places.append(_read(folder, owner))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            if owner is None:
                continue
            owner.release()
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, FileNotFoundError):  # its turn came in another Blender meanwhile
                continue
            fault = MacroError(
                "a reconstruction that waited here cannot be read", where=folder / WAITING, remedy="start it again"
            )
            faults.append(fault.sentence)
    return places, faults


def _read(folder: Path, owner: locks.Lock) -> Place:
    with (folder / WAITING).open("rb") as file:
        content = json.loads(file.read(CHUNK))
    origin = Origin.from_json(content["origin"])
    return Place(folder, owner, Request.from_json(content["request"]), str(content["python"]), origin)
