# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of a run on the disk, for the Blender that is opened later. Nothing here needs Blender.

All that is known of a run lies in a folder of its own:

    jobs/ID/job.json       what was asked for, by which Blender file, as which process
            events.jsonl   the solver's standard output
            solver.log     its standard error, and what was heard; it moves to the result in the end
            owner.lock     held by the Blender that minds the run
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import locks
from .files import write_aside
from .solver_process import Request

CHUNK = 1 << 20  # bytes read at a time

JOBS, RECORD, EVENTS, LOG, OWNER = "jobs", "job.json", "events.jsonl", "solver.log", "owner.lock"
WAITING = "waiting.json"  # in the folder of one that has not begun (queue_on_disk.py)


@dataclass(frozen=True)
class Origin:
    """Where a run was asked for: its result goes there."""

    blend_file: str = ""  # empty for a file that was not saved
    scene: str = ""

    @classmethod
    def from_json(cls, content: Any) -> Origin:
        """As `asdict` gave it.

        Raises:
            KeyError, TypeError: it is something else.
        """
        return cls(**{key: str(content[key]) for key in ("blend_file", "scene")})


@dataclass(frozen=True)
class Record:
    """What is written of a run when it starts."""

    output: str
    capture: str
    process: int
    started: float  # seconds since 1970
    origin: Origin = field(default_factory=Origin)
    request: Request | None = None  # None of other programs than a reconstruction

    def write(self, folder: Path) -> None:
        """Put it into a job's folder.

        Raises:
            OSError: it cannot be written.
        """
        request = None if self.request is None else self.request.as_json()
        write_aside(folder / RECORD, json.dumps({**asdict(self), "request": request}))


def new_folder(storage: Path) -> tuple[Path, locks.Lock]:
    """A folder for a job, and its owner's lock. By name, folders stand in the order in which they were made.

    Raises:
        OSError: it cannot be written.
    """
    (storage / JOBS).mkdir(parents=True, exist_ok=True)
    while True:
        folder = storage / JOBS / f"{time.time_ns()}-{os.getpid()}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            owner = locks.take(folder / OWNER)
            if owner is not None:  # else a Blender that looks for lost runs was quicker, and puts the folder away
                return folder, owner
        time.sleep(0.001)  # the clock of Windows may stand still for sixteen


def read_record(folder: Path) -> Record:
    """What `Record.write` put into a job's folder.

    Raises:
        OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError: there is none, or it is broken.
    """
    with (folder / RECORD).open("rb") as file:
        content = json.loads(file.read(CHUNK))
    request = None
    with contextlib.suppress(ValueError, TypeError, KeyError):  # the run is found all the same
        request = Request.from_json(content["request"])
    return Record(
        output=str(content["output"]),
        capture=str(content["capture"]),
        process=int(content["process"]),
        started=float(content["started"]),
        origin=Origin.from_json(content["origin"]),
        request=request,
    )
