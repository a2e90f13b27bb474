# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest circle of confusion against a wall and a step that can be computed by hand."""

import numpy as np

from synthetic.lens import Lens
from synthetic.recoverable import Taken, is_recoverable, smallest_circle_of_confusion

LENS = Lens(focal_length_mm=100.0, f_number=10.0, sensor_width_mm=25.0)
WIDTH, HEIGHT = 80, 60  # f is 320 px; at 80 mm a pixel is 0.25 mm wide


def photo(x: float, *focus: float, depth: np.ndarray | float = 80.0) -> Taken:
    """From `x` mm aside, straight onto a wall at z = -80."""
    pose = np.eye(4)
    pose[0, 3] = x
    return Taken(pose, np.broadcast_to(np.float32(depth), (HEIGHT, WIDTH)), focus)


def smallest(*photos: Taken, depth: float = 80.0) -> np.ndarray:
    return smallest_circle_of_confusion(np.eye(4), np.full((HEIGHT, WIDTH), depth), photos, LENS)


def test_the_sharpest_photo_counts() -> None:
    coc = smallest(photo(0, 90.0), photo(0, 81.0), photo(0, 70.0))
    np.testing.assert_allclose(coc, 10 * 320 * (1 / 80 - 1 / 81), rtol=1e-4)
    assert is_recoverable(coc).all()
    assert not is_recoverable(smallest(photo(0, 90.0), photo(0, 90.0), photo(0, 70.0))).any()


def test_three_photos_must_see_a_point() -> None:
    assert (smallest(photo(0, 80.0), photo(0, 80.0)) == -1).all()
    assert (smallest(photo(0, 80.0, 81.0, 82.0)) == 0).all()  # a bracket is three photos
    aside = smallest(photo(0, 80.0), photo(0, 80.0), photo(5.0, 80.0))
    assert (aside[:, :20] == -1).all()  # 5 mm are 20 px: not in the third photo
    assert (aside[:, 20:] == 0).all()


def test_what_stands_before_a_point_hides_it() -> None:
    step = np.full((HEIGHT, WIDTH), 80.0)
    step[:, :40] = 79.0
    coc = smallest(photo(0, 80.0), photo(0, 80.0), photo(0, 80.0, depth=step))
    assert (coc[:, :40] == -1).all()
    assert (coc[:, 40:] == 0).all()
    step[:, :40] = 79.7  # within the tolerance
    assert (smallest(photo(0, 80.0), photo(0, 80.0), photo(0, 80.0, depth=step)) == 0).all()


def test_no_surface_and_cameras_that_look_away() -> None:
    photos = (photo(0, 80.0), photo(0, 80.0), photo(0, 80.0))
    assert (smallest(*photos, depth=0.0) == -1).all()
    away = np.diag([-1.0, 1.0, -1.0, 1.0])
    assert (smallest(*photos[:2], Taken(away, photos[0].depth, (80.0,))) == -1).all()
