# SPDX-License-Identifier: GPL-3.0-or-later
"""A hand-sized piece's tip in close-up: amethyst points up to 12 mm long on rough matrix with pyrite, lying on slate.

Hard for reconstruction by its facets: large, plain, shiny planes whose highlights move with the camera, meet at sharp
edges and show little of their own; by the crystals' transparency, cloudy and stained, through which the matrix
glimmers behind the first surface; and by the druse between them, hundreds of near-identical small points.
"""

import bpy
import numpy as np
from numpy.typing import ArrayLike

from .construction import MacroScene, add_mesh, add_softbox, set_world, spherical
from .geometry import Geometry, box, copies, merged, polyhedron, random_rotation, sheet, stone, turns_to
from .materials import Material
from .noise import fractal_noise, gradient_noise

_GROUND_RADIUS = 80.0  # mm
_ROCK = np.array([11.5, 9.0, 4.6])  # mm, half axes of the matrix
_ROOTS = (  # azimuth and polar angle on the matrix (degrees), length and radius (mm), lean outwards (degrees)
    (20, 8, 12.2, 1.9, 8),
    (150, 26, 9.6, 1.55, 22),
    (265, 24, 10.4, 1.75, 26),
    (75, 36, 7.4, 1.25, 30),
    (330, 38, 8.2, 1.5, 40),
    (205, 42, 6.6, 1.2, 44),
    (110, 52, 5.6, 1.05, 55),
    (290, 55, 6.2, 1.3, 60),
    (0, 60, 4.8, 0.95, 52),
    (45, 60, 5.2, 1.1, 62),
    (170, 62, 5.0, 1.15, 66),
    (235, 64, 4.2, 0.9, 60),
    (350, 20, 6.0, 0.9, 34),
    (120, 14, 6.8, 1.0, -14),
    (215, 18, 5.2, 0.8, 6),
    (310, 70, 3.6, 0.8, 74),
    (140, 72, 3.8, 0.75, 70),
    (85, 74, 3.2, 0.7, 78),
)


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    rng = np.random.default_rng(31)
    points = merged([_large_points(rng), _druse(rng)])
    subject = (
        add_mesh("Amethyst", points, _amethyst_material(), smooth=False),
        add_mesh("Matrix", _matrix(), _matrix_material()),
        add_mesh("Pyrite", _pyrite(rng), _pyrite_material(), smooth=False),
    )
    _ground(rng)
    target = (0.0, 0.0, 5.0)
    add_softbox("Key", spherical(170, 120, 50), target, (90, 60), 0.6, (1.0, 0.97, 0.92))
    add_softbox("Fill", spherical(190, -50, 35), target, (120, 120), 0.13, (0.84, 0.92, 1.0))
    add_softbox("Rim", spherical(150, 15, 22), target, (30, 90), 0.24, (1.0, 0.92, 0.8))
    add_softbox("Back", spherical(160, 215, 30), target, (60, 60), 0.2, (0.9, 0.95, 1.0))
    set_world((0.62, 0.72, 0.85), 0.075)
    return MacroScene(
        subject=subject,
        centre_mm=np.array([0.0, 0.0, 6.0]),
        radius_mm=12.0,
        field_width_mm=28.0,
        elevations=(24.0, 62.0),
        f_number=9.0,
    )


def _rock_point(direction: np.ndarray) -> np.ndarray:
    """The matrix's surface in unit directions [..., 3] from its middle, at the origin; mm."""
    lumps = 0.3 * fractal_noise(direction * 1.7, 3, seed=3) + 0.16 * abs(fractal_noise(direction * 5.0, 4, seed=8))
    grain = 0.05 * fractal_noise(direction * 22.0, 3, seed=14)
    return direction * (1 + lumps + grain)[..., None] * _ROCK


def _direction(azimuth: ArrayLike, polar: ArrayLike) -> np.ndarray:
    """Unit vectors [..., 3] for angles in radians; polar is from straight up."""
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], -1)


def _matrix() -> Geometry:
    polar = np.radians(np.linspace(0.2, 104, 170))[:, None]
    azimuth = np.linspace(0, 2 * np.pi, 320, endpoint=False)[None]
    return sheet(_rock_point(_direction(*np.broadcast_arrays(azimuth, polar))), closed=True)


