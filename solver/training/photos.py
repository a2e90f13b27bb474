# SPDX-License-Identifier: GPL-3.0-or-later
"""The photos as the training loop wants them: decoded once, at working size, on the training device."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from solver.capture.images import load_mask, load_photo
from solver.capture.types import Capture, Photo
from solver.errors import SolverError
from solver.optics.colour import linear_to_srgb


@dataclass(frozen=True)
class TrainingPhoto:
    """A photo's pixels."""

    photo: Photo
    image: Tensor  # [H, W, 3], sRGB
    mask: Tensor | None  # [H, W], 1 on the subject
    beside: "Beside | None" = None  # where the mask leaves anything of the photo


@dataclass(frozen=True)
class Beside:
    """How far pixels are from the masked subject."""

    distance: Tensor  # [H, W], px to the nearest pixel of the subject, 0 on it
    nearest: Tensor  # [H, W] int64, that pixel's index in the flattened image


def load_training_photos(capture: Capture, device: torch.device) -> list[TrainingPhoto]:
    """Decode every photo and mask at the size of its camera.

    Raises:
        SolverError: an image cannot be read, or the masks leave nothing of any photo.
    """
    loaded = []
    for photo in capture.photos:
        size = (photo.camera.width, photo.camera.height)
        image = torch.from_numpy(linear_to_srgb(load_photo(photo, *size))).to(device)
        mask = None if photo.mask_path is None else torch.from_numpy(load_mask(photo, *size)).to(device)
        loaded.append(TrainingPhoto(photo, image, mask, None if mask is None else _beside(mask)))
    if all(entry.mask is not None and not entry.mask.any() for entry in loaded):
        folder = None if loaded[0].photo.mask_path is None else loaded[0].photo.mask_path.parent
        raise SolverError("the masks are all black", where=folder, remedy="make the subject white in them")
    return loaded


def _beside(mask: Tensor) -> Beside | None:  # [H, W]
    subject = mask.cpu().numpy() >= 0.5
    if not subject.any():
        return None
    distance, (rows, columns) = distance_transform_edt(~subject, return_indices=True)
    nearest = torch.from_numpy(rows.astype(np.int64) * mask.shape[1] + columns)
    return Beside(torch.from_numpy(distance.astype(np.float32)).to(mask.device), nearest.to(mask.device))
