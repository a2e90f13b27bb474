# SPDX-License-Identifier: GPL-3.0-or-later
"""What rasterizer.py is made of: scenes, and the other ways to do the same that it is compared with."""
