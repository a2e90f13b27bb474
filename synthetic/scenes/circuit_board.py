# SPDX-License-Identifier: GPL-3.0-or-later
"""A printed circuit board with its parts, 26 mm of it in the frame, used and a little dusty.

Hard for reconstruction by repetition: the same resistors, capacitors, pins and vias again and again, so that a match
is easily one pitch off; by lettering down to a tenth of a millimetre, where any blur that is left shows; and by tall
boxes, cans and pins that stand straight up from a flat ground, with sharp edges of occlusion. Tin, gold and bare
aluminium mirror the softboxes.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import bpy
import numpy as np

from .construction import MacroScene, add_mesh, add_softbox, lettering, set_world, spherical
from .geometry import Geometry, box, copies, curve, lathe, merged, rotation, sheet, stone, tube
from .materials import Material

_HALF = 36.0  # mm, half the side of the board
_CELL = 0.06  # mm, of the map of copper
_REACH = 0.5  # mm, to which the map tells the distance to copper and pads
_CLEARANCE = 0.2  # mm, between copper of different nets

_PLANES = (  # middle and half size of areas of copper, mm
    ((-4.0, 9.0), (8.0, 4.5)),
    ((9.0, -9.0), (7.0, 7.4)),
    ((-13.5, -3.0), (4.0, 5.5)),
    ((12.0, 9.5), (5.0, 4.0)),
    ((-9.0, -20.0), (13.0, 6.5)),
    ((25.0, 3.0), (8.0, 13.0)),
    ((-26.0, 6.0), (7.0, 20.0)),
    ((3.0, 25.0), (20.0, 8.0)),
    ((24.0, -26.0), (9.0, 8.0)),
)

Pieces = dict[str, list[Geometry]]  # by material


@dataclass(frozen=True)
class _Pad:
    """A soldering pad: a rectangle from which a trace can leave."""

    place: np.ndarray  # [2], mm, its middle
    size: np.ndarray  # [2], mm
    way: np.ndarray  # [2], away from the part

    def moved(self, quarters: int, x: float = 0.0, y: float = 0.0) -> "_Pad":
        """The pad turned by quarters of a turn about the origin, then shifted."""
        turn = _turn(quarters)[:2, :2]
        size = self.size[::-1] if quarters % 2 else self.size
        return _Pad(turn @ self.place + [x, y], size, turn @ self.way)


_Row = tuple[list[_Pad], Pieces]  # of pins


@dataclass(frozen=True)
class _Part:
    """A part in its own frame: it stands on the board at the origin."""

    size: tuple[float, float]  # mm, the board that it needs
    pads: list[_Pad]
    pieces: Pieces
    letter: str  # of the designator


@dataclass
class _Board:
    """The board while it is populated."""

    rng: np.random.Generator
    pieces: Pieces = field(default_factory=lambda: defaultdict(list))
    pads: list[_Pad] = field(default_factory=list)
    areas: list[tuple[float, float, float, float]] = field(default_factory=list)  # taken: x, y, half width, half height
    numbers: dict[str, int] = field(default_factory=lambda: defaultdict(int))  # of the designators so far
    copper: "_DistanceMap" = field(default_factory=lambda: _DistanceMap())
    soldered: "_DistanceMap" = field(default_factory=lambda: _DistanceMap())
    planes: "_DistanceMap" = field(default_factory=lambda: _DistanceMap())

    def free(self, x: float, y: float, width: float, height: float) -> bool:
        """Whether no part stands in the rectangle round (x, y)."""
        return all(
            abs(x - other_x) > width / 2 + half_width or abs(y - other_y) > height / 2 + half_height
            for other_x, other_y, half_width, half_height in self.areas
        )

    def place(self, part: _Part, x: float, y: float, quarters: int = 0, *, named: bool = True) -> None:
        """Solder a part to the board, turned by quarters of a turn, with its designator beside it."""
        turn = _turn(quarters)
        for name, geometries in part.pieces.items():
            tint = self.rng.uniform()
            self.pieces[name] += [
                each.moved(turn, np.array([x, y, 0.0])).with_attribute("tint", tint) for each in geometries
            ]
        for pad in (each.moved(quarters, x, y) for each in part.pads):
            self.pads.append(pad)
            self.copper.add(pad.place[None], pad.place[None], pad.size / 2)
            self.soldered.add(pad.place[None], pad.place[None], pad.size / 2)
        width, height = part.size[::-1] if quarters % 2 else part.size
        self.areas.append((x, y, width / 2, height / 2))
        if named:
            self.numbers[part.letter] += 1
            label = f"{part.letter}{self.numbers[part.letter]}"
            if width > height:
                self.silk(label, x - min(width / 4, 1), y + height / 2 + 0.05, 0.85)
            else:
                self.silk(label, x - width / 2 - 0.05, y, 0.85, 1)

    def silk(self, text: str, x: float, y: float, height: float, quarters: int = 0) -> None:
        """White lettering on the board."""
        turn = _turn(quarters) * height
        self.pieces["silkscreen"].append(lettering(text).moved(turn, np.array([x, y, 0.012])))

    def outline(self, points: Sequence[Sequence[float]], width: float = 0.13) -> None:
        """A white line on the board."""
        for start, end in zip(np.array(points[:-1]), np.array(points[1:]), strict=True):
            along = (end - start) / np.linalg.norm(end - start) * width / 2
            across = np.array([-along[1], along[0]])
            corners = np.array([[start - along, end + along], [start - along, end + along]])
            corners[0] -= across
            corners[1] += across
            flat = np.concatenate([corners, np.full((2, 2, 1), 0.012)], -1)
            self.pieces["silkscreen"].append(sheet(flat.transpose(1, 0, 2)))


class _DistanceMap:
    """The distance to the nearest of some shapes, up to _REACH, on a grid over the board."""

    def __init__(self) -> None:
        count = int(2 * _HALF / _CELL)
        self.distance = np.full((count, count), _REACH)  # [y, x], mm, negative inside

    def add(self, starts: np.ndarray, ends: np.ndarray, half_size: np.ndarray | float) -> None:
        """Add shapes from `starts` to `ends`, [S, 2], mm.

        They are segments of half the width `half_size` or, where that is [2], rectangles of half its size round points.
        """
        reach = np.max(half_size) + _REACH
        for start, end in zip(starts, ends, strict=True):
            window, points = self._window(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
            if points.size == 0:
                continue
            if np.ndim(half_size):
                beyond = abs(points - start) - half_size
                outside = np.linalg.norm(np.maximum(beyond, 0), axis=-1)
                distance = outside + np.minimum(beyond.max(-1), 0)
            else:
                along = end - start
                share = ((points - start) @ along / max(along @ along, 1e-12)).clip(0, 1)
                distance = np.linalg.norm(points - start - share[..., None] * along, axis=-1) - half_size
            self.distance[window] = np.minimum(self.distance[window], distance)

    def at(self, points: np.ndarray) -> np.ndarray:
        """The distance at `points` [N, 2]; 0 beyond the board."""
        index = np.floor((points + _HALF) / _CELL).astype(int)
        inside = ((index >= 0) & (index < len(self.distance))).all(-1)
        index = index.clip(0, len(self.distance) - 1)
        return np.where(inside, self.distance[index[:, 1], index[:, 0]], 0.0)

    def _window(self, low: np.ndarray, high: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
        """Where the rectangle from `low` to `high`, [2], is on the grid, and its cells' middles [R, C, 2], mm."""
        first = np.floor((low + _HALF) / _CELL).astype(int).clip(0, len(self.distance))
        last = np.ceil((high + _HALF) / _CELL).astype(int).clip(0, len(self.distance))
        x, y = ((np.arange(a, b) + 0.5) * _CELL - _HALF for a, b in zip(first, last, strict=True))
        grid = np.stack(np.broadcast_arrays(x[None], y[:, None]), -1)
        return (slice(first[1], last[1]), slice(first[0], last[0])), grid


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    board = _Board(np.random.default_rng(12))
    _main_parts(board)
    _fill(board)
    _route(board)
    _dust(board)
    subject = [_laminate(board)]
    for name, geometries in board.pieces.items():
        material, smooth = _MATERIALS[name]
        subject.append(add_mesh(name.capitalize(), merged(geometries), material(), smooth=smooth))
    target = (0.0, 0.0, 1.0)
    add_softbox("Key", spherical(170, 115, 52), target, (150, 110), 0.6, (1.0, 0.97, 0.92))
    add_softbox("Fill", spherical(190, -60, 38), target, (120, 120), 0.16, (0.86, 0.93, 1.0))
    add_softbox("Rim", spherical(160, 10, 24), target, (40, 120), 0.2, (1.0, 0.92, 0.82))
    set_world((0.62, 0.72, 0.85), 0.1)
    return MacroScene(
        subject=tuple(subject),
        centre_mm=np.array([0.0, 0.0, 1.0]),
        radius_mm=11.0,
        field_width_mm=26.0,
        elevations=(35.0, 75.0),
        f_number=7.1,
    )


