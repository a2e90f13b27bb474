# SPDX-License-Identifier: GPL-3.0-or-later
"""The length of the scene's unit from something of known size in the photos.

Either two points picked in two photos or more, whose distance is known, as a small JSON file tells them; or ArUco
markers of a known side. What the user picked takes precedence.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.camera_file import photo_name
from solver.capture.images import image_size
from solver.capture.sightings import Sighted, distance, noise_px, sight
from solver.capture.transforms import number
from solver.capture.types import Capture, Photo, Scale
from solver.errors import SolverError
from solver.events import Reporter
from solver.files import read_json

_PICK_NOISE = 0.5  # px of the photo as it came: how well points are picked at best
_OUTLIER_SHARE = 0.01  # of the photo's longer side: a pick that is further off is a mistake
_WORTH_A_WARNING = 0.05  # relative uncertainty


@dataclass(frozen=True)
class Pick:
    """Both ends of a known distance in one photo, px of the photo as it came, from its top left corner."""

    photo: str
    a: tuple[float, float]
    b: tuple[float, float]


@dataclass(frozen=True)
class ScaleBar:
    """A known distance, and where photos show its ends."""

    distance_mm: float
    picks: tuple[Pick, ...]


def measured(capture: Capture, scale_bar: Path | None, marker_mm: float | None, reporter: Reporter) -> Capture:
    """The capture with the scale that a picked distance or markers give it.

    Args:
        capture: its cameras at the photos' full size.
        scale_bar: JSON file of picked points, or None.
        marker_mm: side of the ArUco markers, or None where there are none.
        reporter: gets the progress of looking for markers, and warnings.

    Raises:
        SolverError: the file is wrong, its points cannot be placed, or no marker was found.
    """
    given = None if scale_bar is None else scale_of_bars(capture, read_scale_bars(scale_bar), scale_bar)
    found = None if marker_mm is None else scale_of_markers(capture, marker_mm, reporter)
    for scale in (given, found):
        if scale is not None and (scale.relative_uncertainty or 0) > _WORTH_A_WARNING:
            reporter.warning(
                f"The scale from {_told(scale)} is known to {scale.relative_uncertainty:.0%} only; pick points, or "
                "place markers, further apart and in photos from more directions"
            )
    if given is not None and found is not None:
        expected = np.hypot(given.relative_uncertainty or 0, found.relative_uncertainty or 0)
        if abs(np.log(given.unit_mm / found.unit_mm)) > max(0.02, 3 * expected):
            reporter.warning(
                f"The picked distance says that the scene's unit is {given.unit_mm:.4g} mm, the markers say "
                f"{found.unit_mm:.4g} mm; the picked distance is used"
            )
    scale = given or found
    return capture if scale is None else capture.with_scale(scale)


def check_scale_inputs(scale_bar: Path | None, marker_mm: float | None) -> None:
    """See what is wrong with the file of picked points, or the markers' size, without a capture.

    Raises:
        SolverError: something is.
    """
    if scale_bar is not None:
        read_scale_bars(scale_bar)
    if marker_mm is not None and not (np.isfinite(marker_mm) and marker_mm > 0):
        raise SolverError("the size of the markers is not above 0 mm", remedy="measure the side of the black square")


def read_scale_bars(path: Path) -> list[ScaleBar]:
    """Read picked points: one distance, or a list of several.

    Each is `{"distance_mm": 50, "points": [{"photo": "IMG_1", "a": [x, y], "b": [x, y]}, ...]}`.

    Raises:
        SolverError: the file is missing or something in it is.
    """
    content = read_json(path, "the file of picked points")
    bars = content if isinstance(content, list) else [content]
    if not bars:
        raise SolverError("there are no picked points", where=path, remedy="see docs/formats.md")
    return [_scale_bar(bar, path) for bar in bars]


def _scale_bar(bar: Any, path: Path) -> ScaleBar:
    if not isinstance(bar, dict):
        raise SolverError("a picked distance is not an object", where=path, remedy="see docs/formats.md")
    length = number(bar, "distance_mm", str(path), positive=True)
    if length is None:
        raise SolverError('"distance_mm" is missing', where=path, remedy="write the distance in millimetres")
    points = bar.get("points")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        raise SolverError('"points" is missing or not a list of objects', where=path, remedy="see docs/formats.md")
    picks = [_pick(point, path) for point in points]
    if len({photo_name(pick.photo) for pick in picks}) < max(2, len(picks)):
        raise SolverError(
            "the points are not picked in two photos or more, once in each",
            where=path,
            remedy="pick the same two points in photos from different directions",
        )
    return ScaleBar(length, tuple(picks))


def _pick(point: dict[str, Any], path: Path) -> Pick:
    photo = point.get("photo")
    if not isinstance(photo, str):
        raise SolverError('"photo" is missing in a picked point', where=path, remedy="name the photo, without suffix")
    ends = []
    for key in ("a", "b"):
        place = f"{path}, {photo}"
        value = point.get(key)
        if not isinstance(value, list) or len(value) != 2:
            raise SolverError(f'"{key}" is not a pair of pixels', where=place, remedy="write [x, y]")
        x, y = (number({key: part}, key, place) for part in value)
        if x is None or y is None:
            raise SolverError(f'"{key}" is not a pair of pixels', where=place, remedy="write [x, y]")
        ends.append((x, y))
    return Pick(photo, ends[0], ends[1])


def scale_of_bars(capture: Capture, bars: list[ScaleBar], path: Path) -> Scale:
    """The length of the scene's unit from distances picked in photos.

    Args:
        capture: its cameras at any size.
        bars: one or more.
        path: the file they are from, for errors.

    Raises:
        SolverError: a photo has no pose, or the picks do not fit each other.
    """
    units, deviations = [], []
    for bar in bars:
        ends = [_place(capture, bar, end, path) for end in ("a", "b")]
        noise = noise_px(ends, _PICK_NOISE)
        length, deviation = distance(ends[0], ends[1], noise)
        if not length > 0 or deviation > 0.5 * length:
            raise SolverError(
                "the photos with picked points are too much alike to tell how far they are apart",
                where=path,
                remedy="pick them in photos from other directions too",
            )
        units.append(bar.distance_mm / length)
        deviations.append(deviation / length)
    weights = 1 / np.maximum(deviations, 1e-6) ** 2
    unit = float(np.average(units, weights=weights))
    expected = float(1 / np.sqrt(weights.sum()))
    # Distances that disagree more than their own noise explains tell of something else that is wrong.
    spread = np.sqrt(np.average((np.array(units) / unit - 1) ** 2, weights=weights) / max(1, len(units) - 1))
    return Scale(unit, "distance", max(expected, float(spread)))


def _place(capture: Capture, bar: ScaleBar, end: str, path: Path) -> Sighted:
    by_name = {photo.name: photo for photo in capture.photos}
    photos, pixels = [], []
    for pick in bar.picks:
        photo = by_name.get(pick.photo) or by_name.get(Path(pick.photo).stem)
        if photo is None:
            raise SolverError(
                f'points are picked in "{pick.photo}", which is no photo with a pose',
                where=path,
                remedy="pick them in other photos",
            )
        width, height = image_size(photo.image_path)
        photos.append(replace(photo, camera=photo.camera.resized(width, height)))
        pixels.append(_straight(photo, getattr(pick, end), f"{path}, {pick.photo}"))
    point = sight(photos, np.array(pixels))
    if point is None:
        raise SolverError(
            f'the places of "{end}" in the photos have no point in common',
            where=path,
            remedy="pick the same two points, in the same order, in photos from different directions",
        )
    off = np.linalg.norm(point.residuals, axis=1)
    limit = _OUTLIER_SHARE * max(max(photo.camera.width, photo.camera.height) for photo in photos)
    if off.max() > limit:
        worst = bar.picks[int(off.argmax())].photo
        raise SolverError(
            f'the picks of "{end}" do not belong to one point: {worst} is {off.max():.0f} px off',
            where=path,
            remedy="check the picks of this photo and their order",
        )
    return point


def _straight(photo: Photo, pixel: tuple[float, float], place: str) -> np.ndarray:
    """The pick, [2], in the photo whose camera is known."""
    point = np.array([pixel])
    if photo.lens is not None:
        point = photo.lens.straighten(point)
    width, height = image_size(photo.image_path)
    margin = 0.1 * max(width, height)  # the undistorted photo can have lost its rim
    if not ((point > -margin) & (point < [width + margin, height + margin])).all():
        raise SolverError(
            f"the point {pixel[0]:.0f}, {pixel[1]:.0f} lies outside the photo",
            where=place,
            remedy="pick in pixels of the photo at its full size",
        )
    return point[0]


def scale_of_markers(capture: Capture, marker_mm: float, reporter: Reporter) -> Scale:
    """The length of the scene's unit from ArUco markers with a side of `marker_mm` millimetres.

    Raises:
        SolverError: no marker was found in two photos or more.
    """
    from solver.capture.markers import find_markers, marker_side

    found = find_markers(capture.photos, reporter.progress)
    side = marker_side(capture.photos, found)
    if side is None:
        shown = sum(bool(corners) for corners in found.values())
        raise SolverError(
            "no marker could be measured" + (f", though {shown} photos show some" if shown else ""),
            where=capture.root,
            remedy="print ArUco markers (DICT_4X4_50) with a white border, sharp in two photos or more and at rest "
            "beside the subject, or leave --marker-mm out",
        )
    length, deviation, _ = side
    return Scale(marker_mm / length, "markers", deviation / length)


def _told(scale: Scale) -> str:
    return {"distance": "picked points", "markers": "markers"}.get(scale.source, scale.source)
