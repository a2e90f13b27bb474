# SPDX-License-Identifier: GPL-3.0-or-later
"""Macro captures rendered in Cycles, with their exact ground truth. Runs inside Blender: bpy, mathutils, numpy."""