def _turn(quarters: int) -> np.ndarray:
    """The matrix [3, 3] of quarters of a turn about z."""
    return rotation([0, 0, 1], quarters * np.pi / 2).round()


def _main_parts(board: _Board) -> None:
    """What is in the middle of the frame, by hand, and a few large parts round it."""
    flat_pack = _flat_pack(8, 0.8, 7.0, ("XR-8M20A", "QFP 2614", "K41-7E"))
    board.place(flat_pack, -3.2, 0.2)
    board.place(_small_outline(4, 1.27, ("25Q64", "2609 B")), 6.6, -0.6, 1)
    board.place(_crystal_can("16.000 KX"), -4.6, 8.0)
    board.place(_electrolytic(5.0, 5.6, "47", "16V"), 4.2, 7.2)
    board.place(_electrolytic(4.0, 5.3, "22", "35V"), 10.0, 6.6)
    board.place(_header(5), 8.2, -7.6)
    board.place(_tantalum("106", "16V"), -10.9, -5.2, 1)
    board.place(_tantalum("226", "10V"), -10.9, 0.0, 1)
    board.place(_transistor("A6"), 11.6, 0.4)
    board.place(_transistor("1AM"), 11.6, -2.9)
    for index in range(5):
        board.place(_resistor(("103", "472", "103", "220", "103")[index], 1.6, 0.8), -7.9 + 1.75 * index, -7.2, 1)
        board.place(_capacitor(1.6, 0.8, 0.7), -7.9 + 1.75 * index, -10.4, 1)
    for index in range(3):
        board.place(_resistor("331", 2.0, 1.25), 2.7, 2.9 - 2.2 * index)
    board.place(_capacitor(2.0, 1.25, 1.1), -12.0, 4.4)
    board.place(_capacitor(2.0, 1.25, 1.1), -12.0, 6.7)
    board.place(_small_outline(8, 1.27, ("74HC595D", "UN2619")), -19.0, 4.0)
    board.place(_small_outline(7, 1.27, ("LM324", "JM21AB")), 18.6, -4.0)
    board.place(flat_pack, 17.5, 10.5)
    board.place(_header(8), -18.0, -12.5)
    board.place(_electrolytic(5.0, 5.6, "100", "10V"), -14.5, 13.5)
    board.place(_electrolytic(5.0, 5.6, "100", "10V"), -8.2, 14.5)
    board.place(_tantalum("106", "16V"), 4.0, 14.0)
    board.place(_crystal_can("8.000 KX"), 2.0, -16.5)
    board.place(_small_outline(4, 1.27, ("TL072", "2602")), 14.0, -16.0)
    board.silk("MACRO-8 REV C", 6.4, -4.2, 0.8)
    board.silk("+5V", 3.2, -10.6, 0.9)
    board.silk("GND", 13.2, -10.6, 0.9)


