# SPDX-License-Identifier: GPL-3.0-or-later
"""Turning and moving a capture's world so that up is +Z and the subject is at the origin. Its scale stays.

Up is, in this order of trust:

- the axis of a turntable, or of a walk round the subject: that by which most pairs of cameras differ by a rotation;
- the normal of a plane under the subject, on which many of the sparse points lie and below which hardly any do;
- the direction that the cameras' horizontal axes avoid, as cameras are seldom rolled;
- the mean of the cameras' own up directions.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from solver.capture.types import Capture, Photo

UprightBy = Literal["axis", "plane", "horizon", "cameras"]

_PAIRS = 3000  # of cameras, at most, that vote for an axis
_LEAST_TURN = np.radians(8)  # smaller rotations have no reliable axis
_AXIS_TOLERANCE = np.radians(2.5)  # between the axes of two pairs that agree
_SLIDE = 0.03  # along the axis as a part of the distance between the two cameras, in a pair that turns and no more
_AXIS_SUPPORT = 0.3  # share of the cameras that must have partners on the axis; a subject turned over has two axes
_AXIS_DENSITY = 0.15  # share of those cameras' pairs that must agree with it: one in k for rounds at k heights
_AXIS_CAMERAS = 5  # least number of those cameras
_AXIS_SWEEP = np.radians(60)  # least angle that those cameras go round
_PLANE_TRIALS = 500
_PLANE_TOLERANCE = 0.01  # of the points' extent: thickness of a plane
_PLANE_SHARE = 0.2  # least share of the points that lie on it
_BELOW_SHARE = 0.05  # largest share of the points that lie below it
_PLANE_LEAN = np.cos(np.radians(60))  # between the plane's normal and the cameras' mean up


@dataclass(frozen=True)
class Upright:
    """The rotation and the centre that `set_upright` used."""

    rotation: np.ndarray  # [3, 3]: old world -> new world
    centre: np.ndarray  # [3], in the old world: what is the origin of the new
    by: UprightBy  # what told which way is up
    support: float  # share of the cameras (axis, horizon, cameras) or of the points (plane) that say so


def set_upright(capture: Capture) -> tuple[Capture, Upright]:
    """The capture in a world whose Z is up and whose origin is the subject's centre, and how that was found."""
    found = find_upright(
        np.array([photo.world_to_camera for photo in capture.photos]),
        None if capture.points is None else capture.points.positions,
    )
    return moved(capture, found.rotation, found.centre), found


def moved(capture: Capture, rotation: np.ndarray, centre: np.ndarray) -> Capture:
    """The capture in the world x' = `rotation`, [3, 3], times (x - `centre`, [3])."""

    def move(photo: Photo) -> Photo:
        pose = np.eye(4)
        pose[:3, :3] = photo.world_to_camera[:3, :3] @ rotation.T
        pose[:3, 3] = photo.world_to_camera[:3, 3] + photo.world_to_camera[:3, :3] @ centre
        return replace(photo, world_to_camera=pose)

    points = capture.points
    if points is not None:
        points = replace(points, positions=(points.positions - centre) @ rotation.T)
    return replace(capture, photos=tuple(move(photo) for photo in capture.photos), points=points)


def find_upright(poses: np.ndarray, points: np.ndarray | None) -> Upright:
    """Which way is up, and where the subject is.

    Args:
        poses: world-to-camera, [N, 4, 4], OpenCV axes.
        points: sparse points, [P, 3], world; None or empty where there are none.
    """
    rotations = poses[:, :3, :3]
    centres = -np.einsum("nji,nj->ni", rotations, poses[:, :3, 3])
    subject = _looked_at(rotations, centres)
    points = np.zeros((0, 3)) if points is None else points[np.isfinite(points).all(axis=1)]
    points = _near_subject(points, subject, centres)
    up, by, support = _up(rotations, centres, points)
    rotation = rotation_to_z(up)
    if by == "plane":  # what stands on it is the subject
        heights = points @ up
        floor = np.percentile(heights, 100 * support / 2)
        above = heights > floor + 3 * _PLANE_TOLERANCE * np.linalg.norm(np.ptp(points, axis=0))
        points = points[above] if above.sum() >= 20 else points
    return Upright(rotation, _subject_centre(rotation, points, subject, centres), by, support)