def _crystal(rng: np.random.Generator, radius: float, length: float, *, chips: int = 0) -> Geometry:
    """A hexagonal prism with a pyramid of unequal faces, along z from below the origin.

    Its attributes: "along" (0 at the root, 1 at the tip), "height" (mm), "prism" (1 on the prism's faces, else 0),
    "facet" (a random number of each face).
    """
    angles = np.radians(60) * np.arange(6)
    flat = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], -1)
    slope = np.radians(51.8)  # of a rhombohedral face against the basal plane
    steep = flat * np.sin(slope) + [0, 0, np.cos(slope)]
    uneven = radius * (0.08 + 0.22 * (np.arange(6) % 2)) * rng.uniform(0, 1.5, 6)  # every second face is smaller
    normals = [flat + np.array([0, 0, 0.012]), steep, [[0.0, 0.0, -1.0]]]
    offsets = [
        radius * rng.uniform(0.78, 1.05, 6),
        length * np.cos(slope) + uneven - 0.1 * radius,
        [0.15 * length],
    ]
    for _ in range(chips):
        normal = _direction(rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.2))
        tip = np.array([0, 0, length]) + rng.normal(0, 0.4, 3) * radius
        normals.append(normal[None])
        offsets.append([normal @ tip - 0.12 * radius])
    whole = np.concatenate(normals)
    solid = polyhedron(whole / np.linalg.norm(whole, axis=1, keepdims=True), np.concatenate(offsets))
    height = solid.vertices[:, 2]
    return (
        Geometry(solid.vertices, solid.triangles)
        .with_attribute("along", np.clip(height / height.max(), 0, 1))
        .with_attribute("height", height)
        .with_attribute("prism", solid.attributes["face"] < 6)
        .with_attribute("facet", rng.permutation(len(whole))[solid.attributes["face"].astype(int)] / len(whole))
    )


