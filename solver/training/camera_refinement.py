# SPDX-License-Identifier: GPL-3.0-or-later
"""Cameras that learn beside scene and lens: a small rigid motion for each photo, a principal distance for each lens.

A photo's world_to_camera is T exp(xi) T^-1 W, where W is the given one, xi a twist and T the translation to the scene's
centre as that camera sees it. Turning about what is looked at, and not about the camera, keeps the six numbers apart: a
turn about a far camera looks almost like a shift. One learning rate suits all six in these units: shifts across the
view in scene sizes; turns in the angle that a scene size fills in the camera, which is how far a camera turns for such
a shift, and shifts in depth in scene sizes, both times `_FAINT`, because a photo shows them little.

Seven motions of all cameras together change no photo, because the scene can follow: those of a similarity of the world.
`settle` takes them out of the increments, so that place, turn and unit of the world stay as they were given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solver.capture.types import Camera, Capture, Photo
from solver.config import ReconstructionSettings
from solver.rasterization import View
from solver.training.photos import TrainingPhoto
from solver.training.reconstruction import Reconstruction

_FAINT = 0.25  # unit of motions that a photo shows little, in that of shifts across the view


def refines_cameras(settings: ReconstructionSettings, capture: Capture) -> bool:
    """Whether poses and principal distances learn too."""
    return settings.refine_poses == "on" or (settings.refine_poses == "auto" and capture.poses_found)


@dataclass
class CameraRefinement:
    """Increments of the cameras of a capture, and how they make its cameras."""

    photos: tuple[Photo, ...]  # P, as they were given
    centre: np.ndarray  # [3], of the scene, world
    size: float  # of the scene, scene unit
    trained: Sequence[int]  # indices of the photos that are trained on
    increments: list[Tensor]  # P tensors [6] float64, shift and turn in the units above
    log_focal_factors: list[Tensor]  # a tensor [] float64 for each lens
    lens_of_photo: list[int]  # P indices into log_focal_factors
    common_motions: Tensor  # [6 P', 7 or fewer], orthonormal: increments that a similarity of the world gives

    @classmethod
    def none_yet(
        cls,
        photos: tuple[Photo, ...],
        centre: np.ndarray,  # [3]
        size: float,
        trained: Sequence[int],
        device: torch.device | str = "cpu",
    ) -> "CameraRefinement":
        """Increments of zero, with gradients to come."""
        lenses = [_lens(photo) for photo in photos]
        distinct = list(dict.fromkeys(lenses))
        zeros = torch.zeros(len(photos), 6, dtype=torch.float64, device=device)
        factors = torch.zeros(len(distinct), dtype=torch.float64, device=device)
        return cls(
            photos=photos,
            centre=centre,
            size=size,
            trained=trained,
            increments=[row.clone().requires_grad_() for row in zeros],
            log_focal_factors=[factor.clone().requires_grad_() for factor in factors],
            lens_of_photo=[distinct.index(lens) for lens in lenses],
            common_motions=_common_motions([photos[index] for index in trained], centre, size).to(device),
        )

    def view(self, index: int) -> View:
        """What the rasterizer takes of a photo's camera, with gradients to its increment and principal distance."""
        photo, increment = self.photos[index], self.increments[index]
        given, pivot, K = (
            torch.as_tensor(array, dtype=torch.float64, device=increment.device)
            for array in (photo.world_to_camera, _seen_from(photo, self.centre), photo.camera.K)
        )
        factor = self.log_focal_factors[self.lens_of_photo[index]].exp()
        stretch = (factor - 1) * torch.diag(
            torch.diagonal(K) * torch.tensor([1.0, 1.0, 0.0], dtype=K.dtype, device=K.device)
        )
        return View(
            world_to_camera=moved(given, increment, pivot, self.size).float(),
            K=(K + stretch).float(),
            width=photo.camera.width,
            height=photo.camera.height,
        )

    def photo(self, index: int) -> Photo:
        """The photo with its camera as it is now."""
        photo, camera = self.photos[index], self.photos[index].camera
        factor = float(self.log_focal_factors[self.lens_of_photo[index]].detach().exp())
        given, pivot = torch.from_numpy(photo.world_to_camera), torch.from_numpy(_seen_from(photo, self.centre))
        pose = moved(given, self.increments[index].detach().cpu(), pivot, self.size)
        return replace(photo, camera=stretched(camera, factor), world_to_camera=pose.numpy())

    def forget(self, index: int) -> None:
        """Give a photo its pose back."""
        with torch.no_grad():
            self.increments[index].zero_()

    def settle(self) -> None:
        """Take out of the increments what all cameras have in common."""
        with torch.no_grad():
            increments = torch.cat([self.increments[index] for index in self.trained])
            increments -= self.common_motions @ (self.common_motions.T @ increments)
            for index, row in zip(self.trained, increments.view(-1, 6), strict=True):
                self.increments[index].copy_(row)

    def summary(self) -> dict[str, Any]:
        """How far the cameras went, for the record: shifts of the scene's centre in the photos, px, and turns."""
        moves, turns = [], []
        for index in self.trained:
            given, found = self.photos[index], self.photo(index)
            moves.append(np.linalg.norm(found.project(self.centre[None])[0] - given.project(self.centre[None])[0]))
            turn = found.world_to_camera[:3, :3] @ given.world_to_camera[:3, :3].T
            turns.append(np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))
        return {
            "shift_median_px": float(np.median(moves)),
            "shift_largest_px": float(np.max(moves)),
            "turn_median_degrees": float(np.median(turns)),
            "focal_length_factors": [
                {
                    "factor": float(factor.detach().exp()),
                    "photos": [
                        photo.name for photo, own in zip(self.photos, self.lens_of_photo, strict=True) if own == lens
                    ],
                }
                for lens, factor in enumerate(self.log_focal_factors)
            ],
        }

    def state(self) -> dict[str, list[Tensor]]:
        """For a checkpoint."""
        return {
            "increments": [tensor.detach() for tensor in self.increments],
            "log_focal_factors": [tensor.detach() for tensor in self.log_focal_factors],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        with torch.no_grad():
            for mine, theirs in (
                *zip(self.increments, state["increments"], strict=True),
                *zip(self.log_focal_factors, state["log_focal_factors"], strict=True),
            ):
                mine.copy_(theirs)


def adopt_cameras(
    scene: Reconstruction, photos: Sequence[TrainingPhoto], cameras: CameraRefinement | None
) -> list[TrainingPhoto]:
    """Give the scene's capture the cameras as they are now, and return the photos with them."""
    if cameras is None:
        return list(photos)
    found = [cameras.photo(index) for index in range(len(photos))]
    scene.capture = scene.capture.with_photos(tuple(found))
    return [replace(entry, photo=photo) for entry, photo in zip(photos, found, strict=True)]


def moved(
    world_to_camera: Tensor,  # [4, 4]
    increment: Tensor,  # [6], shift and turn in the units above
    pivot: Tensor,  # [3], camera axes
    size: float,
) -> Tensor:  # [4, 4]
    """The camera after a rigid motion of what it sees, which turns about `pivot`. Differentiable everywhere."""
    x, y, z = increment[:3] * (size * torch.tensor([1.0, 1.0, _FAINT], dtype=pivot.dtype, device=pivot.device))
    a, b, c = increment[3:] * (_FAINT * size / pivot.norm())
    zero = torch.zeros_like(x)
    rows = [[zero, -c, b, x], [c, zero, -a, y], [-b, a, zero, z], [zero] * 4]
    motion = torch.linalg.matrix_exp(torch.stack([torch.stack(row) for row in rows]))
    there = torch.nn.functional.pad(pivot[:, None], (3, 0, 0, 1))
    identity = torch.eye(4, dtype=pivot.dtype, device=pivot.device)
    return (identity + there) @ motion @ (identity - there) @ world_to_camera


def stretched(camera: Camera, factor: float) -> Camera:
    """The camera with its principal distance times `factor`."""
    return replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)


