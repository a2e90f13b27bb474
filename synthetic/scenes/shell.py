# SPDX-License-Identifier: GPL-3.0-or-later
"""A sea snail's shell, 20 mm long, on a white turntable.

Hard for reconstruction by what is not there: the background is white and tells nothing of where the camera stands, wide
parts of the last whorl and the enamel of the mouth are smooth, and the light turns relative to the shell. What there is
to hold on to is faint: growth lines of a tenth of a millimetre, ribs and cords of the spire, bands of pigment, pores,
and a few chips of the lip. Photos are masked; out of focus, the shell spills over its mask.
"""

import bpy
import numpy as np

from .construction import MacroScene, add_mesh, add_softbox, set_world, spherical
from .geometry import Geometry, lathe, rotation, sheet
from .materials import Material
from .noise import fractal_noise, gradient_noise

# The shell grows like Raup's (Journal of Paleontology 40, 1966): a closed curve turns about the axis, here z with the
# apex at the origin and the mouth below, and all of it grows by one factor a turn.
_GROWTH = 1.92  # a turn
_TURNS = 2 * np.pi * 6.4  # radians, from the apex to the mouth
_SIZE = 1.13  # makes it 20 mm long
_THICKNESS = 0.55  # mm, of the lip
_COLUMNS = 150  # of the mesh, round the curve
_PLATE_RADIUS = 34.0  # mm

# Below, `turned` is [R, 1] or [R, C], radians from the mouth, and `angle` [C] or [R, C], radians round the curve.


def build() -> MacroScene:
    """Build the scene in Blender's current, empty file."""
    shell = add_mesh("Shell", _lying(_shell()), _shell_material())
    add_mesh("Plate", lathe(_plate_profile(), 240), _plain_material("Plate", 0.86))
    add_mesh("Backdrop", lathe(_backdrop_profile(), 120), _plain_material("Backdrop", 0.86))
    target = (0.0, 0.0, 5.0)
    add_softbox("Key", spherical(180, 150, 52), target, (140, 110), 0.2, (1.0, 0.98, 0.95))
    add_softbox("Fill", spherical(190, 30, 40), target, (140, 140), 0.115, (0.96, 0.98, 1.0))
    add_softbox("Back", spherical(180, -95, 48), target, (150, 110), 0.115, (1.0, 0.99, 0.97))
    set_world((1.0, 1.0, 1.0), 0.143)
    return MacroScene(
        subject=(shell,),
        centre_mm=np.array([0.0, 0.0, 4.6]),
        radius_mm=11.0,
        field_width_mm=26.5,
        elevations=(18.0, 42.0),
        view_plan="turntable",
        f_number=7.1,
        masked=True,
    )


def _curve(angle: np.ndarray) -> np.ndarray:
    """The curve that turns, at the mouth: distance from the axis and height [..., 2], mm, at `angle`, 0 outside."""
    out, up = np.cos(angle), np.sin(angle)
    radial = 3.35 + 3.55 * np.sign(out) * abs(out) ** 0.92
    height = np.where(up > 0, 4.7, 6.7) * np.sign(up) * abs(up) ** 0.95
    base = np.maximum(-up, 0) ** 2.2  # drawn out to a canal beside the axis
    radial = radial * (1 - 0.5 * base) + 0.35 * base
    height = height - 0.9 * np.maximum(-up, 0) ** 6
    return _SIZE * np.stack([radial, height - 10.6], -1)


