# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos taken again: with another focus, another aperture, all in focus, or as a film."""
