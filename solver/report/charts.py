# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawings in the page, as SVG. Colours and type are the style sheet's, by class, so that they suit light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 24, 22, 44  # px, round a plot
_CHARACTER = 10.5  # px, at most as wide is a digit, on phones, where letters are largest
_TICKS = 5  # about as many on an axis
_DEPTHS = 24  # steps of the subject's depth range in which photos are counted
_BEYOND = 0.15  # of that range, shown on both sides of it


@dataclass(frozen=True)
class FocusRange:
    """Where a photo is in focus, as parts of its subject's depth range: 0 is the near side, 1 the far one."""

    name: str
    focus: float  # of the focus plane; can be infinite
    near: float
    far: float  # can be infinite


@dataclass(frozen=True)
class Sight:
    """A camera on the map."""

    name: str
    centre: np.ndarray  # [3], upright world, scene unit
    corners: np.ndarray  # [4, 3], of its field of view at unit distance, relative to `centre`
    held_out: bool


def line_chart(
    steps: Sequence[float],
    values: Sequence[float | None],
    *,
    title: str,
    unit: str,
    marks: Sequence[tuple[float, str]] = (),
) -> Markup:
    """One curve over the steps of a run; marks are steps at which something began, with their names."""
    known = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    if len(known) < 2:
        return Markup("")
    width, height = 520, 300
    right, bottom = width - _RIGHT, height - _BOTTOM
    rows = ticks(min(value for _, value in known), max(value for _, value in known))
    columns = ticks(0, max(steps))
    columns = [column for column in columns if column <= max(steps)]

    def x(step: float) -> float:
        return _LEFT + (right - _LEFT) * step / max(steps)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - rows[0]) / (rows[-1] - rows[0])

    parts = [_text(_LEFT, 12, unit, "unit")]
    for row in rows:
        parts += [_line(_LEFT, y(row), right, y(row), "grid"), _text(_LEFT - 8, y(row) + 4, number(row), "tick end")]
    for column in columns:
        name = number(column)
        parts.append(_text(min(x(column), width - _CHARACTER / 2 * len(name)), bottom + 18, name, "tick middle"))
    rises = known[-1][1] > known[0][1]
    for row, (step, name) in enumerate(sorted(marks)):
        if 0 < step < max(steps):
            near_end = step > 0.7 * max(steps)
            parts.append(_line(x(step), _TOP, x(step), bottom, "mark"))
            parts.append(
                _text(
                    x(step) + (-6 if near_end else 6),
                    (bottom - 8 if rises else _TOP + 32) - 18 * (row % 2),  # where the curve is not
                    name,
                    "note end" if near_end else "note",
                )
            )
    path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in known)
    parts.append(Markup('<polyline class="curve" points="{}"/>').format(path))
    last_step, last = known[-1]
    parts.append(Markup('<circle class="end" cx="{:.1f}" cy="{:.1f}" r="4"/>').format(x(last_step), y(last)))
    parts.append(_text((_LEFT + right) / 2, height - 6, "step", "unit middle"))
    described = f"{title}: from {number(known[0][1])} to {number(last)} {unit} over {max(steps):.0f} steps"
    return _svg(width, height, described, parts)


def focus_chart(ranges: Sequence[FocusRange]) -> Markup:
    """Each photo's depth of field within its subject's depth, by focus, and how many photos hold each depth."""
    if not ranges:
        return Markup("")
    ordered = sorted(ranges, key=lambda each: each.focus)
    width, height, plot_right, bars_left = 960, 320, 740, 770
    right, bottom, top = width - _RIGHT, height - 26, 26

    def y(part: float) -> float:
        clipped = min(max(part, -_BEYOND), 1 + _BEYOND)
        return bottom - (bottom - top) * (clipped + _BEYOND) / (1 + 2 * _BEYOND)

    pitch = (plot_right - _LEFT) / len(ordered)
    parts = [
        Markup('<rect class="subject" x="{}" y="{:.1f}" width="{}" height="{:.1f}"/>').format(
            _LEFT, y(1), right - _LEFT, y(0) - y(1)
        )
    ]
    parts += [_text(_LEFT - 8, y(0) + 4, "near", "tick end"), _text(_LEFT - 8, y(1) + 4, "far", "tick end")]
    parts += [_text(_LEFT - 8, y(0.5) + 4, "middle", "tick end")]
    for place, each in enumerate(ordered):
        left, wide = _LEFT + place * pitch + 0.15 * pitch, max(0.7 * pitch, 0.5)
        upper, lower = y(each.far), y(each.near)
        shape = Markup('<rect class="sharp" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            left, upper, wide, max(lower - upper, 0.8)
        )
        told = (
            f"{each.name}: focus at {100 * each.focus:.0f} % of the depth" if math.isfinite(each.focus) else each.name
        )
        parts.append(
            Markup("<g><title>{}</title>{}{}</g>").format(
                told, shape, _line(left, y(each.focus), left + wide, y(each.focus), "plane")
            )
        )
    counts = photos_by_depth(ranges)
    most = max(max(counts), 1)
    step = (y(0) - y(1)) / _DEPTHS
    for place, count in enumerate(counts):
        level = y((place + 1) / _DEPTHS) + 0.1 * step
        if count == 0:
            parts.append(_bar(bars_left, level, right - bars_left, 0.8 * step, "missing"))
        else:
            parts.append(_bar(bars_left, level, (right - bars_left) * count / most, 0.8 * step, "count"))
    parts.append(_text(_LEFT, 14, "photos, in the order of their focus: depth in focus, and the focus plane", "unit"))
    parts.append(_text(bars_left, 14, "photos in focus", "unit"))
    parts.append(_text((_LEFT + plot_right) / 2, height - 6, f"{len(ordered)} photos", "unit middle"))
    parts += [_text(bars_left, height - 6, "0", "tick"), _text(right, height - 6, str(most), "tick end")]
    empty = sum(count == 0 for count in counts)
    told = (
        f"{100 * empty / _DEPTHS:.0f} % of the subject's depth is in focus in no photo"
        if empty
        else ("every part of the subject's depth is in focus in some photo")
    )
    return _svg(width, height, f"Depth in focus in each of {len(ordered)} photos; {told}", parts)


