# SPDX-License-Identifier: GPL-3.0-or-later
"""The open movement of a pocket watch: striped bridges, gilt wheels, a balance with its hairspring.

Hard for reconstruction by its metal: highlights travel with the view over brushed, beaded and striped surfaces. Thin
spokes, teeth and a spring of a few hundredths of a millimetre repeat many times, on floors from the plate to the
balance cock five millimetres above it, so that most of what is seen is seen past the edge of something nearer.
"""

from itertools import pairwise

import bpy
import numpy as np
from mathutils.geometry import delaunay_2d_cdt

from .construction import MacroScene, add_mesh, add_softbox, lettering, set_world, spherical
from .geometry import Geometry, curve, lathe, merged, rotation, sheet, stone, tube
from .materials import Material

_TOOTH = [(0.0, 0.0), (0.2, 0.0), (0.27, 0.45), (0.35, 0.85), (0.45, 1.0)]  # phase and height, of half a tooth
_WHEEL_TOOTH = [*_TOOTH, *[(1 - phase, height) for phase, height in _TOOTH[:0:-1]]]
_RATCHET_TOOTH = [(0.0, 0.0), (0.12, 0.0), (0.4, 0.45), (0.75, 1.0), (0.86, 1.0)]
_ESCAPE_TOOTH = [(0.0, 0.0), (0.25, 0.0), (0.5, 0.12), (0.72, 0.6), (0.82, 1.0), (0.93, 0.98)]

_PLATE_RADIUS = 18.0  # mm
_BARREL = np.array([-6.7, -2.1])  # mm, the arbors, seen from above; neighbours mesh
_CROWN = np.array([-8.8, 3.7])
_CENTRE = np.array([-0.5, 0.8])
_THIRD = np.array([0.8, 5.7])
_FOURTH = np.array([4.9, 3.8])
_ESCAPE = np.array([6.8, 0.5])
_BALANCE = np.array([4.6, -5.6])
_BRIDGE = (2.7, 3.5)  # mm, under and upper side of the bridges
_COCK = (4.6, 5.4)  # mm, of the balance cock

_FINGERS = (  # path from the rim to the jewel, half widths along it, mm
    ([(-4.6, 17.0), (-3.9, 10.5), (-2.9, 5.2), _CENTRE], (2.3, 1.5, 1.15, 1.3)),
    ([(3.1, 17.0), (1.5, 12.0), (0.5, 8.6), _THIRD], (2.2, 1.45, 1.05, 1.25)),
    ([(11.5, 13.0), (8.0, 9.2), (6.0, 6.4), _FOURTH], (2.3, 1.4, 1.0, 1.2)),
    ([(17.0, 4.0), (12.6, 3.1), (9.4, 1.9), _ESCAPE], (2.1, 1.35, 0.95, 1.1)),
)
_COCK_FINGER = ([(15.5, -12.0), (11.2, -9.9), (7.6, -7.6), _BALANCE], (3.4, 2.7, 1.5, 1.45))
_BARREL_BRIDGE = [
    *[(17.4 * np.cos(a), 17.4 * np.sin(a)) for a in np.radians(np.linspace(116, 262, 16))],
    *[(-2.4, -13.0), (-1.5, -9.2), (-1.3, -6.2), (-2.6, -3.6), (-4.9, -1.2), (-5.7, 1.6), (-5.6, 4.8), (-6.6, 8.0)],
    (-7.1, 12.0),
]


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    rng = np.random.default_rng(53)
    steel, gilt, blued = _steel_material(), _gilt_material(), _blued_material()
    striped = _striped_material()
    subject = (
        add_mesh("Main plate", _main_plate(), _beaded_material()),
        add_mesh("Bridges", merged(_bridges()), striped),
        add_mesh("Balance cock", merged(_cock()), striped),
        add_mesh("Wheels", merged(_wheels()), gilt),
        add_mesh("Steel", merged(_steel_parts()), steel),
        add_mesh("Blued screws", merged(_screws(rng)), blued),
        add_mesh("Hairspring", _hairspring(), blued),
        add_mesh("Chatons", merged([_chaton(*jewel) for jewel in _jewels()]), gilt),
        add_mesh("Jewels", merged([_jewel(*jewel) for jewel in _jewels()]), _ruby_material()),
        add_mesh("Engraving", merged(_engraving()), _lacquer_material()),
    )
    _case()
    add_mesh("Dust", merged(_dust(rng)), _dust_material())
    add_softbox("Key", spherical(170, 130, 52), (0, 0, 2), (180, 140), 0.31, (1.0, 0.94, 0.86))
    add_softbox("Fill", spherical(180, -45, 45), (0, 0, 2), (160, 140), 0.20, (0.82, 0.93, 1.0))
    add_softbox("Rim", spherical(150, 35, 22), (0, 0, 2), (70, 120), 0.24, (1.0, 0.9, 0.76))
    set_world((0.72, 0.78, 0.88), 0.15)
    return MacroScene(
        subject=subject,
        centre_mm=np.array([0.0, 0.0, 2.4]),
        radius_mm=11.5,
        field_width_mm=22.0,
        elevations=(38.0, 75.0),
        f_number=7.1,
    )


