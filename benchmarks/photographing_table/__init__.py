# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of photographing.py, which tells how to photograph."""
