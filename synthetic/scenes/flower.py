# SPDX-License-Identifier: GPL-3.0-or-later
"""A pasque flower, 22 mm across, with its bud and its leaves among others on the floor of a wood in spring.

Hard for reconstruction by its sheets: petals and leaves a hair thin, curled, seen from both sides and lit through,
so that one place is violet from above, pale from below and glowing against the light. In the middle stand a hundred
stamens that look all alike, and a silk of hairs much finer than a pixel grows on the stem and on the bud.
"""

import bpy
import numpy as np
from bpy.types import NodeSocket

from .construction import MacroScene, add_mesh, add_softbox, set_world, spherical
from .geometry import Geometry, ball, copies, curve, merged, rotation, sheet, stone, tube, turns_to
from .materials import Material
from .noise import fractal_noise, gradient_noise

_GROUND_RADIUS = 80.0  # mm
_HEAD = np.array([0.0, 0.0, 12.5])  # mm, where the petals meet
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))

Parts = dict[str, Geometry]  # by material


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    rng = np.random.default_rng(7)
    materials = {
        "petal": _petal_material(),
        "filament": _filament_material(),
        "anther": _anther_material(),
        "pollen": _pollen_material(),
        "carpel": _carpel_material(),
        "stem": _stem_material(),
        "hair": _hair_material(),
        "leaf": _leaf_material(),
    }
    plant = _joined([_flower(rng), _bud(rng), _plant_leaves(rng)])
    subject = tuple(add_mesh(name.capitalize(), part, materials[name]) for name, part in plant.items())
    for name, part in _joined([_other_flowers(rng), _other_leaves(rng)]).items():
        add_mesh(f"Other {name}", part, materials[name])
    _ground(rng)

    target = (0.0, 0.0, 11.0)
    add_softbox("Key", spherical(170, 150, 55), target, (80, 60), 0.42, (1.0, 0.95, 0.88))
    add_softbox("Back", spherical(150, -25, 32), target, (60, 50), 0.4, (1.0, 0.9, 0.74))
    add_softbox("Fill", spherical(190, 60, 50), target, (130, 130), 0.1, (0.85, 0.93, 1.0))
    set_world((0.62, 0.74, 0.85), 0.1)
    return MacroScene(
        subject=subject,
        centre_mm=np.array([0.0, 0.0, 12.0]),
        radius_mm=12.0,
        field_width_mm=27.0,
        elevations=(24.0, 65.0),
    )


def _joined(plants: list[Parts]) -> Parts:
    """One mesh a material of them all."""
    names = {name: None for plant in plants for name in plant}
    return {name: merged([plant[name] for plant in plants if name in plant]) for name in names}


def _moved(parts: Parts, turn: np.ndarray, place: np.ndarray) -> Parts:
    """All parts under x -> turn [3, 3] x + place [3]."""
    return {name: part.moved(turn, place) for name, part in parts.items()}


def _blade(
    length: float,  # mm
    half_widths: np.ndarray,  # [R], mm, from the base to the tip
    slopes: np.ndarray,  # [R], radians above the horizontal
    columns: int,
    seed: int,
    cup: float = 0.0,  # how high the edges stand, in half widths
    roll: float = 0.0,  # the same of the outermost edges alone
    wave: float = 0.0,  # mm, of the edges up and down
    twist: float = 0.0,  # radians, of the tip about the blade's axis
) -> Geometry:
    """A petal or leaf that grows from the origin along x, its upper side the outside.

    Its attributes are `along`, 0 at the base and 1 at the tip, and `across`, -1 and 1 at the edges.
    """
    rows = len(half_widths)
    u, v = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    step = length / (rows - 1)
    x, z = (np.concatenate([[0], np.cumsum(part(slopes[1:])) * step])[:, None] for part in (np.cos, np.sin))
    half = half_widths[:, None]
    ripple = fractal_noise(np.stack([2.6 * u, 0.7 * v, np.zeros_like(u)], -1), 3, seed=seed)
    lift = half * (cup * v**2 + roll * v**6) + wave * ripple * (0.25 + abs(v) ** 1.5) * np.minimum(4 * u, 1)
    side = half * v * (1 - 0.25 * abs(cup) * v**2 - 0.3 * abs(roll) * v**6)
    turn = twist * u
    side, lift = side * np.cos(turn) - lift * np.sin(turn), side * np.sin(turn) + lift * np.cos(turn)
    points = np.stack([x - lift * np.sin(slopes)[:, None], side, z + lift * np.cos(slopes)[:, None]], -1)
    return sheet(points).with_attribute("along", u.ravel()).with_attribute("across", v.ravel())


