# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything but CUDA's own kernels, on a machine without CUDA: a device that is pretended.

Its tensors lie in ordinary memory, call themselves "meta", and refuse to be computed with the processor's, and with its
random generators, as those of a graphics card do.
"""

import dataclasses
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils import _pytree as trees
from torch.utils._python_dispatch import TorchDispatchMode

from solver.cancellation import Cancellation
from solver.capture import load_capture
from solver.config import settings_for
from solver.events import Reporter
from solver.export.result import write_images
from solver.surface.depth_views import render_sharp
from solver.training import trainer as training
from solver.training.held_out import psnr_of_photo
from solver.training.trainer import Trainer

DEVICE = torch.device("meta")
CROSSING = ("aten::copy_", "aten::_to_copy", "aten::index")  # what CUDA allows between devices


class OnDevice(torch.Tensor):
    @staticmethod
    def __new__(cls, memory):
        return torch.Tensor._make_wrapper_subclass(
            cls, memory.size(), strides=memory.stride(), dtype=memory.dtype, device=DEVICE
        )

    def __init__(self, memory):
        self.memory = memory

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), options=None):
        return compute(function, arguments, options or {})


class Pretending(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        return compute(function, arguments, options or {})


def compute(function, arguments, options):
    leaves = trees.tree_leaves((arguments, options))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    there = [tensor for tensor in tensors if isinstance(tensor, OnDevice)]
    here = [tensor for tensor in tensors if not isinstance(tensor, OnDevice) and tensor.ndim > 0]
    asked = options.get("device")
    on_device = bool(there) if asked is None else torch.device(asked) == DEVICE
    if there and here and not function.name().startswith(CROSSING):
        raise RuntimeError(f"{function.name()} mixes devices")
    if on_device and any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{function.name()} draws on the device with the processor's generator")
    if asked is not None:
        options = {**options, "device": torch.device("cpu")}
    known = {id(tensor.memory): tensor for tensor in there}

    def wrapped(value):
        if not on_device or not isinstance(value, torch.Tensor):
            return value
        return known.get(id(value)) if id(value) in known else OnDevice(value)

    plain = trees.tree_map(lambda leaf: leaf.memory if isinstance(leaf, OnDevice) else leaf, (arguments, options))
    return trees.tree_map(wrapped, function(*plain[0], **plain[1]))


@pytest.fixture
def pretending(monkeypatch):
    for name in ("tensor", "as_tensor"):  # these make meta tensors past the mode
        make = getattr(torch, name)

        def on(data, *arguments, device="cpu", make=make, **options):
            return make(data, *arguments, **options).to(device)

        monkeypatch.setattr(torch, name, on)
    optimizer = import_module("torch.optim.optimizer")
    monkeypatch.setattr(optimizer, "_get_fused_kernels_supported_devices", lambda: ["meta"])
    with Pretending():
        yield


def test_the_pretended_device_refuses_to_mix(pretending):
    there = torch.arange(3.0).to(DEVICE)
    assert there.device == DEVICE
    assert (2 * there).cpu().tolist() == [0, 2, 4]
    with pytest.raises(RuntimeError, match="mixes devices"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError, match="generator"):
        torch.multinomial(there, 2, generator=torch.Generator())


@pytest.mark.parametrize("refine_poses", ["off", "on"])
def test_a_run_stays_on_its_device(refine_poses, tiny_capture, tmp_path, monkeypatch, pretending):
    """Masks, held-out photos, densification, resuming, measuring and images included."""
    masks = tmp_path / "masks"
    masks.mkdir()
    pixels = np.zeros((54, 72), np.uint8)
    pixels[8:46, 12:60] = 255
    for path in (tiny_capture.folder / "images").iterdir():
        Image.fromarray(pixels).save(masks / path.name)
    capture = load_capture(
        tiny_capture.folder, masks=masks, poses_folder=tmp_path / "poses", max_size=36, find_points=False
    )
    changes = {
        "iterations": 6,
        "hold_out": 10,
        "initial_gaussians": 80,
        "max_gaussians": 120,
        "sh_degree": 1,
        "refine_poses": refine_poses,
    }
    intervals = {"densify_interval": 2, "checkpoint_interval": 4, "preview_interval": 5}
    settings = dataclasses.replace(settings_for("draft"), **changes, **intervals, focus_weighting_from=0.2)
    checkpoints = []
    monkeypatch.setattr(training, "save_checkpoint", lambda path, content: checkpoints.append(content))
    monkeypatch.setattr(training, "load_checkpoint", lambda path, device: checkpoints[0])

    def trainer() -> Trainer:
        return Trainer(
            capture,
            settings,
            backend="reference",
            device=DEVICE,
            checkpoint_path=tmp_path / "checkpoint.pt",
            preview_path=tmp_path / "preview.png",
            reporter=Reporter(),
            cancellation=Cancellation(),
        )

    first = trainer()
    scene = first.run()
    assert len(scene.gaussians) == 120
    assert scene.is_finite
    lens = (*scene.lens.log_pupil_diameters, *scene.lens.inverse_focus_distances)
    assert {tensor.device for tensor in (*scene.gaussians.tensors().values(), *lens)} == {DEVICE}
    first.fit_held_out()
    assert psnr_of_photo(scene, 0, first.photos[0], defocused=True) > 10
    write_images(tmp_path / "result", scene, [render_sharp(scene, capture.photos[0])], lambda done, total: None)

    again = trainer()
    again.resume()
    assert again.step == 4
    again.run()
