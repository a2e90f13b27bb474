# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties that several operators share."""

from __future__ import annotations

from typing import Any

import bpy


def output_of_a_run() -> Any:
    """The property that says which run a button is about; not remembered from one press to the next."""
    return bpy.props.StringProperty(
        name="Output",
        description="Output folder of the reconstruction that is meant; empty for the one that works or came last",
        options={"HIDDEN", "SKIP_SAVE"},
    )
