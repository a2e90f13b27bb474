# SPDX-License-Identifier: GPL-3.0-or-later
"""The subject turned before a camera, lights and background that stay."""

import math
from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Vector

from .errors import GeneratorError
from .ground_truth import subject_mesh
from .views import turn

_TOLERANCE = 1e-4  # relative to the subject's size: more than rounding


class Turntable:
    """Turns objects about the vertical axis through a point."""

    def __init__(self, subject: Sequence[bpy.types.Object], centre_mm: np.ndarray, units_per_mm: float) -> None:
        """Put `subject` onto an invisible table whose axis runs through `centre_mm` [3].

        Its objects keep their place, their animation and their children.

        Raises:
            GeneratorError: something outside `subject` shapes or moves it, so that it does not turn as a whole.
        """
        before, _ = subject_mesh(subject, units_per_mm)
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
        self.turn_to(90.0)
        after, _ = subject_mesh(subject, units_per_mm)
        self.turn_to(0.0)
        if not _is_turned(before, after, turn(90.0, centre_mm)):
            raise GeneratorError(
                "the subject would not keep its shape on a turntable, since something else shapes or moves it",
                where=bpy.data.filepath,
                remedy="make what does so (an armature, the target of a modifier) its child, or give another --plan",
            )

    def turn_to(self, degrees: float) -> None:
        """Turn the subject to `degrees`, counted from where it was built, anticlockwise from above."""
        self._table.rotation_euler = (0.0, 0.0, math.radians(degrees))
        bpy.context.view_layer.update()


def _is_turned(
    before: np.ndarray,  # [V, 3], mm
    after: np.ndarray,  # [W, 3], mm
    motion: np.ndarray,  # [4, 4]
) -> bool:
    if before.shape != after.shape:
        return False
    expected = before @ motion[:3, :3].T + motion[:3, 3]
    rounding = 16 * np.spacing(abs(before).max().astype(np.float32))  # far from the origin it is no small matter
    return bool(abs(after - expected).max() <= _TOLERANCE * np.ptp(before, axis=0).max() + rounding)