def _lit_from_above(solid: Geometry) -> Geometry:
    """With the attribute "up": how far each face looks up, -1 to 1. No two faces may share vertices."""
    a, b, c = (solid.vertices[solid.triangles[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    up = np.zeros(len(solid.vertices))
    up[solid.triangles.ravel()] = np.repeat(normals[:, 2] / np.linalg.norm(normals, axis=1), 3)
    return solid.with_attribute("up", up)


def _large_points(rng: np.random.Generator) -> Geometry:
    """The crystals of _ROOTS, most with a smaller one grown to their side."""
    crystals = []
    for azimuth_degrees, polar_degrees, length, radius, lean in _ROOTS:
        azimuth = np.radians(azimuth_degrees)
        root = _rock_point(_direction(azimuth, np.radians(polar_degrees)))
        axis = _direction(azimuth + rng.normal(0, 0.15), np.radians(lean))
        turn = turns_to(axis[None], rng.uniform(0, 6.3, 1))[0]
        crystal = _crystal(rng, radius, length, chips=int(rng.integers(3))).moved(turn, root)
        crystals.append(crystal.with_attribute("tint", rng.uniform()))
        for _ in range(rng.integers(1, 4)):
            sideways = turn[:, :2] @ (radius * _direction(rng.uniform(0, 6.3), np.pi / 2)[:2])
            tilted = axis + 0.25 * rng.uniform(-1, 1, 3)
            beside = turns_to(tilted[None], rng.uniform(0, 6.3, 1))[0]
            small = _crystal(rng, radius * rng.uniform(0.25, 0.55), length * rng.uniform(0.2, 0.55), chips=1)
            crystals.append(small.moved(beside, root + 0.9 * sideways).with_attribute("tint", rng.uniform()))
    return _lit_from_above(merged(crystals))


def _druse(rng: np.random.Generator) -> Geometry:
    """Small points that crust the matrix in patches."""
    azimuth = rng.uniform(0, 2 * np.pi, 3000)
    polar = np.arccos(rng.uniform(0.05, 1.0, 3000))
    direction = _direction(azimuth, polar)
    crust = gradient_noise(direction * 2.6, seed=23) + 0.5 * gradient_noise(direction * 7.0, seed=24)
    direction = direction[crust > -0.12]
    roots = _rock_point(direction)
    outward = direction / _ROCK
    outward = outward / np.linalg.norm(outward, axis=1, keepdims=True) + rng.normal(0, 0.33, direction.shape)
    turns = turns_to(outward, rng.uniform(0, 6.3, len(roots)))
    sizes = 0.2 * (1.0 / 0.2) ** (rng.uniform(size=len(roots)) ** 1.6)
    shapes = [_crystal(rng, 0.42, rng.uniform(0.9, 1.7)) for _ in range(12)]
    crust_parts = []
    for index, shape in enumerate(shapes):
        mine = slice(index, None, len(shapes))
        size = sizes[mine]
        crust_parts.append(
            copies(shape, size[:, None, None] * turns[mine], roots[mine], tint=rng.uniform(size=len(size)))
        )
    crust_parts = [
        part.with_attribute("along", 0.1 + 0.5 * part.attributes["along"]).with_attribute("prism", 0.0)
        for part in crust_parts
    ]
    return _lit_from_above(merged(crust_parts))


def _pyrite(rng: np.random.Generator) -> Geometry:
    """Cubes in three nests and here and there; "stripe" runs across the striations of each face, mm."""
    sides = np.concatenate([np.eye(3), -np.eye(3)])
    cubes = []
    for azimuth, polar, spread, count in [
        (305, 50, 0.14, 46),
        (60, 66, 0.14, 38),
        (185, 52, 0.12, 30),
        (0, 30, 0.8, 40),
    ]:
        middle = _direction(np.radians(azimuth), np.radians(polar))
        for _ in range(count):
            direction = middle + rng.normal(0, spread, 3)
            direction /= np.linalg.norm(direction)
            half = 0.13 * (0.85 / 0.13) ** (rng.uniform() ** 1.7)
            cube = polyhedron(sides, half * rng.uniform(0.8, 1.1, 6))
            across = (cube.attributes["face"].astype(int) + 1) % 3
            stripe = cube.vertices[np.arange(len(across)), across]
            cube = Geometry(cube.vertices, cube.triangles).with_attribute("stripe", stripe)
            cubes.append(cube.moved(random_rotation(rng), _rock_point(direction) + 0.35 * half * direction))
    return merged(cubes)


def _slate_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height [...] at `x`, `y` [...] of cleaved slate, mm: flat leaves with broken edges, the matrix lies on it."""
    points = np.stack([x, y, np.zeros_like(x)], -1)
    field = 2.3 * fractal_noise(points / 19.0, 5, seed=43, gain=0.5) + 0.14 * fractal_noise(points / 1.2, 3, seed=47)
    leaf = np.floor(field / 0.45)
    within = field / 0.45 - leaf
    steps = 0.45 * (leaf + np.clip((within - 0.86) / 0.14, 0, 1) ** 0.7)
    return steps - 1.0 + 0.05 * fractal_noise(points / 2.5, 4, seed=53)


def _ground(rng: np.random.Generator) -> None:
    s = np.linspace(-1, 1, 240)
    spaced = _GROUND_RADIUS * (0.26 * s + 0.74 * s**3)  # finest in the middle: 0.13 mm
    x, y = np.meshgrid(spaced, spaced, indexing="ij")
    add_mesh("Slate", sheet(np.stack([x, y, _slate_height(x, y)], -1)), _slate_material())

    def scattered(count: int, spread: float) -> np.ndarray:
        places = rng.normal(0, spread, (count, 2))
        return np.column_stack([places, _slate_height(places[:, 0], places[:, 1])])

    crumbs = []
    for _ in range(10):
        shape = stone(rng.uniform([0.8, 0.6, 0.4], [1.2, 1.0, 0.8]), rng, 0.5, rows=4)
        size = 0.04 * (0.5 / 0.04) ** (rng.uniform(size=110) ** 2.2)
        turns = size[:, None, None] * turns_to(rng.normal(size=(110, 3)), rng.uniform(0, 6.3, 110))
        crumbs.append(copies(shape, turns, scattered(110, 16.0), tint=rng.uniform(size=110)))
    add_mesh("Crumbs", merged(crumbs), _matrix_material(), smooth=False)
    flakes = box([1.6, 1.1, 0.12])
    turns = turns_to(rng.normal([0, 0, 1], 0.12, (70, 3)), rng.uniform(0, 6.3, 70))
    turns = turns * rng.uniform(0.3, 1.6, 70)[:, None, None]
    add_mesh(
        "Flakes", copies(flakes, turns, scattered(70, 15.0) + np.array([0, 0, 0.06])), _slate_material(), smooth=False
    )
    shards = []
    for place in scattered(60, 13.0):
        edge = rng.uniform(0.2, 0.7)
        shard = _crystal(rng, edge * 0.6, edge * 2, chips=2)
        shard = shard.with_attribute("along", 0.3 + 0.5 * shard.attributes["along"])
        lying = turns_to(rng.normal(0, 1, (1, 3)) * [1, 1, 0.15], rng.uniform(0, 6.3, 1))[0]
        shards.append(shard.moved(lying, place + np.array([0, 0, 0.3 * edge])).with_attribute("tint", rng.uniform()))
    add_mesh("Shards", _lit_from_above(merged(shards)), _amethyst_material(), smooth=False)


def _amethyst_material() -> bpy.types.Material:
    """Violet and clear at the tips, milky at the roots; clouds, flecks, iron stain, and dust on what looks up."""
    m = Material("Amethyst")
    coarse, fine = m.noise(1.3, 5, 0.5), m.noise(0.17, 3)
    along = m.calculate("ADD", m.attribute("along"), m.calculate("MULTIPLY_ADD", coarse, 0.6, -0.3))
    along = m.calculate("ADD", along, m.calculate("MULTIPLY_ADD", m.attribute("tint"), 0.3, -0.15))
    colour = m.ramp(
        along,
        (0.08, (0.5, 0.44, 0.36)),
        (0.3, (0.44, 0.34, 0.5)),
        (0.55, (0.2, 0.085, 0.36)),
        (0.9, (0.085, 0.02, 0.22)),
    )
    bands = m.calculate(
        "SINE", m.calculate("MULTIPLY_ADD", m.attribute("height"), 4.5, m.calculate("MULTIPLY", coarse, 3))
    )
    colour = m.mix(m.calculate("MULTIPLY_ADD", bands, 0.08, 0.08), colour, (0.6, 0.5, 0.7))
    colour = m.mix(0.55, colour, m.ramp(fine, (0.3, (0.55,) * 3), (0.7, (1.5,) * 3)), "MULTIPLY")
    # What total reflection inside does to faces: each has its own depth of colour.
    colour = m.mix(0.8, colour, m.ramp(m.attribute("facet"), (0.0, (0.35,) * 3), (1.0, (1.5,) * 3)), "MULTIPLY")
    cloud = m.calculate("MULTIPLY", m.between(m.noise(0.6, 3), 0.55, 0.72), 0.5)
    colour = m.mix(cloud, colour, (0.6, 0.52, 0.66))
    fleck = m.between(fine, 0.7, 0.74)
    colour = m.mix(fleck, colour, (0.16, 0.03, 0.015))
    stain = m.calculate("MULTIPLY", m.between(coarse, 0.5, 0.62), m.between(m.attribute("along"), 0.6, 0.1))
    colour = m.mix(m.calculate("MULTIPLY", stain, 0.75), colour, (0.36, 0.15, 0.035))
    dust = m.calculate("MULTIPLY", m.between(fine, 0.54, 0.68), m.between(m.attribute("up"), 0.2, 1.0))
    dust = m.calculate("MULTIPLY", dust, m.between(coarse, 0.42, 0.58))
    colour = m.mix(m.calculate("MULTIPLY", dust, 0.5), colour, (0.45, 0.4, 0.33))
    solid = m.calculate("MAXIMUM", m.calculate("MAXIMUM", stain, dust), m.calculate("MAXIMUM", cloud, fleck))
    clear = m.calculate("MULTIPLY", m.between(along, 0.2, 0.7), 0.45)
    clear = m.calculate("MULTIPLY", clear, m.calculate("SUBTRACT", 1.0, solid))
    rough = m.calculate("MULTIPLY_ADD", coarse, 0.2, 0.04)
    rough = m.calculate("ADD", rough, m.calculate("MULTIPLY", solid, 0.3))
    return m.finish(
        Base_Color=colour,
        Transmission_Weight=clear,
        IOR=1.54,
        Roughness=rough,
        Specular_IOR_Level=0.65,
        Normal=_growth_lines(m, fine),
    )


def _growth_lines(m: Material, fine: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """Striations across prism faces, at uneven distances, and low hillocks on all."""
    wavy = m.noise(2.1, 1)
    wander = m.calculate("MULTIPLY", wavy, 2.5)
    height = m.attribute("height")
    wide = m.calculate("SINE", m.calculate("MULTIPLY_ADD", height, 2 * np.pi / 0.31, wander))
    narrow = m.calculate("SINE", m.calculate("MULTIPLY_ADD", height, 2 * np.pi / 0.117, wander))
    lines = m.between(m.calculate("ADD", wide, narrow), -0.2, 0.9)
    lines = m.calculate("MULTIPLY", lines, m.attribute("prism"))
    return m.bump(m.calculate("MULTIPLY_ADD", fine, 0.35, lines), 0.009, m.bump(wavy, 0.05))


def _pyrite_material() -> bpy.types.Material:
    m = Material("Pyrite")
    colour = m.mix(m.between(m.noise(0.5, 6), 0.35, 0.65), (0.46, 0.31, 0.12), (0.8, 0.63, 0.32))
    tarnish = m.between(m.noise(0.7, 4, 0.6), 0.55, 0.7)
    colour = m.mix(m.calculate("MULTIPLY", tarnish, 0.7), colour, (0.2, 0.09, 0.03))
    wander = m.calculate("MULTIPLY", m.noise(0.6, 2), 6.0)
    lines = m.calculate(
        "SINE", m.calculate("ADD", m.calculate("MULTIPLY", m.attribute("stripe"), 2 * np.pi / 0.17), wander)
    )
    rough = m.calculate("MULTIPLY_ADD", m.noise(0.3, 5), 0.35, 0.16)
    grooves = m.between(lines, 0.6, -0.4)
    colour = m.mix(m.calculate("MULTIPLY", grooves, 0.3), colour, (0.16, 0.1, 0.04))
    relief = m.bump(grooves, -0.02, m.bump(m.noise(0.14, 3), 0.02, m.bump(m.noise(0.8, 1), 0.06)))
    return m.finish(Base_Color=colour, Metallic=1.0, Roughness=rough, Normal=relief)


def _matrix_material() -> bpy.types.Material:
    m = Material("Matrix")
    colour = m.ramp(
        m.noise(1.8, 5, 0.5),
        (0.3, (0.068, 0.049, 0.034)),
        (0.45, (0.18, 0.135, 0.09)),
        (0.56, (0.3, 0.247, 0.188)),
        (0.68, (0.375, 0.345, 0.3)),
    )
    colour = m.mix(m.between(m.noise(0.9, 4, 0.8), 0.53, 0.66), colour, (0.36, 0.15, 0.035))
    grains = m.ramp(m.cells(0.24, "Color"), (0.0, (0.5,) * 3), (0.7, (1.0,) * 3), (1.0, (1.8,) * 3))
    colour = m.mix(0.75, colour, grains, "MULTIPLY")
    colour = m.mix(0.8, colour, m.ramp(m.noise(0.11, 4), (0.32, (0.45,) * 3), (0.68, (1.6,) * 3)), "MULTIPLY")
    relief = m.bump(m.noise(0.12, 3), 0.06, m.bump(m.cells(0.35), -0.09, m.bump(m.noise(0.8, 3), 0.2)))
    return m.finish(Base_Color=colour, Roughness=0.72, Specular_IOR_Level=0.35, Normal=relief)


def _slate_material() -> bpy.types.Material:
    m = Material("Slate")
    colour = m.ramp(
        m.noise(3.5, 5, 0.4),
        (0.3, (0.012, 0.013, 0.016)),
        (0.5, (0.026, 0.028, 0.033)),
        (0.68, (0.055, 0.057, 0.06)),
    )
    colour = m.mix(m.between(m.noise(2.0, 5, 0.6), 0.58, 0.7), colour, (0.11, 0.06, 0.032))
    colour = m.mix(0.85, colour, m.ramp(m.noise(0.14, 4), (0.3, (0.4,) * 3), (0.7, (1.7,) * 3)), "MULTIPLY")
    mica = m.between(m.noise(0.07, 1), 0.7, 0.76)
    colour = m.mix(m.calculate("MULTIPLY", mica, 0.6), colour, (0.42, 0.43, 0.45))
    rough = m.calculate("MULTIPLY_ADD", m.noise(0.5, 4), 0.4, 0.3)
    relief = m.bump(m.noise(0.16, 4), 0.05, m.bump(m.noise(0.9, 3), 0.12))
    return m.finish(Base_Color=colour, Roughness=rough, Specular_IOR_Level=0.3, Normal=relief)
