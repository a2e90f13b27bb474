# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiger beetle, 13 mm long, on the ground that it hunts on.

Hard for reconstruction by its silhouettes: six legs and two antennae a fifth of a millimetre thick, finer hairs, and
ground in and out of focus behind them. The wing cases are pitted and spotted, the soil is grainy down to the pixel,
with pebbles, needles, a dead leaf and moss; nothing is a mirror.
"""

from collections.abc import Callable

import bpy
import numpy as np

from .construction import MacroScene, add_mesh, add_softbox, set_world, spherical
from .geometry import Geometry, ball, curve, merged, random_rotation, rotation, sheet, stone, tube
from .materials import Material
from .noise import fractal_noise, gradient_noise

_BODY_HEIGHT = 3.1  # mm, of the body's axis over the ground
_BODY_PITCH = np.radians(-6.0)  # head up
_GROUND_RADIUS = 75.0  # mm
_LEGS = (  # hip in the body's frame, knee, heel and toe on the ground, of the three left legs, mm
    ((4.1, 0.75, -0.85), (5.0, 2.75, 3.9), (6.35, 4.35), (7.4, 4.85)),
    ((2.2, 0.85, -1.1), (1.9, 3.75, 3.9), (1.0, 5.9), (0.55, 7.3)),
    ((0.9, 0.9, -1.2), (-1.9, 3.5, 4.3), (-4.9, 5.2), (-6.6, 5.6)),
)


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    rng = np.random.default_rng(20)
    subject = _beetle(rng)
    _ground(rng)
    target = (0.0, 0.0, 1.5)
    add_softbox("Key", spherical(170, 130, 58), target, (110, 80), 0.54, (1.0, 0.96, 0.9))
    add_softbox("Fill", spherical(190, -40, 40), target, (120, 120), 0.20, (0.85, 0.93, 1.0))
    add_softbox("Rim", spherical(150, 20, 25), target, (50, 70), 0.16, (1.0, 0.93, 0.82))
    set_world((0.62, 0.72, 0.85), 0.16)
    return MacroScene(
        subject=subject,
        centre_mm=np.array([0.7, 0.0, 1.9]),
        radius_mm=8.5,
        field_width_mm=20.0,
        elevations=(24.0, 65.0),
    )


def _ground_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height [...] of the soil at `x`, `y` [...], mm: crumbs everywhere, waves that grow away from the beetle."""
    points = np.stack([x, y, np.zeros_like(x)], -1)
    distance = np.hypot(x, y)
    waves = 2.6 * fractal_noise(points / 17.0, 2, seed=1) * np.clip((distance - 5) / 25, 0, 1)
    crumbs = 0.42 * fractal_noise(points / 1.9, 5, seed=5, gain=0.58)
    clods = 0.55 * np.maximum(gradient_noise(points / 2.6, seed=11), 0) ** 1.5
    return waves + crumbs + clods


def _beetle(rng: np.random.Generator) -> tuple[bpy.types.Object, ...]:
    pose = rotation([0, 1, 0], _BODY_PITCH)

    def placed(part: Geometry) -> Geometry:
        return part.moved(pose, np.array([0, 0, _BODY_HEIGHT]))

    legs = _legs(rng, pose)
    antenna = _antenna()
    eye = ball(0.66, 40, 60).moved(np.diag([1.05, 0.8, 1.0]), np.array([5.75, 1.12, 0.22]))
    mandible = tube(
        curve([[6.35, 0.62, -0.2], [7.1, 0.78, -0.25], [7.75, 0.5, -0.28], [8.15, -0.02, -0.2]], 40),
        np.linspace(1, 0.12, 40) ** 0.8 * 0.24,
        12,
    )
    thorax_hairs = _hairs_on(_pronotum(), rng, 420, 0.42, keep=lambda v: (v[:, 2] < 0.35) & (abs(v[:, 1]) > 0.7))
    side_hairs = _hairs_on(_abdomen(), rng, 420, 0.4, keep=lambda v: (v[:, 2] < 0.0) & (abs(v[:, 1]) > 1.2))
    return (
        add_mesh("Wing cases", placed(_elytra()), _elytra_material()),
        add_mesh("Body", placed(merged([_abdomen(), _pronotum(), _head()])), _cuticle_material()),
        add_mesh("Eyes", placed(merged([eye, eye.mirrored()])), _eye_material()),
        add_mesh("Jaws", placed(merged([mandible, mandible.mirrored(), _labrum()])), _ivory_material()),
        add_mesh("Antennae", placed(merged([antenna, antenna.mirrored()])), _leg_material()),
        add_mesh("Legs", merged(legs), _leg_material()),
        add_mesh("Hairs", merged([placed(thorax_hairs), placed(side_hairs), _leg_hairs(legs, rng)]), _hair_material()),
    )


