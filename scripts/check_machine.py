# SPDX-License-Identifier: GPL-3.0-or-later
"""Before anything is downloaded: is this a Python that Blender's wheels exist for, and are their libraries there?

Runs with any Python and the standard library only.
"""

import ctypes
import importlib.util
import sys

PYTHONS = ((3, 11), (3, 13))
# Shared libraries that the bpy wheel links against, and the Debian package that each comes from.
LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
}


def main() -> int:
    """Print what is missing; 0 if nothing is."""
    version = sys.version_info[:2]
    if version not in PYTHONS:
        print(
            "Python {}.{} cannot run Blender's wheels; install Python 3.11 (or 3.13) and repeat with "
            "make PYTHON=/path/to/python3.11.".format(*version),
            file=sys.stderr,
        )
        return 1
    if importlib.util.find_spec("ensurepip") is None:  # Debian has it in a package of its own
        print(
            "Python's venv module is not complete; install it with: sudo apt-get install python{}.{}-venv".format(
                *version
            ),
            file=sys.stderr,
        )
        return 1
    if not sys.platform.startswith("linux"):
        return 0
    missing = [package for library, package in LIBRARIES.items() if not _loads(library)]
    if missing:
        packages = " ".join(missing)
        print(
            f"Blender needs system libraries that are not here; install them with: sudo apt-get install {packages}",
            file=sys.stderr,
        )
        return 1
    return 0


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
