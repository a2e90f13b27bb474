# SPDX-License-Identifier: GPL-3.0-or-later
"""What the photos are focused on. No bpy here."""

import numpy as np

from .errors import GeneratorError


def focus_distance(
    plan: str,
    depth: np.ndarray,  # [H, W], mm
    near: np.ndarray,  # [H, W], bool: the surfaces that may be focused on
    subject: np.ndarray,  # [H, W], bool
    *,
    usual: float,
    step: int,
    steps: int,
    rng: np.random.Generator,
) -> float:
    """The depth of the focus plane of one photo, mm.

    Args:
        plan: `random`, uniform between the nearest and the farthest of the `near` surfaces; `subject`, a random visible
            point of it; `same`, the `usual` distance; `bracket`, evenly from the nearest to the farthest of them.
        depth: of the first surfaces, 0 where there is none.
        near: the surfaces round the subject.
        subject: the subject's own.
        usual: distance from the camera to the centre of the subject.
        step: of the bracket, from 0.
        steps: photos of a bracket.
        rng: source of random numbers.

    Raises:
        GeneratorError: no such surface is in view.
    """
    if plan == "same":
        return usual
    chosen = depth[(depth > 0) & (subject if plan == "subject" else near)]
    if not len(chosen):
        raise GeneratorError("nothing to focus on is in view", remedy="choose another lens, scene or view plan")
    if plan == "subject":
        return float(rng.choice(chosen))
    nearest, farthest = float(chosen.min()), float(chosen.max())
    if plan == "bracket":
        return nearest + (farthest - nearest) * step / (steps - 1)
    return float(rng.uniform(nearest, farthest))
