# SPDX-License-Identifier: GPL-3.0-or-later
"""The rasterizer for processors: Numba kernels, threads, and a gradient written by hand. Importing it
compiles it.

One image, front to back:

    projection    each Gaussian: ellipse, colour and depth as the camera sees them (with its backward)
    binning       Gaussians in order of depth, listed for every tile of 16 x 16 pixels that they touch
    forward       each tile: composite its list
    backward      each tile: gradients of its list, in the same order
    function      what ties them to PyTorch's autograd; importing it compiles the kernels

Kernels take arrays of one type and layout, which their signatures name, and the share of the work that is
theirs; `threads` runs them. Nothing here depends on how many threads there are: results are the same bit for
bit.
"""
