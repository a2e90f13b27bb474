# SPDX-License-Identifier: GPL-3.0-or-later
"""Results against ground truth, and renderings at any camera."""