def photos_by_depth(ranges: Sequence[FocusRange]) -> list[int]:
    """How many photos hold each of equal steps of the depth range in focus, by its middle, from the near side."""
    middles = [(place + 0.5) / _DEPTHS for place in range(_DEPTHS)]
    return [sum(each.near <= middle <= each.far for each in ranges) for middle in middles]


def camera_map(
    sights: Sequence[Sight],
    points: np.ndarray,  # [P, 3], of the subject, upright world, scene unit
    axes: tuple[int, int],
    title: str,
    unit: tuple[float, str],
) -> Markup:
    """Cameras and subject seen along an axis of the upright world, with a bar for the scale."""
    if not sights:
        return Markup("")
    width, height, margin = 480, 400, 26
    centres = np.array([sight.centre for sight in sights])
    everything = np.concatenate([centres, points]) if len(points) else centres
    across, along = everything[:, axes[0]], everything[:, axes[1]]
    middle = np.array([(across.max() + across.min()) / 2, (along.max() + along.min()) / 2])
    extent = max(float(np.ptp(across)) / (width - 2 * margin), float(np.ptp(along)) / (height - 2 * margin - 30), 1e-12)
    length = 0.075 * width * extent  # of a frustum

    def place(position: np.ndarray) -> tuple[float, float]:
        return (
            width / 2 + (position[axes[0]] - middle[0]) / extent,
            (height - 30) / 2 - (position[axes[1]] - middle[1]) / extent,
        )

    parts: list[Markup] = []
    if len(points):
        dots = " ".join(
            f"M{a:.1f} {b:.1f}h0"
            for a, b in dict.fromkeys((round(px, 1), round(py, 1)) for px, py in (place(point) for point in points))
        )
        parts.append(Markup('<path class="dots" d="{}"/>').format(dots))
    for sight in sights:
        apex = place(sight.centre)
        corners = [place(sight.centre + length * corner) for corner in sight.corners]
        outline = _hull([apex, *corners])
        shape = " ".join(f"{a:.1f},{b:.1f}" for a, b in outline)
        parts.append(
            Markup('<g><title>{}</title><polygon class="{}" points="{}"/>{}</g>').format(
                sight.name,
                "camera held" if sight.held_out else "camera",
                shape,
                Markup('<circle class="centre" cx="{:.1f}" cy="{:.1f}" r="2.2"/>').format(*apex),
            )
        )
    scale, name = unit
    long = round_length(0.25 * (width - 2 * margin) * extent * scale)
    pixels = long / scale / extent
    base = height - 22
    parts += [_line(margin, base, margin + pixels, base, "ruler"), _line(margin, base - 4, margin, base + 4, "ruler")]
    parts += [_line(margin + pixels, base - 4, margin + pixels, base + 4, "ruler")]
    parts.append(_text(margin + pixels + 8, base + 4, f"{number(long)} {name}", "tick"))
    return _svg(width, height, f"{title}: {len(sights)} cameras round the subject", parts)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers, from one at most `low` to one at least `high`."""
    if not high > low:
        low, high = low - max(abs(low), 1) * 0.5, high + max(abs(high), 1) * 0.5
    rough = (high - low) / _TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def round_length(length: float) -> float:
    """1, 2 or 5 times a power of ten, at most `length`."""
    magnitude = 10.0 ** math.floor(math.log10(length))
    return max(factor * magnitude for factor in (1, 2, 5) if factor * magnitude <= length * (1 + 1e-9))


def number(value: float) -> str:
    """A short way to write it."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}"


def _hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The convex hull by Andrew's monotone chain."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def half(sequence: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for point in sequence:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        return chain[:-1]

    return half(ordered) + half(ordered[::-1])


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _bar(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, width, height
    )


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)


def _svg(width: int, height: int, described: str, parts: Sequence[Markup]) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, described, Markup("").join(parts)
    )
