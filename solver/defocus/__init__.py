# SPDX-License-Identifier: GPL-3.0-or-later
"""The lens of a capture: what is unknown about it, where that starts, and how it blurs a rendering."""
