# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell of the table as a chain of steps: prepare images, train, make a mesh, measure, render for the picture."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality_table.captures import capture_key
from benchmarks.quality_table.cells import code_hash, key_of, write_aside
from benchmarks.quality_table.children import ROOT
from benchmarks.quality_table.methods import Budget, Method

_ROOMS = ("kernels", "optics", "capture", "gaussians", "rasterization", "defocus", "training", "export")
_TRAINING = (*(f"solver/{room}" for room in _ROOMS), "solver/config.py", "solver/reconstruct.py")
_MESHING = ("solver/surface", "solver/fusion", "solver/remesh.py", "solver/export/meshes.py")
_RESUMABLE = ("--resume", "--events", "json")
_MEASURING = ("solver/evaluation", "solver/capture", "solver/optics", "solver/export/images.py")
_READING = ("solver/capture", "solver/optics", "solver/export/images.py", "solver/evaluation/truth.py")
_PREPARING = {
    "photos": (),
    "deconvolved": ("benchmarks/baselines/deconvolution.py", "benchmarks/quality_table/prepare.py", *_READING),
    "stack": ("benchmarks/baselines/focus_stack.py", "benchmarks/quality_table/prepare.py", *_READING),
}


@dataclass(frozen=True)
class Step:
    """One child process whose outcome is kept as a cell."""

    name: str  # of the cell; unique in the table
    kind: str  # "prepare", "train", "mesh", "measure" or "picture"
    key: str
    arguments: tuple[str | Path, ...]
    output: Path  # what it makes
    begin: Callable[[], None] = lambda: None  # before the child, in this process
    read: Callable[[], dict[str, Any]] = dict  # the numbers that the child left


@dataclass(frozen=True)
class Place:
    """Where the captures and the work on one scene are."""

    scene: str
    capture: Path
    bracket: Path
    runs: Path  # folder for this scene's runs


@dataclass(frozen=True)
class Chain:
    """All steps of one method on one scene with one seed."""

    scene: str
    method: Method
    seed: int
    steps: tuple[Step, ...]
    picture: Callable[[str], Path]  # the image of a training view, by its name

    @property
    def measure(self) -> Step:
        """The step whose numbers are the table's."""
        return [step for step in self.steps if step.kind == "measure"][-1]


def chain_of(
    place: Place, method: Method, seed: int, budget: Budget, shown_view: str, weights: str, *, mesh: bool = False
) -> Chain:
    """The steps of a method on a scene whose captures are whole.

    Args:
        place: of the scene.
        method: the table's row.
        seed: of the training.
        budget: of the training.
        shown_view: the training view that the page shows a part of.
        weights: tells which perceptual networks there are, for they decide what is measured.
        mesh: whether a mesh is made of what is trained, and measured too.
    """
    stem = f"{place.scene}-{method.name}-{seed}"
    images, truth, steps = place.capture, place.capture, []
    key = capture_key(place.capture)
    if method.source != "photos":
        prepare = _prepare(stem, place, method)
        steps.append(prepare)
        images, key = prepare.output, prepare.key
        truth = prepare.output if method.source == "stack" else truth
    if method.source == "stack":
        steps.append(_measure(f"{stem}-fused", place, images / "images", truth, key, weights))
    if method.training is None:
        measured = images / "images" if method.source == "photos" else images
        steps.append(_measure(stem, place, measured, truth, key, weights))
        return Chain(place.scene, method, seed, tuple(steps), lambda view: measured / f"{view}.png")
    train = _train(stem, place, images, method, seed, budget, key)
    trained = [train, _mesh(stem, train)] if mesh else [train]
    steps += [*trained, _measure(stem, place, train.output, truth, trained[-1].key, weights)]
    if method.source == "photos":
        return Chain(place.scene, method, seed, tuple(steps), lambda view: train.output / "sharp" / f"{view}.png")
    picture = _picture(stem, train, place.capture, shown_view)
    steps.append(picture)
    return Chain(place.scene, method, seed, tuple(steps), lambda view: picture.output / f"{view}.png")