def _lens(photo: Photo) -> tuple[float, ...]:
    """What the photos of one lens share: its engraved focal length, or the principal distances where nobody tells it.

    How the camera was held is no part of it, nor is how close it was focused, which changes the principal distance.
    """
    camera = photo.camera
    distances = (photo.focal_length_mm,) if photo.focal_length_mm else tuple(sorted((camera.fx, camera.fy)))
    return (*sorted((camera.width, camera.height)), *distances)


def _seen_from(photo: Photo, point: np.ndarray) -> np.ndarray:  # [3], world -> [3], camera axes
    return photo.world_to_camera[:3, :3] @ point + photo.world_to_camera[:3, 3]


def _common_motions(photos: Sequence[Photo], centre: np.ndarray, size: float) -> Tensor:  # [6 P, 7 or fewer]
    """An orthonormal basis of the increments that shifts, turns and growth of the world about `centre` give."""
    rows = []
    for photo in photos:
        block, pivot = np.zeros((6, 7)), _seen_from(photo, centre)
        rotation, distance = photo.world_to_camera[:3, :3], np.linalg.norm(pivot)
        block[:3, :3] = rotation / size
        block[3:, 3:6] = rotation
        block[:3, 6] = pivot / size  # a larger world is seen from as much farther away
        block[2] /= _FAINT
        block[3:] *= distance / size / _FAINT
        rows.append(block)
    columns = np.concatenate(rows)
    u, strengths, _ = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), full_matrices=False)
    return torch.from_numpy(u[:, strengths > 1e-6 * strengths[0]].copy())  # cameras in a row cannot tell all of them
