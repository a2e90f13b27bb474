# SPDX-License-Identifier: GPL-3.0-or-later
"""What the photos saw in focus, on scenes whose answer is known by hand."""

import gc
import json
import math
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from solver.capture.types import Camera, Capture, Photo
from solver.config import settings_for
from solver.defocus.lens import Lens
from solver.events import Reporter
from solver.export.images import read_exr
from solver.fusion.views import SharpView
from solver.fusion.volume import Mesh
from solver.gaussians.model import SH_C0, Gaussians
from solver.reconstruct import Job, reconstruct
from solver.surface import coverage as module
from solver.surface.coverage import (
    NOT_SEEN,
    CoverageMap,
    PointCoverage,
    Shot,
    SurfacePoints,
    cover,
    cover_points,
    coverage_warning,
    map_stride,
    summarize,
    surface_thickness,
)
from solver.surface.depth_views import render_sharp
from solver.training.reconstruction import Reconstruction

CAMERA = Camera(40, 30, 200.0, 200.0, 20.0, 15.0)
PUPIL = 10.0  # a circle of 1.5 px at 100 is reached 7.5 % of the inverse depth away: focus from 93 to 108.1


def photo(name: str = "a", offset: tuple[float, float, float] = (0, 0, 0)) -> Photo:
    """Looks along +z from `offset`."""
    pose = np.eye(4)
    pose[:3, 3] = -np.array(offset)
    return Photo(name, Path(f"{name}.png"), CAMERA, pose)


def shot(focus: float, depth: float | np.ndarray = 100.0, *, name="a", offset=(0, 0, 0), mask=None) -> Shot:
    """Of a wall across the view."""
    surface = np.broadcast_to(np.asarray(depth, float), (30, 40))
    return Shot(photo(name, offset), surface, PUPIL, 1 / focus, mask)


def coc(depth: float, focus: float) -> float:
    return PUPIL * 200 * abs(1 / depth - 1 / focus)


def seen(points: np.ndarray, shots: list[Shot]) -> PointCoverage:
    """Of points, by photos of thin walls."""
    return cover_points([points], shots)[0]


def coverage_map(view: Shot, shots: list[Shot], stride: int = 1) -> CoverageMap:
    points = SurfacePoints.of(view, stride)
    return CoverageMap.of(points, cover_points([points], shots)[0])


def map_of(view: Shot, smallest: np.ndarray, sharp: np.ndarray) -> CoverageMap:
    """By hand, pixel by pixel; what it says is not seen is not on the subject."""
    view = Shot(view.photo, np.where(smallest >= 0, view.depth, 0), PUPIL, view.inverse_focus_distance)
    return CoverageMap(view, 1, smallest, sharp)


def test_a_point_of_a_wall_has_the_circle_of_the_photo_focused_nearest_to_it():
    points = np.array([[0.0, 0, 100], [3, -2, 100]])
    covered = seen(points, [shot(80), shot(95), shot(104), shot(200)])
    np.testing.assert_allclose(covered.smallest_coc_px, coc(100, 104), rtol=1e-6)
    np.testing.assert_array_equal(covered.sharp_photo_count, [2, 2])  # focused at 95 and at 104
    np.testing.assert_array_equal(covered.photo_count, [4, 4])
    assert covered.smallest_coc_px.dtype == np.float32


def test_the_depth_that_counts_is_the_photos_own():
    """A photo from nearer sees the same point at 60, where its own focus plane is."""
    covered = seen(np.array([[0.0, 0, 100]]), [shot(60), shot(60, 60.0, offset=(0, 0, 40))])
    assert covered.smallest_coc_px[0] == pytest.approx(0, abs=1e-6)
    assert covered.sharp_photo_count[0] == 1


