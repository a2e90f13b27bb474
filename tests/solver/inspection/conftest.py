# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes of dead leaves, made once."""

from collections.abc import Sequence

import pytest

from .leaves import Scene


@pytest.fixture(scope="session")
def scene() -> Scene:
    return Scene(1)


@pytest.fixture(scope="session")
def scenes(scene: Scene) -> Sequence[Scene]:
    return [scene, Scene(2)]
