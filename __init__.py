# SPDX-License-Identifier: GPL-3.0-or-later
"""Macro Reconstruction: what Blender loads."""

from .blender_addon import register, unregister

__all__ = ["register", "unregister"]
