# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks of the subject, made from the photos where the background is plain, or stands still behind a turntable.

What the border of a photo looks like, as a smooth field of colour, tells what a plain background looks like; lighter
and darker shades of it are shadows. What stays the same in all photos, from the border inwards, is a background that
stands still. GrabCut (Rother, Kolmogorov and Blake 2004) draws the outline between the two; the largest part is the
subject. Works at thumbnail size, since the masks need to be no sharper than blurred silhouettes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from solver.capture import keeping
from solver.capture.features import Progress
from solver.capture.images import decode, eight_bits, image_size
from solver.capture.types import Capture
from solver.errors import SolverError
from solver.events import Reporter
from solver.files import read_json, write_json

MakeMasks = Literal["no", "auto", "yes"]
Background = Literal["plain", "standing", "other"]

_SIZE = 400  # px, longest side of the thumbnails
_BORDER = 0.06  # of the shorter side: width of the strip that shows background
_PLAIN_SHARE = 0.8  # of the strip that must be of the background's colour
_LIGHTNESS_SCALE, _CHROMA_SCALE = 22.0, 7.0  # CIELAB differences that a plain background and its shadows stay within
_STANDING_SPREAD = 3.0  # CIELAB, between photos, of what stands still
_STANDING_TEXTURE = 6.0  # CIELAB, across the border, of a background that is not plain
_STANDING_PHOTOS = 16  # that are compared
_AREAS = (0.005, 0.8)  # of the frame, that a subject takes
_PART = 0.25  # of the largest part's area: smaller parts are not the subject
_CONFIDENT_SHARE = 0.85  # of the photos whose masks look right
_ITERATIONS = 4  # of GrabCut

_FORMAT = 1  # of a kept folder of masks; a change makes old ones be made anew
_REPORT_FILE = "report.json"


@dataclass(frozen=True)
class MadeMasks:
    """Masks of a series of photos, and whether to trust them."""

    masks: dict[str, Path]  # by the photo's name
    background: Background
    confident: bool


def make_masks(photos: Mapping[str, Path], folder: Path, progress: Progress) -> MadeMasks:
    """Write NAME.png, white on the subject and of the photo's size, for each photo into `folder`.

    Photos in which no subject stands out get no mask.

    Args:
        photos: photo name -> image file.
        folder: exists.
        progress: told how many photos are done.

    Raises:
        SolverError: see `solver.capture.images.open_image`.
    """
    import cv2

    thumbnails, sizes = {}, {}
    for name, photo in photos.items():
        sizes[name] = image_size(photo)
        thumbnails[name] = thumbnail(decode(photo, at_least=_SIZE))
        progress(len(thumbnails), 2 * len(photos))
    distances = {name: distance_from_plain(pixels) for name, pixels in thumbnails.items()}
    all_plain = sum(plain for _, plain in distances.values()) >= _CONFIDENT_SHARE * len(photos)
    standing = None if all_plain else standing_background(thumbnails.values())
    masks, good = {}, 0
    cv2.setRNGSeed(0)
    for done, (name, pixels) in enumerate(thumbnails.items()):
        distance, plain = distances[name]
        subject = cut_out(pixels, distance if plain else None, standing)
        area = subject.mean()
        good += _AREAS[0] < area < _AREAS[1] and subject[_strip(subject.shape)].mean() < 1 - _PLAIN_SHARE
        if area > _AREAS[0]:
            soft = cv2.GaussianBlur(subject.astype(np.float32), (0, 0), 1.0)
            full = cv2.resize(soft, sizes[name], interpolation=cv2.INTER_LINEAR) > 0.5
            masks[name] = folder / f"{name}.png"
            _write(masks[name], full)
        progress(len(photos) + done + 1, 2 * len(photos))
    background: Background = "plain" if all_plain else "other" if standing is None else "standing"
    return MadeMasks(masks, background, background != "other" and good >= _CONFIDENT_SHARE * len(photos))


def with_made_masks(capture: Capture, folder: Path, choice: MakeMasks, reporter: Reporter) -> Capture:
    """The capture with masks made of its photos, unless one of them has a mask already.

    Args:
        capture: photos as they are trained on.
        folder: where the masks are kept and found again.
        choice: "auto" leaves it be where the background is neither plain nor standing still.
        reporter: gets the stage `masks`, its progress, and a warning that says what was done.

    Raises:
        SolverError: see `solver.capture.images.open_image` and `solver.capture.keeping.keep`.
    """
    photos = {photo.name: photo.image_path for photo in capture.photos}
    if choice == "no" or any(photo.mask_path for photo in capture.photos):
        return capture
    key = {"format": _FORMAT, "choice": choice, "photos": keeping.fingerprint(photos.values())}

    def make(aside: Path) -> None:
        reporter.stage("masks", "Making masks")
        made = make_masks(photos, aside, reporter.progress)
        if not made.confident and choice == "auto":
            for mask in made.masks.values():
                mask.unlink()
        write_json(aside / _REPORT_FILE, {"told": made_from(made, len(photos), choice)})

    keeping.keep(folder, key, make, "masks")
    reporter.warning(read_json(folder / _REPORT_FILE, "the record of the masks")["told"])
    masks = {name: folder / f"{name}.png" for name in photos}
    return capture.with_photos(
        tuple(
            replace(photo, mask_path=masks[photo.name] if masks[photo.name].is_file() else None)
            for photo in capture.photos
        )
    )


