# SPDX-License-Identifier: GPL-3.0-or-later
"""The sRGB transfer function (IEC 61966-2-1), for NumPy arrays and torch tensors alike.

Photos are linearized on the way in; blur, compositing and losses happen in linear light; files for people are
sRGB.
"""

from typing import TypeVar

Values = TypeVar("Values")  # np.ndarray or torch.Tensor, of any shape and floating type


def srgb_to_linear(encoded: Values) -> Values:
    """Linear light, 0 to 1, of sRGB values, 0 to 1; differentiable, and linear below 0."""
    dark = encoded <= 0.04045  # type: ignore[operator]
    # The clip keeps the power, and its gradient, finite where the other branch is taken.
    power = ((encoded.clip(min=0.04045) + 0.055) / 1.055) ** 2.4  # type: ignore[attr-defined]
    return dark * (encoded / 12.92) + ~dark * power  # type: ignore[operator]


def linear_to_srgb(linear: Values) -> Values:
    """The sRGB values, 0 to 1, of linear light, 0 to 1; differentiable, and linear below 0."""
    dark = linear <= 0.0031308  # type: ignore[operator]
    power = 1.055 * linear.clip(min=0.0031308) ** (1 / 2.4) - 0.055  # type: ignore[attr-defined]
    return dark * (12.92 * linear) + ~dark * power  # type: ignore[operator]
