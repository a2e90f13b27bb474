# SPDX-License-Identifier: GPL-3.0-or-later
"""From the light that falls on the sensor to the photo that the camera writes. No bpy here."""

import numpy as np

_CEILING = 64.0  # of white: light beyond it is white in any photo, and more electrons than a Poisson law can draw
_LEVELS = (np.arange(1, 256) - 0.5) / 255  # sRGB values from which on a pixel rounds to 1, 2, ... 255
# The linear light of these values. Comparing with it rounds like the formula does, but the same on every machine,
# where the last digit of a power differs between processors.
_THRESHOLDS = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).round(12)


def develop(
    radiance: np.ndarray,  # [H, W, 3], linear light, 1 is white
    *,
    exposure: float = 1.0,
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0),
    full_well_electrons: float | None = None,
    read_noise_electrons: float = 0.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:  # [H, W, 3] uint8, sRGB
    """Expose, add the sensor's noise, balance the colours, clip, and encode for sRGB (IEC 61966-2-1).

    With e electrons a pixel at white, a pixel that is to have the value v collects a Poisson number of electrons of
    mean v e, and reading it adds a normal number (EMVA Standard 1288, the linear camera model): the variance of the
    linear value is v / e + (read noise / e)^2.

    The sensor saturates at white, then the white balance is a gain on what was read, which amplifies noise, and what
    exceeds white is clipped again. As raw converters do, the gains are scaled until the smallest is 1, so that a
    saturated pixel is white and not tinted; the sensor gets that much less light, which leaves exposure times white
    balance the factor on the light.

    Args:
        radiance: of the scene; values below 0 are 0, what is not finite is 0 or white.
        exposure: factor on the light.
        white_balance: factors on red, green and blue; the usual green is 1.
        full_well_electrons: electrons at which a pixel saturates; None for a sensor without noise.
        read_noise_electrons: standard deviation of the read noise.
        rng: where noise is wanted: its source. The same state gives the same photo with the same NumPy.
    """
    light = np.nan_to_num(radiance.astype(np.float64), nan=0.0, posinf=_CEILING, neginf=0.0)
    smallest_gain = min(white_balance)
    light = (light * exposure * smallest_gain).clip(0, _CEILING)
    if full_well_electrons is not None:
        if rng is None:
            raise ValueError("noise needs a source of random numbers")
        electrons = rng.poisson(light * full_well_electrons) + rng.normal(0.0, read_noise_electrons, light.shape)
        light = electrons / full_well_electrons
    return encode_srgb(np.minimum(light, 1) * (np.array(white_balance) / smallest_gain))


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """The nearest 8-bit sRGB values, uint8 [...], of `linear` light [...]; it is clipped to black and white."""
    return np.searchsorted(_THRESHOLDS, linear, side="right").astype(np.uint8)
