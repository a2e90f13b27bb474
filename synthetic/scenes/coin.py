# SPDX-License-Identifier: GPL-3.0-or-later
"""A silver coin of 26 mm with an octopus and a Latin legend, on the worn leather of an old satchel.

Hard for reconstruction by its shallow relief: the picture is a fifth of a millimetre high, so that texture rather than
shape carries the detail, and the metal's highlights wander over it with the view. Dark toning lies in the recesses,
the high points are worn bright, and hairline scratches, letters and beads are a pixel or a few wide.
"""

import bpy
import numpy as np

from .construction import MacroScene, add_mesh, add_softbox, set_world, spherical
from .geometry import Geometry, curve, merged, rotation, sheet, stone, tube
from .materials import Material
from .noise import fractal_noise, gradient_noise

_RADIUS = 13.0  # mm
_THICKNESS = 2.1  # mm, from the rim's top
_RIM = 0.34  # mm, height of the rim over the field
_REEDS = 132  # notches of the edge
_LETTER = 1.75  # mm, height of a letter
_LEGEND = 9.35  # mm, radius of the line that the legend stands on
_TILT = rotation([0.68, -0.73, 0], np.radians(7.2)) @ rotation([0, 0, 1], 0.35)  # one side lies on the copper coin
_CENTRE = np.array([0.0, 0.0, 3.8])  # mm, of the coin's field

_ROUND = [(0.3 + 0.3 * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 17)]
_BOWL = [(0.15 + 0.35 * np.sin(a), 0.75 + 0.25 * np.cos(a)) for a in np.linspace(0, np.pi, 9)]
_BELLY = [(0.05 + 0.5 * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in np.linspace(0, np.pi, 11)]
_OPEN = [(0.36 - 0.36 * np.sin(a), 0.5 + 0.5 * np.cos(a)) for a in np.linspace(-0.25 * np.pi, 1.25 * np.pi, 13)]
_SNAKE = [(0.5, 0.85), (0.38, 1.0), (0.14, 0.97), (0.03, 0.78), (0.14, 0.6), (0.38, 0.45), (0.5, 0.25), (0.38, 0.03)]
_GLYPHS: dict[str, list] = {  # strokes of capitals 1 high
    "A": [[(0, 0), (0.32, 1), (0.64, 0)], [(0.13, 0.36), (0.51, 0.36)]],
    "B": [[(0.05, 0), (0.05, 1), *_BOWL, (0.05, 0.5)], [(x, y - 0.5) for x, y in _BOWL] + [(0.05, 0)]],
    "C": [_OPEN],
    "D": [[(0.05, 0), (0.05, 1), *_BELLY, (0.05, 0)]],
    "E": [[(0.48, 1), (0.05, 1), (0.05, 0), (0.5, 0)], [(0.05, 0.52), (0.4, 0.52)]],
    "F": [[(0.48, 1), (0.05, 1), (0.05, 0)], [(0.05, 0.52), (0.4, 0.52)]],
    "I": [[(0.06, 0), (0.06, 1)]],
    "L": [[(0.05, 1), (0.05, 0), (0.48, 0)]],
    "M": [[(0, 0), (0.1, 1), (0.4, 0.15), (0.7, 1), (0.8, 0)]],
    "N": [[(0.04, 0), (0.04, 1), (0.58, 0), (0.58, 1)]],
    "O": [_ROUND],
    "P": [[(0.05, 0), (0.05, 1), *_BOWL, (0.05, 0.5)]],
    "R": [[(0.05, 0), (0.05, 1), *_BOWL, (0.05, 0.5)], [(0.25, 0.5), (0.56, 0)]],
    "S": [[*_SNAKE, (0.12, 0.0), (0.0, 0.15)]],
    "V": [[(0, 1), (0.32, 0), (0.64, 1)]],
    "X": [[(0, 0), (0.58, 1)], [(0, 1), (0.58, 0)]],
    "*": [[(0.3 + 0.3 * np.cos(a), 0.5 + 0.3 * np.sin(a)), (0.3, 0.5)] for a in np.arange(5) * 0.4 * np.pi + 0.3],
    " ": [],
}


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    rng = np.random.default_rng(31)
    coin = _coin(300, rng).moved(_TILT, _CENTRE)
    subject = (add_mesh("Coin", coin, _silver_material()),)
    _setting(rng)
    add_softbox("Key", spherical(170, 125, 50), (0, 0, 2), (170, 130), 0.27, (1.0, 0.95, 0.88))
    add_softbox("Fill", spherical(190, -50, 45), (0, 0, 2), (160, 130), 0.19, (0.85, 0.93, 1.0))
    add_softbox("Rim", spherical(150, 10, 18), (0, 0, 2), (60, 90), 0.3, (1.0, 0.92, 0.8))
    set_world((0.7, 0.76, 0.85), 0.26)
    return MacroScene(
        subject=subject,
        centre_mm=np.array([0.0, 0.0, 3.2]),
        radius_mm=13.5,
        field_width_mm=27.0,
        elevations=(35.0, 78.0),
        f_number=6.3,
    )


def _disc_grid(count: int) -> np.ndarray:
    """A square grid bent to the unit disc, [count, count, 2]: its outline is the circle, its cells equally large.

    Shirley and Chiu, "A low distortion map between disk and square" (1997).
    """
    a, b = np.meshgrid(np.linspace(-1, 1, count), np.linspace(-1, 1, count), indexing="ij")
    wide = abs(a) > abs(b)
    radius = np.where(wide, a, b)
    ratio = np.divide(np.where(wide, b, a), radius, out=np.zeros_like(a), where=radius != 0)
    angle = np.where(wide, ratio * np.pi / 4, np.pi / 2 - ratio * np.pi / 4)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1)


