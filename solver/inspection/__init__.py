# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of a folder of photos in a minute, before anything long is run."""
