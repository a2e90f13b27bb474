# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles renders on."""

import bpy

from .errors import GeneratorError


def choose_device(name: str) -> None:
    """Let the current scene render on `name` of arguments.DEVICES.

    Raises:
        GeneratorError: this Blender or this machine has no such device, or Cycles is turned off.
    """
    cycles = getattr(bpy.context.scene, "cycles", None)
    if cycles is None:
        raise GeneratorError("Cycles is turned off in this Blender", remedy="turn it on among the add-ons")
    if name == "cpu":
        cycles.device = "CPU"
        return
    kind = name.upper()
    preferences = bpy.context.preferences.addons["cycles"].preferences
    try:
        preferences.compute_device_type = kind
    except TypeError:  # not among the choices
        raise GeneratorError(f"this Blender was built without {kind}", remedy="leave --device out") from None
    preferences.refresh_devices()
    chosen = [device for device in preferences.devices if device.type == kind]
    if not chosen:
        raise GeneratorError(f"Blender finds no {kind} device here", remedy="leave --device out, or see its driver")
    for device in preferences.devices:
        device.use = device.type == kind
    cycles.device = "GPU"
