# SPDX-License-Identifier: GPL-3.0-or-later
"""From photos to a Capture: pinhole cameras in one world, and the sparse points seen in them."""

from solver.capture.loading import load_capture
from solver.capture.types import Camera, Capture, Photo, SparsePoints, UnregisteredPhoto

__all__ = ["Camera", "Capture", "Photo", "SparsePoints", "UnregisteredPhoto", "load_capture"]
