# SPDX-License-Identifier: GPL-3.0-or-later
"""Classical methods that the table compares with: each uses single photos, none a model of the scene."""
