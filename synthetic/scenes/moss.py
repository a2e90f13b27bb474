# SPDX-License-Identifier: GPL-3.0-or-later
"""A cushion of moss, 17 mm across, in fruit, among cup lichens on the bark of a fallen tree.

Hard for reconstruction because nothing in it is a smooth surface: hundreds of shoots, each a star of pointed leaves
that hide one another and change wholly with the view, in front of a darkness that no photo sees. Above them stand
capsules on stalks a tenth of a millimetre thick, and round them grow goblets of lichen, hollow and covered in grains.
"""

import bpy
import numpy as np

from .construction import MacroScene, add_mesh, add_softbox, set_world, spherical
from .geometry import Geometry, ball, copies, curve, merged, sheet, tube, turns_to
from .materials import Material
from .noise import fractal_noise, gradient_noise

_BARK_RADIUS = 90.0  # mm
_CUSHION_RADIUS = 8.5  # mm
_CUSHION_HEIGHT = 5.0  # mm
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    rng = np.random.default_rng(12)
    moss, capsule, lichen = _moss_material(), _capsule_material(), _lichen_material()
    stalks, capsules = _sporophytes(rng, 42)
    goblets = _goblets(rng, 24, 9.0, 1.6, fine=True)
    subject = (
        add_mesh("Moss", _cushion(rng, np.zeros(2), _CUSHION_RADIUS, _CUSHION_HEIGHT, 400, fine=True), moss),
        add_mesh("Stalks", stalks, _stalk_material()),
        add_mesh("Capsules", capsules, capsule),
        add_mesh("Goblets", goblets, lichen),
        add_mesh("Heart of the cushion", _heart(np.zeros(2), _CUSHION_RADIUS, _CUSHION_HEIGHT), _heart_material()),
    )
    _surroundings(rng, moss, lichen)
    target = (0.0, 0.0, 4.0)
    add_softbox("Key", spherical(165, 140, 52), target, (80, 60), 0.52, (1.0, 0.95, 0.87))
    add_softbox("Back", spherical(150, -30, 28), target, (60, 50), 0.42, (1.0, 0.92, 0.78))
    add_softbox("Fill", spherical(190, 50, 50), target, (130, 130), 0.14, (0.85, 0.93, 1.0))
    set_world((0.62, 0.74, 0.85), 0.12)
    return MacroScene(
        subject=subject,
        centre_mm=np.array([0.0, 0.0, 5.5]),
        radius_mm=11.0,
        field_width_mm=25.0,
        elevations=(22.0, 62.0),
    )


def _bark_height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height [...] of the bark at `x`, `y` [...], mm: long plates with fissures between them, along x."""
    points = np.stack([x, y, np.zeros_like(x)], -1)
    bent = points + 1.6 * gradient_noise(points / 6.0, seed=3)[..., None] * [0, 1, 0]
    plates = fractal_noise(bent * [0.045, 0.17, 0] + [7.1, 0.3, 0], 3, seed=21)
    fissures = -2.2 * np.exp(-((plates / 0.07) ** 2))
    fibres = 0.35 * fractal_noise(bent * [0.25, 1.4, 0], 4, seed=31, gain=0.6)
    crumbs = 0.16 * fractal_noise(points / 0.8, 3, seed=41)
    trunk = -0.002 * y**2 / (1 + 0.01 * abs(y))
    return trunk + fissures + fibres + crumbs + 1.2 * np.tanh(3 * plates)


def _on_bark(places: np.ndarray, above: float | np.ndarray = 0.0) -> np.ndarray:
    """Points [N, 3] over `places` [N, 2]."""
    return np.column_stack([places, _bark_height(places[:, 0], places[:, 1]) + above])


def _dome(places: np.ndarray, radius: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Height [N] and outward direction [N, 3] of a lumpy cushion at `places` [N, 2] from its middle."""
    lumps = 1 + 0.25 * gradient_noise(np.column_stack([places / 3.5, np.full(len(places), radius)]), seed=51)
    share = np.minimum(np.hypot(*places.T) / radius, 1)
    outward = np.column_stack([places / radius * 1.1, np.maximum(1.05 - share**2, 0.25)])
    return height * lumps * np.sqrt(1 - share**2.4), outward


