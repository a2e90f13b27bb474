# SPDX-License-Identifier: GPL-3.0-or-later
"""Every number that a reconstruction can be told, with its default and what it does."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from solver.errors import SolverError

Preset = Literal["draft", "standard", "high"]
Defocus = Literal["dilation", "pupil", "blurnet", "none"]
TrainOn = Literal["photos", "sharp"]
RefinePoses = Literal["auto", "on", "off"]
LearnExposure = Literal["auto", "on", "off"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
KernelShape = Literal["disc", "gaussian", "gathered"]
ExportFormat = Literal[
    "splats-ply",
    "spz",
    "splats-glb",
    "transforms",
    "colmap",
    "colmap-text",
    "png",
    "tiff",
    "exr",
    "mesh-ply",
    "obj",
    "glb",
    "usdz",
]


@dataclass(frozen=True)
class ReconstructionSettings:
    """The configuration of one run; `result.json` records all of it."""

    preset: Preset = "standard"  # where the values below came from
    iterations: int = 3000  # optimization steps, one photo each
    max_size: int = 800  # longest side that photos are resampled to, px
    max_gaussians: int = 60_000  # budget of the densification
    defocus: Defocus = "pupil"  # how blur is rendered while training (docs/how_it_works.md)
    train_on: TrainOn = "photos"  # "sharp" trains on a capture's ground truth: the ceiling for quality
    refine_poses: RefinePoses = "auto"  # learn poses and principal distances; auto: those found from the photos
    learn_exposure: LearnExposure = "auto"  # learn each photo's exposure and white balance; auto: of all but sharp ones
    hold_out: int = 0  # keep every n-th photo out of training and measure on it; 0 keeps none
    seed: int = 0  # of every random choice
    surface: bool = True  # make a mesh as well; without one the result has splats and images only
    mesh_triangles: int = 0  # at most, of the mesh; 0: as many as it needs, up to 300,000
    close_holes: bool = False  # of the mesh: parts that nobody saw are guessed, so that it is a solid
    texture_size: int = 2048  # of the mesh's texture, texels along a side; 0 leaves its colours to its vertices

    sh_degree: int = 3  # highest degree of the view-dependent colour, 0 to 3
    sh_degree_interval: float = 0.1  # part of the run after which one more degree is switched on
    initial_gaussians: int = 15_000  # sparse points are topped up with random ones to this number
    ssim_weight: float = 0.2  # share of D-SSIM in the photo loss, the rest is L1
    defocus_warm_up: float = 0.05  # part of the run that renders as a pinhole, while geometry is still a cloud
    pupil_from: float = 0.7  # with "pupil": part of the run after which views from points of the pupil replace dilation
    pupil_samples: int = 5  # of them; 3 to 6 make a ring, which blurs most like a disc
    pupil_start: float = 1.0  # factor on the pupil diameter that the file or the blur suggests, to test the search
    blurnet_blur_from: float = 0.15  # with "blurnet": part of the run after which kernels and network learn
    blurnet_joint_from: float = 0.25  # part of the run after which all learn together
    blurnet_gaussians_share: float = 1.0  # of the Gaussians' learning rates, between these two
    blurnet_rate: float = 2e-3  # learning rate of the network
    blurnet_regularization: float = 0.01  # weight of its squared log factor: what the lens explains is the lens's
    focus_weighting_from: float = 0.3  # part of the run after which pixels in focus count more
    focus_weight_coc: float = 3.0  # circle of confusion that halves a pixel's weight then, px
    antialiased: bool = True  # keep the energy of splats smaller than a pixel

    means_rate: float = 2e-3  # learning rate of positions, in scene sizes
    means_rate_final: float = 0.02  # what is left of it at the end, by exponential decay
    scales_rate: float = 1e-2  # of log scales
    quaternions_rate: float = 2e-3  # of rotations
    opacities_rate: float = 5e-2  # of opacity logits
    colours_rate: float = 5e-3  # of the constant colour coefficient; the others move at a twentieth
    background_rate: float = 1e-2  # of the background colour
    focus_rate: float = 0.12  # of a photo's inverse focus distance, in ranges of inverse depth of the scene
    pupil_rate: float = 5e-3  # of log pupil diameters

    refine_from: float = 0.05  # part of the run after which poses learn
    pose_rate: float = 1e-2  # of a photo's pose, in scene sizes
    focal_rate: float = 1e-4  # of the logarithm of a camera's principal distance

    exposure_rate: float = 6e-2  # of the logarithms of a photo's factors on red, green and blue
    exposure_regularization: float = 0.01  # weight of their squares: what the scene explains is the scene's

    resurface_at: float = 0.25  # part of the run after which Gaussians are set anew on the surface found; 1 never
    resurface_share: float = 0.5  # of the budget that is set anew
    densify_interval: int = 100  # steps between relocations and growth
    densify_until: float = 0.8  # part of the run after which the set of Gaussians is fixed
    growth: float = 0.3  # new Gaussians at each densification, as a share of the present number
    dead_opacity: float = 0.005  # below this a Gaussian is moved to where it is of use
    noise: float = 5e5  # of the random walk, times the learning rate of positions (3DGS-MCMC, eq. 8)
    opacity_regularization: float = 0.02  # weight of the mean opacity, lets haze and useless Gaussians die
    depth_spread_weight: float = 0.02  # of the spread of depth along rays in focus, in squares of the scene size
    outside_mask_weight: float = 0.1  # of opacity outside the masks, farther than the subject's blur reaches
    scale_regularization: float = 0.01  # weight of the mean scale in scene sizes

    checkpoint_interval: int = 300  # steps between checkpoints
    preview_interval: int = 150  # steps between previews


_PRESETS: dict[Preset, dict[str, Any]] = {
    "draft": {
        "iterations": 1000,
        "max_size": 400,
        "max_gaussians": 30_000,
        "initial_gaussians": 10_000,
        "texture_size": 1024,
    },
    "standard": {},
    "high": {
        "iterations": 10_000,
        "max_size": 1600,
        "max_gaussians": 300_000,
        "initial_gaussians": 50_000,
        "texture_size": 4096,
    },
}

_SHARE = (0.0, 1.0)
_NOT_NEGATIVE = (0.0, math.inf)  # where nothing else is said below
_BOUNDS: dict[str, tuple[float, float]] = {
    "iterations": (1, 1_000_000),
    "max_size": (16, 10_000),
    "max_gaussians": (100, 10_000_000),
    "hold_out": (0, 1000),
    "mesh_triangles": (0, 100_000_000),
    "texture_size": (0, 8192),
    "sh_degree": (0, 3),
    "seed": (0, 2**31 - 1),
    "initial_gaussians": (4, 10_000_000),
    "sh_degree_interval": (0.001, 1),
    "ssim_weight": _SHARE,
    "defocus_warm_up": _SHARE,
    "pupil_from": _SHARE,
    "pupil_samples": (1, 64),
    "refine_from": _SHARE,
    "resurface_at": _SHARE,
    "resurface_share": _SHARE,
    "pupil_start": (0.1, 10),
    "blurnet_blur_from": _SHARE,
    "blurnet_joint_from": _SHARE,
    "blurnet_gaussians_share": _SHARE,
    "means_rate_final": _SHARE,
    "densify_until": _SHARE,
    "dead_opacity": _SHARE,
    "densify_interval": (1, 1_000_000),
    "checkpoint_interval": (1, 1_000_000),
    "preview_interval": (1, 1_000_000),
}


def settings_for(preset: Preset, **overrides: Any) -> ReconstructionSettings:
    """The settings of `preset` with the given fields changed; overrides that are None are left out.

    Raises:
        SolverError: a value is out of its range.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    settings = ReconstructionSettings(**{"preset": preset, **_PRESETS[preset], **given})
    for name, value in dataclasses.asdict(settings).items():
        if isinstance(value, int | float):
            low, high = _BOUNDS.get(name, _NOT_NEGATIVE)
            if not low <= value <= high:
                wanted = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
                raise SolverError(f"the setting {name} is {value}", remedy=f"choose a number {wanted}")
    if settings.hold_out == 1:
        raise SolverError("the setting hold_out is 1, which leaves no photo to train on", remedy="choose 2 or more")
    return settings


def parse_overrides(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Read `NAME=VALUE` pairs for fields of `ReconstructionSettings`, each converted to its field's type.

    Raises:
        SolverError: an unknown name or a value of another type.
    """
    fields = {f.name: f for f in dataclasses.fields(ReconstructionSettings)}
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if name == "preset":
            raise SolverError("a preset is no single setting", remedy="choose it with --preset")
        if name not in fields:
            raise SolverError(f"there is no setting '{name}'", remedy="see solver/config.py for their names")
        overrides[name] = _parse(fields[name], text.strip())
    return overrides


def _parse(field: dataclasses.Field, text: str) -> Any:
    choices = get_args(field.type)
    if choices:
        if text in choices:
            return text
        raise SolverError(f"{field.name}={text} is not possible", remedy=f"choose one of {', '.join(choices)}")
    if field.type is bool:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise SolverError(f"{field.name}={text} is not possible", remedy="choose true or false")
    assert field.type in (int, float)
    kind = "a whole number" if field.type is int else "a number"
    try:
        value = field.type(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SolverError(f"{field.name}={text} is not possible", remedy=f"give {kind}")
    return value
