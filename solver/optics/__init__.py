# SPDX-License-Identifier: GPL-3.0-or-later
"""Lens and colour formulas, without state."""
