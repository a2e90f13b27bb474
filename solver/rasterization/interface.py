# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way into every rasterizer.

The processor's kernels give what is asked for as it is. The backends in PyTorch are a function `render` with the
signature of `reference.render`, which turns Gaussians into an image of packed features (colour, depth, extras) and its
alpha; samples of the pupil, background and unpacking are the same for them and added here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from solver.rasterization.types import Aperture, Backend, RasterizationSettings, Rendering, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_DEFAULTS = RasterizationSettings()


def rasterize(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor | tuple[Tensor, Tensor],  # [N, S, 3], or [N, 1, 3] and [N, S - 1, 3]
    view: View,
    *,
    sh_degree: int,
    extras: Tensor | None = None,  # [N, E]
    aperture: Aperture | None = None,
    background: Tensor | None = None,  # [3]
    settings: RasterizationSettings = _DEFAULTS,
    backend: Backend = "cpu",
) -> Rendering:
    """Render Gaussians as one camera sees them, sharp or through a lens, with the mathematics of gsplat 1.5.

    A Gaussian is projected by the local affine approximation (Zwicker et al., "EWA Splatting", 2002),
    widened by `settings.eps2d`, and composited front to back in order of z. At a pixel its alpha is
    min(0.999, opacity exp(-d^T Sigma^-1 d / 2)); alphas below 1/255 are skipped, and the Gaussian that would
    bring the transmittance to 1e-4 or less is dropped with all behind it. Gaussians nearer than
    `settings.near_plane` or beyond `settings.far_plane` are invisible.

    Through an `aperture` a Gaussian at depth z is blurred by a disc of diameter D f |1/z - 1/d0| px, for
    which a Gaussian of equal variance (sigma = diameter / 4) stands in: its projected covariance grows, and
    its opacity falls by the root of the determinants' ratio, so that its energy stays. With
    `aperture.samples` the image is the mean of views from these points of the pupil, all framed so that the
    focus plane stays in place, and each dilated by `aperture.residual` of the pupil only. Colours are those
    seen from the pupil's centre.

    Gradients flow to every floating-point tensor, also the camera's (`world_to_camera` and K's four
    parameters) and the aperture's; from blur to depth they are never cut.

    Args:
        means: centres in the world.
        quaternions: rotations as (w, x, y, z), of any length but zero.
        scales: standard deviations along the rotated axes, scene unit, positive.
        opacities: in (0, 1).
        sh_coefficients: spherical harmonics of colour, linear light; colour is max(SH + 0.5, 0). The constant and
            the rest may come apart, which saves the processor from copying them together.
        view: the camera.
        sh_degree: the degree in use, 0 to 3, with (sh_degree + 1)^2 <= S.
        extras: further features to composite beside colour and depth.
        aperture: the lens, or None for a pinhole.
        background: colour behind everything, or None for black.
        settings: constants; the defaults are gsplat's.
        backend: "cpu" computes in float32, "reference" in the tensors' own type, "gsplat" in float32 on CUDA.

    Returns:
        The image and what goes with it, in the type of the backend.

    Raises:
        ValueError: shapes that do not fit together.
    """
    _check(means, quaternions, scales, opacities, sh_coefficients, extras, sh_degree, settings)
    if aperture is not None and aperture.samples is not None:
        shape = tuple(aperture.samples.shape)
        if shape[1:] != (2,) or shape[0] == 0:
            raise ValueError(f"pupil samples must be [M, 2] with M of at least 1, not {list(shape)}")
    if backend == "cpu":
        from solver.rasterization.cpu import function

        gaussians = means, quaternions, scales, opacities, sh_coefficients
        return function.render(*gaussians, extras, view, aperture, background, sh_degree, settings)

    import torch

    from solver.rasterization import pupil

    if isinstance(sh_coefficients, tuple):
        sh_coefficients = torch.cat(sh_coefficients, 1)
    gaussians = means, quaternions, scales, opacities, sh_coefficients
    features, alpha, visible = pupil.render(_renderer(backend), *gaussians, extras, view, aperture, sh_degree, settings)
    colour = features[..., :3]
    if background is not None:
        colour = colour + (1 - alpha)[..., None] * background
    return Rendering(
        colour=colour,
        depth=features[..., 3],
        alpha=alpha,
        extras=None if extras is None else features[..., 4:],
        visible=visible,
    )


def _renderer(backend: Backend) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    if backend == "gsplat":
        from solver.rasterization import gsplat_backend

        return gsplat_backend.render
    if backend == "reference":
        from solver.rasterization import reference

        return reference.render
    raise ValueError(f"no rasterizer is called {backend!r}")


def _check(
    means: Tensor,  # [N, 3]
    quaternions: Tensor,  # [N, 4]
    scales: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    sh_coefficients: Tensor | tuple[Tensor, Tensor],  # [N, S, 3], or [N, 1, 3] and [N, S - 1, 3]
    extras: Tensor | None,  # [N, E]
    sh_degree: int,
    settings: RasterizationSettings,
) -> None:
    count = len(means)
    if means.shape != (count, 3) or quaternions.shape != (count, 4) or scales.shape != (count, 3):
        raise ValueError(f"means, quaternions, scales do not fit: {means.shape}, {quaternions.shape}, {scales.shape}")
    if opacities.shape != (count,):
        raise ValueError(f"opacities must be [{count}], not {tuple(opacities.shape)}")
    parts = sh_coefficients if isinstance(sh_coefficients, tuple) else (sh_coefficients,)
    if any(part.ndim != 3 or (len(part), part.shape[2]) != (count, 3) for part in parts):
        raise ValueError(f"sh_coefficients must be [{count}, S, 3], not {[tuple(part.shape) for part in parts]}")
    if len(parts) == 2 and parts[0].shape[1] != 1:
        raise ValueError(f"there is one constant coefficient, not {parts[0].shape[1]}")
    coefficients = sum(part.shape[1] for part in parts)
    if not 0 <= sh_degree <= 3 or (sh_degree + 1) ** 2 > coefficients:
        raise ValueError(f"degree {sh_degree} does not fit {coefficients} coefficients")
    if extras is not None and (extras.ndim != 2 or len(extras) != count):
        raise ValueError(f"extras must be [{count}, E], not {tuple(extras.shape)}")
    if settings.near_plane <= 0:
        raise ValueError("the near plane must lie in front of the camera")
