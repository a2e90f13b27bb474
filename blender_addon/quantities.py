# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes and times as people say them."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Bytes as people say them: 480 MB, 1.6 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def duration_text(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min, 1 h 20 min."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