def _shell() -> Geometry:
    """The outer surface from the apex to the lip, round the lip, and back along the inside, in one sheet."""
    around = np.linspace(-np.pi, np.pi, _COLUMNS, endpoint=False)
    around = around - 0.5 * np.sin(around)  # densest outside; the rest is hidden in the whorl before
    turned, bend = _rows()
    angle = np.broadcast_to(around, (len(turned), _COLUMNS))
    turned = turned + _lean(around) + np.exp(-((turned / 0.12) ** 2)) * _ragged(around)
    inside = bend / np.pi

    # On the whorl before the mouth lies a glaze, which hides ribs and pigment.
    before = turned + 2 * np.pi
    glaze = np.clip((0.3 - before) / 0.16, 0, 1) * np.clip((before + 2.6) / 0.6, 0, 1) * (np.sin(angle) < 0.2)

    relief = _relief(turned, angle) * (1 - glaze)
    thickness = _THICKNESS * (0.62 + 0.5 * np.clip(-turned / 0.25, 0, 1) * inside) + _teeth(turned, angle) * inside
    flare = 0.42 * np.exp(-((turned / 0.5) ** 2)) * np.clip(np.cos(angle) + 0.35, 0, 1)
    offset = relief * (1 - inside) + flare - thickness * (1 - np.cos(bend)) / 2
    curve = _curve(angle) + offset[..., None] * _normals(around)

    edge = turned + thickness * np.sin(bend) / 2 / np.maximum(curve[..., 0], 2.0)
    size = _GROWTH ** (edge / (2 * np.pi))
    radial, height = curve[..., 0] * size, curve[..., 1] * size
    points = np.stack([radial * np.cos(edge), radial * np.sin(edge), height], -1)
    points = points + 0.05 * np.minimum(size, 0.4)[..., None] * gradient_noise(points / 1.4, seed=17)[..., None]

    pigment = _pigment(turned, angle) * (1 - glaze)
    pigment = pigment * (1 - inside * (1 - np.exp(-((turned / 0.35) ** 2))))  # inside, it shows at the lip alone
    attributes = {
        "growth": _growth_lines(turned),
        "glaze": np.maximum(inside, glaze),
        "depth": np.clip(-turned / 2.2, 0, 1) * inside,
        "pigment": pigment,
        "crest": np.clip(relief / 0.3, 0, 1),
    }
    surface = sheet(points, closed=True)
    for name, values in attributes.items():
        surface = surface.with_attribute(name, values.ravel())
    return surface


def _rows() -> tuple[np.ndarray, np.ndarray]:
    """Of each row of the mesh, [R, 1]: radians turned, 0 at the mouth and less before, and round the lip, 0 to pi."""
    rate = np.log(_GROWTH) / (2 * np.pi)
    outer = 2 / rate * np.log(np.linspace(np.exp(-rate * _TURNS / 2), 1, 760))  # as dense as the root of the size
    inner = -(np.linspace(0, 1, 130) ** 1.3) * 2 * np.pi * 1.1
    bend = np.linspace(0, np.pi, 15)[1:-1]
    turned = np.concatenate([outer, np.zeros(len(bend)), inner])
    return turned[:, None], np.concatenate([np.zeros(len(outer)), bend, np.full(len(inner), np.pi)])[:, None]


def _lean(angle: np.ndarray) -> np.ndarray:
    """How far the mouth's edge, and every growth line before it, is ahead, radians: a shoulder, and a notch below."""
    return 0.16 * np.sin(angle) - 0.2 * np.exp(-(((angle + 1.7) / 0.35) ** 2))


def _ragged(angle: np.ndarray) -> np.ndarray:
    """How far the broken lip is ahead of the whole one, radians."""
    ahead = 0.018 * _noise(4, 3, angle * 4)
    for place, width, bite in [(0.62, 0.07, 0.07), (-0.75, 0.15, 0.1)]:
        ahead = ahead - bite * np.clip(1.2 - abs((angle - place) / width) ** 3, 0, 1)
    return ahead * np.clip(np.cos(angle) + 0.4, 0, 1)


