# SPDX-License-Identifier: GPL-3.0-or-later
"""SIFT features of photos and their matches, in a COLMAP database."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from solver.capture.background import run_watched
from solver.capture.images import decode, decode_mask

if TYPE_CHECKING:
    import pycolmap

Progress = Callable[[int, int], None]  # (done, total)


def write_copies(photos: Mapping[str, Path], masks: Mapping[str, Path], folder: Path, max_size: int) -> None:
    """Write upright 8-bit copies of photos, and of their masks, for pycolmap to read.

    Args:
        photos: file name of the copy, a PNG -> photo.
        masks: likewise, for the photos that have one.
        folder: gets images/ and, if there is any mask, masks/ (with a white one for photos that have none).
        max_size: longest side of the copies, px.
    """
    from PIL import Image

    (folder / "images").mkdir()
    if masks:
        (folder / "masks").mkdir()
    for name, photo in photos.items():
        pixels = decode(photo)
        if pixels.dtype == np.uint16:
            pixels = (pixels // 257).astype(np.uint8)
        image = Image.fromarray(pixels)
        scale = min(1.0, max_size / max(image.size))
        size = (round(image.width * scale), round(image.height * scale))
        image.resize(size, Image.Resampling.BOX, reducing_gap=None).save(folder / "images" / name, compress_level=1)
        if masks:
            mask = Image.fromarray(decode_mask(masks[name])) if name in masks else Image.new("L", size, 255)
            # COLMAP takes every value but 0 for the subject.
            upright = mask.resize(size, Image.Resampling.BOX).point(lambda value: 255 if value >= 128 else 0)
            upright.save(folder / "masks" / f"{name}.png", compress_level=1)


def extract_features(
    database: Path,
    folder: Path,
    camera_mode: "pycolmap.CameraMode",
    reader: "pycolmap.ImageReaderOptions",
    max_features: int,
    progress: Progress,
) -> None:
    """Extract the SIFT features of the copies that `write_copies` left in `folder`, into `database`."""
    import pycolmap

    total = len(list((folder / "images").iterdir()))
    if (folder / "masks").is_dir():
        reader.mask_path = folder / "masks"
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.sift.max_num_features = max_features
    run_watched(
        lambda token: pycolmap.extract_features(
            database,
            folder / "images",
            camera_mode=camera_mode,
            reader_options=reader,
            extraction_options=options,
            device=pycolmap.Device.cpu,
            cancellation_token=token,
        ),
        lambda: progress(count_rows(database, "keypoints"), total),
    )
    progress(total, total)


def match(database: Path, photos: int, progress: Progress, pairs: Sequence[tuple[str, str]] | None = None) -> None:
    """Match features in `database` and verify the matches.

    Args:
        database: holds the features of `photos` photos.
        photos: how many those are.
        progress: told how many pairs are done.
        pairs: names of copies to match with each other; None for all with all.
    """
    import pycolmap

    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    common: dict[str, Any] = {"matching_options": options, "device": pycolmap.Device.cpu}
    total = photos * (photos - 1) // 2 if pairs is None else len(pairs)

    def work(token: "pycolmap.CancellationToken") -> None:
        if pairs is None:
            pycolmap.match_exhaustive(database, cancellation_token=token, **common)
            return
        listed = pycolmap.ImportedPairingOptions()
        listed.match_list_path = database.with_name("pairs.txt")
        listed.match_list_path.write_text("".join(f"{first} {second}\n" for first, second in pairs))
        pycolmap.match_image_pairs(database, pairing_options=listed, cancellation_token=token, **common)

    run_watched(work, lambda: progress(count_rows(database, "two_view_geometries"), total))
    progress(total, total)


def count_rows(database: Path, table: str) -> int:
    """How many rows a table has at the moment; 0 where that cannot be told while it is written."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=0.05)) as connection:
            return int(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    except sqlite3.Error:
        return 0


def feature_counts(database: Path) -> tuple[dict[str, int], dict[str, int]]:
    """By the name of the copy: how many features it has, and how many matches with its best partner."""
    import pycolmap

    with pycolmap.Database.open(database) as content:
        names = {image.image_id: image.name for image in content.read_all_images()}
        features = {name: content.num_keypoints_for_image(image_id) for image_id, name in names.items()}
        best = dict.fromkeys(names.values(), 0)
        pair_ids, geometries = content.read_two_view_geometries()
        for pair_id, geometry in zip(pair_ids, geometries, strict=True):
            for image_id in pycolmap.pair_id_to_image_pair(pair_id):
                best[names[image_id]] = max(best[names[image_id]], len(geometry.inlier_matches))
    return features, best