def _petal(rng: np.random.Generator, length: float, rise: float, spread: float, rows: int, columns: int) -> Geometry:
    """A petal whose slope goes from `rise` at the base to `spread` at the tip, in radians."""
    u = np.linspace(0, 1, rows)
    half_width = curve([[0.24], [0.5], [0.82], [1.0], [0.98], [0.8], [0.55]], rows)[:, 0]
    half_width = (
        half_width * np.sqrt(np.maximum(1 - u**7, 0)) * (1 + 0.03 * gradient_noise(_line(9 * u), rng.integers(99)))
    )
    slopes = spread + (rise - spread) * (1 - u) ** 1.3 + rng.normal(0, 0.5) * np.maximum(u - 0.75, 0)
    petal = _blade(
        length,
        np.maximum(0.31 * length * half_width * rng.uniform(0.9, 1.1), 0.01),
        slopes,
        columns,
        int(rng.integers(1000)),
        cup=rng.uniform(0.12, 0.3),
        roll=rng.normal(0.1, 0.3),
        wave=rng.uniform(0.35, 0.8),
        twist=rng.normal(0, 0.2),
    )
    return petal.with_attribute("tint", rng.uniform())


def _line(x: np.ndarray) -> np.ndarray:
    """Points [..., 3] on the x axis."""
    return np.stack([x, np.zeros_like(x), np.zeros_like(x)], -1)


def _corolla(
    rng: np.random.Generator, count: int, length: float, rise: float, spread: float, rows: int, columns: int
) -> Geometry:
    """Two rings of petals round z, the second above the first and between its petals."""
    petals = []
    for index in range(count):
        inner = index >= count // 2
        azimuth = 2 * np.pi * (index / (count // 2) + 0.5 * inner) + rng.normal(0, 0.1)
        tilt = rng.normal(0, 0.08)
        petal = _petal(rng, length * rng.uniform(0.92, 1.06), rise + tilt + 0.12 * inner, spread + tilt, rows, columns)
        petals.append(petal.moved(rotation([0, 0, 1], azimuth), _polar(0.9, azimuth, 0.25 * inner)))
    return merged(petals)


def _polar(radius: float, azimuth: float, height: float) -> np.ndarray:
    """The point [3] at cylinder coordinates; `azimuth` in radians."""
    return np.array([radius * np.cos(azimuth), radius * np.sin(azimuth), height])


def _head(rng: np.random.Generator, rise: float, spread: float, *, fine: bool) -> Parts:
    """An open flower that looks up, its petals' bases at the origin."""
    rows, columns = (64, 41) if fine else (24, 13)
    corolla = _corolla(rng, 10, 11.2, rise, spread, rows, columns)
    return {"petal": corolla, **_stamens(rng, 130 if fine else 40, fine=fine), "carpel": _carpels(rng, fine=fine)}


def _stamens(rng: np.random.Generator, count: int, *, fine: bool) -> Parts:
    """Rings of stamens that lean outward, the inner ones upright."""
    sides, points = (6, 7) if fine else (3, 4)
    filaments, anthers = [], []
    for _ in range(6):
        length, bend = rng.uniform(2.2, 3.6), rng.normal(0, 0.3, 2)
        path = curve([[0, 0, 0], [*(0.4 * bend), 0.55 * length], [*bend, length]], points)
        filaments.append(tube(path, np.linspace(0.085, 0.05, points), sides))
        anthers.append(_anther(rng, fine=fine).moved(np.eye(3), path[-1] + [0, 0, 0.1]))
    index = np.arange(count)
    share = np.sqrt((index + 0.5) / count)
    azimuth = index * _GOLDEN_ANGLE + rng.normal(0, 0.2, count)
    lean = 0.15 + 0.95 * share**1.6 + rng.normal(0, 0.1, count)
    outward = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(count)], -1)
    places = outward * (0.75 + 0.55 * share)[:, None] + [0, 0, 0.35]
    directions = outward * np.sin(lean)[:, None] + np.cos(lean)[:, None] * [0, 0, 1]
    turns = turns_to(directions, rng.uniform(0, 6.3, count)) * rng.uniform(0.85, 1.1, (count, 1, 1))
    tint = rng.uniform(size=count)

    def planted(shapes: list[Geometry]) -> Geometry:
        groups = [index % len(shapes) == number for number in range(len(shapes))]
        return merged(
            [
                copies(shape, turns[group], places[group], tint=tint[group])
                for shape, group in zip(shapes, groups, strict=True)
            ]
        )

    return {"filament": planted(filaments), "anther": planted(anthers)}