def _teeth(turned: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Height of the teeth inside the outer lip, mm."""
    row = np.maximum(np.cos(angle * 9.5), 0) ** 2 * np.exp(-((abs(angle + 0.15) / 0.85) ** 4))
    return 0.34 * row * np.exp(-(((turned + 0.24) / 0.16) ** 2))


def _relief(turned: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Height of ribs, cords and rests over the plain curve, mm at the size of the mouth."""
    grown = turned + _TURNS
    periphery = np.clip(np.cos(angle - 0.35) + 0.15, 0, 1) ** 1.5
    wave = 0.5 + 0.5 * np.cos(13 * (grown + 0.1 * np.sin(angle * 1.5)) + 0.5 * _noise(1, 5, grown / 0.9))
    fading = np.clip((-turned - 1.2) / 5.0, 0.0, 1)  # the last whorl is almost smooth
    ribs = 0.5 * wave**1.5 * periphery * fading * np.clip((grown - 5.0) / 4.0, 0, 1)
    cords = 0.09 * (0.5 + 0.5 * np.cos(angle * 21 + 0.4)) ** 2 * np.clip(np.cos(angle) + 0.5, 0, 1)
    cords = cords * np.clip((-turned - 0.3) / 3.0, 0.35, 1)
    cords = cords * (1 + 1.2 * np.clip((-np.sin(angle) - 0.35) / 0.3, 0, 1))  # stronger at the base
    rests = np.zeros(turned.shape)
    for place, height in [(-0.62, 0.16), (-1.35, 0.08), (-2.5, 0.14), (-3.3, 0.06), (-5.2, 0.12), (-7.9, 0.15)]:
        after = turned - place + 0.03 * np.sin(3 * angle)
        rests = rests + height * np.exp(-np.maximum(after, 0) / 0.25) * (0.5 + 0.5 * np.tanh(after / 0.024))
    return ribs + cords + rests * np.clip(np.cos(angle) + 0.7, 0, 1)


def _growth_lines(turned: np.ndarray) -> np.ndarray:
    """The phase of the growth lines, radians, at an uneven pace."""
    grown = turned + _TURNS
    return 46 * grown + 6.5 * _noise(3, 23, grown / 0.22)


def _pigment(turned: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Brown, 0 to 1: four bands along the whorl, broken into flames."""
    grown = turned + _TURNS
    place = angle + 0.1 * _noise(3, 29, grown * 1.6, angle * 1.3)
    bands = np.zeros(turned.shape)
    for middle, width, strength in [(0.95, 0.13, 0.8), (0.2, 0.17, 1.0), (-0.62, 0.14, 0.9), (-1.25, 0.12, 0.6)]:
        bands = bands + strength * np.exp(-(((place - middle) / width) ** 2))
    flames = _noise(3, 31, grown * 3.4, angle * 0.7)
    return np.clip(bands * (0.8 + 0.9 * flames) + 0.12 * np.maximum(flames, 0), 0, 1)


def _noise(octaves: int, seed: int, *coordinates: np.ndarray) -> np.ndarray:
    """Fractal noise over one or two coordinates [...]; returns [...]."""
    filled = [*coordinates, *[np.zeros(1)] * (3 - len(coordinates))]
    return fractal_noise(np.stack(np.broadcast_arrays(*filled), -1), octaves, seed)


def _normals(around: np.ndarray) -> np.ndarray:
    """The curve's outward normals [C, 2]."""
    step = 0.02
    tangent = _curve(around + step) - _curve(around - step)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], -1)
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _lying(shell: Geometry) -> Geometry:
    """The shell on its side, at rest on the plate, its mouth half up, its middle over the turning axis."""
    pose = rotation([0, 1, 0], np.radians(104)) @ rotation([0, 0, 1], np.radians(60))
    vertices = shell.vertices @ pose.T
    low, high = vertices.min(0), vertices.max(0)
    middle = (low + high) / 2
    return shell.moved(pose, np.array([-middle[0], -middle[1], -low[2] - 0.03]))


def _plate_profile() -> np.ndarray:
    """Radius and height [P, 2] of the plate, mm, from the middle outwards."""
    bend = np.linspace(0, np.pi / 2, 10)
    edge = np.stack([_PLATE_RADIUS - 0.5 + 0.5 * np.sin(bend), -0.5 + 0.5 * np.cos(bend)], -1)
    return np.concatenate([[[0.01, 0.0], [_PLATE_RADIUS * 0.6, 0.0]], edge, [[_PLATE_RADIUS, -2.0]]])


