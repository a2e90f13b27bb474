# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs inside Blender: the panel, the button, and the import of results.

Importing the package needs no Blender and does nothing; `register` loads the rest.
"""


def register() -> None:
    """Add the extension's classes, settings and menu entries to Blender."""
    from . import registration

    registration.register()


def unregister() -> None:
    """End what is running and take everything out again."""
    from . import registration

    registration.unregister()