def _fill(board: _Board) -> None:
    """Rows of small parts wherever there is room."""
    rng = board.rng
    makers: list[Callable[[], _Part]] = [
        lambda: _resistor(str(rng.choice(["103", "472", "101", "222", "0"])), 1.6, 0.8),
        lambda: _capacitor(1.6, 0.8, 0.75),
        lambda: _resistor(str(rng.choice(["104", "330", "151"])), 2.0, 1.25),
        lambda: _capacitor(2.0, 1.25, 1.1),
        lambda: _transistor(str(rng.choice(["2TY", "1AM", "A7"]))),
        lambda: _tantalum("475", "25V"),
    ]
    for _ in range(420):
        x, y = (rng.uniform(-_HALF + 3, _HALF - 3, 2) / 0.5).round() * 0.5
        part = makers[rng.choice(len(makers), p=[0.3, 0.28, 0.14, 0.14, 0.09, 0.05])]()
        quarters, in_row = int(rng.integers(2)), int(rng.choice([1, 2, 4]))
        width, height = part.size[::-1] if quarters else part.size
        for index in range(in_row):
            at = (x + index * (width + 0.45), y) if quarters else (x, y + index * (height + 0.75))
            if max(abs(at[0]), abs(at[1])) < _HALF - 3 and board.free(*at, width + 0.9, height + 0.9):
                board.place(part, *at, quarters)


def _route(board: _Board) -> None:
    """Traces: bundles that run by, then one from each pad to a via, none nearer to another than allowed."""
    rng = board.rng
    for _ in range(260):
        start, turn, count = rng.uniform(-_HALF, _HALF, 2), rng.integers(8) * np.pi / 4, rng.integers(3, 8)
        lengths = rng.uniform([3, 1.5, 3], [9, 6, 9])
        for lane in range(count):
            along, across = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            stagger, shift = 0.8 * (lane % 2), 0.56 * lane * np.tan(np.pi / 8)
            path = _jogged(
                start + 0.56 * lane * across - stagger * along,
                turn,
                lengths + np.array([stagger - shift, 0, stagger - shift]),
                1,
            )
            _add_trace(board, path, 0.11)
    for pad in board.pads:
        heading = np.arctan2(pad.way[1], pad.way[0])
        edge = pad.place + pad.way * abs(pad.way @ pad.size) / 2
        for _ in range(14):
            lengths = rng.uniform([0.4, 0.5, 0.0], [2.0, 5.0, 5.0])
            path = _jogged(edge + pad.way * 0.42, heading, lengths, int(rng.choice([-1, 1])))
            if _add_trace(board, path, 0.11 if pad.size.min() < 0.7 else 0.17, root=pad.place):
                break
    for centre, half_size in _PLANES:
        board.planes.add(np.array([centre]), np.array([centre]), np.array(half_size))
    for _ in range(900):  # vias that stitch the planes of ground
        place = rng.uniform(-_HALF, _HALF, 2)
        clear = min(board.copper.at(place[None])[0], -board.planes.at(place[None])[0])
        if clear >= 0.4 and board.free(place[0], place[1], 0.6, 0.6):
            _add_via(board, place, ring=rng.uniform() < 0.3)


def _jogged(start: np.ndarray, heading: float, lengths: np.ndarray, side: int) -> np.ndarray:
    """A path [4, 2] from `start` [2]: straight on, 45 degrees to one side, straight on again, of `lengths` [3] mm."""
    headings = heading + np.array([0, side * np.pi / 4, 0])
    steps = lengths[:, None] * np.stack([np.cos(headings), np.sin(headings)], -1)
    return np.concatenate([start[None], start + np.cumsum(steps, 0)])


