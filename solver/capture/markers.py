# SPDX-License-Identifier: GPL-3.0-or-later
"""ArUco and AprilTag markers in photos: their corners, and with them the length of a side in the scene's unit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.images import decode, image_size
from solver.capture.sightings import Sighted, distance, noise_px, sight
from solver.capture.types import Camera, Photo

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
_SQUARE = 0.1  # sides and diagonals may differ from a square's by that part


def find_markers(photos: Sequence[Photo], progress: Progress) -> dict[str, Corners]:
    """The markers in each photo, by its name; all of the one dictionary that most are of.

    Dictionaries are tried in the order of `DICTIONARIES`: on a tie the first, which has the fewest markers, wins.
    Photos are looked at as they are at `image_path`, at most 2400 px large.
    """
    step = max(1, len(photos) // _TRIALS)
    trial = [_grey(photo.image_path)[0] for photo in photos[::step][:_TRIALS]]
    counts = [sum(len(_detect(image, _detector(name))) for image in trial) for name in DICTIONARIES]
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
    """The four corners of a marker in space, from the photos that agree; None where they make no square."""
    names = list(seen)
    while len(names) >= 2:
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


def _detect(grey: np.ndarray, detector: "cv2.aruco.ArucoDetector") -> Corners:
    """Markers in an image, [H, W] uint8; one that is there twice is left out, since nothing tells which is which."""
    corners, numbers, _ = detector.detectMarkers(grey)
    if numbers is None:
        return {}
    listed = [int(number) for number in np.ravel(numbers)]
    return {
        number: np.asarray(corner, dtype=np.float64).reshape(4, 2)
        for number, corner in zip(listed, corners, strict=True)
        if listed.count(number) == 1
    }


def _grey(path: Path) -> tuple[np.ndarray, float]:
    """The photo in grey at the size to look at, [H, W] uint8, and by how much the file is larger."""
    import cv2

    pixels = decode(path)
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = max(1.0, max(grey.shape) / _LOOK_SIZE)
    if scale > 1:
        size = (round(grey.shape[1] / scale), round(grey.shape[0] / scale))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return grey, scale
