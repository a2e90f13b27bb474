# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene as a set of 3D Gaussians: parameters, where they start, and how their number grows."""