def _add_trace(board: _Board, path: np.ndarray, half_width: float, root: np.ndarray | None = None) -> bool:
    """Add a trace along `path` [P, 2], from a pad at `root` [2] or a via, to a via, if it keeps clear of copper."""
    pieces = [np.linspace(a, b, max(int(np.linalg.norm(b - a) / 0.12), 2)) for a, b in pairwise(path)]
    if (board.copper.at(np.concatenate(pieces)) < half_width + _CLEARANCE - 0.02).any():
        return False
    ends = path[-1:] if root is not None else path[[0, -1]]
    if (board.copper.at(ends) < 0.38).any() or not all(board.free(end[0], end[1], 0.7, 0.7) for end in ends):
        return False
    whole = path if root is None else np.concatenate([root[None], path])
    board.copper.add(whole[:-1], whole[1:], half_width)
    for end in ends:
        _add_via(board, end, ring=board.rng.uniform() < 0.5)
    return True


def _add_via(board: _Board, place: np.ndarray, *, ring: bool) -> None:
    """A plated hole at `place` [2], mm; its ring is bare, or under the solder mask."""
    at = np.array([*place, 0.0])
    board.copper.add(place[None], place[None], 0.25)
    if ring:
        board.pieces["tin"].append(
            lathe([[0.13, 0.005], [0.15, 0.03], [0.24, 0.03], [0.26, 0.0]][::-1], 20).moved(np.eye(3), at)
        )
    dark = lathe([[0.13 if ring else 0.1, 0.014], [0.0, 0.014]], 14)
    board.pieces["hole"].append(dark.moved(np.eye(3), at))


def _chip(length: float, width: float, height: float, end: float, body: str, body_height: float) -> _Part:
    """A block between two soldered terminals, along x."""
    pieces: Pieces = defaultdict(list)
    pads = []
    lift = 0.06
    block = box([length - 0.1, width, body_height], 0.05)
    pieces[body].append(block.moved(np.eye(3), np.array([0, 0, lift + body_height / 2])))
    for side in (-1, 1):
        cap = box([end, width + 0.03, height], 0.07, 2)
        at = np.array([side * (length - end) / 2, 0, lift + height / 2])
        pieces["tin"].append(cap.moved(np.eye(3), at))
        joint = _fillet(0.55, width + 0.16, 0.75 * height)
        pieces["solder"].append(joint.moved(np.diag([side, side, 1.0]), np.array([side * (length / 2 - 0.06), 0, 0])))
        pads.append(
            _Pad(
                np.array([side * (length / 2 + 0.05), 0.0]),
                np.array([1.0, width + 0.2]),
                np.array([float(side), 0.0]),
            )
        )
    return _Part((length + 1.1, width + 0.3), pads, pieces, "C")


def _fillet(length: float, width: float, height: float) -> Geometry:
    """Solder that has climbed a wall at x = 0 and runs out along x: hollow, and round at the sides."""
    u, v = np.meshgrid(np.linspace(0, 1, 9), np.linspace(-1, 1, 11), indexing="ij")
    climb = height * (1 - u) ** 2.4 * (1 - v**6) + 0.07 * np.sqrt(np.maximum(1 - u**4, 0)) * (1 - v**8)
    return sheet(np.stack([u * length, v * width / 2, climb + 0.004], -1))


def _resistor(value: str, length: float, width: float) -> _Part:
    part = _chip(length, width, 0.47 * width / 0.8 * 0.9, 0.3 * length / 1.6, "ceramic", 0.38 * width / 0.8)
    top = 0.06 + 0.38 * width / 0.8
    coat = box([length * 0.66, width * 0.97, 0.03], 0.01).moved(np.eye(3), np.array([0, 0, top + 0.012]))
    part.pieces["glass"].append(coat)
    ink = lettering(value).moved(np.eye(3) * 0.5 * width, np.array([0, 0, top + 0.033]))
    part.pieces["ink"].append(ink)
    return _Part(part.size, part.pads, part.pieces, "R")


def _capacitor(length: float, width: float, height: float) -> _Part:
    return _chip(length, width, height + 0.03, 0.28 * length / 1.6, "dielectric", height)


def _tantalum(value: str, volts: str) -> _Part:
    part = _chip(3.5, 2.6, 0.9, 0.25, "amber", 1.0)
    part.pieces["amber"].clear()  # its block; the moulded body stands in its place
    body = _drafted(box([3.3, 2.7, 1.7], 0.08), 0.05).moved(np.eye(3), np.array([0, 0, 1.0]))
    part.pieces["amber"].append(body)
    top = 1.855
    stripe = sheet(np.array([[[-1.5, -1.27, top], [-1.5, 1.27, top]], [[-1.05, -1.27, top], [-1.05, 1.27, top]]]))
    part.pieces["brown ink"].append(stripe)
    for text, y in [(value, 0.55), (volts, -0.6)]:
        part.pieces["brown ink"].append(lettering(text).moved(np.eye(3) * 0.72, np.array([0.3, y, top])))
    return _Part((4.4, 3.0), part.pads, part.pieces, "C")


def _drafted(body: Geometry, draft: float) -> Geometry:
    """A moulded body: widest at half its height, `draft` narrower per height above and below."""
    scale = 1 - draft * abs(body.vertices[:, 2:])
    return Geometry(body.vertices * np.concatenate([scale, scale, np.ones_like(scale)], 1), body.triangles)