def _sunflower(rng: np.random.Generator, count: int, radius: float) -> np.ndarray:
    """Places [N, 2], evenly spread over a disc but for some disorder."""
    index = np.arange(count)
    distance = radius * np.sqrt((index + 0.5) / count)
    angle = index * _GOLDEN_ANGLE
    return distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1) + rng.normal(0, 0.12, (count, 2))


def _cushion(
    rng: np.random.Generator, middle: np.ndarray, radius: float, height: float, count: int, *, fine: bool
) -> Geometry:
    """A dome of shoots round `middle` [2] that point away from its inside."""
    shoots = [_shoot(rng, fine=fine) for _ in range(7)]
    places = _sunflower(rng, count, radius)
    lift, outward = _dome(places, radius, height)
    base = float(_bark_height(*middle))
    roots = np.column_stack([places + middle, base + lift - 1.9]) - 0.4 * outward
    directions = outward + rng.normal(0, 0.16, (count, 3))
    turns = turns_to(directions, rng.uniform(0, 6.3, count)) * rng.uniform(0.85, 1.25, (count, 1, 1))
    tint = np.clip(rng.normal(0.45, 0.22, count) + 0.3 * gradient_noise(roots / 4.0, seed=61), 0, 1)
    return _mixed(shoots, turns, roots, tint)


def _mixed(shapes: list[Geometry], turns: np.ndarray, places: np.ndarray, tint: np.ndarray) -> Geometry:
    """Copies of all `shapes` in turn under x -> turns [N, 3, 3] x + places [N, 3], of `tint` [N]."""
    groups = [np.arange(len(places)) % len(shapes) == number for number in range(len(shapes))]
    return merged(
        [
            copies(shape, turns[group], places[group], tint=tint[group])
            for shape, group in zip(shapes, groups, strict=True)
        ]
    )


def _shoot(rng: np.random.Generator, *, fine: bool) -> Geometry:
    """A shoot 3 mm high along z: leaves in a spiral, the upper ones closer, with `height` 0 at its foot and 1 above."""
    count = 30 if fine else 12
    share = np.linspace(0.2, 1, count)
    angle = np.arange(count) * _GOLDEN_ANGLE + rng.normal(0, 0.15, count)
    lean = np.interp(share, [0.2, 0.8, 1.0], [1.35, 0.95, 0.25]) + rng.normal(0, 0.13, count)
    directions = np.column_stack([np.sin(lean) * np.cos(angle), np.sin(lean) * np.sin(angle), np.cos(lean)])
    sway = rng.normal(0, 0.25, 2)
    places = np.column_stack([share[:, None] ** 2 * sway, 2.3 * share**0.8])
    sizes = np.interp(share, [0.2, 0.7, 1.0], [0.9, 1.25, 0.8]) * rng.uniform(0.85, 1.15, count)
    # a leaf's upper side, its y, looks at the stem's tip
    x = np.column_stack([-np.sin(angle), np.cos(angle), np.zeros(count)])
    turns = np.stack([x, np.cross(directions, x), directions], -1) * sizes[:, None, None]
    leaf = _moss_leaf(fine=fine)
    leaves = copies(leaf, turns, places, height=share)
    if not fine:
        return leaves
    path = curve([[0, 0, 0], [*(0.25 * sway), 1.2], [*sway, 2.3]], 4)
    stem = tube(path, np.linspace(0.09, 0.05, 4), 3)
    return merged([leaves, stem])


def _moss_leaf(*, fine: bool) -> Geometry:
    """A pointed leaf 1 mm long along z, folded along its rib, with a hair for its tip; attributes along and across."""
    u = np.array([0, 0.35, 0.8, 1.15] if fine else [0, 0.45, 1.05])
    half_width = np.array([0.14, 0.21, 0.07, 0.008] if fine else [0.16, 0.19, 0.015])
    v = np.array([-1.0, 0, 1.0])
    side = half_width[:, None] * v
    fold = 0.45 * abs(side) + (0.1 * np.sin(np.pi * u) - 0.28 * u**2)[:, None]
    points = np.stack(np.broadcast_arrays(-side, fold, u[:, None]), -1)
    across, along = np.broadcast_arrays(v, u[:, None])
    return (
        sheet(points[:, ::-1])
        .with_attribute("along", along[:, ::-1].ravel())
        .with_attribute("across", across[:, ::-1].ravel())
    )


