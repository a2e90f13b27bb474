# SPDX-License-Identifier: GPL-3.0-or-later
"""A result as a page to read: `report.html`, one file that needs nothing but a browser."""