def _outline(grid: np.ndarray) -> np.ndarray:
    """The border [4 (count - 1), ...] of a square grid, counter-clockwise where rows are x and columns y."""
    return np.concatenate([grid[:-1, 0], grid[-1, :-1], grid[:0:-1, -1], grid[0, :0:-1]])


def _coin(count: int, rng: np.random.Generator) -> Geometry:
    """The struck side as a relief and the reeded edge; the field is at height 0."""
    flat = _disc_grid(count) * (_RADIUS - 0.1)
    height = _struck(flat, rng)
    face = sheet(np.concatenate([flat, height[..., None]], -1))
    face = face.with_attribute("recess", np.clip((_blurred(height, 6) - height) / 0.07, 0, 1).ravel())
    face = face.with_attribute("worn", np.clip((height - _blurred(height, 14)) / 0.09, 0, 1).ravel())

    ring, top = _outline(flat), _outline(height)
    angle = np.arctan2(ring[:, 1], ring[:, 0])
    reed = 0.13 * np.clip(0.5 + 1.1 * np.cos(_REEDS * angle), 0, 1)
    outward = np.stack([np.cos(angle), np.sin(angle)], -1)
    rows = [np.concatenate([ring, top[:, None]], -1)]
    for drop, inset in [(0.05, 0.02), (0.14, 0.0), (0.5, 0.0), (1.2, 0.0), (1.9, 0.0), (_THICKNESS, 0.1)]:
        notch = reed if 0.1 < drop < _THICKNESS else np.full_like(reed, 0.05)
        around = outward * (_RADIUS - inset - notch)[:, None]
        rows.append(np.concatenate([around, (top - drop)[:, None]], -1))
    edge = sheet(np.stack(rows), closed=True)
    grooves = np.stack([np.full_like(reed, 0.3), *[reed / 0.13] * len(rows[1:])])
    return merged([face, edge.with_attribute("recess", grooves.ravel()).with_attribute("worn", 0.3)])


