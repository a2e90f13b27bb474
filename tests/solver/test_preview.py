# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture that shows how far a run has come, read by another reader."""

import cv2
import numpy as np
import pytest
import torch

from solver.training.preview import write_preview


@pytest.mark.parametrize(("height", "width", "shape"), [(4, 6, (8, 6)), (6, 4, (6, 8)), (5, 5, (10, 5))])
def test_photo_comes_first_and_both_fill_a_square_best(tmp_path, height, width, shape):
    photo = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(height))
    write_preview(tmp_path / "preview.png", photo, torch.full_like(photo, 2.0))
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "preview.png")), cv2.COLOR_BGR2RGB)
    assert read.shape == (*shape, 3)
    np.testing.assert_allclose(read[:height, :width] / 255, photo.numpy(), atol=0.51 / 255)
    rest = read[height:] if width >= height else read[:, width:]
    assert (rest == 255).all()