def _prepare(stem: str, place: Place, method: Method) -> Step:
    captures = (place.capture,) if method.source == "deconvolved" else (place.bracket, place.capture)
    key = key_of(*(capture_key(folder) for folder in captures), _hash(*_PREPARING[method.source]))
    output = place.runs / f"images-{method.source}-{key}"
    return Step(
        name=f"{stem}-prepare",
        kind="prepare",
        key=key,
        arguments=("-m", "benchmarks.quality_table.prepare", method.source, *captures, output),
        output=output,
        begin=lambda: _remove_others(output, f"images-{method.source}-*"),
    )


def _train(stem: str, place: Place, images: Path, method: Method, seed: int, budget: Budget, images_key: str) -> Step:
    assert method.training is not None
    choices = (*budget.arguments(method.settings), *method.training, "--seed", str(seed), "--device", "cpu")
    key = key_of(images_key, choices, _hash(*_TRAINING))
    output = place.runs / f"run-{method.name}-{seed}-{key}"
    return Step(
        name=f"{stem}-train",
        kind="train",
        key=key,
        arguments=("-m", "solver", "reconstruct", images, "--output", output, *choices, *_RESUMABLE),
        output=output,
        begin=lambda: _remove_others(output, f"run-{method.name}-{seed}-*"),
        read=lambda: _training_numbers(output),
    )


def _mesh(stem: str, train: Step) -> Step:
    """Geometry alone: nothing of the table looks at its texture."""
    return Step(
        name=f"{stem}-mesh",
        kind="mesh",
        key=key_of(train.key, _hash(*_MESHING)),
        arguments=("-m", "solver", "mesh", train.output, "--texture-size", "0"),
        output=train.output,
    )


def _measure(stem: str, place: Place, result: Path, truth: Path, key: str, weights: str) -> Step:
    output = place.runs / f"{stem}-measured.json"
    return Step(
        name=f"{stem}-measure",
        kind="measure",
        key=key_of(key, _hash(*_MEASURING), weights),
        arguments=("-m", "solver", "evaluate", result, "--ground-truth", truth, "--json", output),
        output=output,
        read=lambda: json.loads(output.read_text(encoding="utf-8")),
    )


def _picture(stem: str, train: Step, capture: Path, view: str) -> Step:
    """A rendering from where one of the capture's photos was taken, for results of other photos."""
    output = train.output.parent / f"{stem}-picture"
    cameras = output.with_suffix(".json")
    return Step(
        name=f"{stem}-picture",
        kind="picture",
        key=key_of(train.key, view, capture_key(capture), _hash("solver/evaluation/render.py", *_READING)),
        arguments=("-m", "solver", "render", train.output, "--cameras", cameras, "--output", output),
        output=output,
        begin=lambda: _write_camera(capture / "transforms.json", view, cameras),
    )


def _write_camera(transforms: Path, view: str, path: Path) -> None:
    content = json.loads(transforms.read_text(encoding="utf-8"))
    frame = next(frame for frame in content["frames"] if Path(frame["file_path"]).stem == view)
    content["frames"] = [{**frame, "file_path": f"{view}.png"}]
    write_aside(path, json.dumps(content))


def _training_numbers(result: Path) -> dict[str, Any]:
    content = json.loads((result / "result.json").read_text(encoding="utf-8"))
    return {"timings_s": content["timings_s"], "splats": content["splats"]["count"], "device": content["device"]}


def _remove_others(output: Path, pattern: str) -> None:
    """Outputs of earlier versions make way."""
    for folder in output.parent.glob(pattern):
        if folder != output and folder.is_dir():
            shutil.rmtree(folder)


_hashes: dict[tuple[str, ...], str] = {}


def _hash(*names: str) -> str:
    """Of sources as this process found them first."""
    if names not in _hashes:
        _hashes[names] = code_hash(ROOT, names)
    return _hashes[names]


def code_has_changed() -> bool:
    """Whether children may have run other sources than their cells' keys say."""
    return any(code_hash(ROOT, names) != found for names, found in _hashes.items())
