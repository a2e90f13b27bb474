# SPDX-License-Identifier: GPL-3.0-or-later
"""ArUco and AprilTag markers in photos: their corners, and with them the length of a side in the scene's unit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.images import decode, eight_bits, image_size
from solver.capture.sightings import Sighted, distance, noise_px, sight
from solver.capture.types import Camera, Photo
from solver.optics.colour import srgb_to_linear

if TYPE_CHECKING:
    import cv2

Corners = dict[int, np.ndarray]  # marker's number -> [4, 2], px of the photo's file
Progress = Callable[[int, int], None]  # (done, total)

DICTIONARIES = (
    "DICT_4X4_50",
    "DICT_5X5_50",
    "DICT_6X6_50",
    "DICT_7X7_50",
    "DICT_APRILTAG_36h11",
    "DICT_ARUCO_ORIGINAL",
    "DICT_4X4_1000",
    "DICT_5X5_1000",
    "DICT_6X6_1000",
    "DICT_7X7_1000",
)
_LOOK_SIZE = 2400  # px, longest side at which markers are looked for
_TRIALS = 6  # photos in which all dictionaries are tried
_LEAST_NOISE = 0.1  # px: what corners are known to at best, before systematic errors
_OUTLIER_PX = 3.0  # at the size looked at; more means a wrong detection, or a marker that moved
_REACH = 0.07  # of a side: how far from an edge its dark and bright are looked for; a cell is 0.1 or more
_PROFILE, _PROFILES = 41, 30  # samples of a profile, and profiles along an edge
_LEAST_CONTRAST = 0.05  # between dark and bright, linear light
_SQUARE = 0.1  # sides and diagonals may differ from a square's by that part


def find_markers(photos: Sequence[Photo], progress: Progress) -> dict[str, Corners]:
    """The markers in each photo, by its name; all of the one dictionary that most are of.

    Dictionaries are tried in the order of `DICTIONARIES`: on a tie the first, which has the fewest markers, wins.
    Photos are looked at as they are at `image_path`, at most 2400 px large.
    """
    step = max(1, len(photos) // _TRIALS)
    trial = [_grey(photo.image_path)[0] for photo in photos[::step][:_TRIALS]]
    counts = [sum(_count(image, _detector(name)) for image in trial) for name in DICTIONARIES]
    del trial
    detector = _detector(DICTIONARIES[int(np.argmax(counts))])
    found = {}
    for done, photo in enumerate(photos):
        grey, scale = _grey(photo.image_path)
        # OpenCV counts from the centre of the first pixel.
        found[photo.name] = {number: (corners + 0.5) * scale for number, corners in _detect(grey, detector).items()}
        progress(done + 1, len(photos))
    return found


def marker_side(photos: Sequence[Photo], found: Mapping[str, Corners]) -> tuple[float, float, int] | None:
    """The length of a marker's side in the scene's unit, its standard deviation, and the number of markers.

    Each corner is placed by all photos that show it. Markers that come out as no square, or move between photos,
    do not count; of the others the median is taken. None where none is left.

    Args:
        photos: with their cameras at any size.
        found: as `find_markers` has it.
    """
    full = {photo.name: replace(photo, camera=_full_camera(photo)) for photo in photos}
    scale = max(1.0, max((max(image_size(photo.image_path)) for photo in photos), default=1) / _LOOK_SIZE)
    squares: list[list[Sighted]] = []
    for number in sorted({number for corners in found.values() for number in corners}):
        seen = {name: corners[number] for name, corners in found.items() if number in corners}
        square = _square(full, seen, _OUTLIER_PX * scale)
        if square is not None:
            squares.append(square)
    if not squares:
        return None
    noise = noise_px([corner for square in squares for corner in square], _LEAST_NOISE * scale)
    sides = [distance(square[i], square[(i + 1) % 4], noise) for square in squares for i in range(4)]
    lengths, deviations = np.array([side[0] for side in sides]), np.array([side[1] for side in sides])
    median = float(np.median(lengths))
    # What the corners' noise suggests, or what the sides' spread shows, whichever is worse. The factor is that of
    # a median against a mean.
    shown = 1.2533 * lengths.std(ddof=1) / np.sqrt(len(lengths))
    expected = 1.2533 * float(np.sqrt((deviations**2).mean())) / np.sqrt(len(lengths))
    return median, float(max(shown, expected)), len(squares)


def _square(photos: Mapping[str, Photo], seen: Mapping[str, np.ndarray], tolerance: float) -> list[Sighted] | None:
    """The four corners of a marker in space, from the photos that agree; None where they make no square.

    At least half of the photos must agree: a few of many do so by chance.
    """
    names = list(seen)
    while len(names) >= max(2, len(seen) / 2):
        corners = [
            sight([photos[name] for name in names], np.array([seen[name][i] for name in names])) for i in range(4)
        ]
        placed = [corner for corner in corners if corner is not None]
        if len(placed) < 4:
            return None
        error = np.max([np.linalg.norm(corner.residuals, axis=1) for corner in placed], axis=0)
        if error.max() <= tolerance:
            return placed if _is_square([corner.position for corner in placed]) else None
        del names[int(error.argmax())]
    return None


def _is_square(corners: Sequence[np.ndarray]) -> bool:
    sides = [float(np.linalg.norm(corners[i] - corners[(i + 1) % 4])) for i in range(4)]
    diagonals = [float(np.linalg.norm(corners[i] - corners[i + 2])) for i in range(2)]
    side = float(np.mean(sides))
    wrong = [abs(length / side - 1) for length in sides] + [abs(d / side / np.sqrt(2) - 1) for d in diagonals]
    return side > 0 and max(wrong) < _SQUARE


def _full_camera(photo: Photo) -> Camera:
    return photo.camera.resized(*image_size(photo.image_path))


def _detector(name: str) -> "cv2.aruco.ArucoDetector":
    import cv2

    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
    return cv2.aruco.ArucoDetector(dictionary, parameters)


def _count(grey: np.ndarray, detector: "cv2.aruco.ArucoDetector") -> int:
    """How many markers an image, [H, W] uint8, shows."""
    return len(detector.detectMarkers(grey)[0])


def _detect(grey: np.ndarray, detector: "cv2.aruco.ArucoDetector") -> Corners:
    """Markers in an image, [H, W] uint8; one that is there twice is left out, since nothing tells which is which."""
    corners, numbers, _ = detector.detectMarkers(grey)
    if numbers is None:
        return {}
    listed = [int(number) for number in np.ravel(numbers)]
    found = {}
    for number, rough in zip(listed, corners, strict=True):
        refined = _refined(grey, np.asarray(rough, dtype=np.float64).reshape(4, 2))
        if refined is not None and listed.count(number) == 1:
            found[number] = refined
    return found


def _grey(path: Path) -> tuple[np.ndarray, float]:
    """The photo in grey at the size to look at, [H, W] uint8, and by how much the file is larger."""
    import cv2

    grey = cv2.cvtColor(eight_bits(decode(path, at_least=_LOOK_SIZE)), cv2.COLOR_RGB2GRAY)
    smaller = max(1.0, max(grey.shape) / _LOOK_SIZE)
    if smaller > 1:
        size = (round(grey.shape[1] / smaller), round(grey.shape[0] / smaller))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return grey, max(image_size(path)) / max(grey.shape)


def _refined(grey: np.ndarray, corners: np.ndarray) -> np.ndarray | None:
    """The corners, [4, 2], where lines along the marker's four edges meet; None where it is too blurred for that.

    The corners that are usually refined creep inwards with blur, and with them a marker seems smaller: by 2 % of 100 px
    for a blur of 6 px. A blur that is symmetric leaves an edge where it is, in linear light.

    Args:
        grey: the image, [H, W] uint8, sRGB.
        corners: roughly, [4, 2], px from the centre of the first pixel.
    """
    edges = [_edge(grey, corners[i], corners[(i + 1) % 4], corners.mean(axis=0)) for i in range(4)]
    result = []
    for i in range(4):
        before, after = edges[i - 1], edges[i]
        if before is None or after is None:
            return None
        (first, normal), (second, other) = before, after
        matrix = np.stack([normal, other])
        if abs(np.linalg.det(matrix)) < 0.1:
            return None
        result.append(np.linalg.solve(matrix, [normal @ first, other @ second]))
    return np.array(result)


def _edge(
    grey: np.ndarray, start: np.ndarray, end: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """A point of the line along the edge that runs from about `start` to `end`, and its normal, [2] each.

    Each profile across the edge runs from dark to bright; the area above it tells where the step is. None where the
    step is not over within the profile.
    """
    from scipy.ndimage import map_coordinates

    side = float(np.linalg.norm(end - start))
    outward = np.array([end[1] - start[1], start[0] - end[0]]) / side
    outward *= -np.sign(outward @ (middle - start))
    reach = max(2.0, _REACH * side)
    offsets = np.linspace(-reach, reach, _PROFILE)
    feet = start + np.linspace(0.12, 0.88, _PROFILES)[:, None] * (end - start)
    where = feet[:, None] + offsets[:, None] * outward  # [profiles, offsets, 2]
    low = np.floor(where.min(axis=(0, 1))).astype(int).clip(0)
    high = np.ceil(where.max(axis=(0, 1))).astype(int) + 1
    patch = grey[low[1] : high[1] + 1, low[0] : high[0] + 1]
    if min(patch.shape) < 2:
        return None
    light = srgb_to_linear(patch / 255)
    profile = map_coordinates(light, (where - low).transpose(2, 0, 1)[::-1], order=1, mode="nearest")
    ends = _PROFILE // 10
    dark, bright = profile[:, :ends].mean(axis=1, keepdims=True), profile[:, -ends:].mean(axis=1, keepdims=True)
    share = (profile - dark) / np.maximum(bright - dark, 1e-6)
    step = offsets[-1] - (share[:, 1:] + share[:, :-1]).sum(axis=1) / 2 * (offsets[1] - offsets[0])
    outer, inner = np.median(share[:, -_PROFILE // 5]), np.median(share[:, _PROFILE // 5])
    usable = (bright - dark > _LEAST_CONTRAST)[:, 0] & (np.abs(step - np.median(step)) < 0.1 * reach + 0.4)
    if outer < 0.93 or inner > 0.07 or usable.sum() < _PROFILES // 3 or abs(np.median(step)) > 0.5 * reach:
        return None
    points = feet[usable] + step[usable, None] * outward
    centre = points.mean(axis=0)
    return centre, np.linalg.svd(points - centre, full_matrices=False)[2][1]