def rotation_to_z(up: np.ndarray) -> np.ndarray:
    """The smallest rotation, [3, 3], that takes the unit vector `up`, [3], to +Z."""
    if up[2] < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    # Rodrigues' formula with axis up x z, whose length is the sine and whose cosine is up_z.
    x, y, z = up
    cross = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def _up(rotations: np.ndarray, centres: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, UprightBy, float]:
    """The direction that is up, [3], what tells it, and the share that agrees."""
    ups = -rotations[:, 1]
    mean, group = mean_up(ups)
    around = rotation_axis(rotations, centres)
    if around is not None:
        axis, members = around
        lean = ups[members].mean(axis=0) @ axis
        if abs(lean) > 0.1:
            return axis * np.sign(lean), "axis", float(members.mean())
    plane = plane_under(points, centres, mean)
    if plane is not None:
        return plane[0], "plane", plane[1]
    # Where the cameras' horizontal axes lie all round, what they avoid is a direction, not a plane of them.
    right = rotations[group, 0]
    values, vectors = np.linalg.eigh(right.T @ right / len(right))
    lean = vectors[:, 0] @ mean
    if values[1] > 0.1 and values[0] < 0.15 * values[1] and abs(lean) > 0.5:
        return vectors[:, 0] * np.sign(lean), "horizon", float(group.mean())
    return mean, "cameras", float(group.mean())


