"""VGG-16: its layers against plain arithmetic, and the file of its weights."""

from __future__ import annotations

import random

import h5py
import numpy as np
import pytest

from models import _vgg16
from pipeline.errors import PipelineError

BLUE_GREEN_RED = (104.00699, 116.66877, 122.67892)  # the mean, as the package subtracts it


def convolve(x, kernel, bias):
    """A convolution of (h, w, c) with zeros around it, and ReLU, sum by sum."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height, width, kernel.shape[-1]))
    for row in range(height):
        for column in range(width):
            out[row, column] = np.tensordot(padded[row : row + 3, column : column + 3], kernel, 3) + bias
    return np.maximum(out, 0)


def pool(x):
    """The largest of 2x2, of less at the far border."""
    height, width, _ = x.shape
    return np.array([[x[i : i + 2, j : j + 2].max((0, 1)) for j in range(0, width, 2)] for i in range(0, height, 2)])


@pytest.fixture(scope="module")
def kernels():
    """Kernels and biases of three convolutions, as a file has them: blue first."""
    draw = np.random.default_rng(0).normal
    sizes = {"conv1_1": (3, 64), "conv1_2": (64, 64), "conv2_1": (64, 128)}
    return {
        name: [draw(0, 0.1, (3, 3, *size)).astype(np.float32), draw(0, 1, size[1]).astype(np.float32)]
        for name, size in sizes.items()
    }


def write(path, kernels):
    with h5py.File(path, "w") as file:
        for name, arrays in kernels.items():
            block, place = name.removeprefix("conv").split("_")
            group = "conv2d" if place == "1" else f"conv2d_{int(place) - 1}"
            for part, values in enumerate(arrays):
                file[f"block{block}/layers/{group}/vars/{part}"] = values
    return path


def expect(pixels, kernels):
    """What the layers give for pixels (h, w, 3), red first."""
    first = convolve(pixels[..., ::-1] - np.array(BLUE_GREEN_RED), *kernels["conv1_1"])
    second = convolve(first, *kernels["conv1_2"])
    return {"conv1_1": first, "conv1_2": second, "conv2_1": convolve(pool(second), *kernels["conv2_1"])}


def assert_same(pixels, network, kernels):
    seen = network(pixels[None].astype(np.float32))
    for name, expected in expect(pixels, kernels).items():
        np.testing.assert_allclose(expected, seen[name][0], rtol=1e-4, atol=1e-3 * np.abs(expected).max())


def picture(height, width):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(float)


@pytest.mark.parametrize("size", [(6, 4), (5, 7), (1, 1)])
def test_layers_are_those_of_plain_arithmetic(tmp_path, kernels, size, monkeypatch):
    monkeypatch.setattr(_vgg16, "weights_file", lambda: write(tmp_path / "weights.h5", kernels))
    assert_same(picture(*size), _vgg16.pretrained.__wrapped__("conv2_1"), kernels)


def test_no_random_number_is_drawn():
    state = random.getstate()
    _vgg16.build_network("conv1_2")
    assert state == random.getstate()  # else the first training of a process would differ from the second


def test_sizes_are_those_of_the_paper():
    network = _vgg16.build_network("conv5_3")
    assert 13 == len([layer for layer in network.layers if layer.weights])
    assert 14_714_688 == network.count_params()
    assert [] == network.trainable_weights
    assert (None, None, None, 512) == network.output["conv5_3"].shape


def test_a_file_that_does_not_fit_is_refused(tmp_path, kernels):
    path = write(tmp_path / "weights.h5", {"conv1_1": kernels["conv1_1"], "conv1_2": kernels["conv2_1"]})
    for names in (["conv1_2"], ["conv2_1"]):
        with pytest.raises(PipelineError, match=r"not a readable file of VGG-16's weights"):
            _vgg16.read_weights(path, names)


def test_a_damaged_file_is_refused(tmp_path, kernels):
    path = write(tmp_path / "weights.h5", kernels)
    content = path.read_bytes()
    for end in (0, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(PipelineError, match="replace"):
            _vgg16.read_weights(path, list(kernels))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_vgg16, "MODULE", "no_such_package")
    with pytest.raises(PipelineError, match=r"uv sync --extra vgg"):
        _vgg16.weights_file()


@pytest.mark.heavy
def test_weights_of_the_package_are_those_that_it_has():
    pytest.importorskip(_vgg16.MODULE, reason="uv sync --extra vgg installs the weights")
    with h5py.File(_vgg16.weights_file()) as file:
        kernels = {
            name: [np.asarray(file[f"{place}/vars/{part}"]) for part in (0, 1)]
            for name, place in {
                "conv1_1": "block1/layers/conv2d",
                "conv1_2": "block1/layers/conv2d_1",
                "conv2_1": "block2/layers/conv2d",
            }.items()
        }
    assert_same(picture(8, 6), _vgg16.pretrained("conv4_1"), kernels)
