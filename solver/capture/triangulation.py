# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse points of a capture whose poses are known: features matched and triangulated, with the poses held fixed."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from solver.capture.background import run_watched
from solver.capture.colmap import points_of
from solver.capture.distortion import colmap_pinhole
from solver.capture.features import all_pairs, extract_features, match, write_copies
from solver.capture.images import image_size
from solver.capture.types import Capture, Photo, SparsePoints
from solver.events import Reporter

if TYPE_CHECKING:
    import pycolmap

MAX_IMAGE_SIZE = 1600  # px, longest side of the copies that features are taken from
MAX_FEATURES = 4096  # per photo
ALL_PAIRS_UP_TO = 60  # photos; of more than that each is matched with its neighbours
NEIGHBOURS = 20


def triangulate(capture: Capture, reporter: Reporter | None = None) -> SparsePoints | None:
    """Points on the surface, by SIFT features that several photos share, or None where too few match.

    Blurred photos give points where they are sharp, which is what the start of the focus distances needs too.

    Args:
        capture: photos with poses.
        reporter: gets the progress, as part of whatever stage it is in.
    """
    from solver.capture.colmap_library import pycolmap

    reporter = reporter or Reporter()
    photos = {f"{i:05d}.png": photo for i, photo in enumerate(capture.photos)}
    with tempfile.TemporaryDirectory(prefix="points-") as temporary:
        work = Path(temporary)
        database = work / "database.db"
        write_copies(
            {name: photo.image_path for name, photo in photos.items()},
            {name: photo.mask_path for name, photo in photos.items() if photo.mask_path},
            work,
            MAX_IMAGE_SIZE,
        )
        reader = pycolmap.ImageReaderOptions()
        reader.camera_model = "PINHOLE"
        extract_features(
            database,
            work,
            pycolmap.CameraMode.PER_IMAGE,
            reader,
            MAX_FEATURES,
            lambda done, total: reporter.progress(done, 2 * total),
        )
        model = _known_model(database, work, photos)
        match(
            database,
            all_pairs(list(photos)) if len(photos) <= ALL_PAIRS_UP_TO else _neighbours(photos),
            lambda done, total: reporter.progress(total + done, 2 * total),
            one_thread=True,
        )
        options = pycolmap.IncrementalPipelineOptions()
        options.min_num_matches = 8
        options.random_seed = 0
        options.num_threads = 1
        # Two photos suffice: with the poses known, a wrong match rarely meets the epipolar line too.
        options.triangulation.ignore_two_view_tracks = False
        (work / "model").mkdir()
        try:
            model = run_watched(
                lambda token: pycolmap.triangulate_points(
                    model, database, work / "images", work / "model", options=options, cancellation_token=token
                )
            )
        except (ValueError, IndexError, RuntimeError):
            return None
    names = {image_id: photos[image.name].name for image_id, image in model.images.items()}
    return points_of(model, names)


def _known_model(database: Path, work: Path, photos: dict[str, Photo]) -> "pycolmap.Reconstruction":
    """A model without points, of the photos that the database has; the database's cameras are set to the known."""
    from solver.capture.colmap_library import pycolmap

    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as content:
        for image in content.read_all_images():
            photo = photos[image.name]
            camera = colmap_pinhole(photo.camera.resized(*image_size(work / "images" / image.name)))
            camera.camera_id = image.camera_id
            camera.has_prior_focal_length = True
            content.update_camera(camera)
            model.add_camera_with_trivial_rig(camera)
            model.add_image_with_trivial_frame(
                pycolmap.Image(
                    name=image.name,
                    keypoints=np.asarray(content.read_keypoints(image.image_id))[:, :2].astype(np.float64),
                    camera_id=image.camera_id,
                    image_id=image.image_id,
                ),
                pycolmap.Rigid3d(photo.world_to_camera[:3]),
            )
    return model


def _neighbours(photos: dict[str, Photo]) -> list[tuple[str, str]]:
    """Pairs of each photo with the photos whose cameras are nearest, in turn and place alike."""
    names = list(photos)
    poses = np.array([photo.world_to_camera for photo in photos.values()])
    centres = -np.einsum("nij,ni->nj", poses[:, :3, :3], poses[:, :3, 3])
    spread = np.linalg.norm(centres - centres.mean(axis=0), axis=1).mean() or 1.0
    where = np.concatenate([centres / spread, poses[:, 2, :3]], axis=1)
    distance = np.linalg.norm(where[:, None] - where[None], axis=2)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, 1 : NEIGHBOURS + 1]
    pairs = {(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row if i != j}
    return [(names[i], names[j]) for i, j in sorted(pairs)]
