# SPDX-License-Identifier: GPL-3.0-or-later
"""Logarithm and power to base 2 of vectors, as good as float32 is for moderate exponents.

Both split off whole exponents, and leave a polynomial with the smallest greatest error, found by Remez' algorithm:
log2(1 + u) = u P(u) between sqrt(1/2) and sqrt(2) within 5e-8, and 2^x on [-1/2, 1/2] within 2e-9 of itself.

Compositing, whose exponents lie on [-8, 0], has a shorter 2^x of its own in `solver.rasterization.cpu.exponential`.
"""

import numpy as np

from solver.kernels.compilation import helper
from solver.kernels.vector import exponent, fraction, rounded, scaled

_ONE = np.float32(1)
_L0 = np.float32(1.442694773474294)
_L1 = np.float32(-0.7213571214202341)
_L2 = np.float32(0.48093939225965504)
_L3 = np.float32(-0.36008812037365645)
_L4 = np.float32(0.2867085319450084)
_L5 = np.float32(-0.250061171174262)
_L6 = np.float32(0.23688254078317061)
_L7 = np.float32(-0.1457576524492299)

_P0 = np.float32(1.0000000005541665)
_P1 = np.float32(0.6931472057372671)
_P2 = np.float32(0.24022646890633917)
_P3 = np.float32(0.05550328776965699)
_P4 = np.float32(0.009618488957140646)
_P5 = np.float32(0.0013399931219155387)
_P6 = np.float32(0.00015345811996363243)


@helper
def log2(x):
    """The logarithm to base 2 of a vector of normal positive numbers."""
    u = fraction(x) - _ONE
    p = _L0 + u * (_L1 + u * (_L2 + u * (_L3 + u * (_L4 + u * (_L5 + u * (_L6 + u * _L7))))))
    return exponent(x) + u * p


@helper
def exp2(x):
    """2^x for a vector of numbers between -125 and 127."""
    n = rounded(x)
    f = x - n
    return scaled(_P0 + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * _P6))))), n)