def _struck(flat: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The height of the relief over the field, mm, at points [..., 2]: what the die struck, less what use has worn."""
    shape = flat.shape[:-1]
    points = flat.reshape(-1, 2)
    radius, angle = np.hypot(*points.T), np.arctan2(points[:, 1], points[:, 0])
    rim = _RIM * np.clip((radius - 12.15) / 0.22, 0, 1) ** 0.7
    beads = _beads(radius, angle, 11.72, 108, 0.29)
    height = np.maximum(np.maximum(rim, beads), _octopus(points))
    height = np.maximum(height, _legend(points))

    solid = np.concatenate([points, np.zeros((len(points), 1))], -1)
    height = height - 0.045 * np.clip(1 - radius / 11, 0, 1) ** 0.5  # fields are struck slightly hollow
    wear = 0.27 + 0.06 * fractal_noise(solid / 6.0, 2, seed=3)
    height = np.where(height > wear, wear + 0.45 * (height - wear), height)
    height = height + 0.010 * fractal_noise(solid / 1.3, 4, seed=5, gain=0.6)
    height = height - 0.05 * np.clip(gradient_noise(solid / 0.55, seed=9) - 0.48, 0, 1)  # pits of corrosion
    for _ in range(26):  # knocks, mostly on the rim
        turn, place = rng.uniform(0, 2 * np.pi), _RADIUS * rng.uniform() ** 0.25
        offset = (points - place * np.array([np.cos(turn), np.sin(turn)])) @ rotation([0, 0, 1], turn)[:2, :2]
        length, width = rng.uniform(0.12, 0.5), rng.uniform(0.06, 0.12)
        height = height - 0.09 * np.exp(-((offset[:, 0] / length) ** 2) - (offset[:, 1] / width) ** 2)
    return height.reshape(shape)


def _beads(radius: np.ndarray, angle: np.ndarray, ring: float, count: int, size: float) -> np.ndarray:
    """The height [N], mm, of a circle of `count` round beads at polar coordinates [N], [N]."""
    step = 2 * np.pi / count
    along = ((angle / step + 0.5) % 1 - 0.5) * step * ring
    return 0.9 * np.sqrt(np.maximum(size**2 - along**2 - (radius - ring) ** 2, 0))


def _ridge(
    points: np.ndarray,  # [N, 2], mm
    path: np.ndarray,  # [P, 2], mm
    radii: np.ndarray,  # [P], mm, half the width
    relief: float,  # mm, height over the field for half a width of 1 mm
    roundness: float = 0.5,  # the exponent: 0.5 is a half round, less is a flat top
) -> np.ndarray:
    """The height [N] of a rounded ridge along a path."""
    height = np.zeros(len(points))
    around = _within(points, path.min(0), path.max(0), radii.max())
    for start, end, first, last in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
        close = _within(points[around], np.minimum(start, end), np.maximum(start, end), max(first, last))
        near = around[close]
        offset, way = points[near] - start, end - start
        t = np.clip(offset @ way / max(way @ way, 1e-9), 0, 1)
        radius = first + (last - first) * t
        distance = np.hypot(*(offset - t[:, None] * way).T)
        bulge = relief * radius**0.6 * np.maximum(1 - (distance / radius) ** 2, 0) ** roundness
        height[near] = np.maximum(height[near], bulge)
    return height


def _within(points: np.ndarray, low: np.ndarray, high: np.ndarray, margin: float) -> np.ndarray:
    """The indices of those `points` [N, 2] in the rectangle from `low` to `high`, [2], widened by `margin`."""
    x, y = points.T
    (left, bottom), (right, top) = low - margin, high + margin
    return np.flatnonzero((x > left) & (x < right) & (y > bottom) & (y < top))


def _arm(start: tuple[float, float], heading: float, bend: float, curl: float, length: float) -> np.ndarray:
    """An arm [P, 2] that sets out towards `heading` (degrees), bends a little, and curls up at its end."""
    s = np.linspace(0, 1, 56)
    direction = np.radians(heading + bend * s + curl * s**3.2)
    steps = np.stack([np.cos(direction), np.sin(direction)], -1) * length / 55
    return np.array(start) + np.cumsum(steps, axis=0)


def _octopus(points: np.ndarray) -> np.ndarray:
    """The height [N] at `points` [N, 2] of an octopus, its head up, its eight arms spread and curled, mm."""
    height = np.zeros(len(points))
    arms = [  # of the right side
        ((0.8, -0.2), 42, -75, 520, 11.5),
        ((0.95, -0.9), -2, 40, -560, 11.5),
        ((0.75, -1.5), -40, -30, 540, 11.0),
        ((0.35, -1.9), -78, 30, -480, 9.5),
    ]
    for start, heading, bend, curl, length in arms:
        path = _arm(start, heading, bend, curl, length)
        for side in (1, -1):
            whole = path * [side, 1]
            radii = np.linspace(0.86, 0.13, len(whole)) ** 1.1
            height = np.maximum(height, _ridge(points, whole, radii, 0.33))
            height = _with_suckers(points, height, whole, radii, -side * np.sign(curl))
    mantle = np.maximum(1 - (points[:, 0] / 2.5) ** 2 - ((points[:, 1] - 4.2) / 3.5) ** 2, 0) ** 0.5
    solid = np.concatenate([points, np.ones((len(points), 1))], -1)
    warts = np.maximum(gradient_noise(solid / 0.55, seed=15), 0)
    height = np.maximum(height, 0.46 * mantle + 0.08 * warts * (mantle > 0.2))
    head = np.maximum(1 - (points[:, 0] / 1.8) ** 2 - ((points[:, 1] + 0.2) / 2.1) ** 2, 0) ** 0.5
    height = np.maximum(height, 0.4 * head)
    for side in (1, -1):
        distance = np.hypot(points[:, 0] - 1.05 * side, points[:, 1] - 0.75)
        height = np.where(distance < 0.95, np.maximum(height, 0.3), height)
        height = height - 0.16 * np.exp(-(((distance - 0.72) / 0.13) ** 2)) * (distance < 1.2)
        height = np.maximum(height, 0.52 * np.maximum(1 - (distance / 0.6) ** 2, 0) ** 0.5)
        height = height - 0.12 * np.exp(-((distance / 0.17) ** 2))
    return height


def _with_suckers(
    points: np.ndarray, height: np.ndarray, path: np.ndarray, radii: np.ndarray, side: float
) -> np.ndarray:
    """The height [N] at `points` [N, 2] with a row of cups on one flank of an arm, each a ring with a hollow.

    Args:
        points: mm.
        height: without them, [N], mm; changed.
        path: of the arm, [P, 2], mm.
        radii: half the arm's width along it, [P], mm.
        side: 1 for its left flank, -1 for its right.
    """
    along = np.gradient(path, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], -1) / np.linalg.norm(along, axis=1, keepdims=True)
    index = 8.0
    while index < len(path) - 3:
        radius = radii[int(index)]
        centre = path[int(index)] + 0.62 * side * radius * across[int(index)]
        size = 0.1 + 0.28 * radius
        near = _within(points, centre, centre, size)
        distance = np.hypot(*(points[near] - centre).T)
        cup = (0.2 * radius + 0.11) * np.maximum(1 - (distance / size) ** 2, 0) ** 0.4
        hollow = 0.14 * np.exp(-((distance / (0.45 * size)) ** 2)) * (cup > 0)
        height[near] = np.maximum(height[near], cup - hollow)
        index += 2.3 * size / 0.2
    return height


def _legend(points: np.ndarray) -> np.ndarray:
    """The height [N] at `points` [N, 2] of the letters round the coin, mm: clockwise above, the date below."""
    height = np.zeros(len(points))
    for text, middle, spacing, below in [
        ("REPVBLICA * MARIS * PROFVNDI", np.pi / 2, 0.36, False),
        ("* MDCCXLVI *", -np.pi / 2, 0.36, True),
    ]:
        widths = [max((x for stroke in _GLYPHS[glyph] for x, _ in stroke), default=0.1) for glyph in text]
        starts = np.concatenate([[0], np.cumsum(np.array(widths) + spacing)])
        length = starts[-1] - spacing
        for glyph, start in zip(text, starts, strict=False):
            for stroke in _GLYPHS[glyph]:
                along = (np.array(stroke)[:, 0] + start - length / 2) * _LETTER / (_LEGEND + 0.5 * _LETTER)
                up = np.array(stroke)[:, 1] * _LETTER
                turn = middle + along if below else middle - along
                reach = _LEGEND + (_LETTER - up if below else up)
                path = np.stack([reach * np.cos(turn), reach * np.sin(turn)], -1)
                radii = np.full(len(path), 0.17)
                radii[[0, -1]] = 0.27  # the punches' flared ends
                height = np.maximum(height, _ridge(points, path, radii, 0.72, 0.35))
    return height


def _blurred(grid: np.ndarray, cells: int) -> np.ndarray:
    """The mean of `grid` [H, W] over a square of 2 `cells` + 1 a side."""
    for axis in (0, 1):
        padded = np.pad(grid, [(cells + 1, cells) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        total = np.cumsum(padded, axis=axis)
        upper = np.take(total, range(2 * cells + 1, total.shape[axis]), axis=axis)
        lower = np.take(total, range(total.shape[axis] - 2 * cells - 1), axis=axis)
        grid = (upper - lower) / (2 * cells + 1)
    return grid


def _leather_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height [...] of the leather at `x`, `y` [...], mm: slack folds, wrinkles and the swell beside the seam."""
    points = np.stack([x, y, np.zeros_like(x)], -1)
    away = np.clip((np.hypot(x, y) - 9) / 14, 0, 1)
    folds = 2.2 * away * fractal_noise(points / [26.0, 15.0, 1.0], 2, seed=21)
    warp = np.stack([x + 0.8 * gradient_noise(points / 3.0, seed=23), y, np.zeros_like(x)], -1)
    wrinkles = -0.22 * np.clip(1 - 7 * abs(gradient_noise(warp / [2.4, 1.5, 1.0], seed=25)), 0, 1)
    grain = 0.10 * fractal_noise(points / 0.9, 3, seed=27)
    return folds + wrinkles + grain + 0.2 * np.exp(-((_seam(x, y) / 1.1) ** 2))


def _seam(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance [...] of `x`, `y` [...] from the seam's line, mm."""
    return (x * 0.42 + y * 0.91) + 12.6


def _setting(rng: np.random.Generator) -> None:
    s = np.linspace(-1, 1, 220)
    spaced = 60.0 * (0.32 * s + 0.68 * s**3)
    x, y = np.meshgrid(spaced, spaced, indexing="ij")
    add_mesh("Leather", sheet(np.stack([x, y, _leather_height(x, y)], -1)), _leather_material())
    add_mesh("Stitches", _stitches(rng), _thread_material())
    add_mesh("Cord", _cord(), _thread_material())
    under = _coin(110, rng).moved(rotation([0, 0, 1], 2.4), np.array([12.5, 11.5, 2.0]))
    add_mesh("Copper coin", under, _copper_material())
    add_mesh("Grit", _grit(rng, 420), _grit_material())


def _stitches(rng: np.random.Generator) -> Geometry:
    """Two rows of waxed thread along the seam; each stitch a twist of two strands."""
    along, across = np.array([0.91, -0.42]), np.array([0.42, 0.91])
    parts = []
    for row in (0.0, -2.4):
        for index in range(-7, 8):
            middle = -12.6 * across + row * across + 3.1 * index * along + rng.normal(0, 0.08, 2)
            ends = [middle + sign * 1.3 * (along + 0.12 * across) for sign in (-1, 1)]
            heights = _leather_height(*np.array([ends[0], middle, ends[1]]).T)
            path = curve(
                [
                    [*ends[0], heights[0] - 0.35],
                    [*(0.8 * ends[0] + 0.2 * middle), heights[0] + 0.2],
                    [*middle, heights[1] + 0.28],
                    [*(0.8 * ends[1] + 0.2 * middle), heights[2] + 0.2],
                    [*ends[1], heights[2] - 0.35],
                ],
                22,
            )
            parts.extend(_twisted(path, 0.2, 1.1, 2))
    return merged(parts)


def _twisted(path: np.ndarray, radius: float, pitch: float, strands: int) -> list[Geometry]:
    """Strands of `radius` laid round `path` [P, 3], one turn every `pitch` mm."""
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    turn = 2 * np.pi * np.concatenate([[0], np.cumsum(step)]) / pitch
    along = np.gradient(path, axis=0)
    side = np.cross(along, [0, 0, 1])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    parts = []
    for strand in range(strands):
        phase = turn + 2 * np.pi * strand / strands
        wound = path + 0.85 * radius * (np.cos(phase)[:, None] * side + np.sin(phase)[:, None] * up)
        lie = tube(wound, np.full(len(path), radius), 6)
        parts.append(lie.with_attribute("tint", strand / strands))
    return parts


def _cord() -> Geometry:
    """The drawstring: three strands, under one edge of the coin and out of the picture at both ends."""
    stations = [(-30, 16), (-20, 13.5), (-15.0, 8.5), (-14.9, 1.0), (-16.5, -6.5), (-22, -9.0), (-34, -6.0)]
    flat = curve(stations, 420)
    height = _leather_height(flat[:, 0], flat[:, 1])
    smooth = np.convolve(np.pad(height, 12, mode="edge"), np.ones(25) / 25, mode="valid")
    return merged(_twisted(np.concatenate([flat, (smooth + 0.75)[:, None]], -1), 0.5, 3.4, 3))


def _grit(rng: np.random.Generator, count: int) -> Geometry:
    """Sand that the satchel has carried."""
    shapes = [stone(rng.uniform([0.8, 0.7, 0.5], [1.2, 1.0, 0.8]), rng, rows=6) for _ in range(8)]
    places = rng.normal(0, 13, (count, 2))
    places = places[np.hypot(*places.T) > 12.5]
    sizes = 0.06 * 5.0 ** (rng.uniform(size=len(places)) ** 2)
    heights = _leather_height(*places.T) + 0.4 * sizes
    grains = []
    for index, (place, size, height) in enumerate(zip(places, sizes, heights, strict=True)):
        turn = rotation([0, 0, 1], rng.uniform(0, 6.3))
        lying = shapes[index % 8].moved(size * turn, np.array([*place, height]))
        grains.append(lying.with_attribute("tint", rng.uniform()))
    return merged(grains)


def _scratches(m: Material) -> bpy.types.NodeSocket:
    """1 in hairline scratches of three headings, 0 elsewhere."""
    total: float | bpy.types.NodeSocket = 0.0
    for heading, size, share in [(17, 0.5, 0.012), (74, 0.7, 0.009), (131, 0.6, 0.01)]:
        field = m.noise(size, 1, stretch=14.0, heading=heading)
        line = m.calculate("LESS_THAN", m.calculate("ABSOLUTE", m.calculate("SUBTRACT", field, 0.5)), share)
        gaps = m.between(m.noise(2.5 + size, 2), 0.5, 0.54)
        total = m.calculate("MAXIMUM", total, m.calculate("MULTIPLY", line, gaps))
    return total


def _silver_material() -> bpy.types.Material:
    m = Material("Silver")
    worn, recess, scratched = m.attribute("worn"), m.attribute("recess"), _scratches(m)
    toned = m.ramp(
        m.noise(5.5, 5, 0.6),
        (0.3, (0.13, 0.135, 0.165)),
        (0.45, (0.23, 0.20, 0.17)),
        (0.58, (0.31, 0.235, 0.145)),
        (0.7, (0.20, 0.155, 0.135)),
    )
    toned = m.mix(0.7, toned, m.ramp(m.noise(0.22, 5), (0.3, (0.55,) * 3), (0.7, (1.45,) * 3)), "MULTIPLY")
    bright = m.mix(m.noise(0.3, 4), (0.66, 0.62, 0.56), (0.5, 0.46, 0.4))
    rubbed = m.between(m.calculate("ADD", worn, m.calculate("MULTIPLY", m.noise(0.8, 5), 0.6)), 0.45, 0.95)
    colour = m.mix(rubbed, toned, bright)
    colour = m.mix(m.calculate("MULTIPLY", scratched, 0.75), colour, (0.72, 0.7, 0.66))
    grime = m.between(m.calculate("ADD", recess, m.calculate("MULTIPLY", m.noise(0.35, 5), 0.5)), 0.5, 0.95)
    colour = m.mix(m.calculate("MULTIPLY", grime, 0.92), colour, (0.022, 0.018, 0.015))
    spots = m.between(m.noise(0.45, 4), 0.64, 0.7)
    colour = m.mix(m.calculate("MULTIPLY", spots, 0.8), colour, (0.04, 0.034, 0.03))
    metal = m.calculate("SUBTRACT", 1.0, m.calculate("MULTIPLY", m.calculate("MAXIMUM", grime, spots), 0.8))
    rough = m.between(metal, 1.6, 0.0)
    roughness = m.calculate("ADD", m.calculate("MULTIPLY", rough, 0.45), m.calculate("MULTIPLY", m.noise(0.5, 4), 0.22))
    relief = m.bump(scratched, -0.012, m.bump(m.noise(0.09, 4), 0.012, m.bump(m.noise(0.4, 4), 0.02)))
    return m.finish(Base_Color=colour, Metallic=metal, Roughness=roughness, Normal=relief)


def _copper_material() -> bpy.types.Material:
    m = Material("Copper")
    colour = m.ramp(
        m.noise(2.2, 6, 0.5), (0.3, (0.05, 0.02, 0.01)), (0.5, (0.14, 0.06, 0.03)), (0.7, (0.25, 0.12, 0.05))
    )
    colour = m.mix(0.7, colour, m.ramp(m.noise(0.2, 4), (0.3, (0.5,) * 3), (0.7, (1.5,) * 3)), "MULTIPLY")
    colour = m.mix(m.calculate("MULTIPLY", m.attribute("worn"), 0.8), colour, (0.5, 0.27, 0.15))
    crust = m.between(
        m.calculate("ADD", m.calculate("MULTIPLY", m.attribute("recess"), 0.3), m.noise(0.9, 6)), 0.62, 0.74
    )
    colour = m.mix(crust, colour, m.mix(m.noise(0.2, 4), (0.03, 0.085, 0.06), (0.12, 0.24, 0.18)))
    metal = m.calculate("SUBTRACT", 1.0, crust)
    relief = m.bump(m.noise(0.1, 4), 0.02, m.bump(m.noise(0.5, 4), 0.04))
    return m.finish(Base_Color=colour, Metallic=metal, Roughness=0.45, Normal=relief)


def _leather_material() -> bpy.types.Material:
    m = Material("Leather")
    colour = m.ramp(
        m.noise(6.0, 6, 0.5),
        (0.3, (0.045, 0.018, 0.009)),
        (0.5, (0.13, 0.052, 0.022)),
        (0.7, (0.24, 0.11, 0.048)),
    )
    pores = m.cells(0.36, feature="DISTANCE_TO_EDGE")
    whole = m.calculate("MULTIPLY", m.between(m.noise(2.2, 4), 0.44, 0.6), 0.3)  # where the grain has not cracked
    crack = m.between(m.calculate("ADD", pores, whole), 0.0, 0.12)
    tan = m.mix(m.noise(0.5, 4), (0.3, 0.16, 0.08), (0.42, 0.27, 0.15))
    scuffed = m.between(m.calculate("ADD", m.noise(3.0, 6), m.calculate("MULTIPLY", m.noise(0.3, 4), 0.35)), 0.7, 0.82)
    colour = m.mix(m.calculate("MULTIPLY", scuffed, 0.75), colour, tan)
    colour = m.mix(0.8, colour, m.ramp(m.cells(0.36, "Color"), (0.0, (0.6,) * 3), (1.0, (1.45,) * 3)), "MULTIPLY")
    colour = m.mix(crack, (0.022, 0.01, 0.006), colour)
    colour = m.mix(0.7, colour, m.ramp(m.noise(0.11, 3), (0.3, (0.5,) * 3), (0.7, (1.5,) * 3)), "MULTIPLY")
    relief = m.bump(crack, 0.07, m.bump(m.noise(0.15, 4), 0.03, m.bump(m.noise(0.9, 4), 0.1)))
    return m.finish(Base_Color=colour, Roughness=0.5, Specular_IOR_Level=0.4, Normal=relief)


def _thread_material() -> bpy.types.Material:
    m = Material("Thread")
    colour = m.ramp(m.noise(0.6, 5), (0.3, (0.2, 0.14, 0.07)), (0.55, (0.45, 0.35, 0.2)), (0.75, (0.6, 0.5, 0.33)))
    fibre = m.noise(0.07, 3, 0.5)
    colour = m.mix(0.8, colour, m.ramp(fibre, (0.3, (0.4,) * 3), (0.7, (1.5,) * 3)), "MULTIPLY")
    return m.finish(Base_Color=colour, Roughness=0.75, Normal=m.bump(fibre, 0.04))


def _grit_material() -> bpy.types.Material:
    m = Material("Grit")
    base = m.ramp(m.attribute("tint"), (0.0, (0.5, 0.42, 0.3)), (0.5, (0.3, 0.22, 0.15)), (1.0, (0.65, 0.6, 0.52)))
    colour = m.mix(0.8, base, m.ramp(m.noise(0.1, 3), (0.3, (0.5,) * 3), (0.7, (1.4,) * 3)), "MULTIPLY")
    return m.finish(Base_Color=colour, Roughness=0.5)
