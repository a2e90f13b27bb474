# SPDX-License-Identifier: GPL-3.0-or-later
"""The training loop: each step renders one photo through its lens and moves scene and lens towards it.

The story of a run stands here; docs/development.md says which module of this folder has what it is told with.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from solver.cancellation import Cancellation
from solver.capture.types import Capture
from solver.config import ReconstructionSettings
from solver.defocus.blurnet import measured_clarity
from solver.defocus.focus_plan import focus_plan_warning
from solver.errors import Cancelled, SolverError
from solver.events import Reporter
from solver.gaussians.densification import densify, perturb
from solver.gaussians.model import Gaussians
from solver.optics.colour import linear_to_srgb
from solver.rasterization import Aperture, Backend, View
from solver.steering import Steering, Wish
from solver.training.camera_refinement import CameraRefinement, adopt_cameras, refines_cameras
from solver.training.checkpoint import load_checkpoint, require_same_run, restore_scene, save_checkpoint, scene_state
from solver.training.held_out import fit_held_out, is_held_out
from solver.training.history import History
from solver.training.initial_scene import initial_scene, sampled_depths
from solver.training.learning_rates import LearningRates, inverse_depth_range
from solver.training.losses import photo_loss, psnr
from solver.training.optimizers import gaussian_optimizer, other_optimizers, set_learning_rates
from solver.training.outside_masks import outside_masks
from solver.training.photos import TrainingPhoto, load_training_photos
from solver.training.pixel_weights import pixel_weights
from solver.training.preview import write_preview
from solver.training.reconstruction import Reconstruction, view_of_photo
from solver.training.regularization import extras_to_regularize, regularization
from solver.training.resurfacing import resurface
from solver.training.stages import blurs, densifies, samples_pupil, sh_degree, uses_blurnet, uses_defocus
from solver.training.torch_threads import single_threaded_torch


class Trainer:
    """All state of a run; `run` brings it to its end, from wherever it stands."""

    def __init__(
        self,
        capture: Capture,
        settings: ReconstructionSettings,
        *,
        backend: Backend,
        device: torch.device,
        checkpoint_path: Path,
        preview_path: Path,
        reporter: Reporter,
        cancellation: Cancellation,
        steering: Steering | None = None,
    ) -> None:
        self.settings = settings
        self.reporter = reporter
        self.cancellation = cancellation
        self.steering = steering or Steering()
        self.checkpoint_path, self.preview_path = checkpoint_path, preview_path
        self.photos = load_training_photos(capture, device)
        self.training_indices = [i for i in range(len(self.photos)) if not is_held_out(i, settings)]
        self.step = 0
        self.history = History(settings.iterations)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self._queue: list[int] = []

        samples = sampled_depths(capture, self.photos)
        self.scene = initial_scene(capture, self.photos, self.training_indices, samples, settings, backend, device)
        if uses_defocus(settings):
            told = focus_plan_warning(capture, self.scene.lens, samples, self.training_indices)
            if told is not None:
                reporter.warning(told)
        self.clarity: dict[int, Tensor] = {}  # [H, W] of each training photo, where kernels of pixels blur
        if uses_blurnet(settings):
            clarity = measured_clarity([photo.image.cpu().numpy() for photo in self.training_photos])
            on_device = (torch.from_numpy(each).to(device) for each in clarity)
            self.clarity = dict(zip(self.training_indices, on_device, strict=True))
        self.cameras: CameraRefinement | None = None
        if refines_cameras(settings, capture):
            self.cameras = CameraRefinement.none_yet(
                capture.photos, self.scene.scene_centre, self.scene.scene_size, self.training_indices, device
            )
        self.learning_rates = LearningRates(
            settings,
            scene_size=self.scene.scene_size,
            focus_unit=inverse_depth_range(samples, self.scene.scene_size),
            masked=any(photo.mask is not None for photo in self.training_photos),
        )
        self._make_optimizers()

    @property
    def training_photos(self) -> list[TrainingPhoto]:
        """Those that are not held out, with their cameras as they were last adopted."""
        return [self.photos[index] for index in self.training_indices]

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """Of the Gaussians, of background and lens, then of cameras, exposures and BlurNet where they learn."""
        return [self._gaussian_optimizer, *self._other_optimizers]

    def run(self) -> Reconstruction:
        """Train to the end, or until somebody wishes it finished, with checkpoints and previews on the way.

        Raises:
            Cancelled: after a checkpoint was written.
        """
        settings, total = self.settings, self.settings.iterations
        with self.cancellation.deferred(), single_threaded_torch(self.scene.device):
            ended = self.step >= total
            while not ended:
                loss = self.train_one_step()
                self.step += 1
                self.reporter.progress(self.step, total)
                wish = self.steering.wish()
                if wish == "pause":
                    wish = self._pause()
                stopping = self.cancellation.requested or wish == "cancel"  # asked once: a signal may come at any time
                ended = self.step == total or wish == "finish"
                if self.step % settings.preview_interval == 0 or ended:
                    self.reporter.metric("loss", loss, self.step)
                    if self.history.latest_psnr is not None:
                        self.reporter.metric("psnr", self.history.latest_psnr, self.step)
                    self._write_preview()
                if self.step % settings.checkpoint_interval == 0 or ended or stopping:
                    self.save()
                if stopping:
                    raise Cancelled
        if self.step < total:
            self.reporter.warning(f"The run was finished early, after {self.step} of {total} steps")
        self._adopt_cameras()
        return self.scene

    def _pause(self) -> Wish:
        """Wait, with the state saved, until something else is wished; returns what."""
        self.save()
        self.reporter.paused()
        while (wish := self.steering.wish()) == "pause" and not self.cancellation.requested:
            self.steering.wait()
        self.reporter.going_on()
        return wish

    def train_one_step(self) -> float:
        """Move scene and lens towards the next photo, and return how far off they were; `step` is the caller's."""
        scene, settings = self.scene, self.settings
        part = self.step / settings.iterations
        scene.active_sh_degree = sh_degree(settings, part)
        set_learning_rates(self.optimizers, self.learning_rates.at(part))

        index = self._next_photo()
        target, clarity = self.photos[index], self.clarity.get(index)
        aperture = self._aperture(index, part)
        view = self._view(index)
        photograph = scene.photograph(index, view, aperture, clarity, extras_to_regularize(scene, view))
        rendering = photograph.rendering
        weights = pixel_weights(rendering, aperture, clarity, float(view.K[0, 0].detach()), settings, part)
        loss = photo_loss(rendering.colour, target.image, target.mask, weights, settings.ssim_weight)
        (loss + regularization(scene, index, target, view, aperture, photograph)).backward()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            scene.background.clamp_(min=0)  # below, where it is drawn as black, no gradient would bring it back
        if self.cameras is not None:
            self.cameras.settle()
        if scene.exposures is not None:
            scene.exposures.settle()

        value = float(loss.detach())
        if not np.isfinite(value):
            raise SolverError(
                f"the optimization diverged at step {self.step}",
                remedy="lower the learning rates (--set means_rate=...) or report the capture",
            )
        measured = psnr(rendering.colour, target.image, target.mask) if self.history.measures(self.step) else None
        self.history.add(self.step, value, measured)

        if densifies(settings, part):
            walk = settings.noise * self.learning_rates.means(part) / scene.scene_size**2
            perturb(scene.gaussians, walk, self.generator)
            if self.step > 0 and self.step % settings.densify_interval == 0:
                self._densify()
        if 0 < self.step == round(settings.resurface_at * settings.iterations):
            self._resurface()
        return value

    def _next_photo(self) -> int:
        if not self._queue:
            order = torch.randperm(len(self.training_indices), generator=self.generator)
            self._queue = [self.training_indices[i] for i in order.tolist()]
        return self._queue.pop()

    def _view(self, index: int) -> View:
        if self.cameras is not None:
            return self.cameras.view(index)
        return view_of_photo(self.photos[index].photo, self.scene.device)

    def _aperture(self, index: int, part: float) -> Aperture | None:
        if not blurs(self.settings, part):
            return None
        if samples_pupil(self.settings, part):
            return self.scene.aperture(index, 2 * np.pi * float(torch.rand((), generator=self.generator)))
        return self.scene.lens.aperture(index)

    def _densify(self) -> None:
        settings = self.settings
        self._adopt_cameras()
        self.scene.gaussians = densify(
            self.scene.gaussians,
            self._gaussian_optimizer,
            budget=settings.max_gaussians,
            growth=settings.growth,
            dead_opacity=settings.dead_opacity,
            dead=outside_masks(self.scene.gaussians.means.detach(), self.training_photos),
            generator=self.generator,
        )

    def _resurface(self) -> None:
        settings, scene = self.settings, self.scene
        self._adopt_cameras()
        seed = int(torch.randint(2**31, (), generator=self.generator))
        gaussians = resurface(
            scene,
            self.photos,
            self.training_indices,
            settings.max_gaussians,
            settings.resurface_share,
            np.random.default_rng(seed),
            focus_known=uses_defocus(settings),
        )
        if gaussians is not None:
            self._adopt_gaussians(gaussians)

    def fit_held_out(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Find the focus of the photos that were not trained on and, where they learn, their exposures and poses.

        Args:
            progress: called with (photos done, photos held out).
        """
        self.photos = fit_held_out(self.scene, self.photos, self.cameras, progress)

    def start_from(self, gaussians: Gaussians) -> None:
        """Replace the Gaussians, and forget what the optimizers know."""
        self.scene.gaussians = gaussians
        self._make_optimizers()

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            self.checkpoint_path,
            {
                **scene_state(self.scene),
                "step": self.step,
                "focus_unit": self.learning_rates.focus_unit,
                "queue": list(self._queue),
                "generator": self.generator.get_state(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "cameras": None if self.cameras is None else self.cameras.state(),
                "history": self.history.state(),
            },
        )

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            SolverError: it belongs to other photos or settings, or cannot be read.
        """
        content = load_checkpoint(self.checkpoint_path, self.scene.device)
        require_same_run(content, self.scene, cameras_learn=self.cameras is not None, path=self.checkpoint_path)
        restore_scene(self.scene, content)
        if self.cameras is not None:
            self.cameras.restore(content["cameras"])
            self._adopt_cameras()
        self._make_optimizers()
        for optimizer, state in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.step, self._queue = content["step"], list(content["queue"])
        self.learning_rates = dataclasses.replace(self.learning_rates, focus_unit=content["focus_unit"])
        self.generator.set_state(content["generator"].cpu())
        self.history.restore(content.get("history"))

    def _make_optimizers(self) -> None:
        self._adopt_gaussians(self.scene.gaussians)
        self._other_optimizers = other_optimizers(self.scene, self.cameras)

    def _adopt_gaussians(self, gaussians: Gaussians) -> None:
        """Let other Gaussians learn in place of the present ones, by an optimizer that knows nothing of them yet."""
        self.scene.gaussians = gaussians.map(lambda tensor: tensor.detach().requires_grad_())
        self._gaussian_optimizer = gaussian_optimizer(self.scene.gaussians, self.learning_rates.at(0.0))

    def _adopt_cameras(self) -> None:
        """Give scene and photos the cameras as they are now."""
        self.photos = adopt_cameras(self.scene, self.photos, self.cameras)

    def _write_preview(self) -> None:
        self._adopt_cameras()
        with torch.no_grad():
            shown = self.training_photos[0]
            rendering = self.scene.render(view_of_photo(shown.photo, self.scene.device))
            rendering = self.scene.exposed(rendering, self.training_indices[0])
        write_preview(self.preview_path, shown.image, linear_to_srgb(rendering.colour))
        self.reporter.preview(self.preview_path)