def test_a_photo_that_misses_the_point_does_not_count():
    aside = shot(100, offset=(50, 0, 0))  # sees x from 40 to 60 at that depth
    behind = shot(100, offset=(0, 0, 150))
    covered = seen(np.array([[0.0, 0, 100], [45, 0, 100]]), [shot(80), aside, behind])
    np.testing.assert_allclose(covered.smallest_coc_px, [coc(100, 80), 0], atol=1e-5)
    np.testing.assert_array_equal(covered.photo_count, [1, 1])
    nowhere = seen(np.array([[0.0, 900, 100]]), [shot(80), aside, behind])
    assert (nowhere.smallest_coc_px[0], nowhere.sharp_photo_count[0], nowhere.photo_count[0]) == (NOT_SEEN, 0, 0)


def test_an_occluder_hides_what_is_behind_it_and_nothing_else():
    depth = np.full((30, 40), 100.0)
    depth[:, :20] = 70  # the left half is nearer
    points = np.array([[-4.0, 0, 100], [4, 0, 100], [-2.8, 0, 70], [-2, 0, 50]])
    covered = seen(points, [shot(100, depth)])
    np.testing.assert_array_equal(covered.photo_count, [0, 1, 1, 1])
    np.testing.assert_allclose(covered.smallest_coc_px, [NOT_SEEN, 0, coc(70, 100), coc(50, 100)], atol=1e-5)
    both = seen(points, [shot(100, depth), shot(90)])  # the second has no occluder
    np.testing.assert_allclose(both.smallest_coc_px[0], coc(100, 90), rtol=1e-6)


def test_points_just_behind_the_surface_are_part_of_it():
    points = np.array([[0, 0, 100.4], [0, 0, 100.6], [0, 0, 102.4], [0, 0, 102.6]])
    np.testing.assert_array_equal(seen(points, [shot(100)]).photo_count, [1, 0, 0, 0])
    thick = cover_points([points], [shot(100)], lambda _: np.full((30, 40), 2.0))[0]
    np.testing.assert_array_equal(thick.photo_count, [1, 1, 1, 0])


def test_nothing_hides_a_point_where_no_surface_is():
    assert seen(np.array([[0.0, 0, 500]]), [shot(100, 0.0)]).photo_count[0] == 1


def test_outside_its_mask_a_photo_says_nothing():
    mask = np.zeros((30, 40))
    mask[:, 20:] = 1
    covered = seen(np.array([[-4.0, 0, 100], [4, 0, 100]]), [shot(100, mask=mask), shot(80)])
    np.testing.assert_allclose(covered.smallest_coc_px, [coc(100, 80), 0], atol=1e-5)


def test_many_points_are_the_same_as_one_by_one():
    generator = np.random.default_rng(0)
    points = generator.uniform([-12, -9, 80], [12, 9, 120], (140_000, 3))  # more than two chunks
    shots = [shot(90), shot(110, 95.0, offset=(2, 1, 0))]
    together = seen(points, shots)
    for index in (0, 65_535, 65_536, 131_072, 139_999):
        alone = seen(points[index : index + 1], shots)
        assert alone.smallest_coc_px[0] == together.smallest_coc_px[index]
        assert alone.photo_count[0] == together.photo_count[index]
    assert 0.1 < (together.photo_count == 0).mean() < 0.9


def test_a_map_is_the_surface_of_the_view_in_all_photos():
    """Two walls; the view looks at both, one other photo sees the left half of its frame only, sharply."""
    depth = np.full((30, 40), 100.0)
    depth[:, 20:] = 0
    view, other = shot(130, 100.0), shot(100, depth)
    found = coverage_map(view, [view, other])
    np.testing.assert_allclose(found.smallest_coc_px, 0, atol=1e-4)  # where it has no surface, nothing hides the wall
    other = shot(100, np.where(depth > 0, depth, 50.0))
    found = coverage_map(view, [view, other])
    np.testing.assert_allclose(found.smallest_coc_px[:, :20], 0, atol=1e-4)
    np.testing.assert_allclose(found.smallest_coc_px[:, 20:], coc(100, 130), rtol=1e-5)
    np.testing.assert_array_equal(found.sharp_photo_count[0], [1] * 20 + [0] * 20)


