# SPDX-License-Identifier: GPL-3.0-or-later
"""A finished result as the formats of `python -m solver export` want it; each part is read once, when asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from solver.capture.transforms import number, read_transforms
from solver.capture.types import Photo
from solver.errors import SolverError
from solver.export.importance import importance
from solver.export.load import CHECKPOINT, load_reconstruction
from solver.export.result import sharp_path
from solver.export.splats import Splats, read_splat_file
from solver.export.surface_file import MESH, TEXTURE, Surface, read_surface
from solver.export.viewer_colours import fitted_to_viewers
from solver.files import read_json
from solver.training.reconstruction import Reconstruction

_MARGIN_SHARE = 0.05  # of the mesh's diagonal, round its box: what a crop leaves


@dataclass(frozen=True)
class SplatChoice:
    """Which splats are exported, and how much of their colours."""

    crop: bool = False  # leave out what lies outside the box of the mesh
    count: int | None = None  # keep only so many, those that make up most of the photos
    degree: int | None = None  # of the spherical harmonics, at most
    fit: bool = True  # colours to viewers, which blend sRGB, where splats are written for them


@dataclass
class Source:
    """A result folder that is whole."""

    folder: Path
    choice: SplatChoice = field(default_factory=SplatChoice)
    progress: Callable[[int, int], None] = lambda done, total: None  # of what takes long
    warn: Callable[[str], None] = lambda message: None

    @cached_property
    def description(self) -> dict[str, Any]:
        """What `result.json` says.

        Raises:
            SolverError: the folder holds no whole result.
        """
        if not self.folder.is_dir():
            raise SolverError("the result folder does not exist", where=self.folder, remedy="check the path")
        content = read_json(self.folder / "result.json", "the result's description")
        if not isinstance(content, dict) or not isinstance(content.get("photos"), list):
            raise SolverError("the result's description is incomplete", where=self.folder, remedy="reconstruct again")
        return content

    def require_whole(self) -> None:
        """Fail early where the folder is no result, or has no mesh for the splats to be cropped by.

        Raises:
            SolverError: so it is.
        """
        self.description  # noqa: B018
        if self.choice.crop:
            self.surface  # noqa: B018

    @property
    def metres_per_unit(self) -> float:
        """1 where the length of the scene's unit is unknown, as in `mesh.glb`."""
        return 1.0 if self.unit_mm is None else self.unit_mm / 1000

    @property
    def unit_mm(self) -> float | None:
        """Length of the scene's unit in millimetres, where known."""
        return number(self.description, "unit_mm", str(self.folder / "result.json"), positive=True)

    @property
    def antialiased(self) -> bool:
        """Whether the splats were trained with Mip-Splatting's filter."""
        settings = self.description.get("settings")
        return isinstance(settings, dict) and settings.get("antialiased") is True

    @cached_property
    def photos(self) -> tuple[Photo, ...]:
        """The photos with the cameras of their sharp images; `sharp_path` is where those are.

        Raises:
            SolverError: cameras or sharp images are missing.
        """
        cameras = read_transforms(self.folder / "transforms.json", images_required=False)
        frames = {frame.frame.get("sharp_path"): frame for frame in cameras.frames}
        photos = []
        for entry in self.description["photos"]:
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not name or any(mark in name for mark in "/\\\0"):
                raise SolverError("a photo of the result has no name", where=self.folder, remedy="reconstruct again")
            frame, sharp = frames.get(sharp_path(name)), self.folder / sharp_path(name)
            if frame is None or not sharp.is_file():
                raise SolverError("the sharp image or its camera is missing", where=sharp, remedy="reconstruct again")
            photos.append(Photo(name, sharp, frame.camera, frame.world_to_camera, sharp_path=sharp))
        return tuple(photos)

    @property
    def has_mesh(self) -> bool:
        """Whether a surface was found."""
        return self.description.get("mesh") is not None

    @property
    def texture(self) -> Path | None:
        """The image that the mesh's texture coordinates belong to, where there is one."""
        path = self.folder / TEXTURE
        return path if self.surface.texture_coordinates is not None and path.is_file() else None

    @cached_property
    def surface(self) -> Surface:
        """The mesh, in the world, scene unit.

        Raises:
            SolverError: there is none, or it is damaged.
        """
        if not self.has_mesh:
            raise SolverError(
                "the result has no mesh, since no surface was found", where=self.folder, remedy="export its splats"
            )
        return read_surface(self.folder / MESH)

    @cached_property
    def scene(self) -> Reconstruction:
        """The reconstruction itself, from the checkpoint."""
        return load_reconstruction(self.folder)

    @cached_property
    def splats(self) -> Splats:
        """Those chosen, in the world, scene unit, in the colours that the result has.

        Raises:
            SolverError: they are damaged, or nothing is left of them.
        """
        return self._all_splats.subset(self._chosen)

    @cached_property
    def viewer_splats(self) -> Splats:
        """The same as they are to be written for viewers: in colours fitted to them, unless nobody wants that.

        Raises:
            SolverError: as above, or the checkpoint is of another run.
        """
        if not self.choice.fit:
            return self.splats
        self._require_one_run()
        return fitted_to_viewers(self._all_splats, self.scene, self.progress).subset(self._chosen)

    @cached_property
    def _all_splats(self) -> Splats:
        splats = read_splat_file(self.folder / "splats.ply")
        return splats if self.choice.degree is None else splats.of_degree(min(self.choice.degree, splats.degree))

    @cached_property
    def _chosen(self) -> np.ndarray:  # [*] indices, ascending
        chosen = np.arange(len(self._all_splats))
        if self.choice.crop:
            chosen = chosen[self._inside(self._all_splats)]
        if self.choice.count is not None and self.choice.count < len(chosen):
            self._require_one_run()
            ranked = importance(self.scene, self.progress)[chosen]
            chosen = np.sort(chosen[np.argsort(-ranked, kind="stable")[: self.choice.count]])
        if len(chosen) == 0:
            raise SolverError("no splat is left", where=self.folder, remedy="leave --crop out")
        return chosen

    def require_what_colours_are_fitted_to(self) -> None:
        """Fail early where the checkpoint is gone, which tells what splats are to look like in viewers.

        Raises:
            SolverError: so it is.
        """
        checkpoint = self.folder / CHECKPOINT
        if self.choice.fit and not checkpoint.is_file():
            raise SolverError(
                "colours cannot be fitted to viewers without the run's checkpoint",
                where=checkpoint,
                remedy="add --no-fit-colours to export the splats as they are",
            )

    def _require_one_run(self) -> None:
        if len(self.scene.gaussians) != len(self._all_splats):
            raise SolverError("splats and checkpoint are not of one run", where=self.folder, remedy="reconstruct again")

    def _inside(self, splats: Splats) -> np.ndarray:  # [N] bool
        """Which lie in the box of the mesh, a little grown."""
        low, high = self.surface.vertices.min(axis=0), self.surface.vertices.max(axis=0)
        margin = _MARGIN_SHARE * np.linalg.norm(high - low)
        return ((splats.means >= low - margin) & (splats.means <= high + margin)).all(axis=1)
