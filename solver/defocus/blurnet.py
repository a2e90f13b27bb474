# SPDX-License-Identifier: GPL-3.0-or-later
"""Defocus as kernels of pixels: the physical variance, and a small network's correction of it.

The method blurs a sharp rendering with a Gaussian per pixel, whose variance follows from the rendered depth and the
photo's focus and is corrected by a network called BlurNet. Its authors have not published the layers; what is chosen
here is said at each choice.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from solver.defocus.gather import gather
from solver.optics.circle_of_confusion import SIGMAS_PER_DIAMETER, circle_of_confusion_px
from solver.optics.sharpness import local_sharpness
from solver.rasterization.types import Aperture, Rendering

_HIDDEN = 32  # units of both hidden layers: few enough to run on every pixel of every step on a processor
_EMBEDDING = 4  # numbers that a photo has of its own
_FREQUENCIES = 2  # of the position, half and one period over the image: lens errors vary slowly
_LARGEST_FACTOR = 4.0  # of the variance, up and down: twice the diameter, half of it
_LARGEST_ADDED_VARIANCE = 1.0  # px^2: motion, demosaicing and the like, under a sigma of a pixel
_ADDED_START = -4.0  # logit of the share of it to start with: 0.13 px of sigma, which changes no pixel
_COC_UNIT_PX = 4.0  # circles of confusion beyond it enter by their logarithm
_MISSING = 0.05  # weight, in deciding on a pixel's depth, of what is missing of its surface
_SHARP_SIGMA_PX = 0.5  # predicted blur with which a pixel still passes for sharp; a disc of two pixels
_CLEAR_PERCENTILE = 90.0  # of the local sharpness of all photos: what is as sharp is clear


class BlurNet(nn.Module):
    """Corrects the physical variance of each pixel's blur: a bounded factor, and a little that is always there.

    Two hidden layers see depth, signed circle of confusion, position, and an embedding of the photo. The last layer
    starts at zero, so that the factor starts at one; embeddings start at zero, so that a photo which was not trained
    on is corrected as photos are in common.
    """

    def __init__(self, photos: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        inputs = 2 + 2 + 4 * _FREQUENCIES
        self.embeddings = nn.Parameter(torch.zeros(photos, _EMBEDDING))
        self.first = nn.Parameter(_random_layer(_HIDDEN, inputs, generator))
        self.first_of_photo = nn.Parameter(_random_layer(_HIDDEN, _EMBEDDING, generator))
        self.first_bias = nn.Parameter(torch.zeros(_HIDDEN))
        self.second = nn.Parameter(_random_layer(_HIDDEN, _HIDDEN, generator))
        self.second_bias = nn.Parameter(torch.zeros(_HIDDEN))
        self.last = nn.Parameter(torch.zeros(2, _HIDDEN))
        self.last_bias = nn.Parameter(torch.tensor([0.0, _ADDED_START]))

    def forward(
        self,
        photo: int,
        depth: Tensor,  # [H, W], from the scene's centre, in scene sizes
        signed_coc: Tensor,  # [H, W], px, positive in front of the focus plane
    ) -> tuple[Tensor, Tensor]:  # [H, W] each: log factor of the variance, and what is added to it, px^2
        """The correction of every pixel of one photo."""
        height, width = depth.shape
        seen = torch.stack([depth, torch.asinh(signed_coc / _COC_UNIT_PX)], -1)
        features = torch.cat([seen, _positions(height, width).to(seen)], -1).reshape(height * width, -1)
        of_photo = linear(self.embeddings[photo], self.first_of_photo, self.first_bias)
        hidden = silu(linear(features, self.first, of_photo))
        hidden = silu(linear(hidden, self.second, self.second_bias))
        log_factor, added = linear(hidden, self.last, self.last_bias).reshape(height, width, 2).unbind(-1)
        return math.log(_LARGEST_FACTOR) * torch.tanh(log_factor), _LARGEST_ADDED_VARIANCE * torch.sigmoid(added)


def kernel_variance(
    blurnet: BlurNet,
    photo: int,
    depth: Tensor,  # [H, W], scene unit
    aperture: Aperture,
    principal_distance_px: float | Tensor,  # []
    centre_depth: float,  # scene unit
    scene_size: float,  # scene unit
) -> tuple[Tensor, Tensor]:  # [H, W] px^2, [H, W]
    """Variance of each pixel's Gaussian, and the logarithm of BlurNet's factor in it.

    Its first order is the paper's sigma, alpha |d - d0|. Gradients reach depth, focus, pupil, principal distance and
    network.
    """
    inverse_focus = aperture.inverse_focus_distance
    coc = circle_of_confusion_px(depth, aperture.pupil_diameter, inverse_focus, principal_distance_px)
    signed = coc * torch.sign((1 / depth - inverse_focus).detach())
    log_factor, added = blurnet(photo, (depth - centre_depth) / scene_size, signed)
    return (SIGMAS_PER_DIAMETER * coc) ** 2 * log_factor.exp() + added, log_factor


def depth_of_pixels(rendering: Rendering, centre_depth: float) -> Tensor:  # [H, W], scene unit, > 0
    """The expected depth; where nothing is rendered that of the scene's centre, and between them a smooth change.

    So the background beside a silhouette is blurred about as the subject is, whose light it receives.
    """
    missing = _MISSING * (1 - rendering.alpha)
    depth = (rendering.depth + missing * centre_depth) / (rendering.alpha + missing).clamp(min=1e-6)
    return depth.clamp(min=1e-6)


def blur(
    image: Tensor,  # [H, W, 3], linear light
    variance: Tensor,  # [H, W], px^2
    clarity: Tensor | None,  # [H, W], 0 to 1
) -> Tensor:  # [H, W, 3]
    """The blurred image, blended with the sharp one where the photo is sharp.

    The mask is the photo's measured clarity times exp(-v / (2 s^2)) with s of half a pixel: a pixel must look sharp
    and be expected to be. It marks, and is not learned through: no gradient flows to it. Without a measured clarity
    nothing is blended.
    """
    blurred = gather(image, variance)
    if clarity is None:
        return blurred
    mask = clarity * torch.exp(-variance.detach() / (2 * _SHARP_SIGMA_PX**2))
    return torch.lerp(blurred, image, mask[..., None])


def measured_clarity(images: list[np.ndarray]) -> list[np.ndarray]:  # P of [H, W, 3] -> P of [H, W] float32
    """How sharp photos look at each pixel, 0 to 1: their local sharpness over that of the sharpest tenth of all."""
    sharpness = [local_sharpness(image) for image in images]
    clear = np.percentile(np.concatenate([each[::4, ::4].ravel() for each in sharpness]), _CLEAR_PERCENTILE)
    return [np.clip(each / max(float(clear), 1e-12), 0, 1).astype(np.float32) for each in sharpness]


def _positions(height: int, width: int) -> Tensor:  # -> [H, W, 2 + 4 _FREQUENCIES]
    """From the image's centre in halves of its longer side, and sines and cosines of them."""
    half = max(height, width) / 2
    y = (torch.arange(height) + 0.5 - height / 2) / half
    x = (torch.arange(width) + 0.5 - width / 2) / half
    places = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1)
    angles = [0.5 * math.pi * 2**k * places for k in range(_FREQUENCIES)]
    return torch.cat([places, *(f(angle) for angle in angles for f in (torch.sin, torch.cos))], -1)


def _random_layer(outputs: int, inputs: int, generator: torch.Generator) -> Tensor:
    """Weights of variance 1 / inputs."""
    return torch.randn(outputs, inputs, generator=generator) / math.sqrt(inputs)