def _shell(
    start: float,  # mm, x of the rear end
    end: float,  # mm, x of the front end
    stations: list[tuple[float, float, float]],  # half width, height above and depth below the axis, rear to front
    rows: int,
    columns: int,
    bluntness: float = 0.45,  # 0 ends square, 1 ends pointed
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A rounded body along x: points [rows, columns, 3], with the angle and the position along it of each."""
    t = np.linspace(0, 1, rows)
    profile = curve(stations, rows) * (np.sin(np.pi * np.clip(t, 1e-3, 1 - 1e-3)) ** bluntness)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    across, up = np.cos(angle), np.sin(angle)
    x = start + (end - start) * (1 - np.cos(np.pi * t)) / 2
    z = np.where(up > 0, profile[:, 1:2], profile[:, 2:3]) * np.sign(up) * abs(up) ** 0.9
    y = profile[:, :1] * np.sign(across) * abs(across) ** 0.9
    points = np.stack(np.broadcast_arrays(x[:, None], y, z), -1)
    return points, np.broadcast_to(angle, z.shape), np.broadcast_to(t[:, None], z.shape)


def _elytra() -> Geometry:
    """Both wing cases with their seam, rows of pits and pale spots."""
    rows, columns = 300, 380
    points, angle, _ = _shell(
        -5.0,
        3.3,
        [(1.6, 1.2, 0.2), (2.35, 1.75, 0.25), (2.62, 2.0, 0.3), (2.5, 1.95, 0.3), (2.05, 1.6, 0.3)],
        rows,
        columns,
    )
    x, y, z = (points[..., axis] for axis in range(3))
    top = np.sin(angle) > 0
    middle = np.exp(-((y / 0.05) ** 2)) * top
    ribs = np.cos(y / (0.2 + 0.5 * np.sqrt(np.maximum(1 - (x / 6) ** 2, 0.1))) * 2 * np.pi * 1.15)
    pits = np.maximum(np.cos(x * 2 * np.pi / 0.36 + np.sign(y)), 0) ** 2 * np.maximum(-ribs, 0) ** 2
    inward = -0.11 * middle - 0.018 * (1 - ribs) * top - 0.055 * pits * top
    inward = inward + 0.02 * fractal_noise(points / 0.5, 3, seed=31)
    points = points * (1 + (inward / np.maximum(np.hypot(y, z), 0.4))[..., None] * [0, 1, 1])

    wobble = 0.16 * fractal_noise(points / 0.45, 3, seed=41)
    spots = np.zeros(x.shape)
    for centre_x, centre_y, radius in [
        (2.1, 1.75, 0.42),
        (0.75, 1.05, 0.3),
        (-0.3, 2.2, 0.5),
        (-1.25, 1.05, 0.47),
        (-2.7, 1.75, 0.5),
        (-4.1, 0.85, 0.42),
    ]:
        distance = np.hypot(x - centre_x, abs(y) - centre_y) + wobble
        spots = np.maximum(spots, np.clip((radius - distance) / 0.1 + 0.5, 0, 1))
    surface = sheet(points[:, ::-1], closed=True)
    return surface.with_attribute("spot", (spots * top)[:, ::-1].ravel()).with_attribute(
        "pit", np.clip(pits * top + middle, 0, 1)[:, ::-1].ravel()
    )


def _abdomen() -> Geometry:
    points, _, t = _shell(-4.7, 3.6, [(1.5, 0.3, 1.2), (2.2, 0.4, 1.5), (2.25, 0.4, 1.6), (1.7, 0.4, 1.5)], 120, 80)
    rings = 1 - 0.03 * np.cos(t * 2 * np.pi * 9)
    return sheet((points * np.stack([np.ones_like(rings), rings, rings], -1))[:, ::-1], closed=True)


def _pronotum() -> Geometry:
    points, angle, t = _shell(
        2.75,
        5.35,
        [(1.25, 1.15, 1.2), (1.38, 1.28, 1.25), (1.55, 1.42, 1.3), (1.5, 1.35, 1.25), (1.2, 1.1, 1.1)],
        110,
        150,
        0.3,
    )
    inward = -0.13 * (np.exp(-(((t - 0.22) / 0.035) ** 2)) + np.exp(-(((t - 0.8) / 0.035) ** 2)))
    inward = inward - 0.1 * np.exp(-((points[..., 1] / 0.05) ** 2)) * (np.sin(angle) > 0) * np.sin(np.pi * t)
    inward = inward + 0.07 * fractal_noise(points * [2.2, 6.0, 3.0], 3, seed=51)
    return sheet((points * (1 + (inward / 1.4)[..., None] * [0, 1, 1]))[:, ::-1], closed=True)


def _head() -> Geometry:
    points, _, _ = _shell(
        4.75, 6.75, [(0.9, 0.75, 0.8), (1.15, 0.85, 0.85), (1.15, 0.72, 0.8), (0.95, 0.45, 0.6)], 90, 120, 0.4
    )
    wrinkles = 0.06 * fractal_noise(points * [1.2, 7.0, 3.0], 3, seed=61)
    return sheet((points * (1 + wrinkles[..., None] * [0, 1, 1]))[:, ::-1], closed=True)


def _labrum() -> Geometry:
    points, _, _ = _shell(6.25, 7.05, [(0.6, 0.12, 0.1), (0.68, 0.13, 0.1), (0.5, 0.08, 0.08)], 40, 60)
    return sheet(points[:, ::-1], closed=True).moved(np.eye(3), np.array([0, 0, 0.12]))


def _antenna() -> Geometry:
    count = 11 * 12
    path = curve(
        [[6.1, 0.72, 0.45], [6.75, 1.35, 1.0], [7.3, 2.5, 1.55], [7.35, 3.9, 1.9], [6.9, 5.3, 1.75], [6.2, 6.4, 1.2]],
        count,
    )
    along = np.linspace(0, 11, count)
    joints = 0.62 + 0.38 * np.sin(np.pi * (along % 1)) ** 0.5
    return tube(path, np.linspace(0.13, 0.07, count) * joints, 10)


def _legs(
    rng: np.random.Generator,
    pose: np.ndarray,  # [3, 3]: the body's frame in the world
) -> list[Geometry]:
    """Six legs that stand on the soil: a thick femur, a thin tibia with spines, five tarsal joints and two claws."""
    lift = np.array([0, 0, _BODY_HEIGHT])
    legs = []
    for hip, knee, ankle, toe in _LEGS:
        for side in (1, -1):
            shift = rng.uniform(-0.45, 0.45, (3, 2))  # no beetle stands symmetrically
            mirror = np.array([1, side, 1])
            start = pose @ (np.array(hip) * mirror) + lift
            bend = np.array(knee) * mirror + [*shift[0], 0]
            contact = _on_ground(np.array(toe) * mirror[:2] + shift[1] + shift[2], 0.07)
            heel = _on_ground(np.array(ankle) * mirror[:2] + shift[1], 0.28)
            legs.append(_leg(start, bend, heel, contact))
    return legs


def _leg(hip: np.ndarray, knee: np.ndarray, heel: np.ndarray, toe: np.ndarray) -> Geometry:
    """One leg through its joints, each [3], mm."""
    femur = curve([hip, 0.5 * (hip + knee) + [0, 0, 0.25], knee], 30)
    s = np.linspace(0, 1, 30)
    parts = [tube(femur, 0.15 + 0.17 * np.sin(np.pi * s**0.75), 14)]
    tibia = curve([knee, 0.55 * knee + 0.45 * heel + [0, 0, 0.12], heel], 40)
    parts.append(tube(tibia, np.interp(np.linspace(0, 1, 40), [0, 0.06, 0.9, 1], [0.1, 0.13, 0.1, 0.13]), 10))
    along = np.linspace(0, 5, 60)
    foot = curve([heel, _on_ground(0.5 * (heel + toe)[:2], 0.14), toe], 60)
    parts.append(tube(foot, np.linspace(0.1, 0.065, 60) * (0.6 + 0.4 * np.sin(np.pi * (along % 1)) ** 0.5), 8))
    forward = (toe - heel) / np.linalg.norm(toe - heel)
    sideways = np.cross(forward, [0, 0, 1])
    for sign in (-1, 1):
        claw = curve(
            [
                toe,
                toe + 0.2 * forward + sign * 0.12 * sideways + [0, 0, 0.05],
                toe + 0.38 * forward + sign * 0.16 * sideways - [0, 0, 0.05],
            ],
            8,
        )
        parts.append(tube(claw, np.linspace(0.05, 0.01, 8), 6))
        spur = curve([heel, heel + 0.35 * forward + sign * 0.15 * sideways], 4)
        parts.append(tube(spur, np.linspace(0.04, 0.008, 4), 5))
    return merged(parts)


def _on_ground(place: np.ndarray, above: float) -> np.ndarray:
    """The point [3] that is `above` mm over the soil at `place` [2]."""
    return np.array([*place, float(_ground_height(*place)) + above])


def _hair(root: np.ndarray, direction: np.ndarray, length: float) -> Geometry:
    """A hair that grows from `root` [3] towards `direction` [3] and droops."""
    bend = np.array([0, 0, -0.18 * length])
    path = curve([root, root + 0.55 * length * direction, root + length * direction + bend], 5)
    return tube(path, np.linspace(0.022, 0.007, 5), 4)


def _hairs_on(
    surface: Geometry, rng: np.random.Generator, count: int, length: float, keep: Callable[[np.ndarray], np.ndarray]
) -> Geometry:
    """Hairs that stand on the vertices of a shell for which `keep` holds."""
    roots = surface.vertices[keep(surface.vertices)]
    roots = roots[rng.choice(len(roots), count)]
    outward = roots * [0, 1, 1] + rng.normal(0, 0.35, roots.shape) + [-0.4, 0, 0]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    return merged([_hair(root, way, length * rng.uniform(0.6, 1.3)) for root, way in zip(roots, outward, strict=True)])


def _leg_hairs(legs: list[Geometry], rng: np.random.Generator) -> Geometry:
    hairs = []
    for leg in legs:
        for root in leg.vertices[rng.choice(len(leg.vertices), 70)]:
            way = rng.normal(size=3) * [1, 1, 0.6]
            hairs.append(_hair(root, way / np.linalg.norm(way), rng.uniform(0.2, 0.5)))
    return merged(hairs)


def _ground(rng: np.random.Generator) -> None:
    s = np.linspace(-1, 1, 420)
    spaced = _GROUND_RADIUS * (0.2 * s + 0.8 * s**3)  # finest under the beetle: 0.07 mm
    x, y = np.meshgrid(spaced, spaced, indexing="ij")
    add_mesh("Soil", sheet(np.stack([x, y, _ground_height(x, y)], -1)), _soil_material())

    add_mesh("Pebbles", _pebbles(rng, 170, 0.35, 1.9), _stone_material())
    add_mesh("Grit", _pebbles(rng, 1500, 0.09, 0.3, rows=5, spread=13.0), _stone_material())
    add_mesh("Needles", merged([_needle(rng) for _ in range(26)]), _needle_material())
    add_mesh("Leaf", merged([_leaf(np.array([-8.2, -7.6]), 0.6), _leaf(np.array([13.0, 9.5]), 2.4)]), _leaf_material())
    add_mesh("Moss", _moss(rng, 46), _moss_material())


def _scattered(rng: np.random.Generator, spread: float, clear: float, foot_room: float = 0.0) -> np.ndarray:
    """A random place [2] on the ground, densest in the middle, outside an ellipse that the beetle stands on.

    Args:
        rng: draws the place.
        spread: standard deviation of the places, mm.
        clear: half the ellipse's width, mm.
        foot_room: distance to keep from where the feet are planned, mm.
    """
    while True:
        place = rng.normal(0, spread, 2)
        nearest_foot = min(np.hypot(place[0] - leg[3][0], abs(place[1]) - leg[3][1]) for leg in _LEGS)
        free = np.hypot(place[0] / 1.35, place[1]) > clear and nearest_foot >= foot_room
        if free and np.hypot(*place) < 0.8 * _GROUND_RADIUS:
            return place


def _pebbles(
    rng: np.random.Generator,
    count: int,
    smallest: float,  # mm, half axis
    largest: float,  # mm
    rows: int = 16,
    spread: float = 17.0,
) -> Geometry:
    """Stones of a dozen shapes and many sizes."""
    shapes = [stone(rng.uniform([0.8, 0.7, 0.5], [1.2, 1.0, 0.8]), rng, rows=rows) for _ in range(12)]
    sizes = smallest * (largest / smallest) ** (rng.uniform(size=count) ** 2)
    places = np.array(
        [
            _scattered(rng, spread, 1.5) if size < 0.3 else _scattered(rng, spread, 4.6 + size, 1.0 + size)
            for size in sizes
        ]
    )
    heights = _ground_height(places[:, 0], places[:, 1]) + 0.15 * sizes
    stones = []
    for index, (size, place, height) in enumerate(zip(sizes, places, heights, strict=True)):
        turn = rotation([0, 0, 1], rng.uniform(0, 6.3)) @ rotation([1, 0, 0], rng.normal(0, 0.25))
        lying = shapes[index % len(shapes)].moved(size * turn, np.array([*place, height]))
        stones.append(lying.with_attribute("tint", rng.uniform()))
    return merged(stones)


def _needle(rng: np.random.Generator) -> Geometry:
    """A dead stalk, lying over the crumbs of the soil."""
    middle = _scattered(rng, 14.0, 5.5)
    heading, length = rng.uniform(0, np.pi), rng.uniform(5, 16)
    along = np.linspace(-0.5, 0.5, 24)[:, None] * length
    bend = rng.normal(0, 0.012) * along**2
    flat = middle + along * [np.cos(heading), np.sin(heading)] + bend * [-np.sin(heading), np.cos(heading)]
    height = _ground_height(flat[:, 0], flat[:, 1])
    height = np.maximum(height, np.polyval(np.polyfit(along[:, 0], height, 2), along[:, 0])) + 0.18
    radii = rng.uniform(0.13, 0.3) * np.interp(np.linspace(0, 1, 24), [0, 0.04, 0.85, 1], [0.3, 1, 1, 0.1])
    return tube(np.column_stack([flat, height]), radii, 9).with_attribute("tint", rng.uniform())


def _leaf(place: np.ndarray, heading: float) -> Geometry:
    """A curled dead leaf, 14 mm long, on the soil at `place` [2]; its veins are ridges and an attribute."""
    rows, columns = 150, 110
    u, v = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    half_width = 3.4 * np.sin(np.pi * u**0.8) ** 0.8 * (1 + 0.05 * np.sin(40 * u)) + 0.02
    x, y = 14 * (u - 0.5), v * half_width
    side_veins = np.maximum(np.cos((u * 9 - 1.6 * abs(v) ** 1.2) * 2 * np.pi), 0) ** 24
    vein = np.clip(np.exp(-((y / 0.14) ** 2)) + 0.8 * side_veins * (abs(v) < 0.95), 0, 1)
    points = np.stack([x, y, np.zeros_like(x)], -1)
    curl = 0.9 * v**2 * half_width / 3.4 + 1.1 * (2 * u - 1) ** 2 + 0.5 * fractal_noise(points / 3.5, 3, seed=71)
    points[..., 2] = 0.5 + curl + 0.09 * vein
    turn = rotation([0, 0, 1], heading) @ rotation([1, 0, 0], 0.14)
    base = np.array([*place, float(_ground_height(*place))])
    return sheet(points).with_attribute("vein", vein.ravel()).moved(turn, base)


def _moss(rng: np.random.Generator, tufts: int) -> Geometry:
    """Tufts of moss round the beetle's clearing: a few shoots, turned and stretched."""
    shoots = [_moss_shoot(rng) for _ in range(10)]
    centres = np.array([_scattered(rng, 12.0, 9.0) for _ in range(tufts)])
    roots = np.repeat(centres, rng.integers(5, 12, tufts), axis=0)
    roots = roots + rng.normal(0, 0.8, roots.shape)
    heights = _ground_height(roots[:, 0], roots[:, 1]) - 0.1
    moss = []
    for index, (root, height) in enumerate(zip(roots, heights, strict=True)):
        shape = np.diag([1, 1, rng.uniform(0.4, 1.4)]) @ rotation([0, 0, 1], rng.uniform(0, 6.3))
        standing = shoots[index % len(shoots)].moved(shape, np.array([*root, height]))
        moss.append(standing.with_attribute("tint", rng.uniform()))
    return merged(moss)


def _moss_shoot(rng: np.random.Generator) -> Geometry:
    """A stem 2.5 mm high with pointed leaves, rooted at the origin."""
    stem = curve([np.zeros(3), [*rng.normal(0, 0.4, 2), 1.3], [*rng.normal(0, 0.75, 2), 2.5]], 14)
    parts = [tube(stem, np.linspace(0.08, 0.03, 14), 5)]
    for joint in np.repeat(stem[3:], 2, axis=0):
        way = random_rotation(rng) @ [1, 0, 0] * [1, 1, 0.35] + [0, 0, 0.75]
        tip = joint + way * rng.uniform(0.35, 0.6)
        blade = curve([joint, 0.5 * (joint + tip) + [0, 0, 0.04], tip], 4)
        parts.append(tube(blade, np.array([0.03, 0.075, 0.05, 0.008]), 3))
    return merged(parts)


def _elytra_material() -> bpy.types.Material:
    m = Material("Wing cases")
    green = m.ramp(m.noise(1.3, 4), (0.3, (0.012, 0.11, 0.035)), (0.5, (0.03, 0.21, 0.06)), (0.68, (0.14, 0.17, 0.035)))
    green = m.mix(m.facing(0.35), green, (0.2, 0.1, 0.05))
    grain = m.cells(0.16, "Color")
    green = m.mix(0.75, green, m.ramp(grain, (0.0, (0.35, 0.35, 0.35)), (1.0, (1.7, 1.7, 1.7))), "MULTIPLY")
    dirt = m.between(m.noise(0.6, 6), 0.57, 0.72)
    colour = m.mix(m.attribute("spot"), green, m.mix(m.noise(0.25, 4), (0.5, 0.4, 0.24), (0.78, 0.7, 0.5)))
    colour = m.mix(m.calculate("MULTIPLY", m.attribute("pit"), 0.8), colour, (0.008, 0.015, 0.01))
    colour = m.mix(m.calculate("MULTIPLY", dirt, 0.55), colour, (0.23, 0.16, 0.1))
    relief = m.bump(m.cells(0.13), 0.03, m.bump(m.noise(0.5, 4), 0.05))
    return m.finish(Base_Color=colour, Roughness=0.42, Metallic=0.25, Specular_IOR_Level=0.45, Normal=relief)


def _cuticle_material() -> bpy.types.Material:
    m = Material("Cuticle")
    colour = m.ramp(m.noise(0.7, 5), (0.3, (0.02, 0.12, 0.04)), (0.52, (0.09, 0.14, 0.04)), (0.7, (0.3, 0.1, 0.04)))
    colour = m.mix(0.6, colour, m.ramp(m.cells(0.12, "Color"), (0.0, (0.4,) * 3), (1.0, (1.6,) * 3)), "MULTIPLY")
    relief = m.bump(m.noise(0.14, 3), 0.035, m.bump(m.cells(0.3), 0.03))
    return m.finish(Base_Color=colour, Roughness=0.42, Metallic=0.25, Specular_IOR_Level=0.45, Normal=relief)


def _leg_material() -> bpy.types.Material:
    m = Material("Legs")
    colour = m.ramp(m.noise(0.55, 4), (0.32, (0.07, 0.1, 0.03)), (0.5, (0.3, 0.1, 0.035)), (0.7, (0.42, 0.2, 0.07)))
    return m.finish(Base_Color=colour, Roughness=0.42, Metallic=0.25, Normal=m.bump(m.noise(0.12, 3), 0.02))


def _eye_material() -> bpy.types.Material:
    m = Material("Eyes")
    facets = m.cells(0.1)
    colour = m.ramp(m.noise(0.4, 4), (0.35, (0.03, 0.012, 0.008)), (0.65, (0.14, 0.07, 0.035)))
    colour = m.mix(m.between(facets, 0.3, 0.6), colour, (0.25, 0.17, 0.1))
    return m.finish(Base_Color=colour, Roughness=0.3, Normal=m.bump(facets, -0.02))


def _ivory_material() -> bpy.types.Material:
    m = Material("Jaws")
    colour = m.ramp(m.noise(0.4, 5), (0.35, (0.3, 0.18, 0.07)), (0.55, (0.66, 0.55, 0.34)), (0.75, (0.72, 0.64, 0.46)))
    return m.finish(Base_Color=colour, Roughness=0.4, Normal=m.bump(m.noise(0.15, 3), 0.015))


def _hair_material() -> bpy.types.Material:
    return Material("Hairs").finish(Base_Color=(0.72, 0.7, 0.64), Roughness=0.6)


def _soil_material() -> bpy.types.Material:
    m = Material("Soil")
    colour = m.ramp(
        m.noise(3.2, 6, 0.4),
        (0.3, (0.05, 0.032, 0.02)),
        (0.48, (0.13, 0.085, 0.05)),
        (0.6, (0.24, 0.165, 0.1)),
        (0.75, (0.34, 0.26, 0.17)),
    )
    grains = m.ramp(m.cells(0.2, "Color"), (0.0, (0.62, 0.6, 0.58)), (0.7, (1.0, 1.0, 1.0)), (1.0, (1.75, 1.65, 1.5)))
    colour = m.mix(0.8, colour, grains, "MULTIPLY")
    colour = m.mix(0.9, colour, m.ramp(m.noise(0.16, 4, 1.0), (0.3, (0.4,) * 3), (0.7, (1.6,) * 3)), "MULTIPLY")
    colour = m.mix(m.between(m.noise(0.35, 4), 0.6, 0.72), colour, (0.035, 0.025, 0.018))
    relief = m.bump(m.noise(0.14, 4), 0.07, m.bump(m.cells(0.3), -0.08, m.bump(m.noise(0.7, 5), 0.2)))
    return m.finish(Base_Color=colour, Roughness=0.85, Specular_IOR_Level=0.25, Normal=relief)


def _stone_material() -> bpy.types.Material:
    m = Material("Stones")
    base = m.ramp(
        m.attribute("tint"),
        (0.0, (0.2, 0.17, 0.14)),
        (0.3, (0.4, 0.3, 0.2)),
        (0.55, (0.24, 0.24, 0.25)),
        (0.8, (0.46, 0.42, 0.36)),
        (1.0, (0.3, 0.15, 0.09)),
    )
    colour = m.mix(0.8, base, m.ramp(m.noise(0.5, 6), (0.35, (0.45,) * 3), (0.65, (1.5,) * 3)), "MULTIPLY")
    colour = m.mix(
        0.8,
        colour,
        m.ramp(m.noise(0.13, 3, 0.6), (0.32, (0.25,) * 3), (0.5, (1.0,) * 3), (0.7, (1.4,) * 3)),
        "MULTIPLY",
    )
    return m.finish(Base_Color=colour, Roughness=0.7, Specular_IOR_Level=0.3, Normal=m.bump(m.noise(0.25, 5), 0.08))


def _needle_material() -> bpy.types.Material:
    m = Material("Needles")
    base = m.ramp(m.attribute("tint"), (0.0, (0.3, 0.17, 0.07)), (0.6, (0.42, 0.29, 0.14)), (1.0, (0.17, 0.1, 0.06)))
    colour = m.mix(0.8, base, m.ramp(m.noise(0.3, 6), (0.3, (0.4,) * 3), (0.7, (1.6,) * 3)), "MULTIPLY")
    return m.finish(Base_Color=colour, Roughness=0.6, Normal=m.bump(m.noise(0.2, 4), 0.04))


def _leaf_material() -> bpy.types.Material:
    m = Material("Leaf")
    colour = m.ramp(m.noise(2.2, 6), (0.3, (0.13, 0.05, 0.02)), (0.5, (0.36, 0.17, 0.06)), (0.7, (0.5, 0.31, 0.12)))
    web = m.between(m.cells(0.42, feature="DISTANCE_TO_EDGE"), 0.0, 0.1)
    colour = m.mix(web, (0.42, 0.27, 0.13), colour)
    colour = m.mix(m.between(m.noise(0.6, 4), 0.6, 0.66), colour, (0.05, 0.025, 0.015))
    colour = m.mix(m.attribute("vein"), colour, (0.56, 0.4, 0.2))
    return m.finish(Base_Color=colour, Roughness=0.6, Normal=m.bump(web, -0.03, m.bump(m.noise(0.5, 4), 0.1)))


def _moss_material() -> bpy.types.Material:
    m = Material("Moss")
    base = m.ramp(m.attribute("tint"), (0.0, (0.06, 0.13, 0.02)), (0.6, (0.14, 0.25, 0.04)), (1.0, (0.27, 0.28, 0.06)))
    colour = m.mix(0.7, base, m.ramp(m.noise(0.3, 4), (0.3, (0.5,) * 3), (0.7, (1.6,) * 3)), "MULTIPLY")
    return m.finish(Base_Color=colour, Roughness=0.55, Specular_IOR_Level=0.3)
