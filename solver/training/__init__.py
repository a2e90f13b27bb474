# SPDX-License-Identifier: GPL-3.0-or-later
"""The joint optimization of scene and lens: from a Capture to a Reconstruction."""
