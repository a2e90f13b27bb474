# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine can run, and what is missing."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

import solver

_PACKAGES = {
    "torch": "the optimization",
    "numpy": "everything",
    "numba": "rasterizing on the processor",
    "scipy": "everything",
    "scikit-image": "mesh and measures",
    "pycolmap": "camera poses of plain photos",
    "pillow": "reading and writing images",
    "pillow-heif": "HEIC photos",
    "rawpy": "raw photos",
    "opencv-python-headless": "photos with 16 bits, markers, masks",
    "tifffile": "photos with 16 bits",
    "OpenEXR": "depth and circle-of-confusion maps",
    "plyfile": "splats",
    "trimesh": "the mesh",
}
_MODULES = {  # what is imported, where it has not the package's name
    "scikit-image": "skimage",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "opencv-python-headless": "cv2",
}
_OPTIONAL = {"gsplat": "rasterizing on a CUDA card", "bpy": "rendering captures without Blender"}


@dataclass(frozen=True)
class Diagnosis:
    """The lines to show, whether a reconstruction can run, and the same for programs (docs/formats.md)."""

    lines: list[str]
    healthy: bool
    facts: dict[str, Any]


def diagnose() -> Diagnosis:
    """Look at Python, packages, devices and rasterizers."""
    lines = [
        f"Macro Reconstruction solver {solver.__version__}",
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    ]
    missing: list[str] = []
    broken: dict[str, str] = {}
    for name, purpose in _PACKAGES.items():
        version = _version(name)
        lines.append(f"  {name:<22} {version or 'MISSING':<16} {purpose}")
        if version is None:
            missing.append(name)
        elif fault := _fault_of(_MODULES.get(name, name)):
            broken[name] = fault
            lines.append(f"    it is there, but does not load: {fault}")
    for name, purpose in _OPTIONAL.items():
        lines.append(f"  {name:<22} {_version(name) or 'not installed':<16} {purpose} (optional)")
    healthy = not missing and not broken
    rasterizers: dict[str, dict[str, Any]] = {}
    if "torch" not in (*missing, *broken):
        from solver.rasterization import available_backends

        lines.append("Rasterizers:")
        states = available_backends()
        for state in states:
            lines.append(f"  {state.name:<22} {'ready' if state.usable else 'no':<16} {state.reason}")
            rasterizers[state.name] = {"usable": state.usable, "reason": state.reason}
        healthy = healthy and any(state.usable and state.name != "reference" for state in states)
    if missing:
        lines.append(f"Missing: {', '.join(missing)}. Install them with: {sys.executable} -m pip install .")
    lines.append("All is well." if healthy else "A reconstruction cannot run here.")
    facts = {
        "healthy": healthy,
        "solver": solver.__version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in (*_PACKAGES, *_OPTIONAL)},
        "missing": missing,
        "broken": broken,
        "rasterizers": rasterizers,
    }
    return Diagnosis(lines, healthy, facts)


def _fault_of(module: str) -> str:
    """Why a module cannot be imported, in one line; empty if it can. Compiled ones fail where a library is missing."""
    try:
        import_module(module)
    except Exception as error:  # whatever it is, it is told
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    return ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