def _anther(rng: np.random.Generator, *, fine: bool) -> Geometry:
    """Two lobes with a furrow between them, 0.8 mm long, a little askew on the filament's tip."""
    sphere = ball(1.0, 10, 10) if fine else ball(1.0, 5, 6)
    x, y, z = sphere.vertices.T
    furrow = 1 - 0.45 * np.exp(-((x / 0.35) ** 2)) * (1 - z**2)
    lumps = 1 + 0.12 * fractal_noise(sphere.vertices * 2 + rng.uniform(0, 50), 2, seed=3)
    shape = np.stack([0.25 * x, 0.17 * y * furrow, 0.42 * z], -1) * lumps[:, None]
    return Geometry(shape, sphere.triangles).moved(rotation(rng.normal(size=3), 0.4), np.zeros(3))


def _carpels(rng: np.random.Generator, *, fine: bool) -> Geometry:
    """The boss of pistils in the middle, each with a hooked style."""
    points, sides, count = (12, 7, 60) if fine else (5, 4, 16)
    shapes = []
    for _ in range(4):
        hook = rng.normal(0, 0.12, 2)
        path = curve([[0, 0, 0], [*(0.2 * hook), 0.5], [*hook, 1.1], [*(2.2 * hook), 1.5]], points)
        radii = np.interp(np.linspace(0, 1, points), [0, 0.2, 0.45, 0.9, 1], [0.1, 0.17, 0.07, 0.035, 0.06])
        shapes.append(tube(path, radii, sides))
    index = np.arange(count)
    share = np.sqrt((index + 0.5) / count)
    azimuth = index * _GOLDEN_ANGLE
    flat = np.stack([share * np.cos(azimuth), share * np.sin(azimuth), np.zeros(count)], -1)
    directions = flat * 0.9 + [0, 0, 1] + rng.normal(0, 0.1, (count, 3))
    turns = turns_to(directions, rng.uniform(0, 6.3, count))
    places = 0.75 * flat + np.stack([0 * share, 0 * share, 0.9 - 0.6 * share**2], -1)
    groups = [index % 4 == number for number in range(4)]
    return merged([copies(shape, turns[group], places[group]) for shape, group in zip(shapes, groups, strict=True)])


def _hairs(
    rng: np.random.Generator,
    roots: np.ndarray,  # [N, 3], mm
    directions: np.ndarray,  # [N, 3]
    lengths: tuple[float, float],  # mm
    radius: float = 0.016,  # mm at the root, of a hair 1 mm long
) -> Geometry:
    """Fine curved hairs."""
    path = curve([[0, 0, 0], [0.02, 0, 0.4], [0.12, 0.03, 0.75], [0.28, 0.05, 1.0]], 3)
    angle = np.arange(3) * 2 * np.pi / 3
    rings = path[:, None] + np.linspace(radius, 0.3 * radius, 3)[:, None, None] * np.stack(
        [np.cos(angle), np.sin(angle), 0 * angle], -1
    )
    shape = sheet(rings[:, ::-1], closed=True)
    count = len(roots)
    turns = turns_to(directions, rng.uniform(0, 6.3, count)) * rng.uniform(*lengths, (count, 1, 1))
    return copies(shape, turns, roots)


