# SPDX-License-Identifier: GPL-3.0-or-later
"""For all tests: nothing is left in the user's cache of photos."""

import os

os.environ["MACRO_RECONSTRUCTION_PHOTO_CACHE_GB"] = "0"