def _strip(path: np.ndarray, width: float, thickness: float) -> Geometry:
    """Sheet metal bent along `path` [P, 2] in the x-z plane."""
    way = np.gradient(path, axis=0)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    normal = np.stack([-way[:, 1], way[:, 0]], -1) * thickness / 2
    rim = []
    for lift, side in [(1, -1), (1, 1), (-1, 1), (-1, -1)]:
        flat = path + lift * normal
        rim.append(np.stack([flat[:, 0], np.full(len(path), side * width / 2), flat[:, 1]], -1))
    rings = np.stack(rim, 1)
    ends = rings[[0, -1]].mean(1, keepdims=True).repeat(4, 1)
    return sheet(np.concatenate([ends[:1], rings, ends[1:]]), closed=True)


def _gull_wings(count: int, pitch: float, body: float, reach: float, width: float, height: float) -> _Row:
    """A row of pins along y that leave a body of half the width `body` towards +x and stand on pads."""
    drop = body + 0.3 * (reach - body)
    path = [[body - 0.1, height], [drop - 0.08, height], [drop + 0.02, height - 0.1]]
    path += [[drop + 0.14, 0.22], [drop + 0.24, 0.13], [reach, 0.11]]
    pieces: Pieces = defaultdict(list)
    pads = []
    for index in range(count):
        y = (index - (count - 1) / 2) * pitch
        pieces["pins"].append(_strip(np.array(path), width, 0.15).moved(np.eye(3), np.array([0, y, 0])))
        u, v = np.meshgrid(np.linspace(-1, 1, 11), np.linspace(-1, 1, 9), indexing="ij")
        dome = 0.16 * np.sqrt(np.maximum(1 - u**4, 0)) * np.sqrt(np.maximum(1 - v**2, 0)) ** 1.3 + 0.004
        half = (reach - drop) / 2 + 0.12
        middle = (reach + drop) / 2 + 0.14
        pieces["solder"].append(sheet(np.stack([middle + half * u, y + (width / 2 + 0.08) * v, dome], -1)))
        pads.append(_Pad(np.array([middle, y]), np.array([2 * half, width + 0.16]), np.array([1.0, 0.0])))
    return pads, pieces


def _around(rows: list[tuple[_Row, int]]) -> _Row:
    """Rows of pins, each turned by its quarters of a turn."""
    pads: list[_Pad] = []
    pieces: Pieces = defaultdict(list)
    for (row_pads, row_pieces), quarters in rows:
        for name, geometries in row_pieces.items():
            pieces[name] += [each.moved(_turn(quarters), np.zeros(3)) for each in geometries]
        pads += [pad.moved(quarters) for pad in row_pads]
    return pads, pieces


def _moulded(pieces: Pieces, size: tuple[float, float], height: float, lines: Sequence[str], letters: float) -> None:
    """A black body with a dimple at pin 1 and laser-marked lines of text."""
    body = _drafted(box([*size, height - 0.12], 0.07, 2), 0.06)
    pieces["epoxy"].append(body.moved(np.eye(3), np.array([0, 0, 0.12 + (height - 0.12) / 2])))
    dimple = lathe([[0.3, 0.003], [0.27, 0.012], [0.2, 0.004], [0.0, 0.004]], 24)
    at = np.array([-size[0] / 2 + 0.75, -size[1] / 2 + 0.75, height])
    pieces["glass"].append(dimple.moved(np.eye(3), at))
    for index, line in enumerate(lines):
        y = ((len(lines) - 1) / 2 - index) * letters * 1.55
        pieces["laser"].append(lettering(line).moved(np.eye(3) * letters, np.array([0.15, y, height + 0.006])))


def _flat_pack(count: int, pitch: float, body: float, lines: Sequence[str]) -> _Part:
    row = _gull_wings(count, pitch, body / 2, body / 2 + 1.2, 0.36, 0.75)
    pads, pieces = _around([(row, quarters) for quarters in range(4)])
    _moulded(pieces, (body, body), 1.45, lines, 0.78)
    return _Part((body + 3.6, body + 3.6), pads, pieces, "U")


def _small_outline(count: int, pitch: float, lines: Sequence[str]) -> _Part:
    """A SOIC with `count` pins a side; its text runs along the pins."""
    row = _gull_wings(count, pitch, 1.95, 3.05, 0.42, 0.8)
    pads, pieces = _around([(row, 1), (row, 3)])
    _moulded(pieces, (count * pitch - 0.1, 3.9), 1.6, lines, 0.8)
    return _Part((count * pitch + 0.3, 7.6), pads, pieces, "U")


def _transistor(mark: str) -> _Part:
    """A SOT-23."""
    pads, pieces = _around(
        [(_gull_wings(2, 1.9, 0.65, 1.2, 0.42, 0.5), 1), (_gull_wings(1, 1.9, 0.65, 1.2, 0.42, 0.5), 3)]
    )
    body = _drafted(box([2.9, 1.3, 0.95], 0.06), 0.1).moved(np.eye(3), np.array([0, 0, 0.6]))
    pieces["epoxy"].append(body)
    pieces["laser"].append(lettering(mark).moved(np.eye(3) * 0.6, np.array([0, 0, 1.082])))
    return _Part((3.1, 3.4), pads, pieces, "Q")