def _heart(middle: np.ndarray, radius: float, height: float) -> Geometry:
    """The dark inside of a cushion round `middle` [2], seen between its shoots."""
    r, angle = np.meshgrid(
        np.linspace(0.02, 1, 24) * radius, np.linspace(0, 2 * np.pi, 60, endpoint=False), indexing="ij"
    )
    places = np.stack([r * np.cos(angle), r * np.sin(angle)], -1)
    lift, _ = _dome(places.reshape(-1, 2), radius, height)
    lumps = 0.25 * fractal_noise(np.concatenate([places, 0 * r[..., None]], -1) / 0.7, 2, seed=71)
    z = float(_bark_height(*middle)) + lift.reshape(r.shape) - 1.7 + lumps
    return sheet(np.concatenate([places + middle, z[..., None]], -1), closed=True)


def _sporophytes(rng: np.random.Generator, count: int) -> tuple[Geometry, Geometry]:
    """Stalks that rise from the cushion, and the capsules that nod on them."""
    places = _sunflower(rng, count, 0.82 * _CUSHION_RADIUS) + rng.normal(0, 0.5, (count, 2))
    lift, outward = _dome(places, _CUSHION_RADIUS, _CUSHION_HEIGHT)
    base = float(_bark_height(np.zeros(1), np.zeros(1))[0])
    stalks, capsules = [], []
    shapes = [_capsule(rng) for _ in range(5)]
    for index, (place, up, way) in enumerate(zip(places, lift, outward, strict=True)):
        root = np.array([*place, base + up - 0.8])
        length = rng.uniform(4.0, 7.0)
        heading = way * [0.35, 0.35, 0] + [*rng.normal(0, 0.12, 2), 1]
        nod = np.array([*rng.normal(0, 1, 2), 0])
        nod /= np.linalg.norm(nod)
        top = root + length * heading
        tip = top + 0.45 * nod + [0, 0, 0.1]
        path = curve([root, root + 0.55 * length * heading - 0.15 * nod, top, tip], 18)
        stalks.append(tube(path, np.linspace(0.075, 0.055, 18), 6).with_attribute("tint", rng.uniform()))
        droop = nod * rng.uniform(0.4, 1.1) + [0, 0, rng.uniform(-0.3, 0.7)]
        turn = turns_to(droop[None], rng.uniform(0, 6.3, 1))[0] * rng.uniform(0.8, 1.15)
        capsules.append(shapes[index % 5].moved(turn, tip).with_attribute("tint", rng.uniform()))
    return merged(stalks), merged(capsules)


def _capsule(rng: np.random.Generator) -> Geometry:
    """An urn 1.6 mm long along z with a beaked lid; `along` is 0 at the neck and 1 at the beak."""
    stations = [[0.05], [0.12], [0.27], [0.36], [0.38], [0.35], [0.3], [0.315], [0.25], [0.1], [0.06], [0.03]]
    rows, columns = 26, 14
    radius = curve(stations, rows)
    u = np.linspace(0, 1, rows)[:, None]
    angle = (np.arange(columns) * 2 * np.pi / columns)[None]
    ribs = 1 + 0.035 * np.cos(6 * angle) * np.sin(np.pi * u)
    flat = radius * ribs
    bend = rng.normal(0, 0.15) * u**2
    points = np.stack([flat * np.cos(angle) + bend, flat * np.sin(angle), np.broadcast_to(1.65 * u, flat.shape)], -1)
    along = np.broadcast_to(u, flat.shape)[:, ::-1].ravel()
    return sheet(points[:, ::-1], closed=True).with_attribute("along", along)