def _backdrop_profile() -> np.ndarray:
    """The same of the backdrop."""
    bend = np.linspace(0, np.pi / 2, 24)
    sweep = np.stack([200 + 150 * np.sin(bend), -2.0 + 150 * (1 - np.cos(bend))], -1)
    return np.concatenate([[[0.01, -2.0], [60.0, -2.0]], sweep, [[350.0, 300.0]]])


def _shell_material() -> bpy.types.Material:
    m = Material("Shell")
    glaze, pigment = m.attribute("glaze"), m.attribute("pigment")
    waver = m.calculate("MULTIPLY", m.noise(0.9, 3), 1.6)
    lines = m.calculate("SINE", m.calculate("ADD", m.attribute("growth"), m.calculate("MULTIPLY", waver, 2.0)))
    fine = m.between(lines, -1.0, 1.0)
    cream = m.ramp(m.noise(2.4, 5), (0.3, (0.55, 0.37, 0.21)), (0.5, (0.69, 0.52, 0.34)), (0.7, (0.76, 0.64, 0.47)))
    brown = m.ramp(m.noise(0.8, 5), (0.3, (0.17, 0.06, 0.026)), (0.55, (0.32, 0.125, 0.052)), (0.75, (0.46, 0.22, 0.1)))
    stain = m.between(m.calculate("ADD", pigment, m.calculate("MULTIPLY", m.noise(0.22, 4), 0.5)), 0.42, 0.95)
    colour = m.mix(stain, cream, brown)
    streak = m.ramp(fine, (0.0, (0.8, 0.76, 0.72)), (0.6, (1.0, 1.0, 1.0)), (1.0, (1.1, 1.09, 1.07)))
    colour = m.mix(0.85, colour, streak, "MULTIPLY")
    mottle = m.ramp(m.noise(0.12, 3), (0.3, (0.72,) * 3), (0.5, (1.0,) * 3), (0.7, (1.18,) * 3))
    colour = m.mix(0.6, colour, mottle, "MULTIPLY")
    worn = m.calculate("MULTIPLY", m.attribute("crest"), m.between(m.noise(0.7, 4), 0.4, 0.75))
    colour = m.mix(m.calculate("MULTIPLY", worn, 0.7), colour, (0.84, 0.79, 0.7))
    specks = m.between(m.cells(0.55), 0.16, 0.1)
    rare = m.between(m.noise(2.2, 3), 0.5, 0.62)
    pores = m.calculate("MULTIPLY", specks, rare)
    colour = m.mix(m.calculate("MULTIPLY", pores, 0.8), colour, (0.13, 0.075, 0.04))

    sheen = m.ramp(m.facing(0.4), (0.0, (0.86, 0.74, 0.68)), (0.35, (0.8, 0.68, 0.72)), (0.7, (0.74, 0.8, 0.76)))
    depth = m.calculate("ADD", m.attribute("depth"), m.calculate("MULTIPLY", m.noise(0.8, 3), 0.25))
    pearl = m.ramp(depth, (0.1, (0.9, 0.83, 0.74)), (0.4, (0.84, 0.68, 0.6)), (0.9, (0.5, 0.3, 0.3)))
    nacre = m.mix(0.6, sheen, pearl, "MULTIPLY")
    nacre = m.mix(m.calculate("MULTIPLY", pigment, 0.55), nacre, (0.42, 0.2, 0.1))
    colour = m.mix(glaze, colour, nacre)
    outside = m.calculate("SUBTRACT", 1.0, glaze)
    relief = m.bump(m.calculate("MULTIPLY", fine, outside), 0.02, m.bump(m.noise(0.3, 4), 0.02))
    relief = m.bump(m.calculate("MULTIPLY", pores, outside), -0.05, relief)
    roughness = m.calculate("ADD", 0.16, m.calculate("MULTIPLY", outside, 0.26))
    return m.finish(Base_Color=colour, Roughness=roughness, Specular_IOR_Level=0.4, Normal=relief)


def _plain_material(name: str, white: float) -> bpy.types.Material:
    return Material(name).finish(Base_Color=(white,) * 3, Roughness=0.7, Specular_IOR_Level=0.2)