def test_a_map_has_no_value_without_surface_or_subject():
    depth, mask = np.full((30, 40), 100.0), np.ones((30, 40))
    depth[:, :5], mask[:, 30:] = 0, 0
    view = shot(100, depth, mask=mask)
    found = coverage_map(view, [view])
    known = (found.smallest_coc_px >= 0)[0]
    np.testing.assert_array_equal(known, [False] * 5 + [True] * 25 + [False] * 10)
    assert (found.smallest_coc_px[:, :5] == NOT_SEEN).all()
    sparse = coverage_map(view, [view], stride=4)  # blocks reach over both edges
    assert (sparse.smallest_coc_px[:, :5] == NOT_SEEN).all()
    assert (sparse.smallest_coc_px[:, 30:] == NOT_SEEN).all()
    assert (sparse.smallest_coc_px[:, 8:28] >= 0).all()


def test_a_view_that_no_photo_saw_has_no_values():
    found = coverage_map(shot(100), [shot(100, offset=(500, 0, 0))])
    assert (found.smallest_coc_px == NOT_SEEN).all()
    assert (found.sharp_photo_count == 0).all()


@pytest.mark.parametrize("stride", [2, 3, 7])
def test_a_sparse_map_is_the_dense_one_by_blocks(stride):
    depth = 100 + 10 * np.arange(40) / 40 + np.zeros((30, 1))  # slanted
    view = shot(100, depth)
    dense, sparse = coverage_map(view, [view]), coverage_map(view, [view], stride)
    assert sparse.smallest_coc_px.shape == (30, 40)
    slope = np.abs(np.diff(dense.smallest_coc_px, axis=1)).max()
    assert np.abs(dense.smallest_coc_px - sparse.smallest_coc_px).max() <= stride * slope + 1e-6
    assert len(np.unique(sparse.smallest_coc_px)) < len(np.unique(dense.smallest_coc_px))


def test_stride_bounds_the_work():
    assert map_stride(10_000) == 1
    for pairs in (3e8, 2e9, 5e10):
        assert pairs / map_stride(int(pairs)) ** 2 <= 2e8


def test_numbers_are_shares_of_the_subjects_pixels():
    """One photo of 1200 pixels, a quarter of them never in focus; one with 600 masked out, all sharp twice."""
    quarter = np.full((30, 40), 0.5, np.float32)
    quarter[:, :10] = 4.0
    half = np.where(np.arange(40) < 20, 1.0, NOT_SEEN).astype(np.float32) * np.ones((30, 1), np.float32)
    maps = [
        map_of(shot(80, name="a"), quarter, (quarter < 1.5).astype(int)),
        map_of(shot(100, name="b"), half, np.where(half > 0, 2, 0)),
        map_of(shot(100), np.full((30, 40), 9.0, np.float32), np.zeros((30, 40), int)),
    ]
    summary = summarize(maps, [True, True, False])
    assert summary.never_in_focus_share == pytest.approx(300 / 1800)
    assert summary.sharp_in_two_share == pytest.approx(600 / 1800)
    assert summary.smallest_coc_median_px == pytest.approx(0.75)
    assert summary.in_focus_shares == [0.0, 1.0, 1.0]
    assert summary.farther_share == 1.0  # the wall is beyond the focus plane of the photo that shows those pixels
    assert summary.most_blurred == "a"
    assert coverage_warning(summary) == (
        "17 % of the subject was never in focus, and little detail could be recovered there; "
        "take more photos with focus farther back (coverage/a.exr shows most of it)"
    )


