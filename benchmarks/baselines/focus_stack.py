# SPDX-License-Identifier: GPL-3.0-or-later
"""Focus stacking: the photos of one pose, each focused elsewhere, fused into one that is sharp all over.

For macro photos it is what people do today. At equal photo count it has fewer poses than the other methods have.
"""

from pathlib import Path

import numpy as np

from solver.optics.sharpness import local_sharpness


def stack(
    photos: np.ndarray,  # [K, H, W, 3] linear light, aligned
) -> tuple[np.ndarray, np.ndarray]:  # [H, W, 3], [K, H, W]
    """Fuse aligned photos of one pose.

    Returns:
        the fused photo in linear light, and the weight of each photo at each pixel; weights sum to 1.
    """
    sharpness = np.stack([local_sharpness(photo) for photo in photos])
    weights = (sharpness == sharpness.max(0)).astype(np.float64)
    weights /= weights.sum(0)
    return (weights[..., None] * photos).sum(0), weights


def stacked_capture(bracket: Path, output: Path) -> None:
    """Make a capture of one fused photo a pose from a capture whose photos of a pose differ in focus alone.

    The frames of a pose have one identical `transform_matrix`. The new capture states no f-number, so that nothing
    assumes blur: it is meant for plain splatting. Its ground truth is that of the poses, with the same held-out views.

    Args:
        bracket: a generated capture, with ground truth.
        output: the capture's folder, which must not exist; it appears when it is whole.

    Raises:
        SolverError: the bracket is incomplete or holds no two photos of one pose, or `output` exists.
    """
    raise NotImplementedError
