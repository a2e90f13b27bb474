# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a user takes away, as files (docs/formats.md)."""