def _hairs_on(
    rng: np.random.Generator, thing: Geometry, count: int, lengths: tuple[float, float], way: np.ndarray
) -> Geometry:
    """Hairs on random faces of a mesh, square to it but for some disorder, and combed towards `way` [3]."""
    corners = thing.vertices[thing.triangles[rng.integers(len(thing.triangles), size=count)]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return _hairs(rng, corners.mean(1), normals + way + rng.normal(0, 0.3, normals.shape), lengths)


def _stem(stations: list[list[float]], thick: float, thin: float) -> Geometry:
    path = curve(stations, 40)
    ribs = 1 + 0.05 * np.sin(np.arange(40) * 2.1)
    return tube(path, np.linspace(thick, thin, 40) * ribs, 20)


def _bracts(rng: np.random.Generator, count: int, length: float, slope: float) -> Geometry:
    """The collar of narrow leaves below a flower, round z."""
    bracts = []
    rows = 22
    for index in range(count):
        taper = np.interp(np.linspace(0, 1, rows), [0, 0.35, 0.8, 1], [0.3, 0.5, 0.28, 0.02])
        slopes = np.linspace(slope - 0.5, slope + rng.normal(0.1, 0.25), rows)
        bract = _blade(length * rng.uniform(0.7, 1.15), taper, slopes, 7, index, cup=0.5, wave=0.2)
        azimuth = 2 * np.pi * index / count + rng.normal(0, 0.15)
        bracts.append(bract.moved(rotation([0, 0, 1], azimuth), _polar(0.5, azimuth, 0.0)))
    return merged(bracts)


def _flower(rng: np.random.Generator) -> Parts:
    """The one that is photographed, on its stem."""
    turn = rotation([0, 1, 0], 0.2) @ rotation([1, 0, 0], 0.16)
    parts = _moved(_head(rng, 0.75, 0.02, fine=True), turn, _HEAD)
    stem = _stem([[2.4, 1.2, -0.5], [1.7, 1.0, 4.5], [0.3, 0.4, 9.5], list(_HEAD)], 0.75, 0.62)
    bracts = _bracts(rng, 14, 6.5, 0.5).moved(turn, np.array([0.7, 0.6, 7.2]))
    parts["stem"] = stem
    parts["leaf"] = bracts.with_attribute("tint", 0.35)
    petals = parts["petal"]
    below = Geometry(petals.vertices, petals.triangles[:, ::-1])
    parts["hair"] = merged(
        [
            _hairs_on(rng, stem, 900, (0.5, 1.5), np.array([0, 0, 0.3])),
            _hairs_on(rng, bracts, 900, (0.5, 1.3), np.array([0, 0, 0.2])),
            _hairs_on(rng, below, 1200, (0.25, 0.6), np.array([0, 0, -0.3])),
        ]
    )
    parts["pollen"] = _pollen(rng, parts["anther"], petals)
    return parts


def _pollen(rng: np.random.Generator, anthers: Geometry, petals: Geometry) -> Geometry:
    """Grains of 0.06 mm on the anthers, and fallen on the petals."""
    grain = ball(0.032, 4, 5)
    on_anthers = anthers.vertices[rng.integers(len(anthers.vertices), size=700)]
    inner = petals.vertices[petals.attributes["along"] < 0.75]
    on_petals = inner[rng.integers(len(inner), size=260)] + [0, 0, 0.02]
    places = np.concatenate([on_anthers, on_petals])
    turns = rng.uniform(0.7, 1.3, (len(places), 1, 1)) * np.eye(3)
    return copies(grain, turns, places, tint=rng.uniform(size=len(places)))


def _bud(rng: np.random.Generator) -> Parts:
    """A nodding bud, silvery with hairs, on its own stem."""
    place = np.array([5.2, -5.6, 9.4])
    turn = rotation([1, 0, 0], 0.75) @ rotation([0, 1, 0], 0.45)
    petals = _corolla(rng, 6, 5.4, 1.35, 1.75, 36, 21).moved(np.diag([0.85, 0.85, 1.0]), np.zeros(3))
    bracts = _bracts(rng, 12, 4.6, 1.25)
    stem = _stem([[4.2, -1.8, -0.5], [4.8, -3.2, 4.5], [5.0, -4.9, 8.6], list(place)], 0.6, 0.5)
    petals, bracts = petals.moved(turn, place), bracts.moved(turn, place)
    below = Geometry(petals.vertices, petals.triangles[:, ::-1])
    hair = [
        _hairs_on(rng, below, 900, (0.4, 0.9), turn @ [0, 0, 0.9]),
        _hairs_on(rng, Geometry(bracts.vertices, bracts.triangles[:, ::-1]), 900, (0.5, 1.4), turn @ [0, 0, 0.6]),
        _hairs_on(rng, stem, 700, (0.5, 1.3), np.array([0, 0, 0.3])),
    ]
    return {"petal": petals, "leaf": bracts.with_attribute("tint", 0.3), "stem": stem, "hair": merged(hair)}


def _trefoil(
    rng: np.random.Generator, place: np.ndarray, height: float, heading: float, size: float, *, fine: bool = False
) -> Parts:
    """A leaf of three toothed leaflets on a stalk that stands at `place` [2] on the ground."""
    rows, columns = (46, 25) if fine else (26, 11)
    u = np.linspace(0, 1, rows)
    outline = curve([[0.12], [0.75], [1.0], [0.92], [0.62], [0.2]], rows)[:, 0]
    teeth = 1 + 0.14 * (1 - (u * 7.5) % 1) * np.minimum(3 * u, 1)
    leaflets = []
    for azimuth in (-1.25, 0.0, 1.25):
        slopes = np.linspace(0.35, -0.45, rows) + rng.normal(0, 0.15)
        leaflet = _blade(
            size * rng.uniform(0.9, 1.1),
            np.maximum(0.36 * size * outline * teeth * np.sqrt(np.maximum(1 - u**8, 0)), 0.01),
            slopes,
            columns,
            int(rng.integers(1000)),
            cup=rng.uniform(0.15, 0.5),
            wave=0.09 * size,
            twist=rng.normal(0, 0.2),
        )
        turn = rotation([0, 0, 1], azimuth + rng.normal(0, 0.12)) @ rotation([1, 0, 0], rng.normal(0, 0.15))
        leaflets.append(leaflet.moved(turn, _polar(0.25, azimuth, 0.0)))
    lean = rotation([0, 0, 1], heading) @ rotation([0, 1, 0], rng.normal(0.05, 0.2))
    ground = float(_ground_height(*place))
    top = np.array([*place, ground + height]) + _polar(1.5, heading, 0.0)
    blades = merged(leaflets).moved(lean, top).with_attribute("tint", rng.uniform())
    root = np.array([*place, ground - 0.3])
    stalk = tube(curve([root, 0.5 * (root + top) + _polar(0.5, heading, 0.6), top], 14), np.linspace(0.32, 0.24, 14), 9)
    return {"leaf": blades, "stem": stalk}


def _plant_leaves(rng: np.random.Generator) -> Parts:
    """The leaves at the subject's own foot."""
    leaves = [
        _trefoil(rng, np.array([2.4, 1.2]) + _polar(2.6, azimuth, 0)[:2], height, azimuth, size, fine=True)
        for azimuth, height, size in [
            (0.3, 4.2, 6.4),
            (1.6, 3.2, 7.2),
            (2.9, 4.6, 6.6),
            (4.0, 2.6, 7.4),
            (5.2, 3.6, 6.0),
        ]
    ]
    return _joined(leaves)


def _other_leaves(rng: np.random.Generator) -> Parts:
    leaves = []
    for _ in range(34):
        place = _scattered(rng, 19.0, 9.0)
        height = rng.uniform(1.5, 4.0) + 0.05 * np.hypot(*place)
        leaves.append(_trefoil(rng, place, height, rng.uniform(0, 6.3), rng.uniform(5.5, 9.0)))
    return _joined(leaves)


def _other_flowers(rng: np.random.Generator) -> Parts:
    """Flowers of the same kind all round, further off than the depth of field."""
    flowers = []
    for azimuth, distance, height in [
        (0.2, 30.0, 7.0),
        (1.0, 40.0, 8.0),
        (1.75, 31.0, 6.0),
        (2.6, 43.0, 9.0),
        (3.3, 32.0, 7.0),
        (4.2, 38.0, 8.0),
        (5.0, 29.0, 5.0),
        (5.7, 40.0, 10.0),
    ]:
        place = _polar(distance, azimuth + rng.normal(0, 0.1), height)
        turn = rotation(rng.normal(size=3) * [1, 1, 0.01], rng.uniform(0.1, 0.45))
        head = _moved(_head(rng, rng.uniform(0.7, 1.2), rng.uniform(-0.1, 0.7), fine=False), turn, place)
        foot = place + np.array([*rng.normal(0, 2.0, 2), -height - 0.5])
        head["stem"] = tube(curve([foot, 0.5 * (foot + place), place], 12), np.full(12, 0.65), 10)
        head["leaf"] = _bracts(rng, 9, 6.0, 0.6).moved(turn, place - [0, 0, 4.0]).with_attribute("tint", 0.4)
        flowers.append(head)
    return _joined(flowers)


def _ground_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height [...] of the soil at `x`, `y` [...], mm."""
    points = np.stack([x, y, np.zeros_like(x)], -1)
    waves = 2.4 * fractal_noise(points / 15.0, 2, seed=1)
    return waves + 0.5 * fractal_noise(points / 2.1, 5, seed=5, gain=0.58)


def _scattered(rng: np.random.Generator, spread: float, clear: float) -> np.ndarray:
    """A random place [2] on the ground, at least `clear` mm from the middle."""
    while True:
        place = rng.normal(0, spread, 2)
        if clear < np.hypot(*place) < 0.85 * _GROUND_RADIUS:
            return place


def _ground(rng: np.random.Generator) -> None:
    s = np.linspace(-1, 1, 160)
    spaced = _GROUND_RADIUS * (0.25 * s + 0.75 * s**3)
    x, y = np.meshgrid(spaced, spaced, indexing="ij")
    add_mesh("Soil", sheet(np.stack([x, y, _ground_height(x, y)], -1)), _soil_material())
    add_mesh("Litter", merged([_dead_leaf(rng, 20.0) for _ in range(46)]), _dead_leaf_material())
    add_mesh("Stones", _stones(rng, 160), _stone_material())
    add_mesh("Grass", merged([_grass(rng) for _ in range(70)]), _grass_material())


def _dead_leaf(rng: np.random.Generator, spread: float) -> Geometry:
    rows = 24
    u = np.linspace(0, 1, rows)
    length = rng.uniform(8, 15)
    half_width = np.maximum(0.26 * length * np.sin(np.pi * u**0.85) ** 0.8, 0.03) * (1 + 0.05 * np.sin(34 * u))
    slopes = np.linspace(-0.3, 0.5, rows) * rng.uniform(0.3, 1.5)
    leaf = _blade(length, half_width, slopes, 13, int(rng.integers(1000)), cup=rng.uniform(-0.1, 0.5), wave=1.6)
    place = _scattered(rng, spread, 0.0)
    turn = rotation([0, 0, 1], rng.uniform(0, 6.3)) @ rotation(rng.normal(size=3), rng.normal(0, 0.3))
    lying = leaf.moved(turn, np.array([*place, float(_ground_height(*place)) + rng.uniform(0.6, 1.2)]))
    return lying.with_attribute("tint", rng.uniform())


def _stones(rng: np.random.Generator, count: int) -> Geometry:
    shapes = [stone(rng.uniform([0.8, 0.7, 0.5], [1.2, 1.0, 0.8]), rng, rows=6) for _ in range(5)]
    stones = []
    for index in range(count):
        place, size = _scattered(rng, 17.0, 2.0), 0.25 * 7 ** (rng.uniform() ** 2)
        turn = size * rotation([0, 0, 1], rng.uniform(0, 6.3))
        height = float(_ground_height(*place)) + 0.2 * size
        stones.append(shapes[index % 5].moved(turn, np.array([*place, height])).with_attribute("tint", rng.uniform()))
    return merged(stones)


def _grass(rng: np.random.Generator) -> Geometry:
    rows = 14
    place = _scattered(rng, 26.0, 13.0)
    length = rng.uniform(7, 11) + 0.1 * np.hypot(*place)
    half_width = rng.uniform(0.35, 0.75) * np.interp(np.linspace(0, 1, rows), [0, 0.3, 0.7, 1], [0.8, 1, 0.7, 0.02])
    slopes = np.linspace(rng.uniform(1.2, 1.5), rng.uniform(-0.4, 0.9), rows)
    blade = _blade(length, half_width, slopes, 5, int(rng.integers(1000)), cup=0.35, twist=rng.normal(0, 0.6))
    turn = rotation([0, 0, 1], rng.uniform(0, 6.3))
    return blade.moved(turn, np.array([*place, float(_ground_height(*place)) - 0.3])).with_attribute(
        "tint", rng.uniform()
    )


def _lines(m: Material, position: NodeSocket, width: float) -> NodeSocket:
    """0 on lines where `position` is a whole number, 1 from `width` off them."""
    return m.between(m.calculate("PINGPONG", position, 0.5), 0.0, width)


def _petal_material() -> bpy.types.Material:
    m = Material("Petals")
    along, across = m.attribute("along"), m.attribute("across")
    violet = m.ramp(
        along,
        (0.05, (0.5, 0.5, 0.26)),
        (0.16, (0.72, 0.6, 0.78)),
        (0.34, (0.33, 0.15, 0.58)),
        (0.8, (0.2, 0.075, 0.45)),
        (1.0, (0.3, 0.1, 0.42)),
    )
    violet = m.mix(m.calculate("MULTIPLY", m.attribute("tint"), 0.5), violet, (0.42, 0.17, 0.56))
    warp = m.calculate("MULTIPLY", m.noise(2.2, 3), 0.9)
    main = _lines(m, m.calculate("MULTIPLY_ADD", across, 4.0, warp), 0.09)
    fine = _lines(m, m.calculate("MULTIPLY_ADD", across, 14.0, m.calculate("MULTIPLY", warp, 3.0)), 0.2)
    colour = m.mottled(violet, 0.3, 1.2, 4)
    colour = m.mix(0.35, colour, m.ramp(m.cells(0.08, "Color"), (0.0, (0.5,) * 3), (1.0, (1.6,) * 3)), "MULTIPLY")
    colour = m.mix(m.calculate("MULTIPLY_ADD", fine, -0.45, 0.45), colour, (0.13, 0.04, 0.33))
    colour = m.mix(m.calculate("MULTIPLY_ADD", main, -0.65, 0.65), colour, (0.09, 0.02, 0.25))
    back = m.mix(0.5, colour, (0.5, 0.43, 0.66))
    relief = m.bump(m.calculate("MULTIPLY_ADD", fine, 0.3, main), 0.11)
    m.let_through(0.45, m.mix(0.4, colour, (0.6, 0.16, 0.8)))
    return m.finish(
        Base_Color=m.mix(m.behind(), colour, back),
        Roughness=0.55,
        Specular_IOR_Level=0.3,
        Sheen_Weight=0.2,
        Normal=relief,
    )


def _filament_material() -> bpy.types.Material:
    m = Material("Filaments")
    return m.finish(
        Base_Color=m.ramp(m.noise(0.4, 3), (0.35, (0.5, 0.45, 0.3)), (0.65, (0.78, 0.74, 0.5))), Roughness=0.5
    )


def _anther_material() -> bpy.types.Material:
    m = Material("Anthers")
    colour = m.ramp(m.attribute("tint"), (0.0, (0.78, 0.42, 0.03)), (0.6, (0.9, 0.6, 0.06)), (1.0, (0.82, 0.66, 0.2)))
    colour = m.mottled(colour, 0.7, 0.12, 3)
    colour = m.mix(m.between(m.cells(0.07), 0.2, 0.5), (0.95, 0.75, 0.22), colour)
    return m.finish(Base_Color=colour, Roughness=0.7, Specular_IOR_Level=0.3, Normal=m.bump(m.cells(0.07), -0.03))


def _pollen_material() -> bpy.types.Material:
    m = Material("Pollen")
    colour = m.ramp(m.attribute("tint"), (0.0, (0.9, 0.62, 0.1)), (1.0, (0.95, 0.85, 0.4)))
    return m.finish(Base_Color=colour, Roughness=0.6)


def _carpel_material() -> bpy.types.Material:
    m = Material("Carpels")
    colour = m.ramp(m.noise(0.4, 4), (0.35, (0.16, 0.26, 0.04)), (0.55, (0.4, 0.5, 0.12)), (0.7, (0.6, 0.62, 0.3)))
    return m.finish(Base_Color=colour, Roughness=0.45, Normal=m.bump(m.noise(0.1, 3), 0.02))


def _stem_material() -> bpy.types.Material:
    m = Material("Stems")
    colour = m.ramp(m.noise(0.9, 4), (0.35, (0.2, 0.12, 0.06)), (0.5, (0.16, 0.25, 0.05)), (0.7, (0.28, 0.36, 0.1)))
    colour = m.mottled(colour, 0.5, 0.12, 4)
    return m.finish(Base_Color=colour, Roughness=0.5, Normal=m.bump(m.noise(0.15, 3), 0.03))


def _hair_material() -> bpy.types.Material:
    return Material("Hairs").finish(Base_Color=(0.85, 0.84, 0.8), Roughness=0.4)


def _leaf_material() -> bpy.types.Material:
    m = Material("Leaves")
    along = m.attribute("along")
    across = m.calculate("ABSOLUTE", m.attribute("across"))
    green = m.ramp(
        m.attribute("tint"), (0.0, (0.04, 0.15, 0.025)), (0.5, (0.075, 0.21, 0.03)), (1.0, (0.15, 0.28, 0.045))
    )
    green = m.mottled(green, 0.5, 1.6, 5)
    warp = m.calculate("MULTIPLY", m.noise(1.5, 3), 0.4)
    side = _lines(m, m.calculate("MULTIPLY_ADD", across, -1.5, m.calculate("MULTIPLY_ADD", along, 6.5, warp)), 0.08)
    rib = m.between(across, 0.015, 0.06)
    web = m.between(m.cells(0.3, feature="DISTANCE_TO_EDGE"), 0.0, 0.12)
    veins = m.calculate("MULTIPLY", side, rib)
    colour = m.mix(m.calculate("MULTIPLY_ADD", web, -0.4, 0.4), green, (0.2, 0.34, 0.09))
    colour = m.mix(m.calculate("MULTIPLY_ADD", veins, -0.8, 0.8), colour, (0.3, 0.43, 0.14))
    colour = m.mix(m.between(m.noise(0.5, 4), 0.66, 0.72), colour, (0.2, 0.14, 0.05))
    relief = m.bump(veins, 0.15)
    m.let_through(0.36, m.mix(0.5, colour, (0.4, 0.6, 0.06)))
    back = m.mix(0.5, colour, (0.28, 0.36, 0.2))
    return m.finish(Base_Color=m.mix(m.behind(), colour, back), Roughness=0.45, Specular_IOR_Level=0.4, Normal=relief)


def _grass_material() -> bpy.types.Material:
    m = Material("Grass")
    green = m.ramp(m.attribute("tint"), (0.0, (0.06, 0.17, 0.02)), (0.6, (0.14, 0.27, 0.04)), (1.0, (0.36, 0.3, 0.12)))
    ribs = _lines(m, m.calculate("MULTIPLY", m.attribute("across"), 4.0), 0.3)
    colour = m.mix(m.calculate("MULTIPLY_ADD", ribs, -0.5, 0.5), m.mottled(green, 0.5, 0.8, 4), (0.05, 0.1, 0.02))
    m.let_through(0.35, m.mix(0.5, colour, (0.4, 0.55, 0.08)))
    return m.finish(Base_Color=colour, Roughness=0.45, Normal=m.bump(ribs, 0.04))


def _dead_leaf_material() -> bpy.types.Material:
    m = Material("Litter")
    along, across = m.attribute("along"), m.calculate("ABSOLUTE", m.attribute("across"))
    base = m.ramp(m.attribute("tint"), (0.0, (0.16, 0.075, 0.03)), (0.5, (0.34, 0.17, 0.07)), (1.0, (0.46, 0.3, 0.15)))
    colour = m.mottled(m.mottled(base, 0.7, 2.5, 6), 0.6, 0.18, 4)
    side = _lines(m, m.calculate("MULTIPLY_ADD", across, -1.2, m.calculate("MULTIPLY", along, 9.0)), 0.1)
    veins = m.calculate("MULTIPLY", side, m.between(across, 0.02, 0.06))
    web = m.between(m.cells(0.4, feature="DISTANCE_TO_EDGE"), 0.0, 0.1)
    colour = m.mix(m.calculate("MULTIPLY_ADD", web, -0.35, 0.35), colour, (0.1, 0.05, 0.025))
    colour = m.mix(m.calculate("MULTIPLY_ADD", veins, -0.7, 0.7), colour, (0.5, 0.34, 0.17))
    colour = m.mix(m.between(m.noise(0.7, 4), 0.6, 0.66), colour, (0.05, 0.03, 0.018))
    m.let_through(0.2, colour)
    return m.finish(Base_Color=colour, Roughness=0.65, Normal=m.bump(veins, 0.1))


def _stone_material() -> bpy.types.Material:
    m = Material("Stones")
    base = m.ramp(m.attribute("tint"), (0.0, (0.16, 0.13, 0.1)), (0.5, (0.3, 0.27, 0.23)), (1.0, (0.4, 0.36, 0.3)))
    colour = m.mottled(m.mottled(base, 0.7, 0.5, 6), 0.7, 0.13, 3)
    return m.finish(Base_Color=colour, Roughness=0.75, Specular_IOR_Level=0.3, Normal=m.bump(m.noise(0.25, 5), 0.08))


def _soil_material() -> bpy.types.Material:
    m = Material("Soil")
    colour = m.ramp(
        m.noise(2.6, 6, 0.4), (0.3, (0.03, 0.02, 0.013)), (0.5, (0.085, 0.055, 0.033)), (0.72, (0.2, 0.14, 0.085))
    )
    colour = m.mix(0.8, colour, m.ramp(m.cells(0.2, "Color"), (0.0, (0.5,) * 3), (1.0, (1.7,) * 3)), "MULTIPLY")
    colour = m.mottled(colour, 0.9, 0.16, 4)
    colour = m.mix(m.between(m.noise(3.5, 5), 0.52, 0.6), colour, m.mottled((0.035, 0.06, 0.012), 0.9, 0.25, 4))
    relief = m.bump(m.noise(0.4, 3), 0.2)
    return m.finish(Base_Color=colour, Roughness=0.85, Specular_IOR_Level=0.25, Normal=relief)