def made_from(made: MadeMasks, photos: int, choice: MakeMasks) -> str:
    """What a person is told of masks that were made."""
    kind = {"plain": "a plain background", "standing": "a background that stands still", "other": "the background"}
    if made.confident:
        return f"Masks of {len(made.masks)} of {photos} photos were made from {kind[made.background]}; look them over"
    if choice == "yes":
        return "The background is not plain, so the masks that were made may be wrong; look them over"
    return "No masks were made, since the background is not plain"


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """`pixels`, [H, W, 3] uint8 or uint16, reduced to thumbnail size, [h, w, 3] uint8."""
    import cv2

    scale = min(1.0, _SIZE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return eight_bits(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def distance_from_plain(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """How far each pixel is from a plain background, [h, w], below 1 on it; and whether the border is plain.

    The background's colour is a quadratic polynomial of the place, fitted to the border without its outliers, and
    lightness counts less than chroma, for the sake of shadows.

    Args:
        pixels: [h, w, 3] uint8.
    """
    lab = _lab(pixels)
    height, width = lab.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1)
    strip = _strip((height, width))
    colours, at = lab[strip], terms[strip]
    weights = np.array([_LIGHTNESS_SCALE, _CHROMA_SCALE, _CHROMA_SCALE])
    near = np.linalg.norm((colours - np.median(colours, axis=0)) / weights, axis=1) < 1.5
    for _ in range(4):
        if near.sum() < 0.3 * len(near):
            return np.zeros((height, width)), False
        fit, *_ = np.linalg.lstsq(at[near], colours[near], rcond=None)
        near = np.linalg.norm((colours - at @ fit) / weights, axis=1) < 0.7
    distance = np.linalg.norm((lab - terms @ fit) / weights, axis=-1)
    return distance, bool((distance[strip] < 1).mean() >= _PLAIN_SHARE)


def standing_background(thumbnails: Iterable[np.ndarray]) -> np.ndarray | None:
    """Where all photos show the same, from the border inwards, [h, w] bool; None unless that is a turntable's.

    A plain background looks the same in every photo, wherever the camera stands, and says nothing.

    Args:
        thumbnails: [h, w, 3] uint8 each.
    """
    import cv2

    images = list(thumbnails)
    images = images[:: max(1, len(images) // _STANDING_PHOTOS)][:_STANDING_PHOTOS]
    if len(images) < 4 or any(image.shape != images[0].shape for image in images):
        return None
    labs = np.stack([cv2.GaussianBlur(_lab(image), (0, 0), 1.5) for image in images])
    strip = _strip(labs.shape[1:3])
    labs[..., 0] = labs[..., 0] - np.median(labs[:, strip, 0], axis=1)[:, None, None]  # exposure may vary
    spread = np.linalg.norm(np.median(np.abs(labs - np.median(labs, axis=0)), axis=0), axis=-1) * 1.5
    texture = np.linalg.norm(labs[:, strip].std(axis=1), axis=-1).mean()
    still = spread < _STANDING_SPREAD
    if still[strip].mean() < 0.9 or texture < _STANDING_TEXTURE:
        return None
    _, labels = cv2.connectedComponents(cv2.erode(still.astype(np.uint8), np.ones((3, 3), np.uint8)))
    reached = np.setdiff1d(np.unique(labels[strip]), [0])
    return np.isin(labels, reached)


def cut_out(pixels: np.ndarray, distance: np.ndarray | None, standing: np.ndarray | None) -> np.ndarray:
    """The subject, [h, w] bool.

    Args:
        pixels: [h, w, 3] uint8.
        distance: from the plain background, [h, w], or None where the background is not plain.
        standing: background that is the same in all photos, [h, w] bool, or None.
    """
    import cv2

    height, width = pixels.shape[:2]
    labels = np.full((height, width), cv2.GC_PR_FGD, dtype=np.uint8)
    if distance is not None:
        labels[distance < 1.6] = cv2.GC_PR_BGD
        labels[distance < 0.8] = cv2.GC_BGD
        labels[distance > 3.5] = cv2.GC_FGD
    if standing is not None:
        labels[standing] = cv2.GC_BGD
    if distance is None and standing is None:
        labels[_strip((height, width))] = cv2.GC_BGD
    if not ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).any() or not (labels == cv2.GC_BGD).any():
        return np.zeros((height, width), dtype=bool)
    bgr, everywhere = pixels[..., ::-1].copy(), (0, 0, width, height)
    cv2.grabCut(bgr, labels, everywhere, np.zeros((1, 65)), np.zeros((1, 65)), _ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return _largest_part((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))


def _largest_part(subject: np.ndarray) -> np.ndarray:
    """The largest connected part, [h, w] bool, and others that are nearly as large, without small holes."""
    import cv2

    kernel = np.ones((3, 3), np.uint8)
    opened = cv2.morphologyEx(subject.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros(subject.shape, dtype=bool)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    kept = np.isin(labels, 1 + np.flatnonzero(areas >= _PART * areas.max()))
    _, holes, statistics, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8))
    small = np.flatnonzero(statistics[:, cv2.CC_STAT_AREA] < 0.02 * areas.max())
    return kept | (np.isin(holes, small) & ~kept)


def _lab(pixels: np.ndarray) -> np.ndarray:
    """CIELAB, [h, w, 3] float32, L from 0 to 100."""
    import cv2

    return cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _strip(shape: tuple[int, ...]) -> np.ndarray:
    """The pixels along the border, [h, w] bool."""
    width = max(2, round(_BORDER * min(shape[:2])))
    strip = np.ones(shape[:2], dtype=bool)
    strip[width:-width, width:-width] = False
    return strip


def _write(path: Path, subject: np.ndarray) -> None:
    from PIL import Image

    try:
        Image.fromarray(np.where(subject, 255, 0).astype(np.uint8)).save(path, compress_level=1)
    except OSError as error:
        raise SolverError(
            f"the mask cannot be written ({(error.strerror or str(error)).lower()})",
            where=path,
            remedy="check the space on the disk",
        ) from None
