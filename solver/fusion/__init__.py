# SPDX-License-Identifier: GPL-3.0-or-later
"""One surface out of many depth maps."""
