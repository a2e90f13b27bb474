# SPDX-License-Identifier: GPL-3.0-or-later
"""A power of two of a vector: no call, no branch, no integer.

2^x on [-1, 0] by the polynomial of degree 5 with the smallest relative error, 7.5e-8, found by Remez' algorithm. Its
eighth power is 2^(8 x) on [-8, 0], which is where log2(alpha) lies, within 6e-7. `solver.kernels.powers.exp2` takes any
exponent and is closer, but is longer, and this is the innermost step of compositing.
"""

import numpy as np

from solver.kernels.compilation import helper
from solver.kernels.vector import maximum

_C0 = np.float32(0.9999999250635297)
_C1 = np.float32(0.693142252593277 / 8)
_C2 = np.float32(0.24017218924871156 / 8**2)
_C3 = np.float32(0.055279722581306416 / 8**3)
_C4 = np.float32(0.009188611730800652 / 8**4)
_C5 = np.float32(0.0009387883366936227 / 8**5)
_LOWEST = np.float32(-8)


@helper
def power_of_two(q):
    """2^q for a vector q of at most 0; below -8, 2^-8."""
    x = maximum(q, _LOWEST)
    p = _C0 + x * (_C1 + x * (_C2 + x * (_C3 + x * (_C4 + x * _C5))))
    p *= p
    p *= p
    p *= p
    return p