def _electrolytic(diameter: float, height: float, value: str, volts: str) -> _Part:
    """An aluminium can on a plastic base."""
    radius, side = diameter / 2, diameter + 0.3
    pieces: Pieces = defaultdict(list)
    base = box([side, side, 0.8], 0.1).moved(np.eye(3), np.array([0, 0, 0.5]))
    pieces["plastic"].append(base)
    profile = [[0, height], [0.8 * radius, height], [0.9 * radius, height - 0.01], [0.96 * radius, height - 0.06]]
    profile += [[radius, height - 0.2], [radius, 1.75], [0.97 * radius, 1.66], [0.93 * radius, 1.55]]
    profile += [[0.93 * radius, 1.45], [0.97 * radius, 1.33], [radius, 1.24], [radius, 0.92], [0.97 * radius, 0.85]]
    pieces["can"].append(lathe(profile, 72))
    angle = np.linspace(np.radians(125), np.radians(235), 40)
    rim = 0.93 * radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    chord = np.stack([np.full(40, rim[0, 0]), rim[:, 1]], -1)
    lift = np.full((2, 40, 1), height + 0.006)
    pieces["black ink"].append(sheet(np.concatenate([np.stack([chord, rim]), lift], -1)))
    for text, y in [(value, 0.18), (volts, -0.3)]:
        at = np.array([0.18 * radius, y * diameter, height + 0.006])
        pieces["black ink"].append(lettering(text).moved(np.eye(3) * 0.24 * diameter, at))
    pads = []
    for way in (-1.0, 1.0):
        lead = box([1.0, 0.7, 0.14], 0.03).moved(np.eye(3), np.array([way * (side / 2 + 0.25), 0, 0.12]))
        pieces["pins"].append(lead)
        joint = _fillet(0.75, 1.3, 0.14).moved(np.diag([way, way, 1.0]), np.array([way * (side / 2 + 0.2), 0, 0]))
        pieces["solder"].append(joint)
        pads.append(_Pad(np.array([way * (side / 2 + 0.3), 0]), np.array([1.4, 1.4]), np.array([way, 0.0])))
    return _Part((side + 2.2, side + 0.5), pads, pieces, "C")


def _crystal_can(text: str) -> _Part:
    """A quartz crystal: a pressed steel can on a flange, lying low."""
    pieces: Pieces = defaultdict(list)
    profile = [(4.9, 2.35, 0.15), (4.9, 2.35, 0.5), (4.86, 2.3, 0.56), (4.62, 1.95, 0.6), (4.5, 1.85, 0.7)]
    profile += [(4.45, 1.82, 3.0), (4.4, 1.76, 3.25), (4.25, 1.6, 3.42), (4.0, 1.35, 3.5), (2.65, 0.0, 3.5)]
    pieces["can"].append(_stadium(profile))
    pieces["black ink"].append(lettering(text).moved(np.eye(3) * 0.95, np.array([0, 0, 3.506])))
    pads = []
    for way in (-1.0, 1.0):
        joint = _fillet(0.9, 1.2, 0.3).moved(np.diag([way, way, 1.0]), np.array([way * 4.8, 0, 0]))
        pieces["solder"].append(joint)
        pads.append(_Pad(np.array([way * 5.2, 0]), np.array([1.5, 1.3]), np.array([way, 0.0])))
    return _Part((12.0, 5.1), pads, pieces, "Y")


def _stadium(profile: Sequence[tuple[float, float, float]]) -> Geometry:
    """Rings of half length, half width and height, from the bottom to the top; their ends are round."""
    angle = np.arange(64) * 2 * np.pi / 64
    rings = []
    for half_length, half_width, height in profile:
        x = half_width * np.cos(angle) + np.sign(np.cos(angle).round(9)) * (half_length - half_width)
        rings.append(np.stack([x, half_width * np.sin(angle), np.full(64, height)], -1))
    return sheet(np.array(rings)[:, ::-1], closed=True)


def _header(count: int) -> _Part:
    """Two rows of gold pins, 8.3 mm tall, in a black plastic strip."""
    pieces: Pieces = defaultdict(list)
    pads = []
    pin = box([0.64, 0.64, 8.3], 0.04)
    taper = np.where(pin.vertices[:, 2:] > 0, 0.55, 1.0) * [1, 1, 0] + [0, 0, 1]
    tip = Geometry(pin.vertices * [1, 1, 0.06] * taper, pin.triangles)
    for index in range(count):
        for row in (-1, 1):
            x, y = (index - (count - 1) / 2) * 2.54, row * 1.27
            block = box([2.5, 2.52, 2.5], 0.35).moved(np.eye(3), np.array([x, y, 1.4]))
            pieces["plastic"].append(block)
            shaft = box([0.64, 0.64, 7.8], 0.03).moved(np.eye(3), np.array([x, y, 3.95]))
            pieces["gold"] += [shaft, tip.moved(np.eye(3), np.array([x, y, 8.1]))]
            pads.append(_Pad(np.array([x, y]), np.array([1.5, 1.5]), np.array([0.0, float(row)])))
    return _Part((count * 2.54 + 0.4, 5.5), pads, pieces, "J")