def test_the_warning_names_the_side_and_keeps_silent_where_little_is_missing():
    def told(focus: float, columns: int) -> str | None:
        values = np.full((30, 40), 0.5, np.float32)
        values[:, :columns] = 4.0
        return coverage_warning(summarize([map_of(shot(focus), values, np.ones((30, 40), int))], [True]))

    assert "focus nearer to the camera" in told(150, 20)
    assert "focus farther back" in told(80, 20)
    assert told(150, 4) is None  # a tenth
    assert told(150, 5) is not None
    depth = np.where(np.arange(40) < 10, 90.0, 110.0) * np.ones((30, 1))
    smallest = np.full((30, 40), 4.0, np.float32)
    smallest[:, 20:] = 0
    blurred = map_of(shot(100, depth), smallest, np.zeros((30, 40), int))
    assert "focus on those parts" in coverage_warning(summarize([blurred], [True]))


def test_without_a_subject_there_are_no_numbers():
    empty = map_of(shot(100), np.full((30, 40), NOT_SEEN, np.float32), np.zeros((30, 40), int))
    summary = summarize([empty], [True])
    assert summary.never_in_focus_share is None
    assert summary.sharp_in_two_share is None
    assert summary.smallest_coc_median_px is None
    assert summary.in_focus_shares == [None]
    assert coverage_warning(summary) is None


def uneven_shots(generator: np.random.Generator, count: int) -> list[Shot]:
    """Of bumpy surfaces with holes, every other photo with a mask."""
    shots = []
    for index in range(count):
        depth = generator.uniform(97, 103, (30, 40)) * (generator.random((30, 40)) > 0.1)
        mask = (generator.random((30, 40)) > 0.2).astype(float) if index % 2 else None
        offset = (*generator.uniform(-2, 2, 2), 0)
        shots.append(
            shot(generator.uniform(85, 118), depth.astype(np.float32), name=f"{index}", offset=offset, mask=mask)
        )
    return shots


def pixel_by_pixel(view: Shot, row: int, column: int, shots: list[Shot], thickness: float) -> tuple[float, int]:
    """The definition, for one pixel's surface: smallest circle and number of sharp photos, in scalars."""
    z = float(view.depth[row, column])
    offset = -view.photo.world_to_camera[:3, 3]
    x, y = (column + 0.5 - 20) / 200 * z + offset[0], (row + 0.5 - 15) / 200 * z + offset[1]
    circles = []
    for other in shots:
        shift = other.photo.world_to_camera[:3, 3]
        i, j = math.floor((y + shift[1]) / z * 200 + 15), math.floor((x + shift[0]) / z * 200 + 20)
        if not (0 <= i < 30 and 0 <= j < 40):
            continue
        surface = float(other.depth[i, j])
        hidden = surface > 0 and z > 1.005 * surface + thickness
        if not hidden and (other.mask is None or other.mask[i, j] >= 0.5):
            circles.append(coc(z, 1 / other.inverse_focus_distance))
    return (min(circles), sum(circle <= 1.5 for circle in circles)) if circles else (NOT_SEEN, 0)


