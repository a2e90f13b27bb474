# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a macro capture: `blender -b -P synthetic/make_dataset.py -- --output DIR ...`, or `python` with bpy."""

import sys
import traceback
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from synthetic.command import main

    try:
        code = main(sys.argv)
    except Exception:  # any bug: `blender -b` prints an exception of its script, too, but exits with 0
        traceback.print_exc()
        code = 1
    sys.exit(code)
