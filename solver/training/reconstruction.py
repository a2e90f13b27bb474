# SPDX-License-Identifier: GPL-3.0-or-later
"""What training leaves behind, and the two ways to look at it: sharp, and through the lens of a photo."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from solver.capture.types import Camera, Capture, Photo
from solver.config import ReconstructionSettings
from solver.defocus.blurnet import BlurNet, blur, depth_of_pixels, kernel_variance
from solver.defocus.lens import Lens
from solver.defocus.pupil import pupil_samples
from solver.gaussians.model import Gaussians
from solver.rasterization import Aperture, Backend, RasterizationSettings, Rendering, View, rasterize
from solver.training.exposures import Exposures

_NEAR_SHARE = 0.02  # of the nearest camera's distance to the scene: closer Gaussians are not drawn


@dataclass(frozen=True)
class Photograph:
    """A rendering as a photo shows it."""

    rendering: Rendering  # depth and alpha are those of the sharp scene where kernels of pixels blur
    log_factor: Tensor | None = None  # [H, W], of BlurNet in the variance of these kernels


@dataclass
class Reconstruction:
    """A scene of Gaussians, the lens that photographed it, and the photos (with cameras at working size)."""

    gaussians: Gaussians
    background: Tensor  # [3], linear light, behind all Gaussians
    lens: Lens
    capture: Capture
    settings: ReconstructionSettings
    backend: Backend  # of rasterization
    scene_centre: np.ndarray  # [3], world
    scene_size: float  # half the width that a camera sees at the centre, scene unit
    active_sh_degree: int
    blurnet: BlurNet | None = None  # where kernels of pixels blur the sharp rendering, in place of the rasterizer
    exposures: Exposures | None = None  # of the photos, where they were learned

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.gaussians.means.device

    @property
    def is_finite(self) -> bool:
        """Whether every parameter is a finite number; anything else means that the optimization diverged."""
        lens = (*self.lens.log_pupil_diameters, *self.lens.inverse_focus_distances)
        network = () if self.blurnet is None else tuple(self.blurnet.parameters())
        gains = () if self.exposures is None else tuple(self.exposures.log_gains)
        parameters = (*self.gaussians.tensors().values(), self.background, *lens, *network, *gains)
        poses = [photo.world_to_camera for photo in self.capture.photos]
        principal_distances = [(photo.camera.fx, photo.camera.fy) for photo in self.capture.photos]
        return bool(np.isfinite(poses).all() and np.isfinite(principal_distances).all()) and all(
            bool(torch.isfinite(tensor).all()) for tensor in parameters
        )

    def render(
        self,
        view: View,
        aperture: Aperture | None = None,
        extras: Tensor | None = None,  # [N, E]
    ) -> Rendering:
        """Rasterize the scene, through a pinhole or a lens; `extras` are composited beside the colour."""
        g = self.gaussians
        return rasterize(
            g.means,
            g.quaternions,
            g.scales,
            g.opacities,
            (g.sh_constant, g.sh_rest),
            view,
            sh_degree=self.active_sh_degree,
            extras=extras,
            aperture=aperture,
            background=self.background.clamp(min=0),
            settings=RasterizationSettings(
                antialiased=self.settings.antialiased, near_plane=self._near_plane(view.world_to_camera)
            ),
            backend=self.backend,
        )

    def photograph(
        self,
        photo: int,
        view: View,
        aperture: Aperture | None,
        clarity: Tensor | None = None,  # [H, W], 0 to 1
        extras: Tensor | None = None,  # [N, E]
    ) -> Photograph:
        """What a photo shows of the scene, by the way of blurring that the run has chosen.

        Args:
            photo: its index.
            view: its camera.
            aperture: its lens, or None for a pinhole.
            clarity: how sharp the photo looks, where kernels of pixels are to leave it alone.
            extras: further features of the Gaussians to composite.
        """
        if aperture is None or self.blurnet is None:
            return Photograph(self.exposed(self.render(view, aperture, extras), photo))
        sharp = self.render(view, None, extras)
        depth = depth_of_pixels(sharp, self.centre_depth(view.world_to_camera))
        variance, log_factor = self.kernel_variance(photo, view, depth, aperture)
        blurred = replace(sharp, colour=blur(sharp.colour, variance, clarity))
        return Photograph(self.exposed(blurred, photo), log_factor)

    def exposed(self, rendering: Rendering, photo: int) -> Rendering:
        """The rendering with the exposure of a photo."""
        if self.exposures is None:
            return rendering
        return replace(rendering, colour=self.exposures.exposed(rendering.colour, photo))

    def kernel_variance(
        self,
        photo: int,
        view: View,
        depth: Tensor,  # [H, W], scene unit
        aperture: Aperture,
    ) -> tuple[Tensor, Tensor]:  # [H, W] px^2, [H, W]
        """Variance of the kernels of a photo's pixels, and the logarithm of BlurNet's factor in it."""
        assert self.blurnet is not None
        centre_depth = self.centre_depth(view.world_to_camera)
        return kernel_variance(self.blurnet, photo, depth, aperture, view.K[0, 0], centre_depth, self.scene_size)

    def aperture(self, photo: int, turn: float = 0.0) -> Aperture:
        """The lens of a photo as the end of training saw it; `turn` (radians) chooses the points of the pupil."""
        samples = pupil_samples(self.settings.pupil_samples, turn) if self.settings.defocus == "pupil" else None
        return self.lens.aperture(photo, samples)

    def _near_plane(self, world_to_camera: Tensor) -> float:
        return max(_NEAR_SHARE * self.centre_depth(world_to_camera), 1e-6)

    def centre_depth(self, world_to_camera: Tensor) -> float:  # [4, 4]
        """How deep the scene's centre lies in a camera, scene unit."""
        centre = torch.as_tensor(self.scene_centre, dtype=torch.float32)
        return float(world_to_camera[2, :3].detach().float().cpu() @ centre + float(world_to_camera[2, 3].detach()))


def view_of(camera: Camera, world_to_camera: np.ndarray, device: torch.device) -> View:
    """The rasterizer's view of a camera; world_to_camera is [4, 4]."""
    return View(
        world_to_camera=torch.as_tensor(world_to_camera, dtype=torch.float32, device=device),
        K=torch.as_tensor(camera.K, dtype=torch.float32, device=device),
        width=camera.width,
        height=camera.height,
    )


def view_of_photo(photo: Photo, device: torch.device) -> View:
    """The rasterizer's view of a photo."""
    return view_of(photo.camera, photo.world_to_camera, device)


def expected_depth(rendering: Rendering, least_alpha: float = 0.5) -> Tensor:  # [H, W]
    """Mean depth of what a pixel shows; 0 where less than `least_alpha` of it is surface."""
    depth = rendering.depth / rendering.alpha.clamp(min=1e-6)
    return torch.where(rendering.alpha >= least_alpha, depth, torch.zeros_like(depth))
