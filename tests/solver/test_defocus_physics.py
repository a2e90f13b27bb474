# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered blur against analytic kernels, against a thin lens of many samples, and its energy.

Planes are perpendicular to the axis and made of splats a pixel apart, which cover each other: solid surfaces.
Tolerances are in parts of the brightest colour, 1.
"""

import math

import numpy as np
import pytest
import torch
from numpy.fft import fft2, fftfreq, ifft2
from scipy.special import j1

from solver.defocus.blurnet import BlurNet, blur, depth_of_pixels, kernel_variance
from solver.defocus.pupil import pupil_samples, sample_dilation
from solver.gaussians.model import SH_C0
from solver.rasterization import Aperture, Rendering, View, rasterize

FOCAL_PX = 100.0
MANY = 64  # samples of the pupil
Splats = dict[str, torch.Tensor]


def splats(positions: np.ndarray, colours: np.ndarray, sigma: float, opacity: float = 0.99) -> Splats:
    """Round flat ones, [N, 3] each, that face the camera; sigma in px."""
    count, depths = len(positions), torch.tensor(positions[:, 2:], dtype=torch.float32)
    return {
        "means": torch.tensor(positions, dtype=torch.float32),
        "quaternions": torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
        "scales": torch.cat([sigma * depths / FOCAL_PX] * 2 + [torch.full((count, 1), 1e-4)], 1),
        "opacities": torch.full((count,), opacity),
        "sh_coefficients": torch.tensor((colours - 0.5) / SH_C0, dtype=torch.float32)[:, None],
    }


def plane(depth: float, left: int, right: int, half_height: int, seed: int | None) -> Splats:
    """A solid one of random tiles of 4 x 4 px, or black; its sides are in px from the image's centre."""
    across, down = np.arange(left, right) + 0.5, np.arange(-half_height, half_height) + 0.5
    x, y = np.meshgrid(across, down)
    tiles = np.zeros((len(down) // 4 + 1, len(across) // 4 + 1, 3))
    if seed is not None:
        tiles = np.random.default_rng(seed).uniform(0.1, 0.9, tiles.shape)
    colours = tiles.repeat(4, 0).repeat(4, 1)[: len(down), : len(across)].reshape(-1, 3)
    return splats(np.stack([x.ravel(), y.ravel(), np.full(x.size, FOCAL_PX)], -1) * depth / FOCAL_PX, colours, 0.7)


def joined(*parts: Splats) -> Splats:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def render(
    scene: Splats,
    size: tuple[int, int],  # height and width, px
    aperture: Aperture | None = None,
    *,
    eye: tuple[float, float] = (0.0, 0.0),  # of the camera, in its own plane
    shift: tuple[float, float] = (0.0, 0.0),  # of the principal point, px
    background: float = 0.0,
) -> Rendering:
    height, width = size
    pose = torch.eye(4)
    pose[:2, 3] = -torch.tensor(eye)
    K = torch.tensor([[FOCAL_PX, 0, width / 2 + shift[0]], [0, FOCAL_PX, height / 2 + shift[1]], [0, 0, 1]])
    view = View(pose, K, width, height)
    return rasterize(*scene.values(), view, sh_degree=0, aperture=aperture, background=torch.full((3,), background))


def pixels(rendering: Rendering) -> np.ndarray:
    return rendering.colour.double().numpy()


def lens(coc: float, depth: float, focus: float, samples: int = 0) -> Aperture:
    """One that spreads a point at `depth` over a disc of `coc` px."""
    pupil = coc / (FOCAL_PX * abs(1 / depth - 1 / focus))
    points = pupil_samples(samples, 0.3).float() if samples else None
    return Aperture(torch.tensor(pupil), torch.tensor(1 / focus), points, sample_dilation(samples) if samples else 1.0)


def convolved(image: np.ndarray, kernel: str, coc: float) -> np.ndarray:  # [H, W, 3] with dark borders
    """With the continuous kernel, by its Fourier transform: of a disc 2 J1(pi c f) / (pi c f)."""
    frequency = np.hypot(fftfreq(image.shape[0])[:, None], fftfreq(image.shape[1]))
    if kernel == "gaussian":
        transform = np.exp(-2 * (math.pi * coc / 4 * frequency) ** 2)
    else:
        argument = np.maximum(math.pi * coc * frequency, 1e-9)
        transform = 2 * j1(argument) / argument
    return ifft2(fft2(image, axes=(0, 1)) * transform[..., None], axes=(0, 1)).real


def root_mean_square(difference: np.ndarray) -> float:
    return float(np.sqrt((difference**2).mean()))


def lights(depths: np.ndarray) -> Splats:
    """A 3 x 3 grid of faint-edged ones, 50 px apart, each at its own depth, so that none hides another."""
    x, y = (axis.ravel() for axis in np.meshgrid([-50.0, 0.0, 50.0], [-50.0, 0.0, 50.0]))
    colours = np.random.default_rng(2).uniform(0.3, 1, (9, 3))
    positions = np.stack([x, y, np.full(9, FOCAL_PX)], -1) * depths[:, None] / FOCAL_PX
    return splats(positions, colours, sigma=5.0, opacity=0.95)


@pytest.mark.parametrize("coc", [4.0, 12.0, 24.0])
def test_dilation_of_a_plane_of_lights_is_a_convolution_with_a_gaussian(coc):
    """Of sigma c / 4, but for the alphas that are skipped, under 1/255 in the image of each of two neighbours."""
    scene, size = lights(np.full(9, 100.0)), (200, 200)
    sharp = pixels(render(scene, size))
    blurred = pixels(render(scene, size, lens(coc, 100, 60)))
    assert abs(blurred - convolved(sharp, "gaussian", coc)).max() < 2 / 255
    assert abs(sharp - convolved(sharp, "gaussian", coc)).max() > 4 / 255


@pytest.mark.parametrize("coc", [4.0, 8.0, 12.0])
def test_pupil_of_a_solid_plane_is_a_convolution_with_a_disc(coc):
    """Sides and all; a Gaussian of equal variance is much farther off."""
    scene, size = plane(100, -20, 20, 20, seed=1), (80, 80)
    sharp = pixels(render(scene, size))
    blurred = pixels(render(scene, size, lens(coc, 100, 60, MANY)))
    difference = blurred - convolved(sharp, "disc", coc)
    assert root_mean_square(difference) < 0.003
    assert abs(difference).max() < 0.02
    assert root_mean_square(blurred - convolved(sharp, "gaussian", coc)) > 4 * root_mean_square(difference)


@pytest.mark.parametrize("coc", [4.0, 8.0, 12.0])
def test_dilation_of_a_solid_plane_is_only_near_a_convolution(coc):
    """Splats that covered each other blend in the order of their depth instead of evenly, and sides swell."""
    scene, size = plane(100, -20, 20, 20, seed=1), (80, 80)
    expected = convolved(pixels(render(scene, size)), "gaussian", coc)
    difference = pixels(render(scene, size, lens(coc, 100, 60))) - expected
    assert root_mean_square(difference) < 0.07
    assert abs(difference).max() < 0.3


def thin_lens(scene: Splats, size: tuple[int, int], aperture: Aperture, count: int = 400) -> np.ndarray:
    """The mean of pinhole views from a pupil's points, none of them dilated."""
    total, focus = np.zeros((*size, 3)), float(aperture.inverse_focus_distance)
    for j in range(count):
        radius, angle = float(aperture.pupil_diameter) / 2 * math.sqrt((j + 0.5) / count), j * math.pi * (3 - 5**0.5)
        u, v = radius * math.cos(angle), radius * math.sin(angle)
        total += pixels(render(scene, size, eye=(u, v), shift=(FOCAL_PX * u * focus, FOCAL_PX * v * focus)))
    return total / count


NEAR, FAR, SIZE = 80.0, 120.0, (48, 64)


@pytest.mark.parametrize("coc", [6.0, 10.0])
def test_silhouette_of_a_blurred_near_edge(coc):
    """A black plane before a white one, which is in focus: how far each way is from the thin lens.

    Dilation swells the near plane by a sixth of the circle of confusion, as splats behind its edge add to the alpha;
    the pupil does by a thirteenth with six samples, and hardly with many.
    """
    scene = joined(plane(NEAR, -60, 0, 45, None), splats(np.array([[0, 0, FAR]]), np.ones((1, 3)), 1e4, 0.999))
    aperture = lens(coc, NEAR, FAR)
    row = SIZE[0] // 2

    def profile(image: np.ndarray) -> np.ndarray:
        return image[row, :, 0]

    truth, sharp = profile(thin_lens(scene, SIZE, aperture)), profile(pixels(render(scene, SIZE)))
    # The reference itself: the part of a disc on one side of the edge.
    edge = SIZE[1] - sharp.sum()
    t = np.clip(2 * (np.arange(SIZE[1]) + 0.5 - edge) / coc, -1, 1)
    assert abs(truth - (0.5 + (t * np.sqrt(1 - t**2) + np.arcsin(t)) / math.pi)).max() < 0.03

    for samples, largest, swelling in ((0, 0.35, 0.2 * coc), (6, 0.13, 0.08 * coc), (MANY, 0.02, 0.01 * coc)):
        found = profile(pixels(render(scene, SIZE, lens(coc, NEAR, FAR, samples))))
        assert abs(found - truth).max() < largest, samples
        assert -0.1 < truth.sum() - found.sum() < swelling, samples


@pytest.mark.parametrize("focus", [NEAR, FAR], ids=["near in focus", "far in focus"])
@pytest.mark.parametrize("coc", [6.0, 10.0])
def test_texture_round_an_edge(coc, focus):
    """Both planes in random tiles: what shows within a circle of confusion of the edge."""
    scene = joined(plane(NEAR, -60, 0, 45, 1), plane(FAR, -60, 60, 45, 2))
    other = NEAR + FAR - focus
    truth = thin_lens(scene, SIZE, lens(coc, other, focus))
    reach = int(coc) + 2
    band = slice(10, -10), slice(SIZE[1] // 2 - reach, SIZE[1] // 2 + reach)
    errors = [
        root_mean_square((pixels(render(scene, SIZE, lens(coc, other, focus, samples))) - truth)[band])
        for samples in (0, 6, MANY)
    ]
    assert errors[0] < 0.06
    assert errors[1] < 0.022
    assert errors[2] < 0.003
    assert root_mean_square((pixels(render(scene, SIZE)) - truth)[band]) > 1.3 * errors[0]


@pytest.mark.parametrize(
    ("way", "nearest"),
    [("dilation", 100.0), ("dilation", 80.0), ("pupil", 100.0), ("pupil", 80.0), ("blurnet", 100.0)],
)
def test_strong_blur_keeps_the_light(way, nearest):
    """Circles of 15 to 24 px, nothing hidden; what is lost are the alphas under 1/255 that no splat draws.

    Kernels of pixels take the receiver's blur, so that they keep the light of one plane only.
    """
    scene, size = lights(np.linspace(100, nearest, 9)), (220, 220)
    sharp = render(scene, size)
    aperture = lens(24, 100, 60, 16 if way == "pupil" else 0)
    if way == "blurnet":
        depth = depth_of_pixels(sharp, 100.0)
        variance = kernel_variance(BlurNet(1), 0, depth, aperture, FOCAL_PX, 100.0, 100.0)[0]
        blurred = blur(sharp.colour, variance.detach(), None)
    else:
        blurred = render(scene, size, aperture).colour
    assert blurred.max() < 0.7 * sharp.colour.max()
    torch.testing.assert_close(blurred.sum((0, 1)), sharp.colour.sum((0, 1)), rtol=0.01, atol=0)


def test_a_dilated_solid_swells():
    """Its silhouette lights up more than it should, a known fault of dilation; the pupil's does not."""
    scene, size = plane(100, -20, 20, 20, seed=1), (80, 80)
    sharp = pixels(render(scene, size)).sum()
    light = {n: pixels(render(scene, size, lens(8, 100, 60, n))).sum() / sharp for n in (0, 6, MANY)}
    assert 1.05 < light[0] < 1.15
    assert light[6] == pytest.approx(1, abs=0.05)
    assert light[MANY] == pytest.approx(1, abs=0.005)