@pytest.mark.parametrize("stride", [1, 3])
def test_maps_and_numbers_are_those_of_every_pair_of_pixel_and_photo(stride):
    shots, thickness = uneven_shots(np.random.default_rng(3), 5), 0.4
    sets = [SurfacePoints.of(view, stride) for view in shots]
    found = cover_points(sets, shots[1:], lambda _: np.full((30, 40), thickness))
    maps = [CoverageMap.of(points, covered) for points, covered in zip(sets, found, strict=True)]
    every = []
    for view, cover_map in zip(shots, maps, strict=True):
        smallest, sharp = cover_map.smallest_coc_px, cover_map.sharp_photo_count
        subject = view.shows_subject()
        for row, column in np.argwhere(subject):
            middle = min(row // stride * stride + stride // 2, 29), min(column // stride * stride + stride // 2, 39)
            expected = pixel_by_pixel(view, *middle, shots[1:], thickness) if subject[middle] else (NOT_SEEN, 0)
            assert smallest[row, column] == pytest.approx(expected[0], rel=1e-5, abs=1e-6)
            assert sharp[row, column] == expected[1]
        assert (smallest[~subject] == NOT_SEEN).all()
        every.append(smallest[smallest >= 0])
    together, summary = np.concatenate(every[1:]), summarize(maps, [False, True, True, True, True])
    assert summary.smallest_coc_median_px == np.median(together)
    assert summary.never_in_focus_share == (together > 1.5).mean()
    assert 0.05 < summary.never_in_focus_share < 0.8


# a scene of Gaussians


def walls(*depths: float) -> Reconstruction:
    """Opaque walls across the view of two photos, which focus at 100 and at 130."""
    x, y = np.meshgrid(np.arange(-13, 13.5, 0.5), np.arange(-10, 10.5, 0.5))
    means = np.concatenate([np.stack([x, y, np.full_like(x, z)], -1).reshape(-1, 3) for z in depths])
    n = len(means)
    photos = (photo("near"), photo("far", (1, 0, 0)))
    return Reconstruction(
        gaussians=Gaussians(
            means=torch.tensor(means, dtype=torch.float32),
            log_scales=torch.tensor([0.4, 0.4, 0.01]).log().repeat(n, 1),
            quaternions=torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
            opacity_logits=torch.full((n,), 3.0),
            sh_constant=torch.full((n, 1, 3), 0.1 / SH_C0),
            sh_rest=torch.zeros(n, 0, 3),
        ),
        background=torch.zeros(3),
        lens=Lens(
            log_pupil_diameters=[torch.tensor(PUPIL).log()],
            inverse_focus_distances=[torch.tensor(1 / 100), torch.tensor(1 / 130)],
            pupil_of_photo=[0, 0],
            f_numbers=[4.0],
            nominal_pupil_diameters_mm=[PUPIL],
            initial_pupil_diameters=[PUPIL],
        ),
        capture=Capture(Path("capture"), photos, unit_mm=1.0),
        settings=settings_for("draft"),
        backend="cpu",
        scene_centre=np.array([0.0, 0, 100]),
        scene_size=10.0,
        active_sh_degree=0,
    )


def covered(scene: Reconstruction, used=(True, True), mesh: Mesh | None = None):
    views = [render_sharp(scene, one) for one in scene.capture.photos]
    return cover(scene, views, [None, None], used, mesh)


def test_a_scene_of_two_walls():
    """The front one in focus in the first photo; what is behind it, in focus in the second, is seen by none."""
    front, both = covered(walls(100)), covered(walls(100, 130))
    first_wall = slice(0, len(front.splats.smallest_coc_px))
    middle = slice(5, -5)
    for found in (front, both):
        assert np.median(found.splats.smallest_coc_px[first_wall]) == pytest.approx(0, abs=0.01)
        np.testing.assert_allclose(found.maps[1].smallest_coc_px[middle, middle], 0, atol=0.1)
        assert found.summary.never_in_focus_share < 0.1
    assert (both.splats.photo_count[first_wall.stop :] == 0).mean() > 0.9
    assert front.summary.in_focus_shares[0] == pytest.approx(1)
    assert front.summary.in_focus_shares[1] == pytest.approx(0)


def test_a_photo_kept_out_of_training_adds_nothing():
    found = covered(walls(100), used=(False, True))
    np.testing.assert_allclose(found.splats.smallest_coc_px[found.splats.photo_count > 0], coc(100, 130), rtol=1e-4)
    assert found.summary.never_in_focus_share == pytest.approx(1)
    assert found.splats.photo_count.max() == 1
    np.testing.assert_allclose(found.maps[0].smallest_coc_px[10:20, 10:30], coc(100, 130), rtol=1e-2)


def test_vertices_of_a_mesh_are_points_like_any():
    vertices = np.array([[0.0, 0, 100], [1, 0, 100], [0, 0, 130]])
    mesh = Mesh(vertices, np.array([[0, 1, 2]]), np.zeros((3, 3)))
    found = covered(walls(100), mesh=mesh).vertices
    np.testing.assert_allclose(found.smallest_coc_px, [0, 0, NOT_SEEN], atol=1e-4)
    np.testing.assert_array_equal(found.sharp_photo_count, [1, 1, 0])
    assert covered(walls(100)).vertices is None


def test_thickness_reaches_a_deviation_beyond_the_mean():
    thin = surface_thickness(walls(100), shot(focus=100))[10:20, 10:30]
    np.testing.assert_allclose(thin, 0, atol=0.02)
    scene = walls(100, 104)
    scene.gaussians.opacity_logits[:] = -2.5
    thick = surface_thickness(scene, shot(focus=100))[10:20, 10:30]
    assert 3.3 < np.median(thick) < 4.1  # two walls four apart: the mean between them, and at most two more


def test_photos_are_looked_at_one_by_one_and_little_is_kept_of_them(monkeypatch):
    """Of 40 photos one's thickness is held at a time, and of each less than two bytes for a pixel."""
    rows, columns, count = 300, 400, 40
    scene, camera = walls(100), Camera(columns, rows, 2000.0, 2000.0, 200.0, 150.0)
    photos = [Photo(f"{i}", Path(f"{i}.png"), camera, np.eye(4)) for i in range(count)]
    scene.lens.pupil_of_photo = [0] * count
    scene.lens.inverse_focus_distances = [torch.tensor(1 / (90 + i)) for i in range(count)]
    depth = np.random.default_rng(0).uniform(95, 105, (rows, columns)).astype(np.float32)
    views = [SharpView(one, np.zeros((rows, columns, 3), np.float32), depth) for one in photos]
    held: list[weakref.ref] = []
    most_held = 0

    def thickness(_: Reconstruction, __: Shot) -> np.ndarray:
        nonlocal most_held
        most_held = max(most_held, sum(ref() is not None for ref in held))
        made = np.full((rows, columns), 0.5, np.float32)
        held.append(weakref.ref(made))
        return made

    monkeypatch.setattr(module, "surface_thickness", thickness)
    monkeypatch.setattr(module, "map_stride", lambda _: 6)

    def peak(number: int) -> int:
        """Bytes, over what is there before."""
        gc.collect()
        tracemalloc.start()
        try:
            found = cover(scene, views[:number], [None] * number, [True] * number)
            assert len(found.maps) == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert (peak(count) - peak(count // 2)) / (count // 2) < 2 * rows * columns
    assert len(held) == count + count // 2
    assert most_held <= 1


# the whole street


def test_a_result_tells_its_coverage(tiny_capture, tmp_path):
    settings = settings_for("draft", iterations=40, max_gaussians=600, initial_gaussians=500, sh_degree=0)
    reporter = Reporter()
    result = reconstruct(Job(tiny_capture.folder, tmp_path / "result", settings, device="cpu"), reporter)
    content = json.loads((result / "result.json").read_text())
    numbers = content["coverage"]
    assert numbers["limit_px"] == 1.5
    maps = [read_exr(result / entry["coverage"], "V") for entry in content["photos"]]
    known = np.concatenate([values[values >= 0] for values in maps])
    assert numbers["never_in_focus_share"] == pytest.approx((known > 1.5).mean())
    assert numbers["smallest_coc_median_px"] == pytest.approx(np.median(known), rel=1e-5)
    told = [warning for warning in content["warnings"] if "never in focus" in warning]
    assert len(told) == (numbers["never_in_focus_share"] > 0.1)
    for entry, values in zip(content["photos"], maps, strict=True):
        own, depth = read_exr(result / entry["coc"], "V"), read_exr(result / entry["depth"], "Z")
        assert values.shape == own.shape
        assert ((values >= 0) <= (depth > 0)).all()
        assert (values <= own + 1e-4)[values >= 0].all()  # the photo itself is one of those that see its surface
        assert entry["in_focus_share"] == pytest.approx((own <= 1.5)[values >= 0].mean(), abs=1e-3)