def _inset(loop: np.ndarray, distance: float) -> np.ndarray:
    """A loop [N, 2] moved to its left, mitred."""
    before, after = loop - np.roll(loop, 1, 0), np.roll(loop, -1, 0) - loop
    normals = [
        np.stack([-way[:, 1], way[:, 0]], -1) / np.linalg.norm(way, axis=1, keepdims=True) for way in (before, after)
    ]
    middle = normals[0] + normals[1]
    return loop + distance * middle / np.maximum((middle * normals[0]).sum(1, keepdims=True), 0.6)


def _extruded(
    outline: np.ndarray,  # [N, 2], mm, counter-clockwise
    bottom: float,
    top: float,
    bevel: float = 0.05,
    holes: tuple[np.ndarray, ...] = (),  # each [M, 2], clockwise
) -> Geometry:
    """A flat part cut from a sheet, open below; its upper edges are bevelled, and "edge" is 1 on the bevels."""
    parts = []
    rims = [_inset(loop, bevel) for loop in (outline, *holes)]
    starts = np.cumsum([0] + [len(rim) for rim in rims])
    edges = [
        (int(start + index), int(start + (index + 1) % len(rim)))
        for rim, start in zip(rims, starts, strict=False)
        for index in range(len(rim))
    ]
    inside_the_outline = 1
    corners, _, faces, *_ = delaunay_2d_cdt(
        [tuple(corner) for rim in rims for corner in rim], edges, [], inside_the_outline, 1e-6
    )
    flat, triangles = np.array([tuple(corner) for corner in corners]), np.array(faces)
    for rim in rims[1:]:
        triangles = triangles[~_encloses(rim, flat[triangles].mean(1))]
    parts.append(Geometry(np.column_stack([flat, np.full(len(flat), top)]), triangles))
    for loop, rim in zip((outline, *holes), rims, strict=True):
        at = [
            np.column_stack([line, np.full(len(line), height)])
            for line, height in [(rim, top), (loop, top - bevel), (loop, bottom)]
        ]
        parts.append(sheet(np.stack(at[:2]), closed=True).with_attribute("edge", 1.0))
        parts.append(sheet(np.stack(at[1:]), closed=True).with_attribute("edge", 0.0))
    return merged(parts)


