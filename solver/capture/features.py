# SPDX-License-Identifier: GPL-3.0-or-later
"""SIFT features of photos and their matches, in a COLMAP database."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from solver.capture.background import run_watched
from solver.capture.images import decode, decode_mask, eight_bits, image_size
from solver.capture.turning import turned

if TYPE_CHECKING:
    import pycolmap

Progress = Callable[[int, int], None]  # (done, total)
Item = TypeVar("Item")

_PHOTOS_AT_ONCE = 4
_PAIRS_AT_ONCE = 40
_NEIGHBOURS_IN_ORDER = 12  # of long series: photos after each that it is matched with
_PHOTOS_MATCHED_WITH_ALL = 40  # of long series: spread evenly, so that ends of the series find each other


@dataclass(frozen=True)
class Effort:
    """How hard features and their matches are looked for. Defaults suit sharp photos."""

    max_features: int = 4096  # per photo
    peak_threshold: float = 0.02 / 3  # least contrast, as a share of the range of values
    affine_shape: bool = False  # features as ellipses: more of them agree between views that are far apart
    guided_matching: bool = False  # once two photos are related, match again along the epipolar lines
    filter_stationary: bool = False  # drop matches that stand still in the frame: the background of a turntable


def tolerance_px(longer_side: int) -> float:
    """How far a feature may lie from where the geometry has it, in a photo with a `longer_side` in px.

    COLMAP's own 4 px are meant for large photos. In small ones they let whole photos in at wrong places.
    """
    return max(2.0, 0.0025 * longer_side)


def write_copies(
    photos: Mapping[str, Path],
    masks: Mapping[str, Path],
    folder: Path,
    max_size: int,
    progress: Progress | None = None,
    across: Collection[str] = (),
    double_up_to: int = 0,
) -> None:
    """Write upright 8-bit copies of photos, and of their masks, for pycolmap to read.

    Args:
        photos: file name of the copy, a PNG -> photo.
        masks: likewise, for the photos that have one.
        folder: gets images/ and, if there is any mask, masks/ (with a white one for photos that have none).
        max_size: longest side of the copies, px.
        progress: told how many photos are done.
        across: file names of the copies that are turned by a quarter (`solver.capture.turning`).
        double_up_to: photos are doubled where their doubles' longest side does not exceed this, px: SIFT places
            features of small photos better so.
    """
    from PIL import Image

    (folder / "images").mkdir()
    if masks:
        (folder / "masks").mkdir()
    for done, (name, photo) in enumerate(photos.items()):
        pixels = eight_bits(decode(photo, at_least=max_size))
        image = Image.fromarray(turned(pixels) if name in across else pixels)
        own = image_size(photo)[:: -1 if name in across else 1]  # what was decoded may be smaller already
        scale = 2.0 if 2 * max(own) <= double_up_to else min(1.0, max_size / max(own))
        size = (round(own[0] * scale), round(own[1] * scale))
        filtering = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
        image.resize(size, filtering).save(folder / "images" / name, compress_level=1)
        if masks:
            mask = Image.new("L", size, 255)
            if name in masks:
                values = decode_mask(masks[name])
                mask = Image.fromarray(turned(values) if name in across else values)
            # COLMAP takes every value but 0 for the subject.
            upright = mask.resize(size, Image.Resampling.BOX).point(lambda value: 255 if value >= 128 else 0)
            upright.save(folder / "masks" / f"{name}.png", compress_level=1)
        if progress is not None:
            progress(done + 1, len(photos))


def extract_features(
    database: Path,
    folder: Path,
    camera_mode: "pycolmap.CameraMode",
    reader: "pycolmap.ImageReaderOptions",
    max_features: int,
    progress: Progress,
) -> None:
    """Extract the SIFT features of the copies that `write_copies` left in `folder`, into `database`."""
    names = sorted(path.name for path in (folder / "images").iterdir())
    extract_by_camera(database, folder, camera_mode, [(names, reader)], Effort(max_features), progress)


def extract_by_camera(
    database: Path,
    folder: Path,
    camera_mode: "pycolmap.CameraMode",
    readers: "Sequence[tuple[Sequence[str], pycolmap.ImageReaderOptions]]",
    effort: Effort,
    progress: Progress,
) -> None:
    """Extract the SIFT features of copies into `database`, each group with the camera that its reader describes.

    Args:
        database: is made where it is absent.
        folder: where `write_copies` left images/ and masks/; features outside of masks are dropped.
        camera_mode: SINGLE for one camera a group, PER_IMAGE for one a photo.
        readers: (names of the copies, their camera) for each group.
        effort: how hard to look.
        progress: told how many photos are done.
    """
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = effort.max_features
    options.sift.peak_threshold = effort.peak_threshold
    options.sift.estimate_affine_shape = effort.affine_shape
    pycolmap.Database.open(database).close()
    done, total = 0, sum(len(names) for names, _ in readers)
    for names, reader in readers:
        if (folder / "masks").is_dir():
            reader.mask_path = folder / "masks"
        # Numbered here and in order: extraction would number photos as its threads happen to finish.
        pycolmap.import_images(database, folder / "images", camera_mode, image_names=list(names), options=reader)
        if camera_mode == pycolmap.CameraMode.SINGLE:
            with pycolmap.Database.open(database) as content:
                image = content.read_image_with_name(names[0])
            if image is not None:
                reader.existing_camera_id = image.camera_id
        for _, batch in _batches(names, _PHOTOS_AT_ONCE):
            extract = partial(
                pycolmap.extract_features,
                database,
                folder / "images",
                image_names=list(batch),
                camera_mode=camera_mode,
                reader_options=reader,
                extraction_options=options,
                device=pycolmap.Device.cpu,
            )
            run_watched(lambda token, extract=extract: extract(cancellation_token=token))  # type: ignore[misc]
            done += len(batch)
            progress(done, total)


def match(
    database: Path,
    pairs: Sequence[tuple[str, str]],
    progress: Progress,
    *,
    one_thread: bool = False,
    effort: Effort | None = None,
    max_error_px: float = 4.0,
) -> None:
    """Match the features of pairs of copies, given by name, in `database`, and verify the matches.

    With `one_thread` the matches are the same each time; with more they can differ by a few. Matches farther than
    `max_error_px` from their epipolar lines are dropped.
    """
    from solver.capture.colmap_library import pycolmap

    effort = effort or Effort()
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    options.guided_matching = effort.guided_matching
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
    verification.ransac.max_error = max_error_px
    verification.filter_stationary_matches = effort.filter_stationary
    if one_thread:
        options.num_threads = verification.ransac.num_threads = 1
    listed = pycolmap.ImportedPairingOptions()
    listed.match_list_path = database.with_name("pairs.txt")
    for start, batch in _batches(pairs, max(_PAIRS_AT_ONCE, len(pairs) // 50)):
        listed.match_list_path.write_text("".join(f"{first} {second}\n" for first, second in batch))
        run_watched(
            lambda token: pycolmap.match_image_pairs(
                database,
                matching_options=options,
                pairing_options=listed,
                verification_options=verification,
                device=pycolmap.Device.cpu,
                cancellation_token=token,
            )
        )
        progress(start + len(batch), len(pairs))


def all_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of different names, once."""
    return list(itertools.combinations(names, 2))


