# SPDX-License-Identifier: GPL-3.0-or-later
"""What kernels for the processor are written with: compilation, threads, vectors. Importing it compiles nothing."""
