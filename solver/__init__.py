# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstruction: from a folder of blurred macro photos to a sharp 3D model and every pixel's defocus kernel."""

__version__ = "0.1.0"