def pairs_in_order(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs for a long series of photos, in the order they were taken: neighbours, and a few photos with all.

    Each photo is paired with those that follow it closely, with some at doubling distances, and with a few dozen
    photos spread evenly over the series, so that rounds which come back to where they were are closed.
    """
    count = len(names)
    offsets = {*range(1, _NEIGHBOURS_IN_ORDER + 1), *(2**power for power in range(4, count.bit_length()))}
    pairs = {(i, i + offset) for i in range(count) for offset in offsets if i + offset < count}
    for hub in {round(i) for i in np.linspace(0, count - 1, min(count, _PHOTOS_MATCHED_WITH_ALL))}:
        pairs |= {(min(i, hub), max(i, hub)) for i in range(count) if i != hub}
    return [(names[i], names[j]) for i, j in sorted(pairs)]


def _batches(items: Sequence[Item], size: int) -> Iterator[tuple[int, Sequence[Item]]]:
    """(start, items from there) in parts of at most `size`.

    Work is cut up for the sake of progress, since looking into the database while pycolmap writes to it can
    lock pycolmap out, which ends the process.
    """
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def feature_counts(database: Path) -> tuple[dict[str, int], dict[str, tuple[int, str]]]:
    """By the name of the copy: how many features it has, and how many matches with its best partner, and which."""
    from solver.capture.colmap_library import pycolmap

    with pycolmap.Database.open(database) as content:
        names = {image.image_id: image.name for image in content.read_all_images()}
        features = {name: content.num_keypoints_for_image(image_id) for image_id, name in names.items()}
        best = dict.fromkeys(names.values(), (0, ""))
        pair_ids, geometries = content.read_two_view_geometries()
        for pair_id, geometry in zip(pair_ids, geometries, strict=True):
            first, second = (names[image_id] for image_id in pycolmap.pair_id_to_image_pair(pair_id))
            matches = len(geometry.inlier_matches)
            best[first] = max(best[first], (matches, second))
            best[second] = max(best[second], (matches, first))
    return features, best