def mean_up(ups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the unit vectors `ups`, [N, 3], and which of them it is the mean of, [N] bool.

    They nearly cancel out where the subject was turned over between two rounds of photos. Then the larger group of
    them alone counts.
    """
    group = np.ones(len(ups), dtype=bool)
    if np.linalg.norm(ups.mean(axis=0)) < 0.3:
        agreement = ups @ ups.T
        leader = agreement.clip(min=0).sum(axis=0).argmax()
        group = agreement[leader] > 0
    mean = ups[group].mean(axis=0)
    return mean / np.linalg.norm(mean), group


def rotation_axis(rotations: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The axis that cameras go round, and which of them do; None where there is none.

    Two photos of a subject on a turntable by a camera that stands still differ by a rotation about the turntable's
    axis, without a slide along it; so do two of a camera that is led round at one height. Rounds at several heights
    have that axis in common.

    Args:
        rotations: world-to-camera, [N, 3, 3].
        centres: of the cameras, [N, 3], world.

    Returns:
        The axis, [3], of unit length and either sign, and which cameras have partners on it, [N] bool.
    """
    count = len(rotations)
    first, second = np.triu_indices(count, k=1)
    if len(first) > _PAIRS:
        chosen = np.random.default_rng(0).choice(len(first), _PAIRS, replace=False)
        first, second = first[chosen], second[chosen]
    pairs = first, second
    turns = np.einsum("nji,njk->nik", rotations[second], rotations[first])  # camera `first` to `second`, in the world
    # The axis of a rotation stands in its antisymmetric part, times the sine of its angle.
    skew = np.stack(
        [turns[:, 2, 1] - turns[:, 1, 2], turns[:, 0, 2] - turns[:, 2, 0], turns[:, 1, 0] - turns[:, 0, 1]], axis=1
    )
    sine = np.linalg.norm(skew, axis=1) / 2
    between = centres[second] - centres[first]
    distance = np.linalg.norm(between, axis=1)
    usable = (sine > np.sin(_LEAST_TURN)) & (distance > 1e-9 * (1 + np.abs(centres).max()))
    axes = np.where(usable[:, None], skew / (2 * np.maximum(sine, 1e-12))[:, None], 0)
    pure = usable & (np.abs((axes * between).sum(axis=1)) < _SLIDE * distance)
    if pure.sum() < 3:
        return None
    axes, first, second = axes[pure], first[pure], second[pure]
    agreeing = np.abs(axes @ axes.T) > np.cos(_AXIS_TOLERANCE)
    members = agreeing[agreeing.sum(axis=0).argmax()]
    for _ in range(5):
        _, vectors = np.linalg.eigh(axes[members].T @ axes[members])
        members = np.abs(axes @ vectors[:, 2]) > np.cos(_AXIS_TOLERANCE)
    axis = vectors[:, 2]
    # A camera counts if it has two partners: single pairs agree by chance.
    partners = np.bincount(first[members], minlength=count) + np.bincount(second[members], minlength=count)
    on_axis = partners >= 2
    cameras = int(on_axis.sum())
    tried = (on_axis[pairs[0]] & on_axis[pairs[1]]).sum()
    if cameras < max(_AXIS_CAMERAS, _AXIS_SUPPORT * count) or members.sum() < _AXIS_DENSITY * tried:
        return None
    return (axis, on_axis) if _sweep(centres[on_axis], axis) >= _AXIS_SWEEP else None


def _sweep(centres: np.ndarray, axis: np.ndarray) -> float:
    """The angle, radians, that cameras at `centres`, [N, 3], go round the circle they lie on about `axis`, [3]."""
    across = rotation_to_z(axis * (1 if axis[2] >= 0 else -1)) @ centres.T
    x, y = across[0] - across[0].mean(), across[1] - across[1].mean()
    # Circle by least squares: x^2 + y^2 = 2 a x + 2 b y + c.
    solution, *_ = np.linalg.lstsq(np.stack([x, y, np.ones_like(x)], axis=1), x * x + y * y, rcond=None)
    angles = np.sort(np.arctan2(y - solution[1] / 2, x - solution[0] / 2))
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    return float(2 * np.pi - gaps.max())


def plane_under(points: np.ndarray, centres: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The plane that the subject stands on, by RANSAC: its normal, [3], upwards, and the share of points on it.

    None where no plane has many points on it, hardly any below, all cameras above, and a normal that may be up.

    Args:
        points: sparse points, [P, 3].
        centres: of the cameras, [N, 3].
        up: roughly, [3].
    """
    if len(points) < 50:
        return None
    low, high = np.percentile(points, [5, 95], axis=0)
    tolerance = _PLANE_TOLERANCE * float(np.linalg.norm(high - low))
    generator = np.random.default_rng(0)
    sample = points if len(points) <= 5000 else points[generator.choice(len(points), 5000, replace=False)]
    corners = sample[generator.integers(len(sample), size=(_PLANE_TRIALS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    fit = lengths > 1e-12 * max(tolerance, 1e-300)
    normals, corners = normals[fit] / lengths[fit, None], corners[fit]
    normals *= np.where(normals @ up < 0, -1, 1)[:, None]
    best, best_count = None, 0
    for normal, corner in zip(normals, corners[:, 0], strict=True):
        if normal @ up < _PLANE_LEAN:
            continue
        height = (sample - corner) @ normal
        count = int((np.abs(height) < tolerance).sum())
        if count > best_count and (height < -2 * tolerance).mean() < _BELOW_SHARE:
            best, best_count = (normal, corner), count
    if best is None:
        return None
    normal, corner = best
    for _ in range(3):
        members = points[np.abs((points - corner) @ normal) < tolerance]
        if len(members) < 3:
            return None
        corner = members.mean(axis=0)
        normal = np.linalg.svd(members - corner, full_matrices=False)[2][2]
        normal = normal * (1 if normal @ up >= 0 else -1)
    height = (points - corner) @ normal
    on_plane = float((np.abs(height) < tolerance).mean())
    below = float((height < -2 * tolerance).mean())
    if on_plane < _PLANE_SHARE or below > _BELOW_SHARE or ((centres - corner) @ normal < 0).any():
        return None
    return normal, on_plane


def _looked_at(rotations: np.ndarray, centres: np.ndarray) -> np.ndarray | None:
    """The point nearest to all optical axes, [3], or None where the cameras look past each other or side by side."""
    forward = rotations[:, 2]
    weights = np.ones(len(forward))
    for _ in range(10):  # towards least distances instead of least squares: a few cameras may look elsewhere
        projectors = (np.eye(3) - forward[:, :, None] * forward[:, None, :]) * weights[:, None, None]
        matrix = projectors.sum(axis=0)
        if np.linalg.cond(matrix) > 1e4:
            return None
        point = np.linalg.solve(matrix, np.einsum("nij,nj->i", projectors, centres))
        off = np.linalg.norm(np.cross(point - centres, forward), axis=1)
        weights = 1 / np.maximum(off, 1e-3 * np.median(np.linalg.norm(centres - point, axis=1)) + 1e-300)
        weights /= weights.max()
    depth = ((point - centres) * forward).sum(axis=1)
    return point if np.median(depth) > 0 else None


def _near_subject(points: np.ndarray, subject: np.ndarray | None, centres: np.ndarray) -> np.ndarray:
    """The points not further from what the cameras look at than most cameras are: the rest is background."""
    if subject is None or len(points) == 0:
        return points
    near = np.linalg.norm(points - subject, axis=1) < 0.7 * np.median(np.linalg.norm(centres - subject, axis=1))
    return points[near] if near.sum() >= 20 else points


def _subject_centre(
    rotation: np.ndarray, points: np.ndarray, subject: np.ndarray | None, centres: np.ndarray
) -> np.ndarray:
    """The middle of the points' bulk, or else what the cameras look at; [3]."""
    if len(points) >= 20:
        upright = points @ rotation.T
        return rotation.T @ np.median(upright, axis=0)
    if subject is not None:
        return subject
    return np.median(points, axis=0) if len(points) else centres.mean(axis=0)