def _dust(board: _Board) -> None:
    """Grains and fibres that lie on the board."""
    rng = board.rng
    shapes = [stone(rng.uniform(0.6, 1.2, 3), rng, rows=4) for _ in range(6)]
    for shape in shapes:
        size = 0.012 * (0.07 / 0.012) ** (rng.uniform(size=150) ** 2)
        places = np.column_stack([rng.uniform(-20, 20, (150, 2)), 0.5 * size])
        board.pieces["dust"].append(copies(shape, size[:, None, None] * np.eye(3), places, tint=rng.uniform(size=150)))
    for _ in range(40):
        place, heading = rng.uniform(-14, 14, 2), rng.uniform(0, 6.3)
        stations = [[*place, 0.03]]
        for _ in range(4):
            heading += rng.normal(0, 0.6)
            stations.append([*(stations[-1][:2] + 0.6 * np.array([np.cos(heading), np.sin(heading)])), 0.03])
        board.pieces["dust"].append(tube(curve(stations, 20), np.full(20, 0.012), 5))


def _laminate(board: _Board) -> bpy.types.Object:
    corners = np.array([[[-_HALF, -_HALF, 0], [-_HALF, _HALF, 0]], [[_HALF, -_HALF, 0], [_HALF, _HALF, 0]]])
    pixels = np.stack([board.copper.distance, board.soldered.distance, board.planes.distance], -1)
    return add_mesh("Board", sheet(corners), _board_material(0.5 + pixels / (2 * _REACH)))


def _board_material(pixels: np.ndarray) -> bpy.types.Material:
    """Solder mask over traces, planes and bare laminate.

    Args:
        pixels: 0.5 + distance to copper, pads and planes / 1 mm, [H, W, 3].
    """
    m = Material("Board")
    copper, soldered, planes = m.image(pixels, 2 * _HALF)
    trace = m.between(copper, 0.53, 0.47)
    plane = m.between(copper, 0.5 + _CLEARANCE - 0.03, 0.5 + _CLEARANCE + 0.03)
    plane = m.calculate("MULTIPLY", plane, m.between(planes, 0.53, 0.47))
    metal = m.calculate("MAXIMUM", trace, plane)
    weave = m.calculate(
        "MULTIPLY",
        m.calculate("SINE", m.calculate("MULTIPLY", m.coordinate(0), 2 * np.pi / 0.52)),
        m.calculate("SINE", m.calculate("MULTIPLY", m.coordinate(1), 2 * np.pi / 0.44)),
    )
    weave = m.calculate("MULTIPLY_ADD", weave, 0.5, 0.5)
    bare = m.mix(weave, (0.003, 0.026, 0.014), (0.007, 0.05, 0.024))
    coated = m.mix(m.noise(0.5, 5), (0.013, 0.125, 0.045), (0.03, 0.2, 0.07))
    colour = m.mix(metal, bare, coated)
    colour = m.mix(0.7, colour, m.ramp(m.noise(0.09, 3), (0.3, (0.6,) * 3), (0.7, (1.5,) * 3)), "MULTIPLY")
    flux = m.calculate("MULTIPLY", m.between(soldered, 0.95, 0.6), m.between(m.noise(1.1, 5, 0.5), 0.47, 0.62))
    colour = m.mix(m.calculate("MULTIPLY", flux, 0.55), colour, (0.2, 0.15, 0.05))
    pale = m.between(m.noise(1.7, 7, 0.8), 0.56, 0.75)
    colour = m.mix(m.calculate("MULTIPLY", pale, 0.22), colour, (0.32, 0.36, 0.3))
    pad = m.between(soldered, 0.52, 0.48)
    colour = m.mix(pad, colour, (0.6, 0.6, 0.57))
    rough = m.calculate("MULTIPLY_ADD", m.noise(0.35, 5), 0.35, 0.14)
    rough = m.calculate("ADD", rough, m.calculate("MULTIPLY", pale, 0.25))
    relief = m.bump(m.noise(0.2, 4), 0.012, m.bump(weave, 0.004, m.bump(metal, 0.035)))
    return m.finish(Base_Color=colour, Metallic=pad, Roughness=rough, Specular_IOR_Level=0.3, Normal=relief)


def _metal(
    name: str,
    colours: tuple[tuple[float, float, float], tuple[float, float, float]],  # dull, bright
    roughness: tuple[float, float],
    relief_mm: float = 0.012,
    grain_mm: float = 0.12,
    stain: float = 0.5,
) -> Callable[[], bpy.types.Material]:
    def make() -> bpy.types.Material:
        m = Material(name)
        colour = m.mix(m.between(m.noise(0.3, 6), 0.35, 0.65), *colours)
        stained = m.between(m.noise(0.9, 6, 0.6), 0.58, 0.7)
        colour = m.mix(m.calculate("MULTIPLY", stained, stain), colour, (0.16, 0.12, 0.07))
        rough = m.calculate("MULTIPLY_ADD", m.noise(0.2, 5), roughness[1] - roughness[0], roughness[0])
        return m.finish(
            Base_Color=colour, Metallic=0.87, Roughness=rough, Normal=m.bump(m.noise(grain_mm, 4), relief_mm)
        )

    return make


