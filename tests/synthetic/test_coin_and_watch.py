# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes that the coin is struck and the watch is cut with."""

import numpy as np
import pytest

pytest.importorskip("bpy")

from synthetic.scenes import coin, watch


def signed_area(loop: np.ndarray) -> float:
    x, y = loop.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_the_coin_grid_has_equal_cells_and_a_round_border() -> None:
    grid = coin._disc_grid(41)
    a, b = grid[1:, 1:] - grid[:-1, :-1], grid[:-1, 1:] - grid[1:, :-1]
    cells = 0.5 * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
    assert np.median(cells) == pytest.approx(np.pi / 1600, rel=0.02)
    assert (cells > 0.6 * np.pi / 1600).all()
    border = coin._outline(grid)
    assert np.hypot(*border.T) == pytest.approx(1.0)
    assert signed_area(border) == pytest.approx(np.pi, rel=0.01)


def test_the_relief_is_shallow_and_its_letters_stand_over_the_field() -> None:
    height = coin._struck(coin._disc_grid(120) * 12.9, np.random.default_rng(0))
    assert height.min() > -0.25 and 0.2 < np.ptp(height) < 0.7
    turn = np.linspace(0, 2 * np.pi, 2000)
    legend = coin._legend(10.2 * np.stack([np.cos(turn), np.sin(turn)], -1))
    assert 0.2 < (legend > 0.05).mean() < 0.8


def test_a_cut_part_has_open_holes_and_faces_outwards() -> None:
    outline = watch._circle(4.0, 200)
    windows = watch._windows(4, 0.9, 3.2, 0.5)
    part = watch._extruded(outline, 0.0, 0.3, 1e-4, windows)
    corners = part.vertices[part.triangles]
    normals = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    face = signed_area(outline) + sum(signed_area(window) for window in windows)
    assert all(signed_area(window) < 0 for window in windows)
    assert normals[:, 2].sum() == pytest.approx(face, rel=1e-3)
    # The divergence theorem over the part, whose missing floor lies at height 0 and adds nothing.
    assert (normals[:, 2] * corners[:, :, 2].mean(1)).sum() == pytest.approx(0.3 * face, rel=1e-2)
    assert (normals * corners.mean(1)).sum() / 3 == pytest.approx(0.3 * face, rel=1e-2)


def test_all_outlines_run_counter_clockwise() -> None:
    bridges = [watch._ribbon(path, widths) for path, widths in (*watch._FINGERS, watch._COCK_FINGER)]
    loops = [*bridges, watch._closed_curve(watch._BARREL_BRIDGE, 9), watch._toothed(20, 3.0, 0.4, watch._WHEEL_TOOTH)]
    assert all(signed_area(loop) > 1.0 for loop in loops)
