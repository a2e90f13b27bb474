# SPDX-License-Identifier: GPL-3.0-or-later
"""SIFT features of photos and their matches, in a COLMAP database."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from solver.capture.background import run_watched
from solver.capture.images import decode, decode_mask
from solver.capture.turning import turned

if TYPE_CHECKING:
    import pycolmap

Progress = Callable[[int, int], None]  # (done, total)
Item = TypeVar("Item")

_PHOTOS_AT_ONCE = 4
_PAIRS_AT_ONCE = 40


def write_copies(
    photos: Mapping[str, Path],
    masks: Mapping[str, Path],
    folder: Path,
    max_size: int,
    progress: Progress | None = None,
    across: Collection[str] = (),
) -> None:
    """Write upright 8-bit copies of photos, and of their masks, for pycolmap to read.

    Args:
        photos: file name of the copy, a PNG -> photo.
        masks: likewise, for the photos that have one.
        folder: gets images/ and, if there is any mask, masks/ (with a white one for photos that have none).
        max_size: longest side of the copies, px.
        progress: told how many photos are done.
        across: file names of the copies that are turned by a quarter (`solver.capture.turning`).
    """
    from PIL import Image

    (folder / "images").mkdir()
    if masks:
        (folder / "masks").mkdir()
    for done, (name, photo) in enumerate(photos.items()):
        pixels = decode(photo)
        if pixels.dtype == np.uint16:
            pixels = (pixels // 257).astype(np.uint8)
        image = Image.fromarray(turned(pixels) if name in across else pixels)
        scale = min(1.0, max_size / max(image.size))
        size = (round(image.width * scale), round(image.height * scale))
        image.resize(size, Image.Resampling.BOX).save(folder / "images" / name, compress_level=1)
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
    from solver.capture.colmap_library import pycolmap

    names = sorted(path.name for path in (folder / "images").iterdir())
    if (folder / "masks").is_dir():
        reader.mask_path = folder / "masks"
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = max_features
    # Numbered here and in order: extraction would number photos as its threads happen to finish.
    pycolmap.Database.open(database).close()
    pycolmap.import_images(database, folder / "images", camera_mode, image_names=names, options=reader)
    for start, batch in _batches(names, _PHOTOS_AT_ONCE):
        extract = partial(
            pycolmap.extract_features,
            database,
            folder / "images",
            image_names=batch,
            camera_mode=camera_mode,
            reader_options=reader,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        )
        run_watched(lambda token, extract=extract: extract(cancellation_token=token))  # type: ignore[misc]
        progress(start + len(batch), len(names))
        if camera_mode == pycolmap.CameraMode.SINGLE:
            with pycolmap.Database.open(database) as content:
                reader.existing_camera_id = content.read_all_cameras()[0].camera_id


def match(database: Path, pairs: Sequence[tuple[str, str]], progress: Progress, *, one_thread: bool = False) -> None:
    """Match the features of pairs of copies, given by name, in `database`, and verify the matches.

    With `one_thread` the matches are the same each time; with more they can differ by a few.
    """
    from solver.capture.colmap_library import pycolmap

    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = 0
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


def _batches(items: Sequence[Item], size: int) -> Iterator[tuple[int, Sequence[Item]]]:
    """(start, items from there) in parts of at most `size`.

    Work is cut up for the sake of progress, since looking into the database while pycolmap writes to it can
    lock pycolmap out, which ends the process.
    """
    for start in range(0, len(items), size):
        yield start, items[start : start + size]


def feature_counts(database: Path) -> tuple[dict[str, int], dict[str, int]]:
    """By the name of the copy: how many features it has, and how many matches with its best partner."""
    from solver.capture.colmap_library import pycolmap

    with pycolmap.Database.open(database) as content:
        names = {image.image_id: image.name for image in content.read_all_images()}
        features = {name: content.num_keypoints_for_image(image_id) for image_id, name in names.items()}
        best = dict.fromkeys(names.values(), 0)
        pair_ids, geometries = content.read_two_view_geometries()
        for pair_id, geometry in zip(pair_ids, geometries, strict=True):
            for image_id in pycolmap.pair_id_to_image_pair(pair_id):
                best[names[image_id]] = max(best[names[image_id]], len(geometry.inlier_matches))
    return features, best