def _goblet(rng: np.random.Generator, *, fine: bool) -> Geometry:
    """A cup lichen 5 mm high along z: a stalk that opens into a cup with a toothed rim, and its inside."""
    rows, columns, grains = (28, 22, 70) if fine else (20, 14, 24)
    height, width = rng.uniform(3.6, 6.0), rng.uniform(0.9, 1.5)
    profile = curve(  # radius in cup widths and height in heights, up the outside and down into the cup
        [
            [0.4, 0],
            [0.27, 0.2],
            [0.3, 0.5],
            [0.55, 0.75],
            [1.0, 0.98],
            [1.03, 1.0],
            [0.9, 0.96],
            [0.4, 0.8],
            [0.02, 0.74],
        ],
        rows,
    )
    angle = (np.arange(columns) * 2 * np.pi / columns)[None]
    rim = np.clip(profile[:, 1:] - 0.6, 0, 0.4) * 2.5
    rough = fractal_noise(
        np.stack(np.broadcast_arrays(2 * np.cos(angle), 2 * np.sin(angle), 5 * profile[:, 1:]), -1)
        + rng.uniform(0, 50),
        3,
    )
    flat = width * profile[:, :1] * (1 + 0.2 * rough)
    z = height * profile[:, 1:] + 0.3 * rim**3 * np.cos(angle * 7 + rng.uniform(0, 6)) * rough
    sway = rng.normal(0, 0.5, 2)
    bend = profile[:, 1:] ** 2
    points = np.stack(
        [flat * np.cos(angle) + sway[0] * bend, flat * np.sin(angle) + sway[1] * bend, np.broadcast_to(z, flat.shape)],
        -1,
    )
    inside = np.broadcast_to((np.arange(rows) > rows * 0.62)[:, None], flat.shape).astype(float)
    body = sheet(points[:, ::-1], closed=True).with_attribute("inside", inside[:, ::-1].ravel())
    outer = body.vertices[body.attributes["inside"] < 0.5]
    return merged([body, _grains(rng, outer[rng.integers(len(outer), size=grains)], (0.05, 0.13))])


def _grains(rng: np.random.Generator, places: np.ndarray, sizes: tuple[float, float]) -> Geometry:
    """Angular grains at `places` [N, 3]."""
    count = len(places)
    turns = turns_to(rng.normal(size=(count, 3)), rng.uniform(0, 6.3, count))
    return copies(ball(1.0, 4, 5), turns * rng.uniform(*sizes, (count, 1, 1)) * [1.0, 0.8, 0.6], places)


