# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the solver's environment from Blender: what to install by the preferences, and the worker that does it.

`environment_install.py` does the work; here it gets its orders from the preferences and a thread that drives it, so
that Blender stays usable. In background mode, where no timer runs, `run` waits for the end.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import bpy

from . import environment, environment_install, job, pythons
from .environment import Places, State
from .environment_commands import Cancelled, Progress
from .environment_install import Order
from .errors import MacroError
from .package_locks import Locks
from .properties import absolute
from .solver_process import solver_home

PACKAGE = __package__.rpartition(".")[0] or __package__
FOLDER = "solver"  # in the extension's own folder
CHOSEN_FOLDER = "macro_reconstruction_solver"  # in a folder that the user chose
TICK_S = 0.2
STATE_AGE_S = 1.0  # for which what was read off the disk is believed
JOIN_S = 10.0
OFFLINE = "Blender's online access is off"
ALLOW = "allow it here or under System > Network, or choose a folder of wheels under Options"


@dataclass
class Installation:
    """One installation as the preferences show it."""

    order: Order
    progress: Progress = field(default_factory=lambda: Progress("Preparing"))
    phase: Literal["running", "cancelling", "done", "error", "cancelled"] = "running"
    message: str = ""
    cancelled: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self.phase in ("running", "cancelling")

    def work(self, tell: Callable[[Progress], None] | None = None) -> None:
        """Install to the end; knows nothing of Blender, so a thread may run it."""
        try:
            for progress in environment_install.install(self.order, self.cancelled):
                self.progress = progress
                if tell is not None:
                    tell(progress)
            self.phase = "done"
        except Cancelled:
            self.phase = "cancelled"
        except MacroError as error:
            self.message, self.phase = error.sentence, "error"
        except Exception as error:
            self.message = f"The installation stopped unexpectedly ({type(error).__name__}: {error}); see the log."
            self.phase = "error"
            raise


@dataclass
class Survey:
    """What an installation would do here, found in the background; `finished` when it is known."""

    chosen: str
    finished: bool = False
    interpreter: pythons.Interpreter | None = None
    fault: str = ""
    machine: pythons.Machine = field(default_factory=lambda: pythons.Machine("cpu", ""))

    def look(self) -> None:
        """Find a Python and look at the machine; asks child processes."""
        self.machine = pythons.look_at_machine()
        try:
            self.interpreter = pythons.find(self.chosen, _own_python())
        except MacroError as error:
            self.fault = error.sentence
        self.finished = True


current: Installation | None = None
survey: Survey | None = None
_known_state: tuple[float, Path, State] | None = None


def preferences() -> bpy.types.AddonPreferences | None:
    """The extension's preferences; None where it is used from a script and not enabled."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon is not None else None


def root() -> Path:
    """The folder of the environment that the preferences speak of.

    Raises:
        MacroError: the chosen folder is not a full path.
    """
    settings = preferences()
    if settings is not None and settings.environment_folder:
        return absolute(settings.environment_folder) / CHOSEN_FOLDER
    return job.storage() / FOLDER


def locks() -> Locks:
    """The lock files that came with the extension."""
    return Locks(solver_home() / "solver" / "locks")


def state(fresh: bool = False) -> State:
    """The environment's state; read off the disk at most once a second, since it is asked while drawing."""
    global _known_state
    try:
        folder = root()
    except MacroError:
        return "absent"
    if fresh or _known_state is None or time.monotonic() - _known_state[0] > STATE_AGE_S or _known_state[1] != folder:
        _known_state = (time.monotonic(), folder, environment.examine(folder, locks()))
    return _known_state[2]


def installed_python() -> str:
    """The environment's interpreter, where the environment can be used; an outdated one still can."""
    return str(Places(root()).python) if state() in ("ready", "outdated") else ""


def device() -> pythons.Device:
    """What to install for: as chosen, or as the machine has it."""
    settings = preferences()
    if settings is not None and settings.device in ("cpu", "cuda"):
        return "cuda" if settings.device == "cuda" else "cpu"
    return survey.machine.device if survey is not None else "cpu"


def look(wait: bool = False) -> Survey:
    """The survey for the present preferences, started in the background if it is not under way."""
    global survey
    settings = preferences()
    chosen = bpy.path.abspath(settings.base_python) if settings is not None else ""
    if survey is None or survey.chosen != chosen:
        survey = Survey(chosen)
        if not wait:
            threading.Thread(target=survey.look, name="macro-solver-survey", daemon=True).start()
            _start_timer()
    if wait and not survey.finished:
        survey.look()
    return survey


def refusal() -> str:
    """Why an installation may not start now, as a sentence without a full stop; empty if it may."""
    settings = preferences()
    if current is not None and current.running:
        return "The solver is being installed"
    if job.working() is not None:
        return "A reconstruction is running"
    if not bpy.app.online_access and not (settings is not None and settings.wheels):
        return f"{OFFLINE}; {ALLOW}"
    return ""


def order() -> Order:
    """What the preferences ask for.

    Raises:
        MacroError: it may not start, no Python will do, or a path is not a full one.
    """
    reason = refusal()
    if reason:
        raise MacroError(reason)
    settings = preferences()
    found = look(wait=True)
    if found.fault:  # a Python may have been installed meanwhile
        found.fault = ""
        found.look()
    if found.interpreter is None:
        raise MacroError(found.fault.rstrip("."))
    folder = root()
    return Order(
        root=folder,
        interpreter=found.interpreter,
        locks=locks(),
        device=device(),
        check=("-m", "solver", "doctor", "--json", str(Places(folder).doctor)),
        home=solver_home(),
        wheels=absolute(settings.wheels) if settings is not None and settings.wheels else None,
        index=settings.index.strip() if settings is not None else "",
        torch_index=settings.torch_index.strip() if settings is not None else "",
    )


def begin(wanted: Order) -> None:
    """Start an installation that a thread drives."""
    global current
    current = Installation(wanted)
    current.thread = threading.Thread(target=current.work, name="macro-solver-installation", daemon=True)
    current.thread.start()
    _start_timer()


def run(wanted: Order, tell: Callable[[Progress], None] | None = None) -> None:
    """Install and wait for the end: for scripts and background mode.

    Raises:
        MacroError: it failed or was cancelled.
    """
    global current
    installation = current = Installation(wanted)
    try:
        installation.work(tell)
    finally:
        if installation.running:  # an interrupt
            installation.phase = "cancelled"
        state(fresh=True)
    if installation.phase != "done":
        raise MacroError(installation.message.rstrip(".") or "The installation was cancelled")


def cancel() -> None:
    """Ask the installation to stop; what is in place stays for the next one."""
    if current is not None and current.phase == "running":
        current.phase = "cancelling"
        current.cancelled.set()


def delete() -> None:
    """Delete the environment.

    Raises:
        MacroError: it is in use, or not ours.
    """
    global current
    environment.delete(root())
    current = None
    state(fresh=True)


def end_all() -> None:
    """End the installation and the timer: for unregistering and for Blender's own end."""
    global current, survey, _known_state
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if current is not None and current.thread is not None:
        cancel()
        current.thread.join(JOIN_S)
    current = survey = _known_state = None


def _own_python() -> str:
    """Blender's own interpreter, which `sys.executable` is inside Blender too."""
    return sys.executable or ""


def _start_timer() -> None:
    if not bpy.app.background and not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK_S, persistent=True)


def _tick() -> float | None:
    """Have the preferences and the panel drawn while something goes on."""
    waiting = (current is not None and current.running) or (survey is not None and not survey.finished)
    if not waiting:
        state(fresh=True)
    job.redraw()
    return TICK_S if waiting else None
