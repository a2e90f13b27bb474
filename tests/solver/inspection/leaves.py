# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos of dead leaves, blurred by discs of known size."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.fft import irfft2, rfft2
from scipy.ndimage import affine_transform

from solver.optics.colour import linear_to_srgb

WIDTH, HEIGHT = 400, 300
_FINER = 2  # the scene is made at so many times the photo's pixels
LEVELS_PX = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)


def dead_leaves(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Discs that cover each other, their radii by a power law as in natural images; linear light, [2 H, 2 W]."""
    generator = np.random.default_rng(seed)
    width, height = width * _FINER, height * _FINER
    image = Image.new("L", (width, height), 128)
    draw = ImageDraw.Draw(image)
    smallest, largest, exponent = 1.0, 100.0, 3.0
    power = 1 - exponent
    radii = (smallest**power + (largest**power - smallest**power) * generator.random(60_000)) ** (1 / power)
    for r, u, v, value in zip(radii, *generator.random((3, len(radii))), strict=True):
        x, y = u * (width + 2 * r) - r, v * (height + 2 * r) - r
        draw.ellipse((x - r, y - r, x + r, y + r), int(10 + 235 * value))
    return (np.asarray(image) / 255.0) ** 1.5


def disc_blurred(light: np.ndarray, diameter: float) -> np.ndarray:
    """`light` averaged over discs, px of the finer image; the image repeats beyond its edges."""
    if diameter <= 0.5:
        return light
    side, parts = 2 * int(np.ceil(diameter / 2)) + 1, 8
    place = (np.arange(side * parts) + 0.5) / parts - side / 2
    disc = (place[:, None] ** 2 + place**2 <= diameter**2 / 4).reshape(side, parts, side, parts).mean((1, 3))
    kernel = np.zeros_like(light)
    kernel[:side, :side] = disc / disc.sum()
    kernel = np.roll(kernel, (-(side // 2), -(side // 2)), (0, 1))
    return irfft2(rfft2(light) * rfft2(kernel), s=light.shape)


def seen(light: np.ndarray) -> np.ndarray:
    """The light that pixels of the photo collect, [H, W]."""
    height, width = light.shape[0] // _FINER, light.shape[1] // _FINER
    return light.reshape(height, _FINER, width, _FINER).mean((1, 3))


def developed(light: np.ndarray, noise: float = 0.0, seed: int = 0, stops: float = 0.0) -> np.ndarray:
    """A photo, [H, W, 3] uint8, sRGB, of light [H, W], with noise in grey levels."""
    values = 255 * linear_to_srgb(np.clip(light * 2.0**stops, 0, 1))
    values = values[..., None] + np.random.default_rng(seed).normal(0, noise, (*light.shape, 3)) * (noise > 0)
    return np.clip(values, 0, 255).round().astype(np.uint8)


class Scene:
    """Leaves seen through blur that differs from place to place."""

    def __init__(self, seed: int) -> None:
        leaves = dead_leaves(seed)
        self.levels = np.stack([seen(disc_blurred(leaves, level * _FINER)) for level in LEVELS_PX])

    def blurred(self, coc: np.ndarray) -> np.ndarray:
        """Light [H, W] with the circle of confusion `coc` [H, W], px of the photo."""
        place = np.interp(coc, LEVELS_PX, np.arange(len(LEVELS_PX)))
        lower = np.minimum(place.astype(int), len(LEVELS_PX) - 2)
        part = place - lower
        rows, columns = np.indices(coc.shape)
        return (1 - part) * self.levels[lower, rows, columns] + part * self.levels[lower + 1, rows, columns]


def focused_at(column: float, px_per_width: float = 24.0) -> np.ndarray:
    """Circles of confusion of a slanted plane that is in focus at a column, 0 at the left and 1 at the right."""
    x = (np.arange(WIDTH) + 0.5) / WIDTH
    return np.tile(np.minimum(px_per_width * abs(x - column), LEVELS_PX[-1]), (HEIGHT, 1))


def breathed(light: np.ndarray, scale: float) -> np.ndarray:
    """`light` scaled about its centre."""
    centre = (np.array(light.shape) - 1) / 2
    return affine_transform(light, [1 / scale] * 2, centre - centre / scale, order=1, mode="mirror")


def save(path: Path, photo: np.ndarray, exif: dict[int, object] | None = None, quality: int = 95) -> Path:
    """Write a JPEG with entries of EXIF's own folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Canon", "Canon EOS 600D"
    tags.get_ifd(0x8769).update(exif or {})
    Image.fromarray(photo).save(path, quality=quality, **({"exif": tags} if exif is not None else {}))
    return path


def exif_of(f_number: float = 8.0, exposure_s: float = 0.01, iso: int = 100, focal_length: float = 100.0) -> dict:
    """What a camera writes."""
    return {0x829D: f_number, 0x829A: exposure_s, 0x8827: iso, 0x920A: focal_length}