def _can_material() -> bpy.types.Material:
    """Bare metal with scratches, scuffs and finger marks."""
    m = Material("Can")
    scratch = m.between(m.cells(0.9, feature="DISTANCE_TO_EDGE"), 0.012, 0.0)
    scratch = m.calculate("MULTIPLY", scratch, m.between(m.noise(0.7, 4), 0.5, 0.6))
    smear = m.noise(1.4, 7, 1.2)
    colour = m.mix(m.between(smear, 0.35, 0.7), (0.7, 0.7, 0.68), (0.84, 0.84, 0.83))
    colour = m.mix(m.between(m.noise(0.12, 4), 0.6, 0.75), colour, (0.3, 0.28, 0.25))
    rough = m.calculate("MULTIPLY_ADD", smear, 0.3, 0.2)
    relief = m.bump(scratch, -0.006, m.bump(m.noise(0.1, 4), 0.006, m.bump(m.noise(1.2, 2), 0.012)))
    return m.finish(Base_Color=colour, Metallic=0.87, Roughness=rough, Normal=relief)


def _dull(
    name: str,
    dark: tuple[float, float, float],
    light: tuple[float, float, float],
    roughness: float,
    grain_mm: float = 0.09,
    relief_mm: float = 0.02,
    dust: float = 0.2,
) -> Callable[[], bpy.types.Material]:
    """Plastic, ceramic or ink: grainy, with a film of dust in places."""

    def make() -> bpy.types.Material:
        m = Material(name)
        colour = m.mix(m.between(m.noise(0.45, 5), 0.3, 0.7), dark, light)
        colour = m.mix(m.calculate("MULTIPLY", m.attribute("tint"), 0.35), colour, dark)
        colour = m.mix(0.8, colour, m.ramp(m.noise(grain_mm, 3), (0.32, (0.5,) * 3), (0.68, (1.6,) * 3)), "MULTIPLY")
        film = m.between(m.noise(0.4, 8, 0.3), 0.5, 0.78)
        colour = m.mix(m.calculate("MULTIPLY", film, dust), colour, (0.3, 0.27, 0.22))
        relief = m.bump(m.noise(grain_mm, 4), relief_mm)
        return m.finish(Base_Color=colour, Roughness=roughness, Specular_IOR_Level=0.4, Normal=relief)

    return make


_MATERIALS: dict[str, tuple[Callable[[], bpy.types.Material], bool]] = {  # and whether it is shaded smooth
    "tin": (_metal("Tin", ((0.5, 0.5, 0.48), (0.78, 0.78, 0.75)), (0.22, 0.6), 0.03), False),
    "solder": (_metal("Solder", ((0.5, 0.5, 0.49), (0.8, 0.8, 0.78)), (0.12, 0.45), 0.015), True),
    "pins": (_metal("Pins", ((0.5, 0.49, 0.46), (0.72, 0.71, 0.68)), (0.25, 0.55)), False),
    "gold": (_metal("Gold", ((0.72, 0.45, 0.13), (0.98, 0.72, 0.28)), (0.18, 0.4), stain=0.25), False),
    "can": (_can_material, True),
    "ceramic": (_dull("Ceramic", (0.55, 0.53, 0.48), (0.75, 0.74, 0.7), 0.5), False),
    "glass": (_dull("Glass", (0.006, 0.006, 0.007), (0.016, 0.016, 0.018), 0.22, relief_mm=0.012, dust=0.16), False),
    "dielectric": (_dull("Dielectric", (0.2, 0.115, 0.055), (0.36, 0.23, 0.12), 0.45, 0.07), False),
    "amber": (_dull("Amber", (0.58, 0.22, 0.012), (0.75, 0.34, 0.03), 0.38, 0.06, dust=0.1), False),
    "epoxy": (_dull("Epoxy", (0.011, 0.011, 0.012), (0.03, 0.03, 0.031), 0.5, 0.07, 0.035), False),
    "plastic": (_dull("Plastic", (0.01, 0.01, 0.01), (0.024, 0.024, 0.025), 0.38, 0.14), False),
    "laser": (_dull("Laser", (0.2, 0.2, 0.19), (0.34, 0.34, 0.32), 0.7, 0.05), False),
    "ink": (_dull("Ink", (0.6, 0.6, 0.58), (0.8, 0.8, 0.78), 0.5), False),
    "silkscreen": (_dull("Silkscreen", (0.55, 0.56, 0.52), (0.78, 0.78, 0.74), 0.55, 0.06), False),
    "brown ink": (_dull("Brown ink", (0.07, 0.025, 0.008), (0.13, 0.05, 0.015), 0.5), False),
    "black ink": (_dull("Black ink", (0.008, 0.008, 0.009), (0.025, 0.025, 0.027), 0.4, dust=0.15), False),
    "hole": (_dull("Hole", (0.003, 0.003, 0.003), (0.008, 0.008, 0.007), 0.8, dust=0.0), False),
    "dust": (_dull("Dust", (0.3, 0.26, 0.2), (0.6, 0.56, 0.5), 0.9, dust=0.0), True),
}
