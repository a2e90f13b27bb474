# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rasterizers this machine can run, and getting one ready."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from solver.errors import SolverError
from solver.rasterization.types import Backend

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BackendState:
    """One rasterizer on this machine."""

    name: Backend
    usable: bool
    reason: str  # why not, or what it runs on


def available_backends() -> tuple[BackendState, ...]:
    """Say of every backend whether it can run here, and why not. Compiles nothing."""
    if find_spec("numba") is None:
        cpu = BackendState("cpu", False, "Numba is not installed")
    else:
        from solver.kernels.threads import thread_count

        count = thread_count()
        cpu = BackendState("cpu", True, f"{count} thread{'s' if count > 1 else ''}")
    missing = _missing_for_cuda()
    if missing:
        gsplat = BackendState("gsplat", False, missing)
    else:
        import torch

        gsplat = BackendState("gsplat", True, torch.cuda.get_device_name())
    return cpu, gsplat, BackendState("reference", True, "plain PyTorch, slow, for tests")


def choose_backend(device: Literal["auto", "cpu", "cuda"]) -> tuple[Backend, torch.device]:
    """The backend and PyTorch device for the command line's `--device`.

    Args:
        device: `auto` takes CUDA where it is complete (a device and gsplat), and the processor otherwise.

    Returns:
        The backend's name for `rasterize`, and the device that its tensors live on.

    Raises:
        SolverError: CUDA is asked for and something it needs is missing, or the processor's backend lacks
        Numba.
    """
    import torch

    missing = _missing_for_cuda() if device != "cpu" else "the processor was asked for"
    if not missing:
        return "gsplat", torch.device("cuda")
    if device == "cuda":
        raise SolverError(f"CUDA cannot be used: {missing}", remedy="add what is missing, or use --device cpu")
    if find_spec("numba") is None:
        raise SolverError("Numba is not installed", remedy="set the solver's environment up again")
    return "cpu", torch.device("cpu")


def prepare(backend: Backend) -> None:
    """Load a backend and compile its kernels, so that the first image does not wait for it.

    The `cpu` kernels are compiled once a machine (about ten seconds) into the user's cache folder and
    loaded from there afterwards. gsplat compiles its own on first use where its wheel brought none.
    """
    if backend == "cpu":
        from solver.rasterization.cpu import function  # noqa: F401 - the import compiles
    elif backend == "gsplat":
        from solver.rasterization import gsplat_backend

        gsplat_backend.prepare()


def _missing_for_cuda() -> str:
    """What keeps the gsplat backend from running, in a few words; empty if nothing does."""
    import torch

    if not torch.cuda.is_available():
        built = "" if torch.version.cuda else " (this PyTorch is built without CUDA)"
        return f"there is no CUDA device{built}"
    if find_spec("gsplat") is None:
        return "gsplat is not installed"
    return ""
