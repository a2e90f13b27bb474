# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a run: what it does from which part of it on. Parts go from 0 at its beginning to 1 at its end."""

from solver.config import ReconstructionSettings


def uses_defocus(settings: ReconstructionSettings) -> bool:
    """Whether the run models blur: sharp training images have none."""
    return settings.defocus != "none" and settings.train_on == "photos"


def uses_blurnet(settings: ReconstructionSettings) -> bool:
    """Whether kernels of pixels, which BlurNet corrects, blur the sharp rendering."""
    return uses_defocus(settings) and settings.defocus == "blurnet"


def sh_degree(settings: ReconstructionSettings, part: float) -> int:
    """Degree of the view-dependent colour that is switched on."""
    return min(settings.sh_degree, int(part / settings.sh_degree_interval))


def blurs(settings: ReconstructionSettings, part: float) -> bool:
    """Whether photos are rendered through their lens; before that, as through a pinhole."""
    start = settings.blurnet_blur_from if settings.defocus == "blurnet" else settings.defocus_warm_up
    return uses_defocus(settings) and part >= start


def samples_pupil(settings: ReconstructionSettings, part: float) -> bool:
    """Whether a lens that blurs is looked through at points of its pupil."""
    return settings.defocus == "pupil" and part >= settings.pupil_from


def only_blur_learns(settings: ReconstructionSettings, part: float) -> bool:
    """Whether the Gaussians may rest while kernels of pixels find out how the scene was blurred."""
    return uses_blurnet(settings) and settings.blurnet_blur_from <= part < settings.blurnet_joint_from


def densifies(settings: ReconstructionSettings, part: float) -> bool:
    """Whether Gaussians walk, move and multiply."""
    return part < settings.densify_until
