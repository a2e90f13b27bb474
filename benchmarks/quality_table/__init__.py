# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality table: captures with ground truth, methods, and cells that are run once and kept."""