def _encloses(loop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether a loop [N, 2] goes round each of `points` [P, 2]: its ray crosses it oddly often."""
    start, end = loop, np.roll(loop, -1, 0)
    x, y = points[:, :1], points[:, 1:]
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(start[:, 1] == end[:, 1], 1.0, end[:, 1] - start[:, 1])
    meets = start[:, 0] + (y - start[:, 1]) / rise * (end[:, 0] - start[:, 0])
    return (spans & (meets > x)).sum(1) % 2 == 1


def _turned(profile: list[tuple[float, float]], sides: int = 40) -> Geometry:
    """A lathe's work with sharp edges; `profile` (radius, height) runs from the axis outwards and down."""
    return merged([lathe(pair, sides) for pair in pairwise(profile)])


def _at(part: Geometry, place: np.ndarray, height: float = 0.0) -> Geometry:
    """A part of the watch put on its arbor at `place` [2], which materials know as `centre_x` and `centre_y`."""
    moved = part.moved(np.eye(3), np.array([*place, height]))
    return moved.with_attribute("centre_x", place[0]).with_attribute("centre_y", place[1])


def _circle(radius: float, count: int, place: np.ndarray | tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """A circle [count, 2] round `place` [2], counter-clockwise."""
    angle = np.arange(count) * 2 * np.pi / count
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1) + place


def _closed_curve(stations: list, count: int) -> np.ndarray:
    """A smooth loop through `stations`."""
    around = curve([*stations[-2:], *stations, *stations[:3]], (len(stations) + 4) * count + 1)
    return around[2 * count : -2 * count - 1]


def _ribbon(path: list, widths: tuple[float, ...]) -> np.ndarray:
    """The outline of a strip with a round end, counter-clockwise; `widths` are half widths at the path's stations."""
    line = curve([[*place, width] for place, width in zip(path, widths, strict=True)], 60)
    place, width = line[:, :2], line[:, 2:]
    along = np.gradient(place, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    left = np.stack([-along[:, 1], along[:, 0]], -1)
    turn = np.linspace(-np.pi / 2, np.pi / 2, 25)[1:-1, None]
    cap = place[-1] + width[-1] * (np.cos(turn) * along[-1] + np.sin(turn) * left[-1])
    return np.concatenate([place - width * left, cap, (place + width * left)[::-1]])


def _toothed(count: int, radius: float, depth: float, tooth: list[tuple[float, float]]) -> np.ndarray:
    """The outline of a gear wheel with `count` teeth of `depth` on a circle of `radius`."""
    phase, height = np.array(tooth).T
    angle = ((np.arange(count)[:, None] + phase) * 2 * np.pi / count).ravel()
    reach = radius + depth * np.tile(height, count)
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1)


def _windows(spokes: int, hub: float, rim: float, width: float, turn: float = 0.0) -> tuple[np.ndarray, ...]:
    """The openings between `spokes` spokes, clockwise."""
    loops = []
    for index in range(spokes):
        middle = turn + (index + 0.5) * 2 * np.pi / spokes
        outer = np.pi / spokes - np.arcsin(0.5 * width / rim)
        inner = np.pi / spokes - np.arcsin(0.6 * width / hub)
        angles = np.concatenate([np.linspace(-outer, outer, 24), np.linspace(inner, -inner, 12)]) + middle
        radii = np.concatenate([np.full(24, rim), np.full(12, hub)])
        loops.append(_rounded(np.stack([radii * np.cos(angles), radii * np.sin(angles)], -1))[::-1])
    return tuple(loops)


def _rounded(loop: np.ndarray) -> np.ndarray:
    """The loop [N, 2] with its corners cut, [2 N, 2] (Chaikin)."""
    following = np.roll(loop, -1, 0)
    return np.stack([0.8 * loop + 0.2 * following, 0.2 * loop + 0.8 * following], 1).reshape(-1, 2)


def _wheel(teeth: int, radius: float, bottom: float, spokes: int, turn: float) -> Geometry:
    """A train wheel with its hub."""
    outline = _toothed(teeth, radius - 0.3, 0.36, _WHEEL_TOOTH)
    disc = _extruded(outline, bottom, bottom + 0.24, 0.035, _windows(spokes, 0.95, radius - 0.95, 0.5, turn))
    hub = _turned([(0.01, bottom + 0.4), (0.62, bottom + 0.4), (0.68, bottom + 0.34), (0.68, bottom)])
    return merged([disc, hub])


def _wheels() -> list[Geometry]:
    barrel = merged(
        [
            _extruded(_toothed(84, 5.75, 0.36, _WHEEL_TOOTH), 0.6, 1.05, 0.04),
            _turned([(0.01, 2.2), (1.4, 2.2), (1.4, 2.1), (5.0, 2.1), (5.1, 2.0), (5.1, 0.9)], 120),
        ]
    )
    rim = _extruded(_circle(4.7, 160), 3.35, 3.85, 0.06, (*_windows(3, 0.9, 4.05, 0.62, 0.5),))
    poising = [
        tube(np.array([[4.6, 0, 3.6], [5.02, 0, 3.6]]), np.array([0.13, 0.13]), 10).moved(
            rotation([0, 0, 1], turn), np.zeros(3)
        )
        for turn in np.arange(18) * 2 * np.pi / 18
    ] + [
        tube(np.array([[4.98, 0, 3.6], [5.2, 0, 3.6]]), np.array([0.25, 0.25]), 14).moved(
            rotation([0, 0, 1], turn), np.zeros(3)
        )
        for turn in np.arange(18) * 2 * np.pi / 18
    ]
    return [
        _at(barrel, _BARREL),
        _at(_wheel(76, 4.4, 1.0, 5, 0.2), _CENTRE),
        _at(_wheel(70, 3.9, 1.65, 4, 0.9), _THIRD),
        _at(_wheel(64, 3.3, 2.2, 4, 0.1), _FOURTH),
        _at(merged([rim, *poising]), _BALANCE),
    ]


def _pinion(leaves: int, radius: float, bottom: float, top: float) -> Geometry:
    """A steel pinion, and its arbor up to a bridge."""
    return merged(
        [
            _extruded(_toothed(leaves, 0.6 * radius, 0.4 * radius, _WHEEL_TOOTH), bottom, top, 0.03),
            lathe([(0.01, _BRIDGE[1]), (0.16, _BRIDGE[1]), (0.16, 0.0)], 14),
        ]
    )


def _steel_parts() -> list[Geometry]:
    """Pinions, escape wheel and lever, and the winding work on the barrel bridge."""
    top = _BRIDGE[1]
    escape = _extruded(_toothed(15, 1.45, 0.65, _ESCAPE_TOOTH), 1.25, 1.45, 0.03, _windows(4, 0.5, 1.15, 0.3))
    lever = _extruded(
        _ribbon([(7.6, -0.9), (7.1, -2.2), (6.1, -3.6), (5.2, -4.9)], (0.3, 0.5, 0.24, 0.2)), 1.0, 1.25, 0.03
    )
    ratchet = _extruded(_toothed(44, 3.5, 0.36, _RATCHET_TOOTH), top + 0.05, top + 0.5, 0.07)
    crown = _extruded(_toothed(30, 2.2, 0.36, _WHEEL_TOOTH), top + 0.05, top + 0.5, 0.07)
    washer = _turned([(0.5, top + 0.5), (0.55, top + 0.62), (1.3, top + 0.62), (1.4, top + 0.5)])
    click = _extruded(
        _ribbon([(-11.9, -4.6), (-11.2, -4.2), (-10.6, -3.6), (-10.15, -3.1)], (0.75, 0.75, 0.45, 0.15)),
        top + 0.03,
        top + 0.4,
        0.06,
    )
    regulator = _extruded(
        _ribbon([(4.6, -5.6), (6.0, -7.9), (7.1, -9.8), (7.7, -11.3)], (1.05, 0.4, 0.24, 0.08)),
        _COCK[1] + 0.03,
        _COCK[1] + 0.22,
        0.05,
        (_circle(0.78, 40, _BALANCE)[::-1],),
    )
    staff = lathe([(0.01, 4.7), (0.2, 4.7), (0.2, 4.4), (0.62, 4.4), (0.62, 4.0), (0.3, 4.0), (0.3, 0.5)], 20)
    return [
        _at(_pinion(12, 0.95, 1.3, 2.5), _CENTRE),
        _at(_pinion(10, 0.75, 0.4, 1.4), _THIRD),
        _at(_pinion(8, 0.7, 0.9, 2.1), _FOURTH),
        _at(merged([escape, _pinion(8, 0.6, 1.6, 2.5)]), _ESCAPE),
        lever.with_attribute("centre_x", 30.0),
        _at(merged([ratchet, washer]), _BARREL),
        _at(merged([crown, washer]), _CROWN),
        click.with_attribute("centre_x", 30.0),
        regulator.with_attribute("centre_x", 30.0),
        _at(staff, _BALANCE),
    ]


def _main_plate() -> Geometry:
    """The plate under everything, with a sunk step beneath the balance."""
    sink = _circle(6.1, 120, _BALANCE)[::-1]
    return merged(
        [
            _extruded(_circle(_PLATE_RADIUS, 240), -1.5, 0.0, 0.12, (sink,)),
            _extruded(_circle(6.3, 120, _BALANCE), -1.2, -0.6, 0.02),
        ]
    )


def _bridges() -> list[Geometry]:
    under, top = _BRIDGE
    outline = _closed_curve(_BARREL_BRIDGE, 9)
    parts = [_extruded(outline, under, top, 0.16)]
    angles = np.radians(np.linspace(122, 256, 60))
    wall = np.concatenate([_arc(17.2, angles), _arc(14.9, angles[::-1])])
    parts.append(_extruded(wall, 0.0, under + 0.1, 0.02))
    for path, widths in _FINGERS:
        hole = _circle(0.93, 48, np.asarray(path[-1]))[::-1]
        parts.append(_extruded(_ribbon(path, widths), under, top, 0.13, (hole,)))
        parts.append(_extruded(_ribbon(path[:2], widths[:2]), 0.0, under + 0.1, 0.02))
    return parts


def _arc(radius: float, angles: np.ndarray) -> np.ndarray:
    """The points [N, 2] of a circle round the origin at `angles` [N], radians."""
    return radius * np.stack([np.cos(angles), np.sin(angles)], -1)


def _cock() -> list[Geometry]:
    path, widths = _COCK_FINGER
    hole = _circle(0.93, 48, _BALANCE)[::-1]
    return [
        _extruded(_ribbon(path, widths), *_COCK, 0.16, (hole,)),
        _extruded(_ribbon(path[:2], (widths[0], widths[1] - 0.2)), 0.0, _COCK[0] + 0.1, 0.02),
    ]


def _jewels() -> list[tuple[np.ndarray, float]]:
    """Where the jewels sit, and the height of the surface round them."""
    return [(place, _BRIDGE[1]) for place in (_CENTRE, _THIRD, _FOURTH, _ESCAPE)] + [
        (_BALANCE, _COCK[1]),
        (np.array([7.1, -2.2]), 1.25),
        (np.array([-1.7, -3.4]), 0.0),
        (np.array([9.2, 7.6]), 0.0),
        (np.array([-3.0, 12.2]), 0.0),
    ]


def _chaton(place: np.ndarray, height: float) -> Geometry:
    """The gold ring that a jewel is pressed into, at `place` [2]."""
    return _at(_turned([(0.56, -0.1), (0.66, 0.06), (0.8, 0.06), (0.9, 0.0), (0.92, -0.5)], 48), place, height)


def _jewel(place: np.ndarray, height: float) -> Geometry:
    """A pierced ruby with its oil sink, at `place` [2]."""
    cup = lathe([(0.05, -0.14), (0.1, -0.13), (0.2, -0.09), (0.28, 0.0), (0.4, 0.02), (0.5, 0.0), (0.58, -0.1)], 36)
    return _at(cup, place, height)


def _screw(place: np.ndarray, height: float, radius: float, heading: float) -> Geometry:
    """A slotted screw whose head stands on a surface at `place` [2] and `height`."""
    half_slot, thick = 0.13 * radius + 0.02, 0.17 * radius + 0.1
    lean = np.arcsin(half_slot / radius)
    arc = _arc(radius, np.linspace(-np.pi / 2 + lean, np.pi / 2 - lean, 26))
    half = _extruded(arc, 0.0, thick, 0.06)
    parts = [half.moved(rotation([0, 0, 1], heading + turn), np.zeros(3)) for turn in (0.0, np.pi)]
    floor = _extruded(_circle(0.97 * radius, 40), -0.3, 0.45 * thick, 0.02)
    return _at(merged([*parts, floor]), place, height)


def _screws(rng: np.random.Generator) -> list[Geometry]:
    top, cock = _BRIDGE[1], _COCK[1]
    places = [
        ((-12.6, -8.3), top, 0.95),
        ((-4.1, -11.5), top, 0.95),
        ((-13.6, 5.6), top, 0.95),
        ((-9.4, 11.3), top, 0.95),
        ((-11.75, -4.5), top + 0.4, 0.5),
        (_BARREL, top + 0.62, 1.05),
        (_CROWN, top + 0.62, 1.0),
        ((12.2, -10.4), cock, 1.15),
        ((5.6, -4.55), cock, 0.3),
        ((3.55, -6.6), cock, 0.3),
        ((-4.0, 11.4), top, 0.8),
        ((1.55, 11.9), top, 0.8),
        ((8.2, 9.3), top, 0.8),
        ((12.7, 3.1), top, 0.8),
        ((1.2, -2.9), 0.0, 0.6),
        ((10.9, -2.6), 0.0, 0.7),
        ((-1.5, -9.8), 0.0, 0.6),
    ]
    for path, _ in _FINGERS:
        tip, inner = np.array(path[-1]), np.array(path[-2])
        way = (inner - tip) / np.linalg.norm(inner - tip)
        places.append((tip + 1.28 * way, top, 0.3))
    return [_screw(np.asarray(place), height, radius, rng.uniform(0, np.pi)) for place, height, radius in places]


def _hairspring() -> Geometry:
    """Nine and a half turns of a flat ribbon, seen almost on edge."""
    turns = np.linspace(0, 9.5 * 2 * np.pi, 900)
    radius = 0.65 + 0.25 * turns / (2 * np.pi)
    rows = [
        np.column_stack([(radius + side) * np.cos(turns), (radius + side) * np.sin(turns), np.full(900, height)])
        for side, height in [(-0.03, 4.05), (-0.03, 4.27), (0.03, 4.27), (0.03, 4.05)]
    ]
    strips = [sheet(np.stack(pair)) for pair in pairwise(rows)]
    return _at(merged(strips), _BALANCE)


def _engraving() -> list[Geometry]:
    """Letters filled with lacquer, a hundredth of a millimetre proud."""
    lines = [
        ("HALDEN & VOSS", (-7.6, -7.2), _BRIDGE[1], 0.95, 0.0),
        ("SEVENTEEN JEWELS", (-7.9, -8.7), _BRIDGE[1], 0.62, 0.0),
        ("ADJUSTED", (-10.5, 8.0), _BRIDGE[1], 0.62, 0.0),
        ("No 27184", (-11.0, 9.2), _BRIDGE[1], 0.62, 0.0),
        ("S", (9.3, -10.2), _COCK[1], 0.7, 0.55),
        ("F", (10.4, -8.3), _COCK[1], 0.7, 0.55),
    ]
    return [
        lettering(text).moved(size * rotation([0, 0, 1], turn), np.array([*place, height + 0.01]))
        for text, place, height, size, turn in lines
    ]


def _case() -> None:
    """The case's ring round the movement, and the bench that it lies on."""
    ring = _turned([(18.1, -1.0), (18.1, 1.6), (18.6, 2.2), (20.4, 2.6), (21.2, 2.3), (21.8, 1.4), (21.8, -3.0)], 200)
    add_mesh("Case", ring.with_attribute("edge", 0.0), _case_material())
    s = np.linspace(-90, 90, 40)
    x, y = np.meshgrid(s, s, indexing="ij")
    add_mesh("Bench", sheet(np.stack([x, y, np.full_like(x, -3.0)], -1)), _bench_material())


def _dust(rng: np.random.Generator) -> list[Geometry]:
    """Specks and two fibres on the barrel bridge: no movement stays clean for long."""
    shapes = [stone(rng.uniform(0.6, 1.2, 3), rng, rows=5) for _ in range(6)]
    specks = []
    for index in range(160):
        place = np.array([rng.uniform(-14, -6), rng.uniform(-11, 11), _BRIDGE[1]])
        if np.hypot(*(place[:2] - _BARREL)) > 4.0 and np.hypot(*(place[:2] - _CROWN)) > 2.8:
            specks.append(shapes[index % 6].moved(rng.uniform(0.012, 0.045) * np.eye(3), place))
    for stations in (
        [(-10.2, -10.0, 3.53), (-9.0, -9.6, 3.6), (-8.6, -10.4, 3.55), (-7.2, -10.2, 3.52)],
        [(-8.0, 8.8, 3.52), (-7.6, 9.8, 3.62), (-8.3, 10.2, 3.6), (-8.4, 11.0, 3.52)],
    ):
        specks.append(tube(curve(stations, 40), np.full(40, 0.014), 5))
    return specks


def _dimmed(m: Material, colour: object, strength: float = 0.5) -> bpy.types.NodeSocket:
    """The colour with the stains and fine scratches that handled metal has."""
    stain = m.ramp(m.noise(2.3, 6, 0.6), (0.3, (0.55, 0.53, 0.5)), (0.52, (1.0, 1.0, 1.0)), (0.7, (1.1, 1.08, 1.05)))
    colour = m.mix(strength, colour, stain, "MULTIPLY")
    fine = m.ramp(m.noise(0.09, 3), (0.3, (0.6,) * 3), (0.7, (1.25,) * 3))
    return m.mix(strength, colour, fine, "MULTIPLY")


def _around_arbor(m: Material) -> bpy.types.NodeSocket:
    """The direction round the arbor that a part turns on: how it was brushed."""
    x = m.calculate("SUBTRACT", m.coordinate(0), m.attribute("centre_x"))
    y = m.calculate("SUBTRACT", m.coordinate(1), m.attribute("centre_y"))
    return m.vector(m.calculate("MULTIPLY", y, -1.0), x, 0.0)


def _snailed(m: Material, colour: object) -> bpy.types.NodeSocket:
    """The colour under a sunburst of curved rays, as on winding wheels."""
    x = m.calculate("SUBTRACT", m.coordinate(0), m.attribute("centre_x"))
    y = m.calculate("SUBTRACT", m.coordinate(1), m.attribute("centre_y"))
    distance = m.calculate("SQRT", m.calculate("ADD", m.calculate("MULTIPLY", x, x), m.calculate("MULTIPLY", y, y)))
    turn = m.calculate("MULTIPLY", m.calculate("ARCTAN2", y, x), 30.0)
    wave = m.calculate("SINE", m.calculate("ADD", turn, m.calculate("MULTIPLY", distance, 5.0)))
    return m.mix(0.35, colour, m.ramp(m.between(wave, -1.0, 1.0), (0.0, (0.55,) * 3), (1.0, (1.3,) * 3)), "MULTIPLY")


def _gilt_material() -> bpy.types.Material:
    m = Material("Gilt")
    colour = m.mix(m.noise(1.5, 4), (0.62, 0.36, 0.12), (0.74, 0.48, 0.2))
    colour = _dimmed(m, colour, 0.6)
    relief = m.bump(m.noise(0.06, 3), 0.006, m.bump(m.noise(0.4, 3), 0.012))
    return m.finish(
        Base_Color=colour, Metallic=1.0, Roughness=0.34, Anisotropic=0.6, Tangent=_around_arbor(m), Normal=relief
    )


def _steel_material() -> bpy.types.Material:
    m = Material("Steel")
    colour = m.mix(m.attribute("edge"), _snailed(m, _dimmed(m, (0.33, 0.33, 0.345), 0.6)), (0.62, 0.62, 0.635))
    relief = m.bump(m.noise(0.06, 3), 0.005, m.bump(m.noise(0.3, 3), 0.01))
    return m.finish(
        Base_Color=colour, Metallic=1.0, Roughness=0.3, Anisotropic=0.75, Tangent=_around_arbor(m), Normal=relief
    )


def _blued_material() -> bpy.types.Material:
    m = Material("Blued steel")
    colour = m.ramp(m.noise(0.9, 4), (0.35, (0.01, 0.02, 0.075)), (0.6, (0.02, 0.04, 0.15)), (0.75, (0.05, 0.03, 0.1)))
    colour = m.mix(m.attribute("edge"), _dimmed(m, colour, 0.5), (0.06, 0.1, 0.24))
    return m.finish(Base_Color=colour, Metallic=1.0, Roughness=0.3, Normal=m.bump(m.noise(0.07, 3), 0.006))


def _striped_material() -> bpy.types.Material:
    """Geneva stripes: bands of ground arcs, each of which mirrors from one side to the other."""
    m = Material("Striped bridges")
    heading, width = np.radians(28.0), 1.5
    across = m.calculate(
        "ADD",
        m.calculate("MULTIPLY", m.coordinate(0), -np.sin(heading) / width),
        m.calculate("MULTIPLY", m.coordinate(1), np.cos(heading) / width),
    )
    fraction = m.calculate("FRACT", across)
    turn = m.calculate("ADD", m.calculate("MULTIPLY", fraction, 1.9), heading + np.pi / 2 - 0.95)
    tangent = m.vector(m.calculate("COSINE", turn), m.calculate("SINE", turn), 0.0)
    seam = m.calculate("MULTIPLY", fraction, m.calculate("SUBTRACT", 1.0, fraction))
    colour = m.mix(m.between(seam, 0.0, 0.09), (0.15, 0.14, 0.135), (0.43, 0.41, 0.385))
    arcs = m.noise(0.1, 3, stretch=7.0, heading=118)
    colour = m.mix(0.5, colour, m.ramp(arcs, (0.3, (0.6,) * 3), (0.7, (1.3,) * 3)), "MULTIPLY")
    colour = m.mix(m.attribute("edge"), _dimmed(m, colour, 0.45), (0.66, 0.64, 0.61))
    relief = m.bump(arcs, 0.008, m.bump(seam, 0.09))
    return m.finish(
        Base_Color=colour,
        Metallic=1.0,
        Roughness=m.between(m.noise(2.8, 5), -0.8, 2.1),
        Anisotropic=0.7,
        Tangent=tangent,
        Normal=relief,
    )


def _beaded_material() -> bpy.types.Material:
    """Perlage: rows of overlapping ground discs; where they overlap, the last one struck is seen."""
    m = Material("Beaded plate")
    step, radius = 0.95, 0.66
    column = m.calculate("FLOOR", m.calculate("DIVIDE", m.coordinate(0), step))
    row = m.calculate("FLOOR", m.calculate("DIVIDE", m.coordinate(1), step))
    offset_x: object = 0.0
    offset_y: object = 0.0
    for row_step, column_step in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        centre_x = m.calculate("MULTIPLY", m.calculate("ADD", column, column_step), step)
        centre_y = m.calculate("MULTIPLY", m.calculate("ADD", row, row_step), step)
        x = m.calculate("SUBTRACT", m.coordinate(0), centre_x)
        y = m.calculate("SUBTRACT", m.coordinate(1), centre_y)
        distance = m.calculate("SQRT", m.calculate("ADD", m.calculate("MULTIPLY", x, x), m.calculate("MULTIPLY", y, y)))
        inside = m.calculate("LESS_THAN", distance, radius)
        outside = m.calculate("SUBTRACT", 1.0, inside)
        offset_x = m.calculate("ADD", m.calculate("MULTIPLY", x, inside), m.calculate("MULTIPLY", offset_x, outside))
        offset_y = m.calculate("ADD", m.calculate("MULTIPLY", y, inside), m.calculate("MULTIPLY", offset_y, outside))
    tangent = m.vector(m.calculate("MULTIPLY", offset_y, -1.0), offset_x, 0.0)
    square = m.calculate(
        "ADD", m.calculate("MULTIPLY", offset_x, offset_x), m.calculate("MULTIPLY", offset_y, offset_y)
    )
    rings = m.calculate("SINE", m.calculate("MULTIPLY", m.calculate("SQRT", square), 75.0))
    colour = m.mix(m.between(square, 0.0, 0.42), (0.44, 0.40, 0.35), (0.2, 0.18, 0.155))
    colour = m.mix(m.between(rings, -1.0, 2.5), colour, (0.2, 0.185, 0.17))
    relief = m.bump(m.between(square, 0.0, 0.45), 0.009, m.bump(m.noise(0.08, 3), 0.008))
    return m.finish(
        Base_Color=_dimmed(m, colour, 0.5),
        Metallic=1.0,
        Roughness=0.33,
        Anisotropic=0.75,
        Tangent=tangent,
        Normal=relief,
    )


def _ruby_material() -> bpy.types.Material:
    m = Material("Ruby")
    colour = m.mix(m.facing(0.55), (0.36, 0.004, 0.032), (0.1, 0.0, 0.01))
    return m.finish(Base_Color=colour, Roughness=0.22, Specular_IOR_Level=0.8)


def _lacquer_material() -> bpy.types.Material:
    m = Material("Lacquer")
    return m.finish(Base_Color=(0.02, 0.017, 0.015), Roughness=0.45, Normal=m.bump(m.noise(0.1, 3), 0.01))


def _case_material() -> bpy.types.Material:
    m = Material("Case")
    colour = _dimmed(m, m.mix(m.noise(3.0, 5), (0.72, 0.45, 0.18), (0.82, 0.58, 0.3)), 0.7)
    return m.finish(Base_Color=colour, Metallic=1.0, Roughness=0.35, Normal=m.bump(m.noise(0.12, 4), 0.015))


def _bench_material() -> bpy.types.Material:
    m = Material("Bench")
    grain = m.noise(1.4, 6, 0.4, stretch=14.0, heading=25)
    colour = m.ramp(grain, (0.32, (0.06, 0.026, 0.012)), (0.5, (0.17, 0.08, 0.035)), (0.68, (0.3, 0.16, 0.075)))
    return m.finish(Base_Color=colour, Roughness=0.5, Normal=m.bump(grain, 0.1))


def _dust_material() -> bpy.types.Material:
    return Material("Dust").finish(Base_Color=(0.62, 0.6, 0.56), Roughness=0.9)