def _goblets(rng: np.random.Generator, count: int, distance: float, spread: float, *, fine: bool) -> Geometry:
    """Cup lichens in a ring round the middle, in groups."""
    shapes = [_goblet(rng, fine=fine) for _ in range(6)]
    angle = np.repeat(rng.uniform(0, 6.3, (count + 2) // 3), 3)[:count] + rng.normal(0, 0.16, count)
    reach = distance + abs(rng.normal(0, spread, count))
    places = reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    directions = np.column_stack([0.15 * places / distance, np.ones(count)]) + rng.normal(0, 0.14, (count, 3))
    turns = turns_to(directions, rng.uniform(0, 6.3, count)) * rng.uniform(0.55, 1.15, (count, 1, 1))
    return _mixed(shapes, turns, _on_bark(places, -0.2), rng.uniform(size=count))


def _surroundings(rng: np.random.Generator, moss: bpy.types.Material, lichen: bpy.types.Material) -> None:
    """Bark to the horizon, with more cushions, goblets, leafy lichen and what fell from the trees."""
    s = np.linspace(-1, 1, 160)
    spaced = _BARK_RADIUS * (0.25 * s + 0.75 * s**3)
    x, y = np.meshgrid(spaced, spaced, indexing="ij")
    add_mesh("Bark", sheet(np.stack([x, y, _bark_height(x, y)], -1)), _bark_material())
    cushions = []
    for azimuth, distance, radius in [
        (0.4, 20.0, 6.0),
        (1.5, 26.0, 9.0),
        (2.5, 19.0, 5.0),
        (3.4, 33.0, 11.0),
        (4.3, 22.0, 7.0),
        (5.4, 36.0, 12.0),
    ]:
        middle = distance * np.array([np.cos(azimuth), np.sin(azimuth)])
        cushions.append(_cushion(rng, middle, radius, 0.4 * radius, int(1.8 * radius**2), fine=False))
        cushions.append(_heart(middle, radius, 0.4 * radius).with_attribute("tint", 0.1))
    add_mesh("Other moss", merged(cushions), moss)
    add_mesh("Other goblets", _goblets(rng, 36, 16.0, 9.0, fine=False), lichen)
    add_mesh("Leafy lichen", merged([_rosette(rng) for _ in range(26)]), _leafy_material())
    places = rng.normal(0, 12, (1000, 2))
    add_mesh("Grains", _grains(rng, _on_bark(places, 0.05), (0.06, 0.28)), lichen)
    add_mesh("Needles", merged([_needle(rng) for _ in range(16)]), _needle_material())


def _rosette(rng: np.random.Generator) -> Geometry:
    """A leafy lichen: lobes that grow outward over the bark with raised, scalloped edges."""
    lobes = []
    rows, columns = 12, 7
    angle, distance = rng.uniform(0, 6.3), rng.uniform(9.5, 34)
    middle = distance * np.array([np.cos(angle), np.sin(angle)])
    u, v = np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    for index in range(9):
        azimuth = 2 * np.pi * index / 9 + rng.normal(0, 0.2)
        length = rng.uniform(2.0, 4.0)
        half_width = (0.35 + 0.75 * u) * np.sqrt(np.maximum(1 - u**6, 0.001)) * (1 + 0.2 * np.cos(17 * u))
        along, side = length * u + 0.5 * half_width * (1 - v**2) * u, half_width * v
        flat = middle + np.stack(
            [
                along * np.cos(azimuth) - side * np.sin(azimuth),
                along * np.sin(azimuth) + side * np.cos(azimuth),
            ],
            -1,
        )
        edge = np.maximum(abs(v) ** 3 * u, u**5)
        height = _bark_height(flat[..., 0], flat[..., 1]) + 0.25 + 0.45 * edge + 0.02 * index
        height = height + 0.3 * gradient_noise(np.concatenate([flat, 0 * u[..., None]], -1) / 1.1, seed=81)
        lobe = sheet(np.concatenate([flat, height[..., None]], -1))
        lobes.append(lobe.with_attribute("edge", edge.ravel()).with_attribute("tint", rng.uniform()))
    return merged(lobes)


def _needle(rng: np.random.Generator) -> Geometry:
    """A dead needle, lying on the bark."""
    while True:
        middle = rng.normal(0, 17, 2)
        if np.hypot(*middle) > 12:
            break
    heading, length = rng.uniform(0, np.pi), rng.uniform(8, 15)
    along = np.linspace(-0.5, 0.5, 16)[:, None] * length
    flat = middle + along * [np.cos(heading), np.sin(heading)]
    height = _bark_height(flat[:, 0], flat[:, 1])
    height = np.maximum(height, np.polyval(np.polyfit(along[:, 0], height, 1), along[:, 0])) + 0.3
    radii = rng.uniform(0.2, 0.32) * np.interp(np.linspace(0, 1, 16), [0, 0.06, 0.8, 1], [0.4, 1, 1, 0.1])
    return tube(np.column_stack([flat, height]), radii, 8).with_attribute("tint", rng.uniform())


def _moss_material() -> bpy.types.Material:
    m = Material("Moss")
    along, across = m.attribute("along"), m.calculate("ABSOLUTE", m.attribute("across"))
    green = m.ramp(m.attribute("tint"), (0.0, (0.05, 0.12, 0.012)), (0.5, (0.13, 0.24, 0.02)), (1.0, (0.3, 0.36, 0.04)))
    shade = m.ramp(m.attribute("height"), (0.15, (0.3, 0.2, 0.1)), (0.55, (0.75,) * 3), (1.0, (1.25,) * 3))
    colour = m.mix(1.0, m.mottled(green, 0.5, 0.18), shade, "MULTIPLY")
    colour = m.mix(m.between(across, 0.22, 0.1), colour, (0.32, 0.34, 0.07))
    colour = m.mix(m.between(along, 0.84, 0.95), colour, (0.6, 0.58, 0.48))
    m.let_through(0.35, m.mix(0.4, colour, (0.4, 0.5, 0.04)))
    return m.finish(Base_Color=colour, Roughness=0.4, Specular_IOR_Level=0.4)


def _stalk_material() -> bpy.types.Material:
    m = Material("Stalks")
    colour = m.ramp(m.attribute("tint"), (0.0, (0.34, 0.07, 0.02)), (0.6, (0.46, 0.15, 0.03)), (1.0, (0.5, 0.27, 0.06)))
    return m.finish(Base_Color=m.mottled(colour, 0.5, 0.3), Roughness=0.35)


def _capsule_material() -> bpy.types.Material:
    m = Material("Capsules")
    along = m.attribute("along")
    ripe = m.ramp(m.attribute("tint"), (0.0, (0.25, 0.3, 0.05)), (0.45, (0.5, 0.32, 0.07)), (1.0, (0.4, 0.14, 0.035)))
    colour = m.mix(m.between(along, 0.1, 0.3), (0.4, 0.12, 0.03), m.mottled(ripe, 0.6, 0.16))
    colour = m.mix(m.between(along, 0.57, 0.62), colour, (0.45, 0.1, 0.025))
    colour = m.mix(m.between(along, 0.66, 0.74), colour, m.mottled((0.56, 0.34, 0.12), 0.5, 0.1))
    return m.finish(Base_Color=colour, Roughness=0.32, Normal=m.bump(m.noise(0.12, 2), 0.02))


def _lichen_material() -> bpy.types.Material:
    m = Material("Lichen")
    colour = m.ramp(m.noise(0.9, 4), (0.3, (0.2, 0.28, 0.17)), (0.5, (0.38, 0.46, 0.31)), (0.7, (0.55, 0.6, 0.44)))
    colour = m.mottled(colour, 0.7, 0.12)
    colour = m.mix(m.calculate("MULTIPLY", m.attribute("inside"), 0.6), colour, (0.3, 0.29, 0.14))
    return m.finish(Base_Color=colour, Roughness=0.85, Specular_IOR_Level=0.2, Normal=m.bump(m.noise(0.13, 2), 0.06))


def _leafy_material() -> bpy.types.Material:
    m = Material("Leafy lichen")
    grey = m.ramp(m.attribute("tint"), (0.0, (0.26, 0.31, 0.26)), (0.5, (0.36, 0.39, 0.33)), (1.0, (0.5, 0.46, 0.16)))
    colour = m.mottled(m.mottled(grey, 0.5, 0.7), 0.5, 0.11)
    colour = m.mix(m.calculate("MULTIPLY", m.attribute("edge"), 0.4), colour, (0.66, 0.68, 0.56))
    colour = m.mix(m.behind(), colour, (0.06, 0.045, 0.035))
    return m.finish(Base_Color=colour, Roughness=0.75, Specular_IOR_Level=0.25, Normal=m.bump(m.noise(0.25, 4), 0.08))


def _heart_material() -> bpy.types.Material:
    m = Material("Heart")
    colour = m.ramp(m.noise(0.3, 3), (0.35, (0.012, 0.012, 0.004)), (0.65, (0.07, 0.055, 0.02)))
    return m.finish(Base_Color=colour, Roughness=0.9, Specular_IOR_Level=0.1)


def _needle_material() -> bpy.types.Material:
    m = Material("Needles")
    base = m.ramp(m.attribute("tint"), (0.0, (0.26, 0.13, 0.05)), (0.6, (0.42, 0.26, 0.11)), (1.0, (0.16, 0.09, 0.05)))
    return m.finish(Base_Color=m.mottled(base, 0.8, 0.3, 5), Roughness=0.55)


def _bark_material() -> bpy.types.Material:
    m = Material("Bark")
    colour = m.ramp(
        m.noise(2.8, 6, 0.5), (0.3, (0.035, 0.024, 0.017)), (0.5, (0.12, 0.08, 0.055)), (0.7, (0.26, 0.19, 0.135))
    )
    colour = m.mottled(colour, 0.9, 0.18, 4)
    areoles = m.cells(0.55, feature="DISTANCE_TO_EDGE")
    crust = m.mottled(m.mix(m.between(m.noise(8.0, 1), 0.45, 0.55), (0.42, 0.46, 0.38), (0.4, 0.33, 0.09)), 0.5, 0.2)
    crust = m.mix(m.between(areoles, 0.03, 0.1), (0.07, 0.06, 0.045), crust)
    colour = m.mix(m.between(m.noise(4.5, 5), 0.52, 0.56), colour, crust)
    return m.finish(Base_Color=colour, Roughness=0.85, Specular_IOR_Level=0.2, Normal=m.bump(m.noise(0.5, 5), 0.2))
