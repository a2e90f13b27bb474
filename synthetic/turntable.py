# SPDX-License-Identifier: GPL-3.0-or-later
"""The subject turned before a camera, lights and background that stay."""

import math
from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Vector


class Turntable:
    """Turns objects about the vertical axis through a point."""

    def __init__(self, subject: Sequence[bpy.types.Object], centre_mm: np.ndarray, units_per_mm: float) -> None:
        """Put `subject` onto an invisible table whose axis runs through `centre_mm` [3].

        Its objects keep their place, their animation and their children.
        """
        self._table = bpy.data.objects.new("Turntable", None)
        self._table.location = Vector(centre_mm * units_per_mm)
        bpy.context.scene.collection.objects.link(self._table)
        bpy.context.view_layer.update()
        onto_table = self._table.matrix_world.inverted()
        for thing in subject:
            if thing.parent not in subject:
                place = thing.matrix_world.copy()
                thing.parent, thing.parent_type = self._table, "OBJECT"
                thing.matrix_parent_inverse = onto_table
                thing.matrix_world = place
        bpy.context.view_layer.update()

    def turn_to(self, degrees: float) -> None:
        """Turn the subject to `degrees`, counted from where it was built, anticlockwise from above."""
        self._table.rotation_euler = (0.0, 0.0, math.radians(degrees))
        bpy.context.view_layer.update()
