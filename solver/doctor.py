# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine can run, and what is missing."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata

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
_OPTIONAL = {"gsplat": "rasterizing on a CUDA card", "bpy": "rendering captures without Blender"}


@dataclass(frozen=True)
class Diagnosis:
    """The lines to show, and whether a reconstruction can run."""

    lines: list[str]
    healthy: bool


def diagnose() -> Diagnosis:
    """Look at Python, packages, devices and rasterizers."""
    lines = [
        f"Macro Reconstruction solver {solver.__version__}",
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    ]
    missing = []
    for name, purpose in _PACKAGES.items():
        version = _version(name)
        lines.append(f"  {name:<22} {version or 'MISSING':<16} {purpose}")
        if version is None:
            missing.append(name)
    for name, purpose in _OPTIONAL.items():
        lines.append(f"  {name:<22} {_version(name) or 'not installed':<16} {purpose} (optional)")
    healthy = not missing
    if "torch" not in missing:
        from solver.rasterization import available_backends

        lines.append("Rasterizers:")
        states = available_backends()
        for state in states:
            lines.append(f"  {state.name:<22} {'ready' if state.usable else 'no':<16} {state.reason}")
        healthy = healthy and any(state.usable and state.name != "reference" for state in states)
    if missing:
        lines.append(f"Missing: {', '.join(missing)}. Install them with: {sys.executable} -m pip install .")
    lines.append("All is well." if healthy else "A reconstruction cannot run here.")
    return Diagnosis(lines, healthy)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
