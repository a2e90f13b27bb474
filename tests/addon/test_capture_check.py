# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panel shows of a look at a folder of photos."""

from pathlib import Path

import pytest

from blender_addon.capture_check import Inspection


@pytest.mark.parametrize(("folder", "same"), [("", True), ("/", True), ("//.", True), ("s", False), ("/..", False)])
def test_a_folder_is_known_however_its_path_is_spelled(tmp_path, folder, same):
    """On Windows with slashes of both kinds."""
    found = Inspection(capture=Path(tmp_path / "photos"))
    assert found.is_of(str(tmp_path / "photos") + folder) == same
